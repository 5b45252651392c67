"""Asking a language model on any server that speaks OpenAI's protocol, with patience for one that is busy."""

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from groundup.console import one_line
from groundup.errors import GroundupError, shorten

KEY_VARIABLE = "OPENAI_API_KEY"
SHORTEST_SECRET = 8  # characters; below that it is a word such as "ollama", put there because a client wants one
CONNECT_TIMEOUT_S, REPLY_TIMEOUT_S = 10.0, 180.0  # a large model on a CPU thinks for minutes
WAITS_S = (1.0, 2.0, 4.0)  # before the second try, the third, the fourth
LONGEST_WAIT_S = 60.0  # whatever the server asks for
REPLY_LIMIT_BYTES = 4 << 20
LONGEST_MESSAGE = 200  # characters of what a server says in an error

Log = Callable[[dict[str, Any]], None]


class NoReplyError(Exception):
    """This try brought nothing; the next may."""


def key_from_environment() -> str:
    """The key for the server; empty if there is none, as for a server of one's own.

    Raises: GroundupError if no key can look like that. The key is in no message.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise GroundupError(
            f"{KEY_VARIABLE}: holds characters that no key has",
            allowed="letters, digits and signs without white space",
            do="copy it again",
        )
    return key


def checked_url(url: str) -> str:
    """The address of a server as it is put before `/chat/completions`.

    Raises: GroundupError if it is no address, or holds a password; that is in no message.
    """
    allowed, do = "an address such as http://127.0.0.1:11434/v1", "change --url"
    try:
        parts = urlsplit(url.strip())
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if "@" in url:
        raise GroundupError(
            "--url holds a name or a password",
            allowed=allowed,
            do=f"leave it away; a key goes into the environment variable {KEY_VARIABLE}",
        )
    if not whole or parts.query or parts.fragment or any(character.isspace() for character in url.strip()):
        raise GroundupError("--url is no address of a server", got=one_line(url), allowed=allowed, do=do)
    return url.strip().rstrip("/").removesuffix("/chat/completions")


@dataclass(frozen=True)
class Server:
    """A model on a server.

    Args:
        key: sent with every question, and written nowhere: where a server repeats it, stars stand for it.
        log: told of every try, with what was sent and what came back.
    """

    url: str
    model: str
    log: Log
    key: str = field(default="", repr=False)
    timeout_s: float = REPLY_TIMEOUT_S
    waits_s: tuple[float, ...] = WAITS_S

    def ask(self, prompt: str) -> str:
        """What the model says to a prompt, as likely as it can be: at temperature 0.

        Raises: GroundupError if the server does not answer after some tries, refuses, or speaks another protocol.
        """
        payload = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "stream": False,
        }
        for wait in (*self.waits_s, None):
            asked_to_wait = 0.0
            try:
                status, body, asked_to_wait = self._post(payload)
            except NoReplyError as failure:
                problem = str(failure)
            else:
                if status == 200:
                    return self._content(body)
                problem = f"HTTP status {status}{self._message(body)}"
                if status not in (408, 429) and status < 500:
                    raise self._refused(status, problem)
            if wait is not None:
                time.sleep(min(max(wait, asked_to_wait), LONGEST_WAIT_S))
        raise GroundupError(
            f"{self.url}: {problem}, after {len(self.waits_s) + 1} tries",
            do="see that the server runs and is not busy, then run the same command: answers that came are kept",
        )

    def _post(self, payload: dict[str, Any]) -> tuple[int, bytes, float]:
        """Status, body, and the seconds that the server asks to wait."""
        begun, status, body, problem = time.monotonic(), None, bytearray(), ""
        try:
            with requests.post(
                f"{self.url}/chat/completions",
                json=payload,
                auth=self._with_key,
                stream=True,
                timeout=(CONNECT_TIMEOUT_S, self.timeout_s),
                allow_redirects=False,  # a key goes nowhere but to the server that was named
            ) as response:
                status = response.status_code
                for chunk in response.iter_content(1):  # a longer piece is waited for, however slowly it comes
                    body += chunk
                    if len(body) > REPLY_LIMIT_BYTES:
                        raise NoReplyError(f"a reply of more than {REPLY_LIMIT_BYTES} bytes")
                    if time.monotonic() - begun > self.timeout_s:
                        raise NoReplyError(f"no whole reply in {self.timeout_s:g} s")
                wait = response.headers.get("Retry-After", "")
            return status, bytes(body), float(wait) if wait.isascii() and wait.isdigit() else 0.0
        except requests.Timeout:
            problem = f"no reply in {self.timeout_s:g} s"
        except requests.exceptions.InvalidURL:
            raise GroundupError("--url is no address of a server", got=self.url, do="change --url") from None
        except requests.ConnectionError as error:
            silent = "timed out" in str(error).lower()
            problem = f"no whole reply in {self.timeout_s:g} s" if silent else "no connection"
        except requests.RequestException as error:
            problem = f"the connection broke off ({type(error).__name__})"
        except NoReplyError as failure:
            problem = str(failure)
        finally:
            self.log(
                {
                    "at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "url": self.url,
                    "request": payload,
                    "status": status,
                    "reply": self._hidden(body.decode(errors="replace")),
                    "problem": problem,
                    "elapsed_s": round(time.monotonic() - begun, 3),
                }
            )
        raise NoReplyError(problem)

    def _with_key(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the key, also where there is none: else requests would look for a password in ~/.netrc."""
        if self.key:
            request.headers["Authorization"] = f"Bearer {self.key}"
        return request

    def _hidden(self, text: str) -> str:
        """The text with stars for the key, though JSON within JSON may have put backslashes into it."""
        if len(self.key) < SHORTEST_SECRET:
            return text
        return re.sub(r"\\*".join(map(re.escape, self.key)), "***", text)

    def _message(self, body: bytes) -> str:
        """What the server says went wrong, to be put behind the status."""
        try:
            error = json.loads(body)["error"]
            text = str(error["message"] if isinstance(error, dict) else error)
        except (ValueError, KeyError, TypeError, RecursionError):
            text = body.decode(errors="replace")
        said = shorten(one_line(self._hidden(text)), LONGEST_MESSAGE)
        return f": {said}" if said else ""

    def _refused(self, status: int, problem: str) -> GroundupError:
        if status in (401, 403):
            said = "the server refuses the key" if self.key else "the server wants a key"
            do = f"put a valid one into the environment variable {KEY_VARIABLE}"
        elif status == 404:
            said = f"the server knows no model {shorten(self.model)}, or no such address"
            do = "change --model (`ollama list` shows those of Ollama) or --url, which mostly ends in /v1"
        elif status < 400:
            said, do = "the server leads to another address", "name that one in --url"
        else:
            said, do = "the server refuses the question", "change --model or --url"
        return GroundupError(f"{self.url}: {said} ({problem})", do=do)

    def _content(self, body: bytes) -> str:
        """The text of a reply; empty where the model gave none."""
        try:
            content = json.loads(body)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            raise GroundupError(
                f"{self.url}: the reply is none of OpenAI's protocol",
                got=one_line(self._hidden(body.decode(errors="replace"))),
                do="change --url, which mostly ends in /v1",
            ) from None
        return self._hidden(content) if isinstance(content, str) else ""
