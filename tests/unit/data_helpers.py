"""Small things that several tests of the data and of the parameters need: params, entries, a local web server."""

import contextlib
import copy
import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from ruamel.yaml import YAML

from groundup.config import SplitParams, TokenizeParams
from groundup.data.catalog import Entry, Source
from groundup.data.corpus import Document
from groundup.data.instructions import Instruction
from groundup.data.messages import Message
from groundup.data.raw import RawData

ROOT = Path(__file__).resolve().parents[2]

# The same examples on each run and each machine; nothing is kept between runs.
seeded = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)


def raw_params() -> dict[str, Any]:
    """The complete preset with what `micro` changes, merged here without groundup.presets."""
    complete, changes = (
        YAML(typ="safe").load((ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8"))
        for name in ("sample", "micro")
    )
    for section, values in changes.items():
        complete[section].update(values)
    return complete


def with_values(raw: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A copy of nested params with other values; `model__d_model` stands for the key model.d_model."""
    changed = copy.deepcopy(raw)
    for name, value in values.items():
        *sections, key = name.split("__")
        place = changed
        for section in sections:
            place = place[section]
        place[key] = value
    return changed


def without_key(raw: dict[str, Any], name: str) -> dict[str, Any]:
    changed = copy.deepcopy(raw)
    *sections, key = name.split(".")
    place = changed
    for section in sections:
        place = place[section]
    del place[key]
    return changed


def split_params(**values: Any) -> SplitParams:
    usual: dict[str, Any] = {
        "train": 0.6,
        "validation": 0.2,
        "test": 0.2,
        "near_duplicate_similarity": 0.6,
        "add_to_corpus": (),
    }
    return SplitParams(**(usual | values))


def tokenize_params(**values: Any) -> TokenizeParams:
    usual: dict[str, Any] = {"tokenizer": "bpe", "vocab_size": 300, "train_on": ("corpus",)}
    return TokenizeParams(**(usual | values))


ANIMALS = ("otter", "heron", "beetle", "badger", "swift", "marten", "newt", "plover", "weasel", "lynx", "crane", "vole")
PLACES = ("harbour", "orchard", "quarry", "meadow", "chapel", "market", "cellar", "bridge", "garden", "tower")


def paragraph(number: int) -> str:
    """A paragraph of a made-up story, unlike the others."""
    animal, place = ANIMALS[number % len(ANIMALS)], PLACES[number // len(ANIMALS) % len(PLACES)]
    return (
        f"On evening {number} the {animal} crossed the {place} and counted {number * 7 + 3} lanterns on the way. "
        f"Nobody in the {place} had asked the {animal} to count them, and still it wrote the figure down."
    )


def story(n_paragraphs: int) -> str:
    return "\n\n".join(paragraph(number) for number in range(n_paragraphs)) + "\n"


def messages(n_rows: int) -> list[Message]:
    """Labelled rows whose words differ from row to row, every fourth of them spam."""
    rows = []
    for number in range(n_rows):
        animal, place = ANIMALS[number % len(ANIMALS)], PLACES[number // len(ANIMALS) % len(PLACES)]
        if number % 4 == 0:
            rows.append(Message("spam", f"{animal} prize {place} call {animal}{place} now or lose {place}{animal}"))
        else:
            rows.append(Message("ham", f"meet {animal}{place} by the {place}, the {animal} {place} brings soup"))
    return rows


def instructions(n_rows: int) -> list[Instruction]:
    rows = []
    for number in range(n_rows):
        animal, place = ANIMALS[number % len(ANIMALS)], PLACES[number // len(ANIMALS) % len(PLACES)]
        rows.append(
            Instruction(
                instruction=f"Say where the {animal}{place} sleeps, the {animal} {place} being closed",
                input=f"{place} {animal}" if number % 2 else "",
                output=f"The {animal} sleeps near the {place}.",
            )
        )
    return rows


def raw_data(n_paragraphs: int = 30, n_messages: int = 40, n_instructions: int = 20) -> RawData:
    return RawData(
        documents=[Document("story", story(n_paragraphs), whole_source=True)],
        messages=messages(n_messages),
        instructions=instructions(n_instructions),
    )


def hidden_files(folder: Path) -> list[str]:
    """Every file or folder below whose name begins with a dot: what an unfinished write would leave."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def entry_for(data: bytes, *sources: Source | str, **values: Any) -> Entry:
    """A catalog entry for these bytes, from these sources."""
    usual: dict[str, Any] = {
        "name": "tiny",
        "kind": "corpus",
        "file": "tiny.txt",
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "rows": 1,
        "licence": "none",
        "about": "a few bytes",
    }
    made = tuple(source if isinstance(source, Source) else Source(source) for source in sources)
    return Entry(sources=made, **(usual | values))


def zip_bytes(members: dict[str, bytes], link: str | None = None) -> bytes:
    """A zip archive with these members, and perhaps a symbolic link."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        if link is not None:
            info = zipfile.ZipInfo(link)
            info.create_system = 3
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/hostname")
    return buffer.getvalue()


class Site:
    """What a local web server has, how it behaves, and what it was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[tuple[str, str | None]] = []  # (path, Range header)

    def serve(self, path: str, data: bytes, *, cut_after: int | None = None, ranges: bool = True) -> str:
        """Serve bytes; `cut_after` breaks the first transfer off behind so many, `ranges=False` ignores Range."""
        cuts = [] if cut_after is None else [cut_after]

        def answer(request: BaseHTTPRequestHandler) -> None:
            asked = request.headers.get("Range")
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and ranges else 0
            if start >= len(data) > 0:
                request.send_error(416)
                return
            request.send_response(206 if asked and ranges else 200)
            if asked and ranges:
                request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            request.send_header("Content-Length", str(len(data) - start))
            request.end_headers()
            request.wfile.write(data[start : cuts.pop()] if cuts else data[start:])

        return self.answer_with(path, answer)

    def fail(self, path: str, status: int) -> str:
        return self.answer_with(path, lambda request: request.send_error(status))

    def serve_undeclared(self, path: str, data: bytes) -> str:
        """Serve bytes without saying how many there will be."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.end_headers()
            with contextlib.suppress(ConnectionError):  # the client is right to hang up early
                request.wfile.write(data)

        return self.answer_with(path, answer)

    def answer_with(self, path: str, answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        self.pages[path] = answer
        return self.url + path

    def ranges_asked(self, path: str) -> list[str | None]:
        return [asked for at, asked in self.asked if at == path]


@contextlib.contextmanager
def local_site() -> Iterator[Site]:
    """A web server on 127.0.0.1 that lives as long as the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, self.headers.get("Range")))
            page = site.pages.get(self.path)
            if page is None:
                self.send_error(404)
            else:
                page(self)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # so that closing waits for every answer, and no socket is left open
    site = Site(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
