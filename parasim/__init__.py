"""paraSim: how long federated fine-tuning of large language models takes, and why.

The public API::

    import parasim

    result = parasim.simulate("examples/paper.yaml", ["fleet.0.uplink=20MB/s"])
    print(result.wall_clock / 60, result.mean("exposed"))

    table = parasim.sweep(methods=["parablock", "fedbcd"], bandwidths=["50MB/s", "100MB/s"])
    table.to_dataframe()

    answer = parasim.plan("examples/paper.yaml", methods="all", within="25min", solve_for="bandwidth")
    answer.to_dataframe()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parasim.api import load as load
    from parasim.api import simulate as simulate
    from parasim.core.calibration.paper.reproduce import reproduce as reproduce
    from parasim.core.sim.engine.result import Result as Result
    from parasim.core.sim.errors import ParaSimError as ParaSimError
    from parasim.core.sim.scenario.scenario import Scenario as Scenario
    from parasim.core.sim.support.ray_pool import on_ray as on_ray
    from parasim.core.sim.workload.methods import Method as Method
    from parasim.core.sim.workload.methods import Trains as Trains
    from parasim.core.sim.workload.methods import register as register
    from parasim.evaluation import evaluate as evaluate
    from parasim.explanation import explain as explain
    from parasim.footprints import memory_needs as memory_needs
    from parasim.importing.links import ImportedLinks as ImportedLinks
    from parasim.importing.links import import_links as import_links
    from parasim.planning.answer import Plan as Plan
    from parasim.planning.plan import plan as plan
    from parasim.seeds import train_seeds as train_seeds
    from parasim.sweeping import Table as Table
    from parasim.sweeping import sweep as sweep
    from parasim.training import train as train

__version__ = "0.1.0"

# Loaded when asked for, so that `import parasim` and `paraSim --help` cost next to nothing.
_MODULES = {
    **dict.fromkeys(("Method", "Trains", "register"), "parasim.core.sim.workload.methods"),
    **dict.fromkeys(("ImportedLinks", "import_links"), "parasim.importing.links"),
    **dict.fromkeys(("load", "simulate"), "parasim.api"),
    **dict.fromkeys(("Table", "sweep"), "parasim.sweeping"),
    "ParaSimError": "parasim.core.sim.errors",
    "Plan": "parasim.planning.answer",
    "Result": "parasim.core.sim.engine.result",
    "Scenario": "parasim.core.sim.scenario.scenario",
    "evaluate": "parasim.evaluation",
    "explain": "parasim.explanation",
    "memory_needs": "parasim.footprints",
    "on_ray": "parasim.core.sim.support.ray_pool",
    "plan": "parasim.planning.plan",
    "reproduce": "parasim.core.calibration.paper.reproduce",
    "train": "parasim.training",
    "train_seeds": "parasim.seeds",
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
