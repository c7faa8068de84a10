"""No field without an effect: each one that the published schema names changes something that a user gets.

A field is changed in generated scenarios; what must differ is the run (its figures, provenance or timeline), or for
the fields of planning the answer to the question that looks at them. What only training looks at says so.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

import parasim
from parasim_core.calibration.profiles.loading import shipped_profiles
from parasim_core.sim.errors import ParaSimError, SimulationError
from parasim_core.sim.scenario.reading import plain_fields
from parasim_core.sim.scenario.scenario import PLANNED
from parasim_core.sim.workload.methods import METHODS
from tests.generated.draw import (
    MODELS,
    OTHER_SESSIONS,
    OTHER_TRACE,
    PLAIN_TRACE,
    REGION,
    SCHEMA,
    SESSIONS,
    TRACE,
    Data,
    Path,
    Scenarios,
    leaves,
    resolved,
)

TRIES = 300
"""Most scenarios in which a field is changed before it is taken to be without effect."""
PLANNING = {*PLANNED["fleet"]["__all__"], *(name for name in PLANNED if name != "fleet")}
TWO_WAY = ("acknowledgements", "buffer", "buffer.uplink", "buffer.downlink")
"""Those that matter only to a link which sends and receives at once."""
FIELDS = [
    path
    for path in leaves()
    # No method of ours lets a client send and receive at once; aggregators do, and a network's tests do.
    if not (path[0] == "fleet" and "transport" in path and ".".join(map(str, path[3:])) in TWO_WAY)
    # The trainer's fields have tests of their own, a field with one allowed value says nothing.
    if path[0] != "train" and path != ("method",) and not (path[-1] == "per" and path[2] != "speed_jitter")
]
KNOWN: dict[Path, tuple[Any, ...]] = {
    ("model",): MODELS,
    ("blocks", "layers"): (0.5, 1, 2, 4),
    ("local", "sequence_length"): (32, 64, 128),
    ("local", "batch_size"): (1, 2, 4),
    ("lora", "targets"): ("all-linear", ["q_proj"], ["q_proj", "v_proj"]),
    ("compute", "profile"): tuple(shipped_profiles()),
    ("compute", "device"): ("rtx-4090", "h100"),
    ("compute", "dataset"): ("alpaca-gpt4", "mathinstruct"),
    ("choices", "devices", 0, "name"): ("rtx-4090", "h100"),
    ("choices", "groups"): (["a"], ["b"]),
    ("choices", "leave_out"): ([], ["b"]),
    ("choices", "every"): ([1], [1, 2]),
    ("choices", "layers"): ([1], [4]),
}
"""Values of fields whose schema cannot list them."""


PLANNED_FOR: Data = {
    "model": "llama-3.2-3b",
    "rounds": 2,
    "fleet": [
        {"name": "a", "count": 2, "uplink": "10MB/s", "latency": "1s", "gpu_hour": "1USD", "power": {"idle": "50W"}},
        {"name": "b", "uplink": "5MB/s"},
    ],
    "server": {"ingress": "12MB/s", "egress": "20MB/s", "aggregation": "3s"},
    "wire": {"serialization": "1s"},
    "compute": {"seconds": 40},
    "prices": {"kilowatt_hour": "0.3USD", "upload": "0.1USD/GB", "link_month": "100USD"},
    "choices": {
        "devices": [{"name": "rtx-4090", "speed": 4, "gpu_hour": "1USD"}],
        "links": [{"name": "fast", "uplink": "100MB/s", "downlink": "100MB/s", "month": "10USD"}],
        "layers": [2],
    },
}
"""A scenario in which it pays to rent other devices."""
PLANS = (
    PLANNED_FOR,
    # What the fleet has is best; and links bind, not the server's.
    PLANNED_FOR | {"choices": {"devices": [], "links": [], "layers": [2]}},
    {name: section for name, section in PLANNED_FOR.items() if name != "server"},
)
WIDE, SKEWED = {"distribution": "uniform", "low": 0.5, "high": 2}, {"distribution": "triangular", "low": 0.5, "high": 2}
SEEN = {"distribution": "observed"}
JITTERS: dict[str, tuple[Data, Data]] = {
    "distribution": ({"sigma": 0.5}, WIDE),
    "sigma": ({"sigma": 0.1}, {"sigma": 0.5}),
    "low": (WIDE, WIDE | {"low": 0.9}),
    "high": (WIDE, WIDE | {"high": 1.1}),
    "mode": (SKEWED | {"mode": 0.6}, SKEWED | {"mode": 1.9}),
    "values": (SEEN | {"values": [0.5, 1]}, SEEN | {"values": [0.7, 1.5]}),
    "each": ({"sigma": 0.5}, {"sigma": 0.5, "each": "group"}),
    "per": ({"sigma": 0.5}, {"sigma": 0.5, "per": "round"}),
}
"""Fields of jitter, which only make sense together."""

LINKED: Data = {
    "method": {"name": "parablock", "staleness": 2},
    "rounds": 5,
    "fleet": [{"name": "a", "count": 3, "latency": "20ms"}, {"name": "b", "count": 2, "latency": "50ms"}],
    "server": {"ingress": "90MB/s", "egress": "90MB/s"},
    "compute": {"seconds": 2},
    "payload": {"upload": "20MB"},
}
"""A scenario in which any link that is slow holds the run up, and both directions are busy at once."""
STEPS: Data = {"steps": [["0s", "1MB/s"], ["3s", "9MB/s"]], "period": "7s"}
TRACED: Data = {"trace": TRACE, "column": "up_MB_s"}
SLOW: Data = {"uplink": "2MB/s", "downlink": "8MB/s"}
LINKS: dict[str, tuple[Data, Data]] = {
    "steps": (STEPS, STEPS | {"steps": [["0s", "1MB/s"], ["3s", "7MB/s"]]}),
    "period": (STEPS, STEPS | {"period": "5s"}),
    "trace": (TRACED, TRACED | {"trace": OTHER_TRACE}),
    "column": (TRACED, TRACED | {"column": "down_MB_s"}),
    "unit": ({"trace": PLAIN_TRACE, "unit": "MB/s"}, {"trace": PLAIN_TRACE, "unit": "Mbit/s"}),
    "start": (TRACED, TRACED | {"start": "450s"}),
    "scale": (TRACED, TRACED | {"scale": 0.5}),
}
"""Fields of links that vary, which only make sense together."""
LOSSY: Data = {"loss": "1%"}
BUFFERS: Data = {"uplink": "100ms", "downlink": "30ms"}
TRANSPORTS: dict[str, tuple[Data, Data]] = {
    "control": (LOSSY, LOSSY | {"control": "bbr"}),
    "loss": (LOSSY, {"loss": "2%"}),
    "streams": (LOSSY, LOSSY | {"streams": 4}),
    "window": ({}, {"window": "64kB"}),
    "fresh": ({}, {"fresh": False}),
    "acknowledgements": ({}, {"acknowledgements": 0.1}),
    "outages": ({}, {"outages": "dropped"}),
    "buffer": ({}, {"buffer": BUFFERS}),
    "buffer.uplink": ({"buffer": BUFFERS}, {"buffer": BUFFERS | {"uplink": "1s"}}),
    "buffer.downlink": ({"buffer": BUFFERS}, {"buffer": BUFFERS | {"downlink": "1s"}}),
}
"""The same of what TCP makes of a link."""

WAITING: Data = {
    "method": "fedbcd",
    "rounds": 6,
    "fleet": [{"count": 6, "uplink": "10MB/s"}],
    "compute": {"seconds": [2, 3, 4, 5, 6, 7]},
    "payload": {"upload": "20MB"},
    "participation": {"short": "wait"},
}
"""A scenario in which it takes 6 to 11 s until a client's update is in."""
SESSION, OUTAGE, GONE = {"share": 0.5, "session": "60s"}, {"every": "20s", "last": "5s"}, {"rate": 0.4}
EVENING = {"daily": ["18:00", "19:00"]}
FAILURE, HALF, ENOUGH = {"every": "20s", "repair": "5s"}, {"fraction": 0.5}, {"quorum": 0.5}
FAILING: dict[Path, tuple[Data | None, Data]] = {
    ("fleet", 0, "available"): (None, SESSION),
    ("fleet", 0, "available", "share"): (SESSION, SESSION | {"share": 0.9}),
    ("fleet", 0, "available", "session"): (SESSION, SESSION | {"session": "90s"}),
    ("fleet", 0, "available", "day_to_night"): (SESSION, SESSION | {"day_to_night": 9}),
    ("fleet", 0, "available", "file"): ({"file": SESSIONS}, {"file": OTHER_SESSIONS}),
    ("start",): ({"start": "2026-12-04T00:00"}, {"start": "2026-12-04T12:00"}),
    ("fleet", 0, "available", "daily"): (EVENING, {"daily": ["18:00", "18:01"]}),
    ("fleet", 0, "available", "zone"): (EVENING, EVENING | {"zone": "Asia/Tokyo"}),
    ("fleet", 0, "outages"): (None, OUTAGE),
    ("fleet", 0, "outages", "every"): (OUTAGE, OUTAGE | {"every": "10s"}),
    ("fleet", 0, "outages", "last"): (OUTAGE, OUTAGE | {"last": "9s"}),
    ("fleet", 0, "outages", "transfers"): (OUTAGE, OUTAGE | {"transfers": "restart"}),
    ("fleet", 0, "dropout"): (None, GONE),
    ("fleet", 0, "dropout", "rate"): (GONE, {"rate": 0.8}),
    ("fleet", 0, "dropout", "during"): (GONE, GONE | {"during": "compute"}),
    ("fleet", 0, "dropout", "back_after"): (GONE, GONE | {"back_after": 3}),
    ("fleet", 0, "failures"): (None, FAILURE),
    ("fleet", 0, "failures", "every"): (FAILURE, FAILURE | {"every": "10s"}),
    ("fleet", 0, "failures", "repair"): (FAILURE, FAILURE | {"repair": "9s"}),
    ("fleet", 0, "failures", "resume"): (FAILURE, FAILURE | {"resume": True}),
    ("participation", "over_selection"): (HALF, HALF | {"over_selection": 2}),
    ("participation", "quorum"): ({}, ENOUGH),
    ("participation", "deadline"): ({}, {"deadline": "8s"}),
    ("participation", "deadline", "median"): ({"deadline": {"mad": 0}}, {"deadline": {"mad": 0, "median": 0.5}}),
    ("participation", "deadline", "mad"): ({"deadline": {"mad": 0, "median": 0.5}}, {"deadline": {"median": 0.5}}),
    ("participation", "late"): (ENOUGH, ENOUGH | {"late": "next-round"}),
    # Everyone is gone from 4 s to 20 s.
    ("participation", "short"): ({"short": "end"}, {"short": "wait"}),
}
"""Fields of clients that come and go, and of rounds that do not wait for all of them."""


