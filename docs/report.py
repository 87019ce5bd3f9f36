"""Draws docs/report.png: what `ingest report` says of generated files, as a browser shows it.

Run it from the checkout when the page changes: `.venv/bin/python docs/report.py`. It needs the test dependencies and a
browser (`.ci/browser` installs one).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

from playwright.sync_api import sync_playwright

from ingest.cache.commit import for_writing
from ingest.cache.manifest.yahoo import ActionCoverage
from ingest.demo.files.market import DEMO_TICKERS, Market, pack
from ingest.demo.servers import loopback
from ingest.market.calendars import Calendar, today
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.corporate_actions import Actions
from ingest.settings import CacheSettings, Settings

DAYS = Calendar.of(STOCKS_DAY.calendar).between(today() - timedelta(days=670), today() - timedelta(days=1))
MARKET = Market(rows=600)
SHOWN = "/home/me/market/cache"
CUT = "#runs, #growth, #findings, footer { display: none } .canvas { height: 300px } section { padding-top: 28px }"
"""What is left out of the picture, to keep it small."""


def main() -> None:
    """Fill a cache from a source with a few troubles, and take a picture of its report."""
    with tempfile.TemporaryDirectory() as folder, loopback.serve({}) as server:
        place = Path(folder)
        (place / "stocks.txt").write_text("\n".join(DEMO_TICKERS))
        for fill in (_first, _second):
            fill(server)
            _ingest(place, server, "run", "--start", DAYS[0], "--end", DAYS[-1], "--yes", "--no-fallback", "--quiet")
        _nothing_happened(place)
        _ingest(place, server, "report", "--out", "report.html")
        file = place / "report.html"
        file.write_text(file.read_text("utf-8").replace(str(place / "cache"), SHOWN), "utf-8")
        _draw(file, Path(__file__).with_suffix(".png"))


def _first(server: loopback.Server) -> None:
    """Serve all sessions but the newest and one that the source lost; the oldest are not in the subscription."""
    lost, broken = DAYS[-190], DAYS[-75]
    server.objects.update({STOCKS_DAY.key(day): pack(MARKET.day(day)) for day in DAYS[:-1] if day != lost})
    server.forbidden.update(STOCKS_DAY.key(day) for day in DAYS[:12])
    server.put(STOCKS_DAY.key(broken), b"no gzip")


def _second(server: loopback.Server) -> None:
    """Publish three files again, with other prices, and the newest one."""
    for day, name in ((DAYS[-30], "NVDA"), (DAYS[-29], "NVDA"), (DAYS[-140], "TSLA")):
        server.put(STOCKS_DAY.key(day), pack(_changed(MARKET.day(day).decode(), name)))
    server.put(STOCKS_DAY.key(DAYS[-1]), pack(MARKET.day(DAYS[-1])))


def _changed(text: str, name: str) -> bytes:
    """The file with another volume of one ticker."""
    return re.sub(rf"(?m)^({re.escape(name)}),\d+", r"\1,12345678", text).encode()


def _ingest(place: Path, server: loopback.Server, *arguments: str | date) -> None:
    own = {"MASSIVE_S3_ACCESS_KEY": "YOUR_ACCESS_KEY", "MASSIVE_S3_SECRET_KEY": "YOUR_SECRET_KEY"}
    own |= {"INGEST_SOURCE__ENDPOINT_URL": server.endpoint_url, "INGEST_CACHE__ROOT": "cache"}
    command = [sys.executable, "-m", "ingest", *map(str, arguments)]
    done = subprocess.run(command, cwd=place, env=os.environ | own, check=False)  # noqa: S603 - our own
    if done.returncode not in (0, 3):  # 3: the file that cannot be read
        raise SystemExit(done.returncode)


def _nothing_happened(place: Path) -> None:
    """Record that these companies had no splits and dividends, as `ingest demo` does."""
    chosen = Settings(cache=CacheSettings(root=place / "cache"))
    with for_writing(chosen, STOCKS_DAY) as cache:
        for ticker in DEMO_TICKERS:
            cache.manifest.yahoo.keep(ticker, ActionCoverage(DAYS[0], today()), Actions(), [])


def _draw(page: Path, picture: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        shown = browser.new_page(viewport={"width": 1120, "height": 900})
        shown.goto(page.as_uri())
        shown.add_style_tag(content=CUT)
        shown.locator("#chart select").select_option("NVDA")
        shown.locator("button.c").first.click()
        box = shown.locator("#chart").bounding_box()
        height = int(box["y"] + box["height"]) + 24 if box else 900
        shown.set_viewport_size({"width": 1120, "height": height})
        day = shown.locator("button.c").first.bounding_box()
        top = int(day["y"]) + 24 if day else 0
        shown.add_style_tag(content=f"#detail {{ position: absolute; top: {top}px; bottom: auto; left: 62% }}")
        shown.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
