"""The page of `paraSim app` in a browser: sliders, keyboard, mistakes, sharing, pins, files, widths, schemes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from tests.parasim.app.serving import PATIENCE, App, serving
from tests.parasim.browser import CHROMIUM, BrowserError, Tab, tab

MISSING = [package for package in ("starlette", "uvicorn") if find_spec(package) is None]
pytestmark = [
    pytest.mark.skipif("PARASIM_PAGE" not in os.environ, reason="a minute of a core: `make test-app` runs it"),
    pytest.mark.skipif(bool(MISSING), reason=f"the extra 'app' is not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

SETTLED = """document.documentElement.dataset.ready === 'true' && !document.querySelector('[aria-busy]')
  && document.querySelectorAll('#methods .bar').length > 0"""
CLOCK = "document.getElementById('wall-clock').textContent"
WIDTHS = "[...document.querySelectorAll('#methods .track i')].map(box => box.style.width).join()"
LINES = "[...document.querySelectorAll('#lines polyline')].map(line => line.getAttribute('points')).join()"
WRONG = "[...document.querySelectorAll('.field.wrong')].map(field => field.dataset.path).join()"
TAB, END, RIGHT = 9, 35, 39


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(tab())
        except BrowserError as error:
            pytest.skip(f"Chromium does not start on this machine: {error}")
        yield opened


def until(browser: Tab, condition: str) -> Any:
    """Wait until something holds in the page."""
    end = time.monotonic() + PATIENCE
    while not (value := browser.value(condition)):
        assert time.monotonic() < end, (condition, browser.problems)
        time.sleep(0.05)
    return value


def start(browser: Tab, address: str, width: int = 1600, height: int = 900) -> None:
    """Open the page and wait until everything is answered."""
    # An address that differs in its fragment alone would not be loaded again.
    browser.open("about:blank", width, height)
    browser.open(address, width, height)
    until(browser, SETTLED)


def type_in(browser: Tab, control: str, text: str) -> None:
    """Write something into a control of the form, as a user does."""
    browser.value(
        f"""(() => {{ const control = document.getElementById({control!r}); control.value = {text!r};
              control.dispatchEvent(new Event(control.tagName === 'SELECT' ? 'change' : 'input')) }})()"""
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_nothing_goes_wrong_overflows_or_comes_from_elsewhere(app: App, browser: Tab, width: int, scheme: str):
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    start(browser, app.address, width)
    browser.value("document.querySelectorAll('.card details').forEach(details => details.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.problems == []
    assert all(url.startswith((app.address, "data:")) for url in browser.requested if url != "about:blank")
    assert browser.value("document.querySelectorAll('#methods .bar').length") == 11
    # Text stands out from the page.
    page, *texts = browser.value(
        """[getComputedStyle(document.querySelector('.card')).backgroundColor,
            ...[...document.querySelectorAll('svg text:not(.inside)')].map(text => getComputedStyle(text).fill)]
             .map(colour => colour.match(/[0-9]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3)"""
    )
    assert (page > 200) == (scheme == "light")
    assert min(abs(text - page) for text in texts) > 80
    browser.call("Emulation.setEmulatedMedia", features=[])


def test_a_slider_changes_the_charts_by_keyboard(app: App, browser: Tab):
    start(browser, app.address)
    before = [browser.value(what) for what in (CLOCK, WIDTHS, LINES)]
    browser.value("document.getElementById('f-local-batch_size-slider').focus()")
    browser.press("ArrowRight", RIGHT)
    until(browser, f"{CLOCK} !== {before[0]!r}")
    until(browser, SETTLED)
    after = [browser.value(what) for what in (CLOCK, WIDTHS, LINES)]
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert browser.value("document.getElementById('f-local-batch_size').value") == "5"
    assert browser.value("document.getElementById('f-local-batch_size-slider').getAttribute('aria-valuetext')") == "5"
    # The slider still has the focus, and what came out is told once it rests.
    assert browser.value("document.activeElement.id") == "f-local-batch_size-slider"
    until(browser, f"document.getElementById('said').textContent.includes({after[0]!r})")
    assert browser.problems == []


def test_everything_can_be_reached_by_keyboard(app: App, browser: Tab):
    start(browser, app.address)
    reached = []
    for _ in range(60):
        browser.press("Tab", TAB)
        reached.append(
            browser.value(
                "document.activeElement.id || document.activeElement.dataset.key || document.activeElement.tagName"
            )
        )
    order = [
        "pin",
        "share",
        "start",
        "f-model",
        "f-method-name",
        "f-compute",
        "f-rounds-slider",
        "f-fleet-0-uplink",
        "fedbcd",
    ]
    assert [reached.index(one) for one in order] == sorted(reached.index(one) for one in order)
    # The lines are read with the arrow keys.
    browser.value("document.querySelector('#lines svg').focus()")
    browser.press("ArrowRight", RIGHT)
    assert "parablock: " in browser.value("document.getElementById('said').textContent")


def test_what_is_wrong_stands_at_its_field_until_it_is_mended(app: App, browser: Tab):
    start(browser, app.address)
    before = browser.value(CLOCK)
    type_in(browser, "f-fleet-0-uplink", "fast")
    until(browser, f"{WRONG} === 'fleet.0.uplink'")
    said = browser.value("document.querySelector('.field.wrong .problem').textContent")
    assert (
        said
        == app.ask("run", {"fields": {"model": "llama-3-8b", "fleet": [{"uplink": "fast"}]}})[1]["problems"][0]["text"]
    )
    type_in(browser, "f-fleet-0-uplink", "100MB/s")
    until(browser, f"{WRONG} === '' && {SETTLED}")
    assert browser.value(CLOCK) == before
    assert browser.problems == []


def test_a_link_brings_scenario_and_pins(app: App, browser: Tab):
    start(browser, app.address)
    browser.value("document.getElementById('pin').click()")
    type_in(browser, "f-fleet-0-uplink", "20MB/s")
    until(browser, "document.querySelectorAll('#compare .bar').length === 2")
    until(browser, f"{SETTLED} && location.hash.length > 1")
    time.sleep(0.6)
    clock, compared = browser.value(CLOCK), browser.value("document.querySelector('#compare table').innerText")
    assert "fleet.0.uplink 100MB/s" in compared
    start(browser, browser.value("location.href"))
    until(browser, "document.querySelectorAll('#compare .bar').length === 2")
    assert browser.value(CLOCK) == clock
    assert browser.value("document.querySelector('#compare table').innerText") == compared
    start(browser, f"{app.address}#nonsense")
    assert "holds no scenario" in browser.value("document.getElementById('problems').innerText")
    assert browser.problems == []


def test_what_must_be_known_stands_above_the_results(app: App, browser: Tab):
    start(browser, app.address)
    assert browser.value("document.getElementById('notes').hidden")
    browser.value("document.getElementById('text').open = true")
    # 16 GB of weights alone are more than the 8.6 GB of an RTX 3060 Ti; the given seconds need no prediction.
    text = "model: llama-3-8b\ncompute: {seconds: 30}\nfleet: [{name: a, device: rtx-3060-ti}]\n"
    type_in(browser, "yaml", text)
    until(browser, "document.getElementById('notes').innerText.includes('Does not fit: clients of a')")


def test_a_method_is_chosen_from_its_bar(app: App, browser: Tab):
    start(browser, app.address)
    browser.value("document.querySelector('[data-key=fedit]').click()")
    until(browser, "document.querySelector('#methods .bar.own .name').textContent === 'fedit'")
    assert browser.value("document.getElementById('f-method-name').value") == "fedit"


def test_the_text_and_the_form_are_one(app: App, browser: Tab):
    start(browser, app.address)
    browser.value("document.getElementById('text').open = true")
    type_in(browser, "yaml", "model: llama-3.2-3b\nrounds: 7\nfleet: [{name: a, count: 2}, {name: b}]\n")
    until(browser, "document.querySelectorAll('.group').length === 2")
    until(browser, "document.getElementById('f-rounds').value === '7'")
    type_in(browser, "yaml", "rounds: [1")
    until(browser, f"{WRONG} === 'yaml'")
    assert browser.problems == []


def test_a_deadline_is_planned_for(app: App, browser: Tab):
    start(browser, app.address)
    assert browser.value("new Date(document.getElementById('deadline-until').value).getDay()") == 5
    # 25 minutes from a start of one's own.
    type_in(browser, "deadline-from", "2027-01-01T12:00")
    type_in(browser, "deadline-until", "2027-01-01T12:20")
    assert "too late" in browser.value("document.getElementById('deadline-verdict').textContent")
    type_in(browser, "deadline-until", "2027-01-01T12:25")
    assert "to spare" in browser.value("document.getElementById('deadline-verdict').textContent")
    browser.value("document.querySelector('#deadline button').click()")
    until(browser, "document.querySelectorAll('#deadline table').length === 1")
    assert "38.77 MB/s" in browser.value("document.querySelector('#deadline table').innerText")
    assert browser.problems == []


def test_two_tabs_have_their_own_state(app: App, browser: Tab):
    start(browser, app.address)
    before = browser.value(CLOCK)
    with tab() as other:
        start(other, app.address)
        type_in(other, "f-rounds", "64")
        until(other, f"{CLOCK} !== {before!r}")
        browser.value("document.getElementById('f-rounds').dispatchEvent(new Event('input'))")
        until(browser, SETTLED)
        assert browser.value(CLOCK) == before
        assert other.value("document.getElementById('f-rounds').value") == "64"


def test_files_are_offered(app: App, browser: Tab):
    start(browser, app.address)
    offered = browser.value("[...document.querySelectorAll('[data-file]')].map(button => button.dataset.file)")
    assert {"scenario.yaml", "results.csv", "report.html", "bars.png", "lines.svg"} <= set(offered)
    browser.value(
        """URL.createObjectURL = blob => { blob.text().then(text => { window.saved = text; }); return 'data:,'; };
           HTMLAnchorElement.prototype.click = function () { window.called = this.download; };
           document.querySelector('[data-file="scenario.yaml"]').click()"""
    )
    until(browser, "window.saved !== undefined && window.called !== undefined")
    assert browser.value("window.called") == "scenario.yaml"
    assert "model: llama-3-8b" in browser.value("window.saved")


def test_memory_is_traced_where_it_is_seen(app: App, browser: Tab):
    pytest.importorskip("torch")
    start(browser, app.address)
    assert browser.value("document.querySelectorAll('#memory .bar').length") == 0
    browser.value("document.getElementById('memory').scrollIntoView()")
    # The fleet's own device, an A100, is one of the four that are always shown.
    assert until(browser, "document.querySelectorAll('#memory .bar').length") == 4
    assert browser.problems == []