def failing_pair(path: Path) -> tuple[Data, Data] | None:
    """Two scenarios that differ in a field of failures or of whom a round waits for, if it is one."""
    if path not in FAILING:
        return None
    before, after = FAILING[path]
    if path == ("start",):
        by_day = WAITING["fleet"][0] | {"available": SESSION | {"day_to_night": 9}}
        return tuple(WAITING | {"fleet": [by_day]} | (told or {}) for told in (before, after))  # type: ignore
    if path[0] == "fleet":
        group = WAITING["fleet"][0]
        field = str(path[2])
        plain = group if before is None else group | {field: before}
        by_clock = {"start": "2026-12-04T18:00 UTC"} if "daily" in after else {}
        return WAITING | by_clock | {"fleet": [plain]}, WAITING | by_clock | {"fleet": [group | {field: after}]}
    base = copy.deepcopy(WAITING)
    if path[-1] == "short":
        base["fleet"][0]["available"] = {"file": OTHER_SESSIONS}
    return tuple(base | {"participation": base["participation"] | told} for told in (before, after))  # type: ignore


def link_pair(path: Path) -> tuple[Data, Data] | None:
    """Two scenarios that differ in a field of links, if it is one."""
    names = [str(part) for part in path]
    data = copy.deepcopy(LINKED)
    if path[0] == "regions":
        data["regions"] = {REGION: {"latency": "40ms"}}
        data["fleet"][0]["region"] = REGION
    if "transport" in path:
        place, field = names[: names.index("transport")], ".".join(names[names.index("transport") + 1 :])
        where = data["regions"][REGION] if path[0] == "regions" else data["fleet"][0]
        # Asymmetric, so that small buffers matter; and with outages.
        where |= SLOW if field != "outages" else {"uplink": STEPS | {"steps": [["0s", "1MB/s"], ["3s", "0B/s"]]}}
        if path[0] == "regions":
            where["aggregates"] = True
            # Its clients begin again by themselves, so that an aggregator sends and receives at once.
            data["method"] = {"name": "fedbuff", "buffer": 2} if field in TWO_WAY else data["method"]
        if not field:
            return data, plain_fields(data, [(".".join([*place, "transport"]), LOSSY)])
        before, after = ((".".join([*place, "transport"]), given) for given in TRANSPORTS[field])
        return plain_fields(data, [before]), plain_fields(data, [after])
    if path[-1] == "site":
        return data, plain_fields(data, [("fleet.0.site", {"clients": 2, "uplink": "3MB/s"})])
    if "site" in path:
        data["fleet"][0]["site"] = {"clients": 2, "uplink": "3MB/s"}
    if path[-1] in LINKS and {"uplink", "downlink", "ingress", "egress"} & set(names):
        above = ".".join(names[:-1])
        return tuple(plain_fields(data, [(above, link)]) for link in LINKS[str(path[-1])])  # type: ignore[return-value]
    if "site" in path or path[0] == "regions":
        value = {"clients": 3, "latency": "1s", "aggregates": True}.get(names[-1], "1MB/s")
        return data, plain_fields(data, [(".".join(names), value)])
    if path == ("fleet", 0, "region"):
        data["regions"] = {REGION: {"uplink": "1MB/s"}}
        return data, plain_fields(data, [("fleet.0.region", REGION)])
    return None


