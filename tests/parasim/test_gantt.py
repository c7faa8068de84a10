"""Gantt charts: which rows there are, in which order, what is drawn in them, and what the legend says."""

from __future__ import annotations

import re
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from parasim.figures.gantt import draw_schedule
from parasim.figures.gantt_rows import Row, chart_rows
from parasim.figures.schedule import Schedule, schedule, window
from parasim.figures.sheet import svg_for_page
from parasim_core.sim.analysis.critical_path import critical_path
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Kind
from parasim_core.sim.network.capacity import Course, Varying
from tests.sim.runs import simulated

STEPS = {"steps": [[0, "10MB/s"], [5, "4MB/s"]], "period": 10}
SITES: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 2,
    "payload": {"upload": "10MB"},
    "compute": {"seconds": 3},
}


def shown(result: Result) -> Schedule:
    spans = result.timeline.spans
    path = [(spans[piece.span], piece.start, piece.end) for piece in critical_path(result).pieces]
    return schedule(spans, path, result.counts, window(spans, 8), result.scenario, result.presence)


def rows(result: Result) -> list[Row]:
    return chart_rows(shown(result), 0.0)


def words(result: Result) -> list[str]:
    """All text of the picture."""
    return re.findall(r"<text[^>]*>(.*?)</text>", svg_for_page(partial(draw_schedule, schedule=shown(result)), 7.0))


def kinds(row: Row) -> list[Kind]:
    return [kind for kind, _ in row.capacities]


def test_sites_that_do_the_same_are_one_row():
    fleet = [{"name": "branch", "count": 50, "uplink": "10MB/s", "site": {"clients": 5, "uplink": "10MB/s"}}]
    assert [row.name for row in rows(simulated(fleet=fleet, **SITES))] == ["branch × 50"]


def test_a_site_of_fewer_clients_has_a_row_of_its_own():
    # Five behind each line but the last, whose two are done earlier.
    fleet = [{"name": "branch", "count": 12, "uplink": "10MB/s", "site": {"clients": 5, "uplink": "10MB/s"}}]
    assert [row.name for row in rows(simulated(fleet=fleet, **SITES))] == ["branch 0 to 9", "branch 10 to 11"]


def test_an_aggregator_is_a_row_of_its_own():
    fleet = [{"name": "branch", "count": 3, "uplink": "10MB/s", "region": "eu"}, {"uplink": "1MB/s", "region": "us"}]
    regions = {"eu": {"uplink": "10MB/s", "aggregates": True}, "us": {"uplink": STEPS}}
    result = simulated(fleet=fleet, regions=regions, server={"aggregation": 1}, **SITES)
    found = rows(result)
    # A region without aggregator does nothing, and is shown because its capacity varies.
    assert [row.name for row in found] == ["branch × 3", "client 3", "region us", "region eu", "server"]
    assert [kinds(row) for row in found] == [[], [], [Kind.UPLOAD, Kind.DOWNLOAD], [], []]
    assert [row.actor for row in found] == [0, 3, None, SERVER - 1, SERVER]


def test_each_direction_that_varies_is_drawn_under_its_owner():
    fleet = [
        {"name": "one", "uplink": STEPS, "downlink": "5MB/s"},
        {"name": "two", "uplink": "5MB/s", "downlink": STEPS},
    ]
    regions = {"eu": {"uplink": STEPS, "aggregates": True}}
    result = simulated(fleet=[*fleet, {"name": "three", "region": "eu"}], regions=regions, **SITES)
    found = {row.name: kinds(row) for row in rows(result)}
    both = [Kind.UPLOAD, Kind.DOWNLOAD]
    assert found == {"one": both[:1], "two": both[1:], "three": [], "region eu": both}
    legend = words(result)
    assert {"capacity up", "capacity down", "capacities from 0 to the rate at the right"} <= set(legend)
    # Beside each of the four strips stands the highest rate, with its unit.
    assert legend.count("10 MB/s") == 4


def test_a_line_that_varies_stands_above_its_clients():
    site = {"clients": 2, "uplink": STEPS, "downlink": "50MB/s"}
    fleet = [{"name": "branch", "count": 4, "uplink": "10MB/s", "site": site}]
    found = rows(simulated(fleet=fleet, **SITES | {"compute": {"seconds": [3.0, 4.0, 5.0, 6.0]}}))
    assert [(row.name, row.actor, row.site) for row in found] == [
        ("site line of branch 0 to 1", None, 0),
        ("branch 0", 0, 0),
        ("branch 1", 1, 0),
        ("site line of branch 2 to 3", None, 2),
        ("branch 2", 2, 2),
        ("branch 3", 3, 2),
    ]
    assert [kinds(row) for row in found] == [[Kind.UPLOAD], [], []] * 2


def test_fifty_clients_behind_ten_sites_are_grouped_by_site():
    site = {"clients": 5, "uplink": "30MB/s"}
    fleet = [{"name": "branch", "count": 50, "uplink": "10MB/s", "site": site}]
    result = simulated(fleet=fleet, **SITES | {"compute": {"seconds": [3.0 + client / 7 for client in range(50)]}})
    found = rows(result)
    sites = [row.site for row in found]
    assert sites == sorted(sites, key=lambda site: site or 0)
    assert len(found) == 16
    assert any("chosen" in text for text in words(result))
    assert "behind one site's line" in words(result)


def test_a_line_of_the_server_that_varies_is_its_row():
    found = rows(simulated(fleet=[{"uplink": "10MB/s"}], server={"ingress": STEPS}, **SITES))
    assert [(row.name, row.actor, kinds(row)) for row in found] == [
        ("client 0", 0, []),
        ("server", None, [Kind.UPLOAD]),
    ]


def test_start_up_is_told_apart_where_tcp_is_modelled():
    far = {"name": "far", "uplink": "100MB/s", "latency": 0.1}
    fields = SITES | {"payload": {"upload": "50MB"}}
    with_tcp = simulated(fleet=[far | {"transport": {"control": "cubic"}}], **fields)
    assert "start-up of a message" in words(with_tcp)
    assert "start-up of a message" not in words(simulated(fleet=[far], **fields))


def test_offline_is_said_only_where_somebody_is(tmp_path: Path):
    # A presence of several stretches that follow one another has no gap.
    for rounds in (2, 20):
        assert "blank: offline" not in words(simulated(method="parablock", rounds=rounds, fleet=[{"uplink": "10MB/s"}]))
    apart = {"participation": {"rounds": [[0], [1]]}, "fleet": [{"count": 2, "uplink": "10MB/s"}]}
    assert "blank: offline" in words(simulated(**SITES | apart))


def test_levels_of_a_capacity_are_exact_up_to_a_number_and_means_beyond():
    # 10 B/s for 1 s, then 4 B/s for 3 s, again and again.
    link = Varying(Course([0.0, 1.0], [10.0, 4.0], period=4.0))
    assert link.levels(8.0, 4) == ([(0.0, 10.0), (1.0, 4.0), (4.0, 10.0), (5.0, 4.0)], 0.0)
    # Of four changes in two stretches of 4 s: 22 B each.
    means, step = link.levels(8.0, 2)
    assert (means, step) == ([(0.0, 5.5), (4.0, 5.5)], 4.0)
    times = [time for time, _ in link.levels(1000.0, 7)[0]]
    assert all(after - before == pytest.approx(1000 / 7) for before, after in pairwise(times))
