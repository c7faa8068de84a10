"""Draws scenarios from the published JSON Schema, and wrong ones that differ from a right one in a single place.

The schema (`paraSim list schema`) says which fields there are, of which types and within which bounds. What it cannot
say, such as that a list has an entry for each round, is mended afterwards in `Scenarios._fitted`.
"""

from __future__ import annotations

import atexit
import copy
import math
import pathlib
import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from parasim_core.calibration.devices.catalogue import known_devices
from parasim_core.sim.workload.architecture import architecture, catalogue_names
from parasim_core.sim.workload.methods import METHODS
from parasim_core.train.runs.settings import json_schema

Data = dict[str, Any]
Path = tuple[str | int, ...]

SCHEMA = json_schema()
"""The schema of scenarios as it is published, the section `train` included."""
MODELS = tuple(name for name in catalogue_names() if architecture(name).parameters < 1e10)
SMALL = tuple(name for name in MODELS if architecture(name).parameters < 2e8)
"""Models whose messages arrive between failures that come every few minutes."""
REGION = "region 0"
LAYERS = {name: len(architecture(name).layers) for name in MODELS}

_FOLDER = pathlib.Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
TRACE = str(_FOLDER / "trace.csv")
"""A small recorded link: ten rates, up and down, with an outage."""
OTHER_TRACE, PLAIN_TRACE = str(_FOLDER / "other.csv"), str(_FOLDER / "plain.csv")
"""The same columns with other rates, and a column whose name tells no unit."""
pathlib.Path(OTHER_TRACE).write_text("seconds,up_MB_s,down_MB_s\n0,1,2\n1,2,1\n")
pathlib.Path(PLAIN_TRACE).write_text("seconds,rate\n0,1\n1,2\n")
pathlib.Path(TRACE).write_text(
    "seconds,up_MB_s,down_MB_s\n" + "".join(f"{150 * n},{n * 7 % 10},{(n * 3 + 5) % 10 + 1}\n" for n in range(10))
)
SESSIONS, OTHER_SESSIONS = str(_FOLDER / "sessions.json"), str(_FOLDER / "other-sessions.json")
"""Recorded sessions of two clients and of one."""
pathlib.Path(SESSIONS).write_text("[[[0, 400], [500, 2000]], [[100, 900]]]")
pathlib.Path(OTHER_SESSIONS).write_text("[[[0, 4], [20, 1000]]]")


def resolved(schema: Data) -> Data:
    """Follow a reference."""
    if "$ref" in schema:
        found: Data = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def leaves(schema: Data | None = None, above: Path = ()) -> list[Path]:
    """Paths of all fields that hold no fields themselves; 0 stands for an entry of a list, a name for a region's."""
    schema = resolved(SCHEMA if schema is None else schema)
    found: list[Path] = []
    for name, field in schema.get("properties", {}).items():
        found += leaves(field, (*above, name))
    for branch in schema.get("anyOf", ()):
        found += leaves(branch, above)
    for entry in schema.get("patternProperties", {}).values():
        found += leaves(entry, (*above, REGION))
    if resolved(schema.get("items", {})).get("properties"):
        found += leaves(schema["items"], (*above, 0))
    return list(dict.fromkeys(found)) or [above]


