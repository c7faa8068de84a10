"""The page of `paraSim report` in a browser: sliders move bars, no errors, narrow and wide, by keyboard, printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parasim.browser import CHROMIUM, Tab, tab
from tests.parasim.command_line import run
from tests.parasim.results import KINDS, make_results

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

WIDTHS = "[...document.querySelectorAll('#what-if-chart g.bar rect')].map(box => box.getAttribute('width')).join()"
TEXTS = "[...document.querySelectorAll('#what-if-chart text.end')].map(text => text.textContent).join()"
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
    with tab() as opened:
        yield opened


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [400, 1600])
def test_no_errors_no_requests_and_nothing_beside_the_page(made: Path, browser: Tab, kind: str, width: int):
    page = made / kind / "report.html"
    browser.open(page, width)
    assert browser.value("document.querySelectorAll('h1').length") == 1
    assert browser.value("document.documentElement.scrollWidth") <= width
    # What is left of one chart's text may not run into what is right of it.
    overlapping = browser.value(
        """[...document.querySelectorAll('g.bar')].filter(bar => {
             const boxes = [...bar.querySelectorAll('text')].map(text => text.getBoundingClientRect());
             const shown = boxes.filter(box => box.width > 0);
             return shown.length === 2 && shown[0].right > shown[1].left;
           }).length"""
    )
    assert overlapping == 0
    browser.value("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.complaints == []
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
    assert browser.complaints == []


def test_the_bars_are_as_long_as_their_numbers(made: Path, browser: Tab):
    # FedBCD 135 s and ParaBlock at 1 MB/s: 30 + 2 x 30 + 9 = 99 s; the longest bar is as wide as the chart.
    browser.open(made / "sweep" / "report.html", 1000)
    chart, *bars = browser.value(
        """[document.querySelector('#what-if-chart svg.bars'), ...document.querySelectorAll('#what-if-chart g.bar')]
             .map(shape => [...(shape.tagName === 'g' ? shape.querySelectorAll('rect') : [shape])]
               .reduce((sum, box) => sum + box.getBoundingClientRect().width, 0))"""
    )
    assert bars == pytest.approx([chart, chart * 99 / 135], rel=0.01)


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