def described(path: Path, schema: Data | None = None) -> list[Data]:
    """Find the schemas that a field may have."""
    schema = resolved(SCHEMA if schema is None else schema)
    if not path:
        return [schema]
    named = [*schema.get("patternProperties", {}).values(), None][0] if path[0] == REGION else None
    below = schema.get("items") if path[0] == 0 else named or schema.get("properties", {}).get(path[0])
    # What is said of a field stands beside a reference to what it is.
    found = [below | resolved(below)] if below and len(path) == 1 else described(path[1:], below) if below else []
    return found + [one for branch in schema.get("anyOf", ()) for one in described(path, branch)]


def value_of(path: Path, drawn: Scenarios, data: Data) -> Any:
    """Draw another value of a field."""
    if path == ("participation", "rounds"):
        return [[0]] * data["rounds"]
    if path in KNOWN:
        return drawn.random.choice(KNOWN[path])
    return drawn.value(drawn.random.choice(described(path)), str(path[-1]))


def is_for_planning(path: Path) -> bool:
    return bool(PLANNING & set(map(str, path)))


def obtained(path: Path, data: Data) -> str:
    """What a user gets of a scenario who asks what the field is there for, as text."""
    if not is_for_planning(path):
        try:
            result = parasim.simulate(data)
        except SimulationError as error:
            if path[-1] != "short":
                raise
            return str(error)
        return json.dumps(result.summary()) + repr(result.timeline.spans)
    if path[0] == "uncertainty":
        question: dict[str, Any] = {"sensitivity": True}
    else:
        question = {"confidence": 0.5} if "jitter" in str(path) else {"budget": "1000USD"}
    answers = parasim.plan(data, jobs=1, **question).answers
    return json.dumps([dataclasses.asdict(answer) for answer in answers], default=str)


