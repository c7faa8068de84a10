"""`paraSim report`: what the page holds, whatever the directory; what it looks like is in test_report_browser.py."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from functools import partial
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from parasim import simulate
from parasim.figures import style
from parasim.figures.bars import BarPart, StackedBar, draw_bars
from parasim.figures.sheet import svg_for_page
from parasim.reporting.charts import css_fill, inlined
from parasim.reporting.made import page_about, report
from parasim.reporting.whatif import FACTORS, what_ifs
from parasim_core.sim.scenario.scenario import Scenario
from tests.parasim.command_line import refused, run
from tests.parasim.conftest import TIGHT
from tests.parasim.results import EVIL, KINDS, SMALL, make_results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("results")
    make_results(directory)
    return directory


@pytest.fixture
def made(results: Path, tmp_path: Path) -> Path:
    """The same directories, for this test alone."""
    return Path(shutil.copytree(results, tmp_path / "made"))


VOID = {"meta", "link", "input", "img", "br"}


class Outline(HTMLParser):
    """Elements of a page, which must be nested rightly, and the texts of each kind by the heading above them."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.parts: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.told: dict[str, list[tuple[str, str]]] = {"": []}
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.parts = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        text = "".join(self.parts).strip()
        if tag == "h2":
            self.told[text] = []
        elif tag in ("h1", "p", "td", "th", "figcaption", "pre"):
            list(self.told.values())[-1].append((tag, text))
        elif tag == "tr":
            list(self.told.values())[-1].append((tag, ""))
        self.parts = []

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)
            self.parts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def under(self, heading: str, tag: str = "p") -> list[str]:
        """Texts of one kind below a heading."""
        return [text for name, text in self.told[heading] if name == tag]

    def rows(self, heading: str) -> list[list[str]]:
        """Rows of the tables below a heading, without the heads."""
        rows: list[list[str]] = [[]]
        for tag, text in self.told[heading]:
            if tag == "td":
                rows[-1].append(text)
            elif tag == "tr":
                rows.append([])
        return [row for row in rows if row]


def page(directory: Path) -> Outline:
    return Outline(page_about(directory))


def answer(directory: Path) -> list[str]:
    return page(directory).under("Answer")


def moved(directory: Path) -> Any:
    """What the sliders of a page choose among."""
    data = re.search(r'id="what-if-data">(.*?)</script>', page_about(directory), re.DOTALL)
    assert data is not None
    return json.loads(data[1])


