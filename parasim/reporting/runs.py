"""What pages tell about one simulated run: what `paraSim simulate` and `paraSim explain` left."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from parasim.api import load
from parasim.figures import style
from parasim.figures.bars import BarPart, StackedBar
from parasim.figures.breakdown import breakdown_parts
from parasim.reporting.charts import bar_chart
from parasim.reporting.files import read_json
from parasim.reporting.links import links_told
from parasim.reporting.page import PageChart, PageTable
from parasim.reporting.record import Record
from parasim.reporting.timelines import timeline_chart
from parasim.reporting.whatif import what_ifs
from parasim.text import amount, clock, signed_share

_TIME = BarPart("time", style.COMPUTE)
_SAVED = BarPart("saved, as simulated", style.SAVED)
_WORTH_A_BAR = 0.001


def about_simulation(directory: Path, record: Record) -> dict[str, Any]:
    """Read what the page about a directory of `paraSim simulate` tells."""
    result = read_json(directory / "result.json")
    wall_clock = float(result["wall_clock_s"]) or 1.0
    parts = breakdown_parts(result)
    shares = {part.name: float(result[column]) / wall_clock for column, part in parts.items()}
    return {
        "result": result,
        "shares": [f"{share:.0%} {name}" for name, share in shares.items() if share >= _WORTH_A_BAR],
        "breakdown": _breakdown(result),
        "failures": failures_told(result),
        "links": links_told(result),
        "clients": timeline_chart(directory, record),
        **_what_ifs(record),
    }


def about_explanation(directory: Path, record: Record) -> dict[str, Any]:
    """Read what the page about a directory of `paraSim explain` tells."""
    why = read_json(directory / "explanation.json")
    path = directory / "result.json"
    result = read_json(path) if path.exists() else None
    idle = [(entry["group"], entry["least_slack_s"]) for entry in why["slack"]]
    slack = [(group, "never take part" if seconds is None else clock(seconds)) for group, seconds in idle]
    note = "Slack: by how much anything these clients do could always be later without the run ending later."
    return {
        "why": why,
        "changes": _changes(why),
        "resources": _resources(why),
        "slack": PageTable(("clients", "slack"), slack, numbers=1, note=note),
        "breakdown": None if result is None else _breakdown(result),
        "failures": None if result is None else failures_told(result),
        "links": None if result is None else links_told(result),
        "clients": timeline_chart(directory, record),
        **_what_ifs(record),
    }


def _what_ifs(record: Record) -> dict[str, Any]:
    if not record.scenario:
        note = "The directory does not say which scenario was run, so that there is nothing to move."
        return {"what_if": None, "what_if_notes": [note]}
    what_if, notes = what_ifs(load(record.scenario))
    return {"what_if": what_if, "what_if_notes": notes}


def _breakdown(result: dict[str, Any]) -> PageChart:
    rows = list(result["groups"]) if len(result["groups"]) > 1 else []
    parts = breakdown_parts(result)
    bars = []
    for row in [*rows, {**result, "name": "the fleet"}]:
        lengths = [float(row[column]) for column in parts]
        share = f"{lengths[0] / (sum(lengths) or 1):.0%} computing"
        hidden = clock(float(row["hidden_communication_s"]))
        bars.append(StackedBar(f"{row['name']} × {row['clients']:,}", lengths, share, [hidden]))
    return bar_chart("mean client of", list(parts.values()), bars, more=["hidden behind computing"])


def failures_told(result: dict[str, Any]) -> PageTable | None:
    """Say what failures cost a run; None where nothing can fail."""
    if "wasted_bytes" not in result:
        return None
    lost, late, short = (int(result[name]) for name in ("lost_updates", "late_updates", "short_rounds"))
    rows = [
        ("computing that came to nothing, of all clients", clock(float(result["wasted_compute_s"]))),
        ("bytes that came to nothing", amount(float(result["wasted_bytes"]))),
        ("time lost to repairs and outages, of the mean client", clock(float(result["failed_s"]))),
        ("rounds with fewer updates than were wanted", f"{short:,} of {result['rounds']:,}"),
        ("updates lost with clients that vanished", f"{lost:,}"),
        ("updates dropped as they were late", f"{late:,}"),
    ]
    return PageTable(("what failures cost", ""), rows, numbers=1)


def _resources(why: dict[str, Any]) -> PageChart:
    wall_clock = float(why["wall_clock_s"])
    held: Counter[str] = Counter()
    for share in sorted(why["shares"], key=lambda share: -share["seconds"]):
        # A server's resource is named after it or is nobody else's.
        name = share["resource"] if share["group"] == "server" else f"{share['resource']} of {share['group']}"
        held[name if share["seconds"] >= _WORTH_A_BAR * wall_clock else "everything else"] += share["seconds"]
    bars = [StackedBar(name, [seconds], f"{seconds / wall_clock:.1%}") for name, seconds in held.items()]
    return bar_chart("resource", [_TIME], bars, text="share", whole=wall_clock)


def _changes(why: dict[str, Any]) -> PageChart:
    wall_clock = float(why["wall_clock_s"])
    bars = []
    for claim in why["claims"]:
        saves, simulated = float(claim["saves_s"]), claim["simulated_s"]
        # A share that rounds to nothing has no sign.
        share = round(saves / wall_clock, 3) + 0.0 if wall_clock else 0.0
        effect = f"{clock(max(0.0, saves))} ({share:.0%})" if share >= 0 else f"{clock(-saves)} longer"
        exact = claim["prediction"] == "exact replay"
        predicted = claim["predicted_s"]
        error = "none" if exact else signed_share(predicted / simulated - 1) if predicted and simulated else ""
        written = "" if predicted is None else clock(predicted)
        more = written, claim["prediction"], clock(simulated), error, f"{share:.1%}"
        bars.append(StackedBar(claim["change"], [max(0.0, saves)], effect, more))
    note = "An exact replay follows the recorded run; an estimate also keeps every share of the server's links."
    note = "" if why.get("not_replayable") else note
    columns = ["predicted", "by", "simulated", "error", "saves"]
    return bar_chart("change", [_SAVED], bars, more=columns, note=note, whole=wall_clock)
