"""Pages about one simulated run: what `paraSim simulate` and `paraSim explain` left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parasim.api import load
from parasim.report.charts import Bar, Part, bars, joined
from parasim.report.files import provenance_table, read_json
from parasim.report.page import Page, Section, Table
from parasim.report.record import Record
from parasim.report.timelines import timeline_section
from parasim.report.whatif import WhatIf, what_ifs
from parasim.text import amount, clock, signed_share

BREAKDOWN = (
    (Part("computing", "compute"), "compute_s"),
    (Part("communicating, not covered by computing", "exposed"), "exposed_communication_s"),
    (Part("waiting", "waiting"), "waiting_s"),
    (Part("offline", "offline"), "offline_s"),
)
"""Parts of a client's wall-clock: what they are called, and their column."""

_SHARE = Part("of the wall-clock", "compute")
_SAVED = Part("saved, as simulated", "download")
_WORTH_A_BAR = 0.001
_SCENARIO_NOTE = "Where the file is not at hand, save the scenario above as scenario.yaml and name that instead."


def simulation_page(directory: Path, record: Record | None) -> Page:
    """Make the page about a directory of `paraSim simulate`."""
    result = read_json(directory / "result.json")
    what_if, notes = _what_if(record)
    return Page(
        title=f"{result['name']}: {result['method']}",
        question=f"How long does “{result['name']}” take with {result['method']}, and where does the time go?",
        answer=[*_where_the_time_goes(result), *result["provenance"].get("memory", [])],
        sections=[_breakdown(result), *timeline_section(directory, record)],
        provenance=provenance_table(result["provenance"], _about_what_ifs(what_if)),
        scenario_note=_SCENARIO_NOTE,
        what_if=what_if,
        what_if_notes=notes,
    )


def explanation_page(directory: Path, record: Record | None) -> Page:
    """Make the page about a directory of `paraSim explain`."""
    why = read_json(directory / "explanation.json")
    what_if, notes = _what_if(record)
    result = directory / "result.json"
    breakdown = [_breakdown(read_json(result))] if result.exists() else []
    return Page(
        title=f"{why['name']}: why {why['method']} takes {clock(why['wall_clock_s'])}",
        question=f"Why does “{why['name']}” take as long as it does with {why['method']}, and what would help?",
        answer=why["sentences"],
        sections=[_claims(why), _critical_path(why), *breakdown, *timeline_section(directory, record)],
        provenance=provenance_table(
            why["provenance"],
            {
                "savings": (
                    "predicted and simulated",
                    "predicted from the recorded run; then the event simulation was run with the change made",
                ),
                **_about_what_ifs(what_if),
            },
        ),
        scenario_note=_SCENARIO_NOTE,
        what_if=what_if,
        what_if_notes=notes,
    )


def _what_if(record: Record | None) -> tuple[WhatIf | None, Sequence[str]]:
    if record is None:
        return None, ["The directory does not say which scenario was run, so that there is nothing to move."]
    return what_ifs(load(record.scenario))


def _about_what_ifs(what_if: WhatIf | None) -> dict[str, tuple[str, str]]:
    if what_if is None:
        return {}
    return {"what-ifs": ("replayed or simulated", "from the scenario, when this page was made; see there")}


def _where_the_time_goes(result: dict[str, Any]) -> list[str]:
    wall_clock = float(result["wall_clock_s"])
    if not wall_clock:
        return ["The run takes no time."]
    parts = [(part.name, float(result[column])) for part, column in BREAKDOWN]
    told = joined(f"{seconds / wall_clock:.0%} {name}" for name, seconds in parts if seconds >= wall_clock / 1000)
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
    rows.append({**result, "name": "the fleet"})
    drawn, told = [], []
    for row in rows:
        lengths = [float(row[column]) for _, column in BREAKDOWN]
        name = f"{row['name']} × {row['clients']:,}"
        drawn.append(Bar(name, lengths, f"{lengths[0] / sum(lengths) if sum(lengths) else 0:.0%} computing"))
        told.append((name, *map(clock, lengths), clock(float(row["hidden_communication_s"]))))
    head = ("mean client of", *(part.name for part, _ in BREAKDOWN), "hidden behind computing")
    table = Table(head, told, numbers=len(BREAKDOWN) + 1)
    description = (
        "Each bar is the whole run of the mean client of a group, divided into computing, communication that computing "
        "does not cover, waiting for others, and being offline."
    )
    figure = bars("What the mean client does", description, [part for part, _ in BREAKDOWN], drawn, table)
    return Section("Breakdown", figures=[figure])


def _critical_path(why: dict[str, Any]) -> Section:
    wall_clock = float(why["wall_clock_s"])
    shares = [share for share in why["shares"] if share["seconds"] >= _WORTH_A_BAR * wall_clock]
    small = [share["seconds"] for share in why["shares"] if share not in shares]
    rows = [(_held(share), float(share["seconds"])) for share in shares]
    if small:
        rows.append(("everything else", float(sum(small))))
    drawn = [Bar(name, [seconds], f"{seconds / wall_clock:.1%}") for name, seconds in rows]
    told = [(name, clock(seconds), f"{seconds / wall_clock:.1%}") for name, seconds in rows]
    table = Table(("resource", "time", "share"), told, numbers=2)
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
    figure = bars("What the wall-clock consists of", description, [_SHARE], drawn, table)
    return Section("Critical path", figures=[figure], tables=[slack])


def _held(share: dict[str, Any]) -> str:
    """Name a resource and whose it is; the server's are named after it or are nobody else's."""
    return share["resource"] if share["group"] == "server" else f"{share['resource']} of {share['group']}"


def _claims(why: dict[str, Any]) -> Section:
    wall_clock = float(why["wall_clock_s"])
    drawn, told = [], []
    for claim in why["claims"]:
        saves = float(claim["saves_s"])
        # A share that rounds to nothing has no sign.
        share = round(saves / wall_clock, 3) + 0.0 if wall_clock else 0.0
        effect = f"{clock(max(0.0, saves))} ({share:.0%})" if share >= 0 else f"{clock(-saves)} longer"
        drawn.append(Bar(claim["change"], [max(0.0, saves)], effect))
        exact = claim["prediction"] == "exact replay"
        off = claim["predicted_s"] / claim["simulated_s"] - 1 if claim["simulated_s"] else 0.0
        error = "none" if exact else signed_share(off)
        cells = (
            clock(claim["predicted_s"]),
            claim["prediction"],
            clock(claim["simulated_s"]),
            error,
            f"{share:.1%}",
        )
        told.append((claim["change"], *cells))
    table = Table(
        ("change", "predicted", "by", "simulated", "error", "saves"),
        told,
        note="An exact replay follows the recorded run; an estimate also keeps every share of the server's links.",
    )
    description = (
        "Time that each change saves, as the event simulation with the change made says; the most useful first."
    )
    return Section("What would help", figures=[bars("Saved by a change", description, [_SAVED], drawn, table)])