def reported(directory: Path) -> tuple[str, Outline]:
    report(directory)
    html = (directory / "report.html").read_text()
    return html, Outline(html)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_whole_and_refers_to_nothing_else(made: Path, kind: str):
    html, outline = reported(made / kind)
    assert html.lstrip().startswith("<!DOCTYPE html>")
    ids = [attributes["id"] for _, attributes in outline.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for tag, attributes in outline.elements:
        assert tag not in ("iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    assert "@import" not in html
    # What is clipped or hatched refers to names of the page itself.
    assert {name.removeprefix("#") for name in re.findall(r"url\((.*?)\)", html)} <= set(ids)
    assert {a["xlink:href"] for _, a in outline.elements if a.get("xlink:href")} <= {f"#{name}" for name in ids}
    headings = {text.strip() for text in outline.texts}
    assert {"Question", "Answer", "Where the numbers come from", "How to get it again"} <= headings


@pytest.mark.parametrize("kind", KINDS)
def test_what_users_wrote_is_escaped(made: Path, kind: str):
    html, outline = reported(made / kind)
    # The page's own script, and the data of the sliders.
    assert len(outline.all("script")) == (1 if kind in ("plan", "train") else 2)
    assert "<script>alert" not in html
    assert "<b>city" not in html
    assert "<i>own" not in html
    if kind not in ("train",):
        assert any(EVIL in text for text in outline.texts)


@pytest.mark.parametrize("kind", KINDS)
def test_every_chart_can_be_read_without_seeing_it(made: Path, kind: str):
    _, outline = reported(made / kind)
    charts = [attributes for attributes in outline.all("svg") if "role" in attributes]
    assert charts
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in charts)
    assert len(outline.all("desc")) == len(charts)
    # Each is there for a wide and for a narrow page, with one table.
    assert 2 * len(outline.all("details")) >= len(charts)
    assert [chart["class"] for chart in charts] == ["wide", "narrow"] * (len(charts) // 2)
    assert all(attributes["alt"] for attributes in outline.all("img"))
    labelled = {attributes["for"] for attributes in outline.all("label")}
    assert labelled == {attributes["id"] for attributes in outline.all("input")}


def test_the_same_directory_gives_the_same_page(made: Path):
    for kind in KINDS:
        first = reported(made / kind)[0]
        assert reported(made / kind)[0] == first


def test_what_a_page_of_a_run_says(made: Path):
    told = page(made / "explain")
    assert told.under("Answer") == json.loads((made / "explain" / "explanation.json").read_text())["sentences"]
    assert told.under("How to get it again", "pre")[0].startswith("paraSim explain ")
    assert "rounds: 3" in told.under("Scenario", "pre")[0]
    charts = [heading for heading in told.told if told.under(heading, "figcaption")]
    assert charts == ["What if?", "What would help", "Critical path", "Breakdown", "Timeline"]
    # ParaBlock, 3 rounds: 30 s, then twice max(30, 3 + 3), then 3 s for the slow client's last upload: 93 s.
    assert answer(made / "simulate")[0] == "93 s for 3 rounds of 3 clients."


def test_what_a_page_of_a_sweep_says(made: Path):
    told = page(made / "sweep")
    # FedBCD at 1 MB/s: 3 x 30 s of computing, 5 transfers of 9 s. ParaBlock at 3 MB/s: 90 s and one of 3 s.
    assert "parablock is the fastest in 4 of 4 settings." in told.under("Answer")
    assert told.under("Pictures", "figcaption") == ["Runtime by method"]
    assert any("135 s" in sentence or "2.2 min" in sentence for sentence in told.under("Answer"))
    what_if = moved(made / "sweep")
    assert what_if["places"] == [["1MB/s", "3MB/s"], ["2", "4"]]
    shares, _ = what_if["cells"][0][1][what_if["names"].index("fedbcd")]
    assert sum(shares) == pytest.approx(100, abs=0.01)


def test_what_does_not_fit_is_part_of_the_answer(tmp_path: Path):
    scenario = tmp_path / "tight.yaml"
    scenario.write_text(TIGHT)
    said = "Does not fit: clients of desks need at least 32.6 GB for a local update"
    for command in ("simulate", "explain"):
        run(command, scenario, "--out", tmp_path / command)
        assert [sentence.startswith(said) for sentence in answer(tmp_path / command)].count(True) == 1
    run("sweep", scenario, "--method", "parablock,fedit", "--bandwidth", "1MB/s,1GB/s", "--out", tmp_path / "sweep")
    assert answer(tmp_path / "sweep")[-2].startswith(f"method parablock: {said}")


def test_what_a_page_of_a_plan_says(made: Path):
    told = page(made / "plan")
    assert told.under("Answer") == [
        "parablock: 40 MB/s – 48% uplink.",
        "fedbcd: not possible – computing alone takes 30 min.",
    ]
    assert told.under("How to get it again", "pre") == []


def test_what_is_not_needed_is_not_called_impossible(made: Path):
    # The only message of a single round is the last upload, which is left over in any case; where 60 s of latency
    # are longer than 30 s of computing, nothing hides what is sent.
    out = made / "hiding"
    assert run("plan", made / "small.json", "--hide-communication", "--set", "rounds=1", "--out", out).status == 0
    told = page(out)
    assert all("nothing to hide" in sentence and "not possible" not in sentence for sentence in told.under("Answer"))
    assert [row[1] for row in told.rows("Answers")] == ["not needed"] * 2
    late = ("--set", "fleet.*.latency=60s", "--set", "rounds=4")
    assert run("plan", made / "small.json", "--hide-communication", *late, "--out", out).status == 0
    [sentence] = answer(out)
    assert sentence.startswith("parablock, clients all: not possible")


def test_what_any_value_answers_is_told_without_one(made: Path):
    path = made / "plan" / "plan.json"
    whole = json.loads(path.read_text())
    whole["answers"] = [whole["answers"][0] | {"value": None, "because": "block width means nothing to fedit."}]
    path.write_text(json.dumps(whole))
    assert answer(made / "plan") == ["parablock: block width means nothing to fedit."]


def test_clients_that_are_left_out_are_counted(made: Path):
    many = made / "many.json"
    many.write_text(json.dumps(SMALL | {"fleet": [{"name": f"c{n}", "uplink": f"{n + 1}MB/s"} for n in range(20)]}))
    assert run("explain", many, "--out", made / "explain").status == 0
    html = reported(made / "explain")[0]
    assert "16 of 20 clients, chosen by their part in the critical path" in html


def test_a_page_shows_what_the_last_command_left_and_nothing_older(made: Path):
    scenario, out = made / "small.json", made / "reused"
    run("plan", scenario, "--hide-communication", "--out", out)
    run("simulate", scenario, "--out", out)
    run("sweep", scenario, "--bandwidth", "1MB/s,3MB/s", "--out", out)
    # ParaBlock needs 3 x 30 s and one upload of 9 MB: 9 / 3.334 MB/s = 2.69946 s, 9 / 3.333 MB/s = 2.70027 s.
    assert run("plan", scenario, "--within", "92.7s", "--solve-for", "bandwidth", "--out", out).status == 0
    drawn = {"gantt.svg", "breakdown.svg", "hiding.svg", "runtime.svg", "deadline.svg"}
    assert {path.name for path in out.glob("*.svg")} == drawn
    told = page(out)
    assert told.under("Pictures", "figcaption") == ["Deadline"]
    [row] = told.rows("Tables")
    assert row[:5] == ["parablock", "yes", "3,334,000", "B/s", "92.6995"]
    assert told.rows("Checked by simulation") == [
        ["parablock", "3.334 MB/s", "92.7 s (92.6994601 s)", "yes"],
        ["parablock", "3.333 MB/s", "92.7 s (92.70027 s)", "no"],
    ]


def test_a_record_names_nothing_outside_its_directory(made: Path):
    secret = made / "secret.svg"
    secret.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    record = {"kind": "plan", "files": ["../secret.svg", str(secret), "curve.svg"]}
    (made / "plan" / "reproduce.json").write_text(json.dumps(record))
    assert page(made / "plan").under("Pictures", "figcaption") == ["Curve"]


def test_checks_of_a_plan_can_be_told_apart(made: Path):
    # 1,499 s and 1,501 s are both 25.0 min.
    assert page(made / "plan").rows("Checked by simulation") == [
        ["parablock", "40 MB/s", "25.0 min (1,499 s)", "yes"],
        ["parablock", "39 MB/s", "25.0 min (1,501 s)", "no"],
        ["fedbcd", "unlimited", "30.0 min (1,800 s)", "no"],
    ]


def test_what_rounds_to_nothing_has_no_minus(made: Path):
    path = made / "explain" / "explanation.json"
    why = json.loads(path.read_text())
    why["claims"] = [why["claims"][0] | {"prediction": "estimate", "predicted_s": 92.999, "simulated_s": 93.0}]
    why["claims"][0]["saves_s"] = -0.001
    path.write_text(json.dumps(why))
    html = reported(made / "explain")[0]
    assert "+0.0%" in html
    assert "-0.0%" not in html
    assert "-0%" not in html


def test_what_a_page_of_a_training_says(made: Path):
    assert answer(made / "train")[0] == (
        "parablock ends after 38 s and 4 rounds with held-out loss 1.7000 and training loss 2.7000."
    )


def test_what_the_sliders_show_is_what_is_simulated():
    # Sites that differ, and a server's link that they share: replayed and simulated what-ifs.
    fields = SMALL | {"method": "fedbcd", "server": {"egress": "12MB/s"}}
    scenario = Scenario.parse(fields)
    what_if, notes = what_ifs(scenario)
    assert what_if is not None
    assert "event simulation" in notes[0]
    assert "exact replay" in notes[0]
    for place in (0, 5, 8, 16):
        changed = json.loads(json.dumps(fields))
        for group, link in zip(changed["fleet"], (9e6, 3e6), strict=True):
            group["uplink"] = f"{link * float(FACTORS[place])!r}B/s"
        result = simulate(changed)
        cell = what_if.cells[place][0][0]
        assert cell is not None
        assert sum(cell.lengths) == pytest.approx(result.wall_clock, rel=1e-9)
        assert cell.lengths[0] == pytest.approx(result.mean("compute"), rel=1e-12)


LINKS: dict[str, Any] = {
    "name": "links",
    "method": "fedbcd",
    "rounds": 2,
    "payload": {"upload": "10MB"},
    "compute": {"seconds": {"fedbcd": 3.0}},
    "fleet": [
        {
            "name": "branch",
            "count": 4,
            "uplink": {"steps": [[0, "10MB/s"], [5, "4MB/s"]], "period": 10},
            "site": {"clients": 2, "uplink": "15MB/s"},
            "transport": {"control": "cubic", "loss": "0.1%"},
            "latency": "20ms",
            "region": "eu",
        }
    ],
    "regions": {"eu": {"uplink": "20MB/s", "aggregates": True}},
}


@pytest.mark.parametrize("command", ["simulate", "explain"])
def test_a_page_tells_what_links_are_and_what_went_over_them(command: str, tmp_path: Path):
    (tmp_path / "links.json").write_text(json.dumps(LINKS))
    assert run(command, tmp_path / "links.json", "--out", tmp_path / "out").status == 0
    outline = Outline(page_about(tmp_path / "out"))
    told = [text for _, text in outline.told["Links"]]
    assert told[0].startswith("Links: those of branch (mean 7 MB/s up, mean 7 MB/s down) vary with time")
    # Two rounds up, one down; the aggregator sends one of the four updates on.
    for row in (["access links", "4", "80 MB", "40 MB"], ["region eu", "1", "20 MB", "10 MB"]):
        assert any(told[place : place + 4] == row for place in range(len(told)))
    assert "CUBIC, 0.1 % loss, new connections for each message, acknowledgements 2 %" in told
    assert "a line for every 2: 15 MB/s up, 15 MB/s down, region eu" in told
    assert "TCP start-up" in told
    assert any("own links are scaled" in text for _, text in outline.told["What if?"])
    words = [text for text in outline.texts if text.strip()]
    assert {"region eu", "start-up of a message", "capacity up", "capacity down"} <= set(words)


def test_a_page_of_plain_links_has_no_section_of_them(made: Path):
    assert "Links" not in Outline(page_about(made / "simulate")).told


def test_a_page_names_the_traces_and_their_digests(tmp_path: Path):
    trace = b"seconds,rate_mbit_s\n0,80\n1,40\n"
    (tmp_path / "ship.csv").write_bytes(trace)
    link = {"trace": "ship.csv"}
    (tmp_path / "links.json").write_text(json.dumps({**LINKS, "fleet": [{"uplink": link}], "regions": {}}))
    assert run("simulate", tmp_path / "links.json", "--out", tmp_path / "out").status == 0
    told = [text for _, text in Outline(page_about(tmp_path / "out")).told["Links"]]
    digest = hashlib.sha256(trace).hexdigest()
    place = told.index("ship.csv")
    assert told[place : place + 5] == ["ship.csv", "rate_mbit_s", "2", "2 s", "7.5 MB/s"]
    assert digest.startswith(told[place + 5].removesuffix("…"))


def test_sliders_scale_links_that_vary_and_leave_lines_as_they_are():
    what_if, _ = what_ifs(Scenario.parse(LINKS))
    assert what_if is not None
    for place in (0, 12):
        changed = json.loads(json.dumps(LINKS))
        for step in changed["fleet"][0]["uplink"]["steps"]:
            step[1] = f"{float(step[1].removesuffix('MB/s')) * float(FACTORS[place])!r}MB/s"
        cell = what_if.cells[place][0][0]
        assert cell is not None
        assert sum(cell.lengths) == pytest.approx(simulate(changed).wall_clock, rel=1e-9)
    assert what_if.sliders[0].places[0] == "× 0.25"


def test_a_page_of_many_changes_simulates_fewer_what_ifs(monkeypatch: pytest.MonkeyPatch):
    # The same run, but for a change a millisecond that is none for long: its what-ifs cost more.
    steps = [[number / 1000, f"{10 + number % 2}MB/s"] for number in range(1000)]
    fields = LINKS | {"fleet": [{"uplink": {"steps": steps, "period": 1}}], "regions": {}}
    monkeypatch.setattr("parasim.reporting.whatif.MOST_WORK", 2000)
    assert what_ifs(Scenario.parse(LINKS))[0] is not None
    what_if, notes = what_ifs(Scenario.parse(fields))
    assert what_if is None
    assert "too long" in notes[0]


def test_no_sliders_move_a_method_whose_computing_depends_on_the_links():
    fields = SMALL | {"method": {"name": "fedbuff", "buffer": 1}}
    what_if, notes = what_ifs(Scenario.parse(fields))
    assert what_if is None
    assert [("fedbuff" in note, "links" in note) for note in notes] == [(True, True)]


def test_methods_and_batch_sizes_are_computed_where_a_profile_covers_them():
    what_if, notes = what_ifs(Scenario.parse({"model": "llama-3-8b", "rounds": 4}))
    assert what_if is not None
    assert what_if.names == ["parablock", "fedbcd", "fedit", "fedcybgd"]
    assert what_if.sliders[1].places == ["2", "4", "8"]
    assert what_if.sliders[0].places[what_if.sliders[0].start] == "100 MB/s"
    assert len([note for note in notes if "fedcybgd" in note]) == 1
    origins = {cell.origin for row in what_if.cells for bars in row for cell in bars if cell is not None}
    assert {"fitted", "extrapolated"} <= origins


def test_a_long_run_is_not_replayed(monkeypatch: pytest.MonkeyPatch):
    scenario = Scenario.parse({"model": "llama-3-8b", "rounds": 4})
    monkeypatch.setattr("parasim.reporting.whatif.MOST_WORK", 100)
    what_if, notes = what_ifs(scenario)
    assert what_if is not None
    assert (what_if.names, len(what_if.sliders)) == (["parablock"], 2)
    assert any("too long" in note for note in notes)
    monkeypatch.setattr("parasim.reporting.whatif.MOST_WORK", 3)
    what_if, notes = what_ifs(scenario)
    assert what_if is None
    assert "too long" in notes[0]


def test_what_was_made_last_is_reported(made: Path):
    scenario, out = made / "small.json", made / "both"
    for command, question in (("explain", "Why does"), ("simulate", "How long does"), ("explain", "Why does")):
        run(command, scenario, "--out", out)
        assert page(out).under("Question")[0].startswith(question)


def test_a_run_that_takes_no_time_has_a_page(tmp_path: Path):
    scenario = tmp_path / "nothing.json"
    scenario.write_text(json.dumps({"rounds": 1, "payload": {"upload": "0B"}, "compute": {"seconds": 0}}))
    for command in ("simulate", "sweep"):
        assert run(command, scenario, "--out", tmp_path / command).status == 0
        reported(tmp_path / command)
    assert answer(tmp_path / "simulate") == ["The run takes no time."]


def test_pictures_follow_the_colours_of_the_page_and_share_no_names():
    said = '<x> #262626 id="y" 1.2345'
    parts = [BarPart("a", style.WAITING), BarPart("b", style.EXPOSED)]
    picture = svg_for_page(partial(draw_bars, parts=parts, bars=[StackedBar(said, [1, 2], "3")]), 7.0)
    element = inlined(picture, "p7")
    # Texts stay what they are; names and colours in tags are the page's.
    [text] = [text for text in re.findall(r"<text[^>]*>(.*?)</text>", element) if "&lt;" in text]
    assert unescape(text) == said
    element = re.sub(r"(?<=>)[^<]*", "", element)
    assert style.WAITING.lower() not in element
    assert "var(--waiting)" in element
    assert css_fill(style.WAITING) == "var(--waiting)"
    assert all(name.startswith("p7-") for name in re.findall(r'\bid="([^"]*)"', element))
    assert all(name.startswith("p7-") for name in re.findall(r'(?:href="|url\()#([^")]*)', element))


def test_the_command(made: Path):
    outcome = run("report", made / "simulate")
    assert (outcome.status, outcome.out) == (0, f"Report: {made / 'simulate' / 'report.html'}\n")
    assert run("report", made / "simulate", "--out", made / "deep" / "page.html").status == 0
    assert (made / "deep" / "page.html").exists()


def test_mistakes_are_refused(made: Path):
    assert "no such directory" in refused("report", made / "none")
    assert "is not a directory" in refused("report", made / "small.json")
    (made / "empty").mkdir()
    assert "holds no results" in refused("report", made / "empty")
    assert "is a directory" in refused("report", made / "simulate", "--out", made / "train")
    (made / "simulate" / "result.json").write_text("{")
    assert "is damaged: not JSON" in refused("report", made / "simulate")
    (made / "simulate" / "result.json").write_text('{"name": "x", "method": "fedbcd"}')
    assert "is damaged: KeyError: 'wall_clock_s'" in refused("report", made / "simulate")
    (made / "train" / "metrics.csv").write_text("method,round\nparablock\n")
    assert "metrics.csv: is damaged" in refused("report", made / "train")
    with (made / "sweep" / "results.csv").open("a") as file:
        file.write("llama-3-8b\n")
    assert "too few or too many cells" in refused("report", made / "sweep")
    (made / "sweep" / "reproduce.json").write_text('{"what": 1}')
    assert "reproduce.json: is not one of paraSim's" in refused("report", made / "sweep")
    assert not list(made.glob("*/report.html"))


def test_the_template_is_imported_only_when_a_page_is_made():
    code = "import sys, parasim.cli.main; sys.exit('jinja2' in sys.modules or 'parasim.reporting.made' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("seconds", "methods", "sizes"),
    [
        (3, ["parablock"], None),
        ({"parablock": {2: 1, 4: 2}, "fedbcd": {2: 3, 4: 4, 8: 5}}, ["parablock", "fedbcd"], ["2", "4"]),
        # The second method's bar would stand still.
        ({"parablock": {2: 1, 4: 2}, "fedbcd": 3}, ["parablock", "fedbcd"], None),
        ({2: 1, 4: 2}, ["parablock"], ["2", "4"]),
    ],
)
def test_sliders_move_along_what_seconds_are_given_for(seconds: Any, methods: list[str], sizes: list[str] | None):
    fields = {"model": "llama-3-8b", "rounds": 2, "fleet": [{"count": 2}], "compute": {"seconds": seconds}}
    what_if, _ = what_ifs(Scenario.parse(fields))
    assert what_if is not None
    assert what_if.names == methods
    assert [slider.places for slider in what_if.sliders[1:]] == ([] if sizes is None else [sizes])
