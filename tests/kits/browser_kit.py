"""A real browser for tests: Debian's chromium, driven by Playwright, which downloads none itself."""

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_INSTALL = "there is no chromium: `apt-get install chromium` installs one"


def executable():
    """The browser's program; without one the test is skipped, or fails where CI is set."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(_INSTALL)
    return found


@contextmanager
def browsing():
    """A running browser. While it runs, this thread has a running event loop, so nothing else may start one here."""
    path = executable()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@dataclass
class Heard:
    """What a page said to its console, and what it requested."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def listen(self, page):
        page.on("console", lambda said: said.type in ("error", "warning") and self.errors.append(said.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda asked: self.requests.append(asked.url))
