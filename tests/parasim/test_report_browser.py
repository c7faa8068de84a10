"""The page of `paraSim report` in a browser: sliders move bars, no errors, narrow and wide, by keyboard, printed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parasim.browser import CHROMIUM, BrowserError, Tab, tab
from tests.parasim.command_line import run
from tests.parasim.results import KINDS, make_results

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

WIDTHS = "[...document.querySelectorAll('#what-if-chart .track i')].map(box => box.style.width).join()"
TEXTS = "[...document.querySelectorAll('#what-if-chart .bar .end')].map(text => text.textContent).join()"
CELLS = "[...document.querySelectorAll('#what-if-chart tbody td')].map(cell => cell.textContent).join()"
ARROW_LEFT, TAB, END = 37, 9, 35


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for each kind of results, with its page."""
    directory = tmp_path_factory.mktemp("results")
    make_results(directory)
    for kind in KINDS:
        assert run("report", directory / kind).status == 0
    return directory


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(tab())
        except BrowserError as error:
            pytest.skip(f"Chromium does not start on this machine: {error}")
        yield opened


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [400, 1600])
def test_no_errors_no_requests_and_nothing_beside_the_page(made: Path, browser: Tab, kind: str, width: int):
    page = made / kind / "report.html"
    browser.open(page, width)
    assert browser.value("document.querySelectorAll('h1').length") == 1
    assert browser.value("document.documentElement.scrollWidth") <= width
    # One picture of each chart is shown, as wide as the page has space for; no two texts of it overlap.
    shown, overlapping = browser.value(
        """(() => {
             const shown = [...document.querySelectorAll('figure svg')].filter(svg => svg.checkVisibility());
             const overlapping = shown.flatMap(svg => {
               const boxes = [...svg.querySelectorAll('text')].map(text => text.getBoundingClientRect());
               return boxes.flatMap((one, n) => boxes.slice(n + 1).filter(other => one.left < other.right - 1
                 && other.left < one.right - 1 && one.top < other.bottom - 3 && other.top < one.bottom - 3));
             });
             return [shown.length, overlapping.length];
           })()"""
    )
    assert shown == browser.value("document.querySelectorAll('figure svg.wide').length") > 0
    assert overlapping == 0
    # Small text of the pictures is not much smaller than the page's.
    assert browser.value(
        """[...document.querySelectorAll('figure svg text')].filter(text => text.checkVisibility())
             .every(text => text.getBoundingClientRect().height > 8)"""
    )
    browser.value("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.problems == []
    assert [url for url in browser.requested if not url.startswith("data:")] == [page.as_uri()]


@pytest.mark.parametrize("kind", ["simulate", "explain", "sweep"])
def test_a_slider_moves_bars_texts_and_table(made: Path, browser: Tab, kind: str):
    browser.open(made / kind / "report.html", 1000)
    before = [browser.value(what) for what in (WIDTHS, TEXTS, CELLS)]
    browser.value("document.getElementById('slider-0').focus()")
    start = browser.value("document.getElementById('output-0').textContent")
    # By keyboard, to the highest bandwidth.
    browser.press("End", END)
    after = [browser.value(what) for what in (WIDTHS, TEXTS, CELLS)]
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert browser.value("document.getElementById('output-0').textContent") != start
    assert browser.value("document.getElementById('slider-0').getAttribute('aria-valuetext')") == browser.value(
        "document.getElementById('output-0').textContent"
    )
    assert browser.value("document.getElementById('what-if-said').textContent") != ""
    browser.value("document.getElementById('what-if-reset').click()")
    assert [browser.value(what) for what in (WIDTHS, TEXTS, CELLS)] == before
    assert browser.problems == []


def test_the_bars_are_as_long_as_their_numbers(made: Path, browser: Tab):
    # FedBCD 135 s and ParaBlock at 1 MB/s: 30 + 2 x 30 + 9 = 99 s; the longest bar is as wide as the chart.
    browser.open(made / "sweep" / "report.html", 1000)
    chart, *bars = browser.value(
        """[document.querySelector('#what-if-chart .bars'), ...document.querySelectorAll('#what-if-chart .track')]
             .map(shape => [...(shape.className === 'track' ? shape.querySelectorAll('i') : [shape])]
               .reduce((sum, box) => sum + box.getBoundingClientRect().width, 0))"""
    )
    assert bars == pytest.approx([chart, chart * 99 / 135], rel=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_pictures_stands_out_from_the_page(made: Path, browser: Tab, scheme: str):
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(made / "explain" / "report.html", 1000)
    page, *texts = browser.value(
        """[getComputedStyle(document.body).backgroundColor,
            ...[...document.querySelectorAll('figure svg.wide text')].map(text => getComputedStyle(text).fill)]
             .map(colour => colour.match(/[0-9]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3)"""
    )
    # Numbers inside of bars are white in both.
    assert (page > 200) == (scheme == "light")
    assert min(abs(text - page) for text in texts if text < 255) > 80
    browser.call("Emulation.setEmulatedMedia", features=[])


def test_everything_can_be_reached_by_keyboard(made: Path, browser: Tab):
    browser.open(made / "sweep" / "report.html", 1000)
    reached = []
    for _ in range(5):
        browser.press("Tab", TAB)
        reached.append(browser.value("document.activeElement.id || document.activeElement.tagName"))
    assert reached[:4] == ["slider-0", "slider-1", "what-if-reset", "SUMMARY"]
    browser.value("document.getElementById('slider-1').focus()")
    browser.press("End", END)
    browser.press("ArrowLeft", ARROW_LEFT)
    assert browser.value("document.getElementById('output-1').textContent") == "2"


def test_tables_are_open_on_paper_and_closed_again_after(made: Path, browser: Tab):
    # A4 between its margins is some 700 px wide.
    browser.open(made / "explain" / "report.html", 700)
    opened = "document.querySelectorAll('details:not([open])').length"
    closed = browser.value(opened)
    assert closed > 0
    browser.value("dispatchEvent(new Event('beforeprint'))")
    assert browser.value(opened) == 0
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.value("document.documentElement.scrollWidth") <= 700
    browser.call("Emulation.setEmulatedMedia", media="")
    browser.value("dispatchEvent(new Event('afterprint'))")
    assert browser.value(opened) == closed
    assert len(browser.call("Page.printToPDF")["data"]) > 10_000
