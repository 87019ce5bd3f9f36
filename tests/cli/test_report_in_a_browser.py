"""The report and the chart in a real browser: what is drawn, clicked, typed and requested."""

import json
from collections import Counter
from dataclasses import dataclass

import pytest
from browser_kit import Heard, browsing, executable
from pipeline_kit import Place, write_keys
from report_kit import ABSENT, CORRECTED, DAYS, HOLIDAY, HOSTILE, filled

from ingest.cli.report.calendar import SIGNS
from ingest.demo.servers import loopback

SEEN = HOSTILE.replace("\u202e", "\\u202e")
"""The hostile ticker as it is shown."""


@dataclass(frozen=True)
class Files:
    """The report, the chart of the hostile ticker, and what `status --json` says of the same cache."""

    report: str
    chart: str
    status: dict


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    write_keys(folder / "credentials")
    with loopback.serve({}) as server, pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        patched.setenv("AWS_CONFIG_FILE", str(folder / "none"))
        place = filled(Place(folder / "cache", server.endpoint_url), server)
    assert place.here("report", "--out", "report.html").code == 0
    shown = ("show", HOSTILE, "--start", DAYS[0], "--end", DAYS[3], "--no-fetch", "--html", "chart.html")
    assert place.here(*shown).code == 0
    status = json.loads(place.here("status", "--json").out)
    return Files((folder / "report.html").as_uri(), (folder / "chart.html").as_uri(), status)


@pytest.fixture(scope="module")
def browser(files):
    with browsing() as running:
        yield running


@pytest.fixture
def opened(browser):
    """Opens pages, each in a window of its own; at the end none of them has complained or requested anything."""
    heard, contexts = Heard(), []

    def look(uri, width=1440):
        contexts.append(browser.new_context(viewport={"width": width, "height": 844}))
        page = contexts[-1].new_page()
        heard.listen(page)
        page.goto(uri)
        return page

    yield look
    for context in contexts:
        context.close()
    assert heard.errors == []
    assert [url for url in heard.requests if not url.startswith("file:")] == []


def day(page, wanted):
    """The square of a day."""
    month = page.locator(f'.month[data-month="{wanted:%Y-%m}"]')
    return month.get_by_text(str(wanted.day), exact=True)


def test_the_squares_are_what_status_counts(opened, files):
    page = opened(files.report)
    squares = Counter(page.locator("button.day").evaluate_all("all => all.map(one => one.className.slice(-1))"))
    legend = dict(
        page.locator(".counts li").evaluate_all("all => all.map(one => [one.dataset.state, +one.dataset.count])")
    )
    assert squares == {SIGNS[state]: count for state, count in legend.items()}
    stored = sum(one["count"] for one in files.status["sessions"] if one["held"] == "committed")
    kept = sum(one["held"] for one in files.status["quarantine"])
    assert squares["h"] + squares["c"] + squares["d"] + kept == stored == 6
    assert squares["q"] == len(files.status["quarantine"])


def test_a_click_on_a_day_shows_its_reason(opened, files):
    page = opened(files.report)
    detail = page.locator("#detail")
    assert not detail.is_visible()
    day(page, HOLIDAY).click()
    assert detail.is_visible()
    assert "Mon, 26 May 2025" in detail.inner_text()
    assert "The market was closed." in detail.inner_text()
    day(page, CORRECTED).click()
    told = detail.inner_text()
    assert "stocks-day: corrected" in told
    assert "32 rows" in told
    assert "Republished: 8 changes of " in told
    assert SEEN in told
    detail.get_by_role("button", name="Close").click()
    assert not detail.is_visible()


def test_the_keyboard_reaches_each_day(opened, files):
    page = opened(files.report)
    detail, focused = page.locator("#detail"), page.locator("button.day:focus")
    page.locator("button.day[tabindex='0']").focus()
    assert focused.get_attribute("aria-label") == "Mon, 2 Jun 2025: forbidden"
    page.keyboard.press("ArrowLeft")
    assert focused.get_attribute("aria-label") == "Mon, 26 May 2025: holiday"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert "The source lists no file of it." in detail.inner_text()
    assert f"{ABSENT.day} May 2025" in detail.inner_text()
    page.keyboard.press("Home")
    assert "Mon, 19 May 2025" in detail.inner_text()
    page.keyboard.press("Escape")
    assert not detail.is_visible()
    assert focused.get_attribute("aria-label") == "Mon, 19 May 2025: stored"
    assert page.locator("button.day[tabindex='0']").count() == 1


@pytest.mark.parametrize("name", ["report", "chart"])
def test_a_phone_does_not_scroll_sideways(opened, files, name):
    page = opened(getattr(files, name), 390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert background(page) > 230
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert background(page) < 40


def background(page):
    """How light the page is, of 255."""
    return max(page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"))


def test_a_ticker_that_is_markup_is_text(opened, files):
    for uri in (files.report, files.chart):
        page = opened(uri)
        assert page.title() != "taken"
        assert page.locator("b:not([style])").count() == 0
        assert page.get_by_text(SEEN, exact=True).count() >= 1
        assert "\u202e" not in page.content()


def drawn(page):
    """How many different colours the chart's canvases have."""
    return page.locator("#chart canvas").evaluate_all(
        """all => all.reduce((found, one) => {
            const { data } = one.getContext("2d").getImageData(0, 0, one.width, one.height);
            for (let at = 0; at < data.length; at += 4) if (data[at + 3]) found.add(data[at] << 16 | data[at + 1]);
            return found;
        }, new Set()).size"""
    )


def test_the_chart_of_each_ticker_is_drawn_adjusted_or_as_traded(opened, files):
    page = opened(files.report)
    chart, said = page.locator("#chart"), page.locator("#chart .readout")
    assert chart.locator("option").all_inner_texts() == [SEEN, "AAPL"]
    assert "As traded: its splits and dividends are not known" in chart.locator(".note").inner_text()
    assert chart.get_by_label("adjusted", exact=True).is_disabled()
    chart.get_by_role("button", name="Next ticker").click()
    assert chart.locator(".note").inner_text() == ""
    assert chart.get_by_label("adjusted", exact=True).is_checked()
    assert "close 108.00" in said.inner_text()
    assert drawn(page) > 2
    first = {"x": 20, "y": 100}
    chart.locator(".canvas").hover(position=first)
    assert "2025-05-19 open 24.76" in " ".join(said.inner_text().split())  # 100, after a split of 4:1 and a dividend
    chart.get_by_label("as traded").check()
    assert chart.locator(".canvas").get_attribute("aria-label") == "AAPL, as traded, 6 bars, 2025-05-19 to 2025-05-29"
    chart.locator(".canvas").hover(position=first)
    assert "2025-05-19 open 100.00" in " ".join(said.inner_text().split())
    chart.locator(".canvas").focus()
    for _ in range(9):
        page.keyboard.press("+")
    chart.locator(".canvas").hover(position={"x": 21, "y": 100})
    assert "2025-05-19" not in said.inner_text()


def test_the_chart_alone_says_what_its_prices_are(opened, files):
    page = opened(files.chart)
    assert page.locator("h1").inner_text() == SEEN
    assert "prices in dollars, as traded" in page.locator("header").inner_text()
    assert page.locator("#chart fieldset, #chart select").count() == 0
    assert drawn(page) > 2


def test_without_a_browser_these_tests_are_skipped_but_fail_in_ci(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        executable()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        executable()
