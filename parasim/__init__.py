"""paraSim: how long federated fine-tuning of large language models takes, and why.

The public API has the names of the command line::

    import parasim

    result = parasim.simulate("examples/paper.yaml", set={"fleet.0.uplink": "20MB/s"}, out="results/slow")
    print(result.wall_clock / 60, result.mean("exposed"))

    table = parasim.sweep(method=["parablock", "fedbcd"], bandwidth=["50MB/s", "100MB/s"])
    table.to_dataframe()

    answer = parasim.plan("examples/paper.yaml", method="all", within="25min", solve_for="bandwidth")
    answer.to_dataframe()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parasim.api import load as load
    from parasim.api import simulate as simulate
    from parasim.difference import diff as diff
    from parasim.evaluation import evaluate as evaluate
    from parasim.explaining import explain as explain
    from parasim.figures.look import Look as Look
    from parasim.footprints import memory as memory
    from parasim.importing.links import ImportedLinks as ImportedLinks
    from parasim.importing.links import import_links as import_links
    from parasim.planning.answer import Plan as Plan
    from parasim.planning.plan import plan as plan
    from parasim.reporting.made import report as report
    from parasim.seeds import train_seeds as train_seeds
    from parasim.sweep_table import Table as Table
    from parasim.sweeping import sweep as sweep
    from parasim.training import train as train
    from parasim_core.calibration.paper.reproduce import reproduce as reproduce
    from parasim_core.sim.engine.result import Result as Result
    from parasim_core.sim.errors import ParaSimError as ParaSimError
    from parasim_core.sim.scenario.scenario import Scenario as Scenario
    from parasim_core.sim.support.ray_pool import on_ray as on_ray
    from parasim_core.sim.workload.methods import Method as Method
    from parasim_core.sim.workload.methods import Trains as Trains
    from parasim_core.sim.workload.methods import register as register

__version__ = "0.1.0"

# Loaded when asked for, so that `import parasim` and `paraSim --help` cost next to nothing.
_MODULES = {
    **dict.fromkeys(("Method", "Trains", "register"), "parasim_core.sim.workload.methods"),
    **dict.fromkeys(("ImportedLinks", "import_links"), "parasim.importing.links"),
    **dict.fromkeys(("load", "simulate"), "parasim.api"),
    "ParaSimError": "parasim_core.sim.errors",
    "Plan": "parasim.planning.answer",
    "Result": "parasim_core.sim.engine.result",
    "Scenario": "parasim_core.sim.scenario.scenario",
    "Look": "parasim.figures.look",
    "diff": "parasim.difference",
    "Table": "parasim.sweep_table",
    "evaluate": "parasim.evaluation",
    "explain": "parasim.explaining",
    "plan": "parasim.planning.plan",
    "sweep": "parasim.sweeping",
    "train": "parasim.training",
    "train_seeds": "parasim.seeds",
    "memory": "parasim.footprints",
    "on_ray": "parasim_core.sim.support.ray_pool",
    "report": "parasim.reporting.made",
    "reproduce": "parasim_core.calibration.paper.reproduce",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'parasim' has no attribute {name!r}")
    if name in ("train", "train_seeds", "evaluate"):
        from parasim.extras import require_training

        require_training(f"parasim.{name}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
