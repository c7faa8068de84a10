"""Pages about one simulated run: what `paraSim simulate` and `paraSim explain` left."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from parasim.api import load
from parasim.cli.text import amount, clock, signed_share
from parasim.figures import style
from parasim.figures.bars import BarPart, StackedBar, bars_drawing
from parasim.report.charts import chart
from parasim.report.files import provenance_table, read_json
from parasim.report.page import Page, Section, Table, joined
from parasim.report.record import Record
from parasim.report.timelines import timeline_section
from parasim.report.whatif import what_ifs

BREAKDOWN = {
    "compute_s": BarPart("computing", style.COMPUTE),
    "exposed_communication_s": BarPart("communicating, not covered by computing", style.EXPOSED),
    "waiting_s": BarPart("waiting", style.WAITING),
    "offline_s": BarPart("offline", style.OFFLINE),
}
"""Parts of a client's wall-clock, by their column."""

_SHARE = BarPart("of the wall-clock", style.COMPUTE)
_SAVED = BarPart("saved, as simulated", style.SAVED)
_WORTH_A_BAR = 0.001
_SCENARIO_NOTE = "Where the file is not at hand, save the scenario above as scenario.yaml and name that instead."
_SAVINGS = (
    "savings",
    "predicted and simulated",
    "predicted from the recorded run; then the event simulation was run with the change made",
)
_WHAT_IFS = ("what-ifs", "replayed or simulated", "from the scenario, when this page was made; see there")


def simulation_page(directory: Path, record: Record | None) -> Page:
    """Make the page about a directory of `paraSim simulate`."""
    result = read_json(directory / "result.json")
    page = Page(
        title=f"{result['name']}: {result['method']}",
        question=f"How long does “{result['name']}” take with {result['method']}, and where does the time go?",
        answer=[*_where_the_time_goes(result), *result["provenance"].get("memory", [])],
        sections=[_breakdown(result), *timeline_section(directory, record)],
        provenance=provenance_table(result["provenance"]),
    )
    return _with_what_ifs(page, record)


def explanation_page(directory: Path, record: Record | None) -> Page:
    """Make the page about a directory of `paraSim explain`."""
    why = read_json(directory / "explanation.json")
    result = directory / "result.json"
    breakdown = [_breakdown(read_json(result))] if result.exists() else []
    page = Page(
        title=f"{why['name']}: why {why['method']} takes {clock(why['wall_clock_s'])}",
        question=f"Why does “{why['name']}” take as long as it does with {why['method']}, and what would help?",
        answer=why["sentences"],
        sections=[_claims(why), _critical_path(why), *breakdown, *timeline_section(directory, record)],
        provenance=provenance_table(why["provenance"], [_SAVINGS]),
    )
    return _with_what_ifs(page, record)


def _with_what_ifs(page: Page, record: Record | None) -> Page:
    if record is None:
        note = "The directory does not say which scenario was run, so that there is nothing to move."
        return replace(page, what_if_notes=[note])
    what_if, notes = what_ifs(load(record.scenario))
    rows = page.provenance.rows if what_if is None else [*page.provenance.rows, _WHAT_IFS]
    provenance = page.provenance._replace(rows=rows)
    return replace(page, what_if=what_if, what_if_notes=notes, provenance=provenance, scenario_note=_SCENARIO_NOTE)


def _where_the_time_goes(result: dict[str, Any]) -> list[str]:
    wall_clock = float(result["wall_clock_s"])
    if not wall_clock:
        return ["The run takes no time."]
    shares = {part.name: float(result[column]) / wall_clock for column, part in BREAKDOWN.items()}
    told = joined(f"{share:.0%} {name}" for name, share in shares.items() if share >= _WORTH_A_BAR)
    hidden = float(result["hidden_communication_s"])
    return [
        f"{clock(wall_clock)} for {result['rounds']:,} rounds of {result['clients']:,} clients.",
        f"The mean client spends {told}.",
        f"Another {clock(hidden)} of its communication is hidden behind computing."
        if hidden
        else "None of the communication is hidden behind computing.",
        f"All clients together upload {amount(result['uploaded_bytes'])} and download "
        f"{amount(result['downloaded_bytes'])}.",
    ]


