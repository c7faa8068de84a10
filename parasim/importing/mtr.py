"""`mtr --json`: latency and loss up to the last hop, which is the server."""

from __future__ import annotations

from parasim.importing.content import Content
from parasim.importing.measurement import (
    Loss,
    Measurement,
    RoundTrip,
    checked_time,
    entries,
    milliseconds,
    named,
    number,
    public,
    section,
)


def read(content: Content) -> list[Measurement] | None:
    """Read a report; None if it is none.

    Which columns a report has is up to `mtr --order`. Routers on the way answer as they like: theirs say nothing of the
    path, only those of the last hop do.

    Raises
    ------
    ValueError
        If it is one, and wrong.
    """
    documents = content.documents
    if len(documents) != 1 or not isinstance(documents[0], dict) or not isinstance(documents[0].get("report"), dict):
        return None
    report = documents[0]["report"]
    if "hubs" not in report:
        return None
    about, hubs = section(report, "mtr"), entries(report, "hubs")
    if not hubs:
        raise ValueError("report.hubs: holds no hop")
    last, place = hubs[-1], f"report.hubs.{len(hubs) - 1}"
    sent, received = number(last, "Snt", place), number(last, "Rcv", place)
    dropped, percent = number(last, "Drop", place), number(last, "Loss%", place)
    tests = number(about, "tests", "report.mtr")
    sent = tests if sent is None else sent
    lost = dropped if dropped is not None else sent - received if sent is not None and received is not None else None
    if lost is None and percent is not None and sent is not None:
        lost = round(sent * percent / 100)
    share = percent / 100 if percent is not None else lost / sent if lost is not None and sent else None
    average = number(last, "Avg", place)
    target = f"the last hop, {about.get('dst') or last.get('host')}"
    machine = named(about.get("src")) | public(about.get("src"))
    server = named(about.get("dst"), last.get("host"))
    if share is not None and not 0 <= share <= 1:
        raise ValueError(f"{place}: {share:.0%} of the packets got lost")
    if share == 1 or (average == 0 and not received):
        silent = f"{target} answered nothing, so neither latency nor loss can be known"
        return [Measurement("mtr", machine=machine, server=server, notes=(silent,))]
    loss = None
    if share is not None:
        whole = lost is not None and sent is not None and float(lost).is_integer() and float(sent).is_integer()
        counted = (int(lost), int(sent)) if whole and lost is not None and sent is not None else (0, 0)
        many = f"{counted[0]:,} of {counted[1]:,} packets" if counted[1] else f"{100 * share:.3g} % of the packets"
        loss = Loss(share, f"{many} to {target} and back", *counted)
    round_trip = None
    if average is not None:
        seconds = checked_time(average / 1000, f"{place}.Avg")
        round_trip = RoundTrip(seconds, f"{milliseconds(seconds)}, mean to {target}", max(1, int(received or 1)))
    if loss is None and round_trip is None:
        raise ValueError(f"{place}: holds neither Avg nor Loss%; run mtr without --order, or with both in it")
    return [Measurement("mtr", round_trip=round_trip, loss=loss, machine=machine, server=server)]