def pairs(path: Path) -> Iterator[tuple[Data, Data]]:
    """Draw scenarios, each with one that differs from it in a field."""
    field = ".".join(map(str, path))
    if (known := failing_pair(path) or link_pair(path)) is not None:
        yield known
        return
    if "jitter" in field:
        where = ".".join(map(str, path[:3]))
        before, after = JITTERS[str(path[-1])] if len(path) > 3 else JITTERS["sigma"]
        yield plain_fields(PLANNED_FOR, [(where, before)]), plain_fields(PLANNED_FOR, [(where, after)])
        return
    own = [name for name, method in METHODS.items() if path[-1] in method.shape.Params.model_fields]
    for seed in range(TRIES):
        drawn = Scenarios(seed)
        if is_for_planning(path):
            before = PLANS[seed % len(PLANS)]
        else:
            before = drawn.scenario(drawn.random.choice(own) if path[0] == "method" else None)
        with suppress(ParaSimError):
            yield before, plain_fields(before, [(field, value_of(path, drawn, before))])


def has_effect(path: Path) -> bool:
    for before, after in pairs(path):
        # What is drawn for one field need not suit another.
        with suppress(ParaSimError):
            if after != before and obtained(path, before) != obtained(path, after):
                return True
    return False


@pytest.mark.parametrize("path", FIELDS, ids=[".".join(map(str, path)) for path in FIELDS])
def test_each_field_has_an_effect(path: Path):
    if any("`paraSim train`" in schema.get("description", "") for schema in described(path)):
        # A simulation must not be told apart by it.
        assert path[0] == "method"
        return
    assert has_effect(path)
