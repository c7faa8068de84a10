"""What the study of robustness compares: five questions, each a handful of choices for some methods.

Every run is the demonstration with other clients, rounds and links. Runs of one seed share base, data, split, batches,
schedule and failures as far as their choices allow, so that differences between them can be taken seed by seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parasim.api import simulate
from parasim_core.sim.engine.timeline import Kind

PARTS = ("dropout", "heterogeneity", "rounds", "asynchronous", "schedules")
RATES = (0.2, 0.4)
PHASES = ("compute", "exchange")
ALPHAS = ("0.01", "0.1", "1")
STALENESS = (1, 4, 8)
FLEETS = {"alike": (1.0,) * 8, "uneven": (1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25)}
"""Speeds of the clients of the asynchronous part."""
_SECONDS = {"alike": 40.0, "uneven": 96.0}
"""When they are compared [s]."""
UNCORRECTED = "no correction"
_BLOCK, _MODEL = "400kB", "1.6MB"
_MOST_ROUNDS = 400

POLICIES: dict[str, Mapping[str, Any]] = {
    "wait for all": {},
    "over-selection": {"over_selection": 1.5},
    "deadline": {"deadline": {"median": 1.0, "mad": 2.0}},
    "deadline, late next": {"deadline": {"median": 1.0, "mad": 2.0}, "late": "next-round"},
}
"""How rounds end, beside a fraction of the clients."""


@dataclass(frozen=True)
class Run:
    """One choice for one method.

    Attributes
    ----------
    part : str
        The question: one of `PARTS`.
    method : str
        What a line of a picture is called: a method, or `UNCORRECTED`.
    choice : str
        What is varied, and to what.
    name : str
        The method as scenarios name it.
    fields : mapping
        What differs from the demonstration, sections in it from its sections.
    seconds : float or None
        Simulated wall-clock after which it is compared, however many rounds that are [s]; None if rounds are given.
    updates : int
        Updates in an aggregation where nobody fails.
    against : str
        The choice that it is compared with, of the same method; nothing if ``against_method`` says with whom.
    against_method : str
        The method that it is compared with, at the same choice.
    """

    part: str
    method: str
    choice: str
    name: str
    fields: Mapping[str, Any]
    seconds: float | None = None
    updates: int = 8
    against: str = ""
    against_method: str = ""

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return "-".join((self.part, self.method, self.choice)).replace(" ", "_").replace(",", "")


def merged(base: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Put fields in the place of those of a scenario, section by section."""
    found = dict(base)
    for name, value in fields.items():
        old = found.get(name)
        found[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return found


def scenario(run: Run, demonstration: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Write out a run's scenario."""
    common: dict[str, Any] = {
        "name": run.folder,
        "seed": seed,
        "method": {"name": run.name},
        "local": {"steps": 2, "batch_size": 4},
        "compute": {"seconds": 2},
        "train": {
            "data": {"examples": 600, "held_out_examples": 100},
            "pretraining": {"steps": 300, "batch_size": 16},
            "partition": {"kind": "dirichlet", "alpha": 0.1},
            "evaluation": {"every": 2, "answer_tokens": 1},
            "checkpoint_every": 1000,
        },
    }
    whole = merged(merged(demonstration, common), run.fields)
    if run.seconds is not None:
        whole["rounds"] = rounds_within(whole, run.seconds)
        whole["train"]["evaluation"]["every"] = max(1, whole["rounds"] // 12)
    return whole


def rounds_within(whole: Mapping[str, Any], seconds: float) -> int:
    """Count the aggregations that are done after so many seconds: what is learned does not change the timing."""
    timed = {name: value for name, value in whole.items() if name not in ("train", "model")}
    result = simulate(timed | {"rounds": _MOST_ROUNDS})
    return sum(span.kind is Kind.AGGREGATE and span.end <= seconds for span in result.timeline.spans)


def parablock(correction: bool = True, staleness: int = 1) -> dict[str, Any]:
    """What a run of ParaBlock says."""
    return {"method": {"staleness": staleness}, "train": {"correction": correction}}


def dropout() -> list[Run]:
    """Clients that vanish: how often, at what, and with what method."""
    methods: dict[str, tuple[str, dict[str, Any]]] = {
        "parablock": ("parablock", parablock()),
        UNCORRECTED: ("parablock", parablock(correction=False)),
        "fedbcd": ("fedbcd", {}),
        "fedit": ("fedit", {}),
    }
    runs = []
    for method, (name, own) in methods.items():
        # Where nothing overlaps, a client loses the same update whatever it was doing when it vanished.
        phases = PHASES if name == "parablock" else PHASES[:1]
        for rate, phase in [(0.0, ""), *((rate, phase) for phase in phases for rate in RATES)]:
            fleet = {"count": 16, "uplink": "8MB/s"} | ({"dropout": {"rate": rate, "during": phase}} if rate else {})
            fields = merged(own, {"rounds": 12, "fleet": [fleet], "participation": {"short": "wait"}})
            choice = f"{rate:.0%} {phase}".strip()
            against_method = "parablock" if method == UNCORRECTED else ""
            against = "0%" if rate and not against_method else ""
            runs.append(Run("dropout", method, choice, name, fields, None, 16, against, against_method))
    return runs


def heterogeneity() -> list[Run]:
    """Skew of the data and staleness."""
    runs = []
    for alpha in ALPHAS:
        skewed = {
            "rounds": 20,
            "fleet": [{"count": 8, "uplink": "8MB/s"}],
            "train": {"partition": {"alpha": float(alpha)}},
        }
        runs.append(Run("heterogeneity", "fedbcd", f"alpha {alpha}", "fedbcd", skewed))
        for s in STALENESS if alpha != ALPHAS[1] else STALENESS[:1]:
            fields = merged(skewed, parablock(staleness=s))
            method, choice = f"s = {s}", f"alpha {alpha}"
            runs.append(Run("heterogeneity", method, choice, "parablock", fields, against_method="fedbcd"))
    return runs


def rounds() -> list[Run]:
    """When rounds end: loss at equal wall-clock."""
    fleet = [
        {"count": 6, "uplink": "400kB/s", "failures": {"every": "60s", "repair": "10s"}},
        {"count": 4, "uplink": "400kB/s", "speed": 0.4, "failures": {"every": "60s", "repair": "10s"}},
    ]
    runs = []
    for method in ("parablock", "fedbcd"):
        for policy, told in POLICIES.items():
            fields = {
                "fleet": fleet,
                "payload": {"upload": _BLOCK},
                "participation": {"fraction": 0.6, **told},
            }
            against = "" if policy == "wait for all" else "wait for all"
            runs.append(Run("rounds", method, policy, method, fields, seconds=120, updates=6, against=against))
    return runs


def asynchronous() -> list[Run]:
    """Rounds with staleness against no rounds at all, with devices that are alike and with uneven ones."""
    buffered = {"buffer": 4, "weights": "polynomial"}
    methods: dict[str, tuple[str, dict[str, Any], int]] = {
        "parablock, s = 1": ("parablock", parablock(), 8),
        "parablock, s = 4": ("parablock", parablock(staleness=4), 8),
        "parablock-async": ("parablock-async", {"method": buffered}, 4),
        "fedbuff": ("fedbuff", {"method": buffered}, 4),
        "fedasync": ("fedasync", {"method": {"weights": "polynomial"}}, 1),
    }
    runs = []
    for choice, speeds in FLEETS.items():
        fleet = [{"count": 1, "speed": speed, "uplink": "400kB/s"} for speed in speeds]
        for method, (name, own, updates) in methods.items():
            # A pass of the whole model takes a third longer, as the paper's full fine-tuning does.
            whole = name in ("fedbuff", "fedasync")
            size, seconds = (_MODEL, 2.67) if whole else (_BLOCK, 2)
            fields = merged(own, {"fleet": fleet, "payload": {"upload": size}, "compute": {"seconds": seconds}})
            against = "" if method == "parablock, s = 1" else "parablock, s = 1"
            one = Run("asynchronous", method, choice, name, fields, _SECONDS[choice], updates, against_method=against)
            runs.append(one)
    return runs


def schedules() -> list[Run]:
    """Orders of the blocks; half layers, so that there are eight that differ in kind."""
    runs = []
    for method in ("parablock", "fedbcd"):
        for schedule in ("random", "gradient", "change", "bandit"):
            blocks = {"layers": 0.5, "count": None, "schedule": schedule}
            fields = {"rounds": 20, "fleet": [{"count": 8, "uplink": "8MB/s"}], "blocks": blocks}
            against = "" if schedule == "random" else "random"
            runs.append(Run("schedules", method, schedule, method, fields, against=against))
    return runs


STUDIES = {
    "dropout": dropout,
    "heterogeneity": heterogeneity,
    "rounds": rounds,
    "asynchronous": asynchronous,
    "schedules": schedules,
}
"""What each part compares."""
