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

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibration.paper.reproduce import reproduce as reproduce
    from parasim.api import load as load
    from parasim.api import simulate as simulate
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
    from sim.engine.result import Result as Result
    from sim.errors import ParaSimError as ParaSimError
    from sim.scenario.scenario import Scenario as Scenario
    from sim.support.ray_pool import on_ray as on_ray
    from sim.workload.methods import Method as Method
    from sim.workload.methods import Trains as Trains
    from sim.workload.methods import register as register

__version__ = "0.1.0"

# Loaded when asked for, so that `import parasim` and `paraSim --help` cost next to nothing.
_MODULES = {
    **dict.fromkeys(("Method", "Trains", "register"), "sim.workload.methods"),
    **dict.fromkeys(("ImportedLinks", "import_links"), "parasim.importing.links"),
    **dict.fromkeys(("load", "simulate"), "parasim.api"),
    **dict.fromkeys(("Table", "sweep"), "parasim.sweeping"),
    "ParaSimError": "sim.errors",
    "Plan": "parasim.planning.answer",
    "Result": "sim.engine.result",
    "Scenario": "sim.scenario.scenario",
    "evaluate": "parasim.evaluation",
    "explain": "parasim.explanation",
    "memory_needs": "parasim.footprints",
    "on_ray": "sim.support.ray_pool",
    "plan": "parasim.planning.plan",
    "reproduce": "calibration.paper.reproduce",
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


def _refuse_hidden_packages() -> None:
    """Say it in one sentence when a user's own `sim.py` or `train.py` hides a package of paraSim's."""
    home = Path(__file__).resolve().parent.parent
    for package in ("sim", "train", "calibration"):
        spec = find_spec(package)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin != home / package / "__init__.py":
            # A folder without `__init__.py` has no origin, but a place.
            places = list(spec.submodule_search_locations or []) if spec is not None else []
            where = origin or (f"the folder {places[0]}" if places else "nothing that can be imported")
            message = f"paraSim's package {package!r} is hidden by {where}: rename it or run from another directory"
            if sys.argv[:1] == ["-m"]:
                # `python -m parasim`: a traceback through runpy would bury the sentence.
                sys.exit(f"paraSim: {message}")
            raise ImportError(message)


_refuse_hidden_packages()
