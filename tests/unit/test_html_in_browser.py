"""The page in a browser without a screen: nothing leaves it, nothing is wrong with it, and it fits a phone.

Needs Chromium or Chrome, which is driven through its DevTools protocol; skipped where there is none.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from report_pages import HOSTILE, page, write_full, write_many, write_small

aiohttp = pytest.importorskip("aiohttp")  # comes with dvc

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine")

PAGES: dict[str, Callable[[Path], Path]] = {
    "small": write_small,
    "full": write_full,
    "three classes": lambda reports: write_many(reports, ["bill", HOSTILE, "praise"]),
    "twelve classes": lambda reports: write_many(reports, [f"a class with a longer name {n}" for n in range(12)]),
    "forty classes": lambda reports: write_many(reports, [f"class{n}" * 8 for n in range(40)]),
}
WIDTHS = (320, 380, 768, 1280)

PROBE = """
(() => {
  const root = document.documentElement;
  const wide = [...document.querySelectorAll('main *, header *, nav *')]
    .filter(e => !e.closest('.box') && !e.closest('pre') && !e.closest('svg'))
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.tagName + '.' + e.className + ': ' + e.textContent.trim().slice(0, 40));
  const silent = [...document.querySelectorAll('img, svg')]
    .filter(e => !(e.getAttribute('aria-label') || e.getAttribute('alt')) && e.getAttribute('aria-hidden') !== 'true');
  const small = [...document.querySelectorAll('svg.chart text')]
    .map(e => e.getBoundingClientRect().height).filter(h => h > 0 && h < 9);
  const cut = [...document.querySelectorAll('svg.chart')].flatMap(svg => {
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text')].filter(t => {
      const r = t.getBoundingClientRect();
      return r.left < frame.left - 1 || r.right > frame.right + 1
        || r.top < frame.top - 1 || r.bottom > frame.bottom + 1;
    }).map(t => t.textContent);
  });
  return {
    title: document.title, scroll: root.scrollWidth, width: innerWidth,
    wide, silent: silent.length, small: small.length, cut,
    paper: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
    hidden: [...document.querySelectorAll('details > :not(summary)')].filter(e => !e.checkVisibility()).length,
  };
})()
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a browser of our own can be told what to do."""
    folder = tmp_path_factory.mktemp("browser")
    assert BROWSER is not None
    command = [BROWSER, "--headless", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-component-update", "about:blank"]
    if os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # which root cannot have
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert running.stderr is not None
        for line in running.stderr:
            if "DevTools listening on" in line:
                break
        else:
            pytest.skip("the browser does not start here")
        yield line.split()[-1]
    finally:
        running.kill()
        running.wait(timeout=30)
        with contextlib.suppress(OSError):
            running.stderr.close()  # type: ignore[union-attr]


class Tab:
    """A page of the browser: commands to it, and what happened in it."""

    def __init__(self, socket: Any, session: str) -> None:
        self.socket, self.session, self.sent = socket, session, 0
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": parameters}
        await self.socket.send_json(message | ({"sessionId": self.session} if self.session else {}))
        while True:
            answer = await asyncio.wait_for(self.socket.receive_json(), timeout=60)
            if answer.get("id") == self.sent:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    async def until(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(await asyncio.wait_for(self.socket.receive_json(), timeout=60))

    async def look(self, width: int, **media: Any) -> dict[str, Any]:
        """What a reader of this width sees."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
        )
        await self.call("Emulation.setEmulatedMedia", **media)
        found = await self.call("Runtime.evaluate", expression=PROBE, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return dict(found["result"]["value"])


@contextlib.asynccontextmanager
async def opened(address: str, file: Path) -> AsyncIterator[Tab]:
    async with aiohttp.ClientSession() as client, client.ws_connect(address, max_msg_size=0) as socket:
        browser = Tab(socket, "")
        target = await browser.call("Target.createTarget", url="about:blank")
        joined = await browser.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        tab = Tab(socket, joined["sessionId"])
        tab.sent = browser.sent
        for domain in ("Page", "Network", "Log", "Runtime"):
            await tab.call(f"{domain}.enable")
        await tab.call("Page.navigate", url=file.as_uri())
        await tab.until("Page.loadEventFired")
        yield tab
        await tab.call("Page.close")


def scheme(name: str) -> list[dict[str, str]]:
    return [{"name": "prefers-color-scheme", "value": name}]


@pytest.mark.parametrize("kind", PAGES)
def test_a_browser_finds_nothing_wrong_and_asks_for_nothing(kind: str, address: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(PAGES[kind](tmp_path / "reports")), encoding="utf-8")

    async def read() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        async with opened(address, file) as tab:
            seen = [await tab.look(width, features=scheme("light")) for width in WIDTHS]
            return seen, tab.events

    seen, events = asyncio.run(read())
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    said = [event for event in events if event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled")]
    assert said == []
    assert [event for event in events if event["method"] == "Runtime.exceptionThrown"] == []
    for width, found in zip(WIDTHS, seen, strict=True):
        assert found["title"] == "groundup: what three models learned"
        assert found["width"] == width
        assert found["scroll"] <= width, (width, found["wide"])
        assert found["wide"] == []
        assert found["silent"] == 0
        assert found["cut"] == []
        assert found["small"] == 0, "letters too small to read"


def test_dark_is_dark_and_paper_is_light_with_all_details_shown(address: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(write_full(tmp_path / "reports")), encoding="utf-8")

    async def read() -> list[dict[str, Any]]:
        async with opened(address, file) as tab:
            screens = [await tab.look(1280, media="screen", features=scheme(name)) for name in ("light", "dark")]
            return [*screens, await tab.look(700, media="print", features=scheme("dark"))]

    light, dark, paper = asyncio.run(read())

    def brightness(colour: str) -> int:
        return sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])

    assert brightness(light["paper"]) > 700 > 200 > brightness(light["ink"])
    assert brightness(dark["paper"]) < 200 < 600 < brightness(dark["ink"])
    assert brightness(paper["paper"]) == 765
    assert brightness(paper["ink"]) == 0
    assert light["hidden"] > 0
    assert paper["hidden"] == 0
    assert paper["scroll"] <= 700, paper["wide"]