class Scenarios:
    """Draws scenarios.

    Parameters
    ----------
    seed : int
        The same seed draws the same scenarios.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def scenario(self, method: str | None = None) -> Data:
        """Draw a scenario, of a method or of any."""
        data = self.value(SCHEMA, "", chance=0.4)
        data.pop("train", None)
        return self._fitted(data, method or self.random.choice(sorted(METHODS)))

    def value(self, schema: Data, name: str, chance: float = 0.6) -> Any:
        """Draw what a schema allows.

        Parameters
        ----------
        schema : dict
            The schema of a field.
        name : str
            The field.
        chance : float
            Share of the optional fields that are given.
        """
        schema = resolved(schema)
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        if "examples" in schema and "anyOf" not in schema:
            return self.random.choice(schema["examples"])
        if "examples" in schema:
            return self._quantity(schema)
        if "anyOf" in schema:
            given = [branch for branch in schema["anyOf"] if branch.get("type") != "null"]
            return self.value(self.random.choice(given), name)
        kind = schema.get("type")
        if kind == "object" and "patternProperties" in schema:
            [entry] = schema["patternProperties"].values()
            return {name: self.value(entry, name) for name in (REGION, "region 1")[: self.random.randint(1, 2)]}
        if kind == "object":
            needed = schema.get("required", ())
            chosen = {
                f: s for f, s in schema.get("properties", {}).items() if f in needed or self.random.random() < chance
            }
            if "properties" in schema and len(chosen) < schema.get("minProperties", 0):
                chosen = schema["properties"]
            return {field: self.value(below, field) for field, below in chosen.items()}
        if kind == "array" and "prefixItems" in schema:
            return [self.value(below, name) for below in schema["prefixItems"]]
        if kind == "array":
            least = max(1, schema.get("minItems", 1))
            return [self.value(schema["items"], name) for _ in range(self.random.randint(least, 3))]
        if kind in ("integer", "number"):
            return self._number(schema, whole=kind == "integer")
        if kind == "boolean":
            return self.random.random() < 0.5
        return self.random.choice(("alpha", "beta b", "gamma-3", "δ", "x" * 40))

    def _number(self, schema: Data, *, whole: bool) -> float:
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        high = schema.get("maximum", schema.get("exclusiveMaximum", math.inf))
        if whole:
            return self.random.randint(low, int(min(high, low + 8)))
        if high == math.inf or (low > 0 and high / low > 100):
            # Around 1, as most factors are.
            return round(min(max(10 ** self.random.uniform(-1, 1), low), high), 3)
        drawn = round(self.random.uniform(low, high), 3)
        # Rounded to a bound that is none of the allowed values.
        return (
            round((low + high) / 2, 3)
            if drawn in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum"))
            else drawn
        )

    def _quantity(self, schema: Data) -> Any:
        number, unit = re.fullmatch(r"([0-9.]+)(.*)", schema["examples"][0]).groups()  # type: ignore[union-attr]
        amount = float(f"{float(number) * 10 ** self.random.uniform(-1, 1):.3g}")
        bare = [branch for branch in schema["anyOf"] if branch.get("type") == "number"]
        if bare and self.random.random() < 0.3:
            return amount
        return f"{amount}{self.random.choice(('', ' '))}{unit}"

    # What the schema cannot say ------------------------------------------------------------------------------------

    def _fitted(self, data: Data, method: str) -> Data:
        """Make the fields of a scenario fit one another."""
        chosen = self.random.choice
        data["rounds"] = rounds = self.random.randint(1, 8)
        data["fleet"] = data.get("fleet") or [{"count": 2}]
        for group in data["fleet"]:
            group["count"] = self.random.randint(1, 4)
            group.pop("device", None)
            group.pop("gpus", None)
            if group.get("duplex") == "half":
                group.pop("transport", None)
        self._links(data)
        failing = self._failures(data["fleet"], data.get("start"))
        clients = sum(group["count"] for group in data["fleet"])
        data["method"] = self._method(method, clients)
        shape = METHODS[method].shape.traits
        data["model"] = model = chosen(SMALL if failing else MODELS)
        if failing and "payload" in data:
            data["payload"] = {way: f"{self.random.uniform(1, 200):.3g}MB" for way in data["payload"]}
        profiled = self.random.random() < 0.2
        if profiled:
            model = self._profile(data, small=failing)
        else:
            self._compute(data.setdefault("compute", {}), rounds, clients)
        if profiled or chosen((True, False)):
            data.pop("payload", None)
        elif "payload" in data and chosen((True, False)):
            data.pop("model")
        count = min(LAYERS[model], max(3, clients if shape.takes_turns else 0))
        self._blocks(data.get("blocks", {}), rounds, count, takes_turns=shape.takes_turns)
        if shape.takes_turns and clients > LAYERS[model]:
            data.setdefault("blocks", {}).update(count=count, layers=None)
        if (wire := data.get("wire", {})).get("precision") and "bytes_per_parameter" in wire:
            wire["bytes_per_parameter"] = 4 if wire["precision"] == "float32" else 2
        self._participation(data, rounds, clients, free=shape.rounds_numbered and not shape.takes_turns)
        # Without it, adapters are those of the paper, whose names not every model has.
        data["lora"] = {"targets": "all-linear", "rank": chosen((1, 8, 32))} if not profiled else {}
        for group in data["fleet"]:
            for field in ("speed_jitter", "uplink_jitter", "downlink_jitter"):
                if field in group:
                    group[field] = self._jitter(group[field], run_only=field != "speed_jitter")
        self._choices(data.get("choices", {}), [group.get("name") for group in data["fleet"]])
        return data

    def _links(self, data: Data) -> None:
        regions = data.get("regions", {})
        for place in (*data["fleet"], *regions.values()):
            # Of seconds of latency and half of all packets lost TCP makes some bytes a second: messages take months.
            for holder, field in ((place, "latency"), (place.get("transport", {}), "loss")):
                if isinstance(holder.get(field), float):
                    holder[field] = round(holder[field] / 100, 6)
        for region in regions.values():
            if "transport" in region:
                region["aggregates"] = True
        for group in data["fleet"]:
            group.pop("region", None)
            if regions and self.random.random() < 0.7:
                group["region"] = self.random.choice(sorted(regions))
        for link in [*_varying(data)]:
            if link.get("start") == "time-of-day":
                data.setdefault("start", "2026-12-04T18:00")
            if "trace" in link:
                link |= {"trace": TRACE, "column": self.random.choice(("up_MB_s", "down_MB_s"))}
                link.pop("unit", None)
                if "scale" in link:
                    link["scale"] = self.random.choice((0.25, 2.5))
            else:
                times = sorted(self.random.uniform(1, 900) for _ in link["steps"][1:])
                rates = [f"{self.random.choice((0, 1, 5, 25))}MB/s" for _ in times]
                link["steps"] = [["0s", "9MB/s"], *([time, rate] for time, rate in zip(times, rates, strict=True))]
                # Without one, what ends in nothing would hold a run up for ever.
                link["period"] = 901 + self.random.randrange(900)

    def _failures(self, fleet: list[Data], start: str | None) -> bool:
        """Make clients fail seldom enough to get on; tell whether any does."""
        if self.random.random() < 0.5:
            # Most of what is simulated has none of it.
            for group in fleet:
                for field in ("available", "outages", "dropout", "failures"):
                    group.pop(field, None)
        for group in fleet:
            if "available" in group:
                recorded, drawn = {"file": SESSIONS}, {"share": self.random.choice(("40%", 0.8, 1)), "session": "20min"}
                swing = {"day_to_night": group["available"].get("day_to_night")}
                # Mostly there when a run begins.
                daily = ({"daily": ["17:55", "18:20"]},) if start else ()
                group["available"] = self.random.choice((recorded, drawn, drawn | swing, *daily))
            # Rare enough for updates to be done and messages to arrive.
            if "outages" in group:
                group["outages"] |= {"every": self.random.choice((100, "20min")), "last": self.random.choice((0, "9s"))}
            if "failures" in group:
                times = {"every": self.random.choice((100, "20min")), "repair": self.random.choice((0, "9s"))}
                group["failures"] |= times
            if "dropout" in group:
                group["dropout"] |= {"rate": self.random.choice((0, 0.1, "40%"))}
        return any({"available", "outages", "dropout", "failures"} & group.keys() for group in fleet)

    def _method(self, method: str, clients: int) -> Any:
        forms = [form for form in SCHEMA["properties"]["method"]["anyOf"] if method in form.get("enum", ())]
        own = [
            form
            for form in SCHEMA["properties"]["method"]["anyOf"]
            if method in form.get("properties", {}).get("name", {}).get("enum", ())
        ]
        drawn = self.value(self.random.choice([*forms, *own, *own]), "method")
        if isinstance(drawn, str):
            return method
        drawn["name"] = method
        for field in ("buffer", "concurrency"):
            if field in drawn:
                drawn[field] = self.random.randint(1, clients)
        if drawn.get("buffer", 0) > drawn.get("concurrency", clients):
            drawn["buffer"] = drawn["concurrency"]
        drawn.pop("max_staleness", None) if self.random.random() < 0.5 else None
        return drawn

    def _compute(self, compute: Data, rounds: int, clients: int) -> None:
        def seconds() -> float:
            return round(10 ** self.random.uniform(-1, 2), 2)

        compute.pop("profile", None)
        compute.pop("dataset", None)
        compute.pop("device", None)
        compute["seconds"] = self.random.choice(
            (
                seconds(),
                f"{seconds()}s",
                [seconds() for _ in range(clients)],
                [[seconds() for _ in range(clients)] for _ in range(rounds)],
            )
        )

    def _profile(self, data: Data, *, small: bool) -> str:
        """Take the seconds from a profile, with a model and local work that it covers."""
        kept = {field: value for field, value in data.get("compute", {}).items() if field == "non_overlapping"}
        if small or self.random.random() < 0.5:
            data["model"], batch_sizes, lengths = "smollm2-135m", (1, 2, 4), (32, 64, 128)
            data["compute"] = kept | {"profile": "smollm2-135m-cpu"}
        else:
            data["model"], batch_sizes, lengths = self.random.choice(("llama-3-8b", "llama-3.2-3b")), (2, 4, 8), (512,)
            data["compute"] = kept | {
                "profile": "paper-a100",
                "dataset": self.random.choice(("alpaca-gpt4", "mathinstruct")),
            }
        data["local"] = {
            "steps": self.random.choice((7, 40)),
            "batch_size": self.random.choice(batch_sizes),
            "sequence_length": self.random.choice(lengths),
        }
        return str(data["model"])

    def _blocks(self, blocks: Data, rounds: int, count: int, *, takes_turns: bool) -> None:
        blocks.pop(self.random.choice(("layers", "count")), None)
        if "layers" in blocks:
            blocks["layers"] = self.random.choice((0.5, 1, 2, 3))
        if "count" in blocks:
            blocks["count"] = count
        if isinstance(blocks.get("schedule"), list):
            blocks["schedule"] = [self.random.randrange(3) for _ in range(rounds)]
        if takes_turns:
            blocks.pop("schedule", None)

    def _participation(self, data: Data, rounds: int, clients: int, *, free: bool) -> None:
        given = data.get("participation", {})
        given.pop(self.random.choice(("fraction", "rounds")), None)
        if "rounds" in given:
            sizes = [self.random.randint(1, clients) for _ in range(rounds)]
            given["rounds"] = [self.random.sample(range(clients), size) for size in sizes]
        if "fraction" not in given:
            given.pop("over_selection", None)
        if "quorum" in given:
            given["quorum"] = self.random.choice(("40%", 0.8, 1))
        if "deadline" in given and not isinstance(given["deadline"], dict):
            given["deadline"] = self.random.choice(("2s", 30, "10min"))
        if any({"available", "dropout"} & group.keys() for group in data["fleet"]) and self.random.random() < 0.8:
            data["participation"] = given = given | {"short": "wait"}
        if not free:
            data.pop("participation", None)

    def _jitter(self, given: Data, *, run_only: bool) -> Data:
        kind = given.get("distribution", "lognormal")
        low, mode, high = sorted(self.random.uniform(0.5, 2) for _ in range(3))
        own: Data = {
            "lognormal": {"sigma": 0.1},
            "uniform": {"low": low, "high": high},
            "triangular": {"low": low, "mode": mode, "high": high},
            "observed": {"values": [low, mode, high]},
        }[kind]
        kept = {field: given[field] for field in ("distribution", "each", "per") if field in given}
        return kept | own | ({"per": "run"} if run_only else {})

    def _choices(self, choices: Data, names: list[str | None]) -> None:
        for index, device in enumerate(choices.get("devices", ())):
            device["name"] = sorted(known_devices())[index]
        for index, link in enumerate(choices.get("links", ())):
            link["name"] = f"link {index}"
        if "groups" in choices:
            choices["groups"] = [names[0]] if names[0] else None
        if "leave_out" in choices:
            choices["leave_out"] = [names[0]] if names[0] else []
        if "layers" in choices:
            choices["layers"] = [self.random.choice((1, 2, 4))]

    # Wrong in one place --------------------------------------------------------------------------------------------

    def wrong(self, data: Data) -> tuple[Data, Path]:
        """Change one place of a scenario to something odd; return where."""
        data = copy.deepcopy(data)
        path = self.random.choice(list(_places(data)))
        above: Any = data
        for part in path[:-1]:
            above = above[part]
        last = path[-1]
        change = self.random.choice(("value", "value", "value", "misspelt", "gone", "digits", "twice"))
        if change == "gone":
            del above[last]
        elif change == "misspelt" and isinstance(last, str):
            position = self.random.randrange(len(last))
            above[last[:position] + self.random.choice("xX \n٣") + last[position + 1 :]] = above.pop(last)
        elif change == "twice" and isinstance(above[last], list):
            above[last] = above[last] * 2
        elif change == "digits" and isinstance(above[last], str):
            above[last] = re.sub("[0-9]", self.random.choice("٣５²"), above[last]) + self.random.choice(("", "\xa0"))
        else:
            above[last] = copy.deepcopy(self.random.choice(ODD))
        return data, path


ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        0.5,
        1e-9,
        -0.0,
        1e308,
        10**6,
        10**9,
        10**15,
        10**30,
        10**400,
        math.nan,
        math.inf,
        -math.inf,
    ),
    *(
        "",
        " ",
        "0",
        "5",
        "-5s",
        "1e400MB/s",
        "5 parsecs",
        "nan",
        "٣",
        "１０ms",
        "a\nb",
        "\x1b[31m",
        "\ud800",
        "x" * 10_000,
    ),
    *([], [[]], [None], {}, {"": 1}, {"name": 5}, {1: 2}, [1, "a"], [0.1] * 50, {"x" * 5000: 1}, [[[[1]]]]),
)
"""What people, programs and other formats put into fields."""


def _varying(data: Any) -> Iterator[Data]:
    """All links in steps or after a trace."""
    if isinstance(data, dict) and ("trace" in data or isinstance(data.get("steps"), list)):
        yield data
    for below in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from _varying(below)


def _places(data: Any, above: Path = ()) -> list[Path]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    found: list[Path] = []
    for key, value in pairs:
        found += [(*above, key), *_places(value, (*above, key))]
    return found