def _breakdown(result: dict[str, Any]) -> Section:
    rows = list(result["groups"]) if len(result["groups"]) > 1 else []
    drawn, told = [], []
    for row in [*rows, {**result, "name": "the fleet"}]:
        lengths = [float(row[column]) for column in BREAKDOWN]
        name = f"{row['name']} × {row['clients']:,}"
        drawn.append(StackedBar(name, lengths, f"{lengths[0] / (sum(lengths) or 1):.0%} computing"))
        told.append((name, *map(clock, (*lengths, float(row["hidden_communication_s"])))))
    parts = list(BREAKDOWN.values())
    head = ("mean client of", *(part.name for part in parts), "hidden behind computing")
    description = (
        "Each bar is the whole run of the mean client of a group, divided into computing, communication that computing "
        "does not cover, waiting for others, and being offline."
    )
    draw = partial(bars_drawing, parts, drawn)
    table = Table(head, told, numbers=len(parts) + 1)
    return Section("Breakdown", charts=[chart("What the mean client does", description, draw, table)])


def _critical_path(why: dict[str, Any]) -> Section:
    wall_clock = float(why["wall_clock_s"])
    # A server's resource is named after it or is nobody else's.
    held = [
        (s["resource"] if s["group"] == "server" else f"{s['resource']} of {s['group']}", float(s["seconds"]))
        for s in why["shares"]
    ]
    rows = [(name, seconds) for name, seconds in held if seconds >= _WORTH_A_BAR * wall_clock]
    if len(rows) < len(held):
        rows.append(("everything else", sum(seconds for _, seconds in held if seconds < _WORTH_A_BAR * wall_clock)))
    drawn = [StackedBar(name, [seconds], f"{seconds / wall_clock:.1%}") for name, seconds in rows]
    told = [(name, clock(seconds), f"{seconds / wall_clock:.1%}") for name, seconds in rows]
    description = (
        "Shares of the wall-clock by the resource that was used, along the spans that held up the end of the run."
    )
    idle = [(entry["group"], entry["least_slack_s"]) for entry in why["slack"]]
    slack = Table(
        ("clients", "slack"),
        [(group, "never take part" if seconds is None else clock(seconds)) for group, seconds in idle],
        numbers=1,
        note="Slack: by how much anything these clients do could always be later without the run ending later.",
    )
    draw, table = partial(bars_drawing, [_SHARE], drawn), Table(("resource", "time", "share"), told, numbers=2)
    whole = chart("What the wall-clock consists of", description, draw, table)
    return Section("Critical path", charts=[whole], tables=[slack])


def _claims(why: dict[str, Any]) -> Section:
    wall_clock = float(why["wall_clock_s"])
    drawn, told = [], []
    for claim in why["claims"]:
        saves, simulated = float(claim["saves_s"]), claim["simulated_s"]
        # A share that rounds to nothing has no sign.
        share = round(saves / wall_clock, 3) + 0.0 if wall_clock else 0.0
        effect = f"{clock(max(0.0, saves))} ({share:.0%})" if share >= 0 else f"{clock(-saves)} longer"
        drawn.append(StackedBar(claim["change"], [max(0.0, saves)], effect))
        exact = claim["prediction"] == "exact replay"
        error = "none" if exact else signed_share(claim["predicted_s"] / simulated - 1 if simulated else 0.0)
        predicted = clock(claim["predicted_s"]), claim["prediction"]
        told.append((claim["change"], *predicted, clock(simulated), error, f"{share:.1%}"))
    table = Table(
        ("change", "predicted", "by", "simulated", "error", "saves"),
        told,
        note="An exact replay follows the recorded run; an estimate also keeps every share of the server's links.",
    )
    description = (
        "Time that each change saves, as the event simulation with the change made says; the most useful first."
    )
    draw = partial(bars_drawing, [_SAVED], drawn)
    return Section("What would help", charts=[chart("Saved by a change", description, draw, table)])
