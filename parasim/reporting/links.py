"""What pages tell about the links of a run: what they are, bytes over each level, what held messages, and traces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from parasim.reporting.page import PageTable
from parasim.sentences import say
from parasim.text import amount, clock
from parasim_core.sim.scenario.units import bandwidth

_DIGITS = 12
"""Of a digest."""


def links_told(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read what a page tells about links from a run's ``result.json``; None where they are but constants.

    Returns
    -------
    dict or None
        `said`, a line, and tables: `of`, what each link is; `levels` or None, bytes over each; `messages`, what held
        them; `traces` or None, where rates come from.
    """
    links = result.get("links")
    if not links:
        return None
    levels, traces = result.get("levels"), result["provenance"].get("traces")
    return {
        "said": links["said"],
        "of": _of(links["of"]),
        "levels": None if not levels else _levels(levels),
        "messages": _messages(result["messages"]),
        "traces": None if not traces else _traces(traces),
    }


def _of(links: list[dict[str, Any]]) -> PageTable:
    texts = ("uplink", "downlink", "latency", "between", "transport")
    told = [{**link, "latency": f"{1000 * float(link['latency_s']):g} ms"} for link in links]
    rows = [(link["of"], f"{link['clients']:,}", *(link[text] for text in texts)) for link in told]
    head = ("links of", "clients", "up", "down", "latency, one way", "between them and the server", "TCP")
    return PageTable(head, rows, note=say("links.note"))


def _levels(levels: list[dict[str, Any]]) -> PageTable:
    rows = [
        (
            level["name"],
            f"{level['links']:,}",
            *(amount(float(level[f"{way}_bytes"])) for way in ("uploaded", "downloaded")),
        )
        for level in levels
    ]
    return PageTable(("over", "links", "up", "down"), rows, numbers=3)


def _messages(messages: list[dict[str, Any]]) -> PageTable:
    resources = list(messages[0]["seconds"]) if messages else []
    rows = [
        (
            row["name"],
            *(clock(float(row["seconds"][resource])) if row["seconds"][resource] else "-" for resource in resources),
        )
        for row in messages
    ]
    return PageTable(("messages of", *resources), rows, numbers=len(resources), note=say("links.messages"))


def _traces(traces: list[dict[str, Any]]) -> PageTable:
    rows = [
        (
            PurePath(trace["trace"]).name,
            trace.get("column", ""),
            f"{trace['rows']:,}",
            clock(float(trace["period"])),
            amount(float(f"{bandwidth(trace['mean']):.3g}"), "B/s"),
            f"{trace['sha256'][:_DIGITS]}…",
        )
        for trace in traces
    ]
    holes = [
        say("links.holes", name=row[0], holes=trace["holes"], left_out=float(trace["left_out"]))
        for row, trace in zip(rows, traces, strict=True)
        if trace.get("holes")
    ]
    return PageTable(("trace", "column", "rows", "repeats after", "mean", "SHA-256"), rows, note=" ".join(holes))
