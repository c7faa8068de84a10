"""Code of a user's own that registers methods: files and modules that were named, and what installed packages offer.

What is named stands in the environment, so that worker processes, however they are started, find it there too.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from parasim_core.sim.errors import ScenarioError, brief

VARIABLE = "PARASIM_IMPORT"
"""Environment variable with what is to be imported, separated as in ``PATH``."""
GROUP = "parasim.methods"
"""Entry points of packages whose import registers methods, or which are methods."""


def name_own_code(names: list[str]) -> None:
    """Have files (``my_method.py``) or modules (``package.module``) imported with the registry of methods.

    Files are named from the current folder, and stay the same when it changes.
    """
    whole = [str(Path(name).absolute()) if name.endswith(".py") else name for name in names]
    os.environ[VARIABLE] = os.pathsep.join([*filter(None, [os.environ.get(VARIABLE)]), *whole])


def import_own_code() -> None:
    """Import what was named.

    Raises
    ------
    ScenarioError
        Naming what cannot be imported, and why.
    """
    for name in dict.fromkeys(filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))):
        try:
            _import(name)
        except Exception as error:
            reason = brief(f"{type(error).__name__}: {error}", 200)
            raise ScenarioError(f"--import {name}: cannot be imported: {reason}") from error


def _import(name: str) -> None:
    if not name.endswith(".py"):
        # The current folder last: nothing in it takes the place of a library.
        sys.path.append(os.getcwd())  # noqa: PTH109
        try:
            import_module(name)
        finally:
            sys.path.pop()
        return
    path = Path(name)
    own_name = f"parasim_own_{path.stem}"
    if own_name in sys.modules:
        return
    if not path.is_file():
        raise FileNotFoundError("there is no such file")
    spec = spec_from_file_location(own_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[own_name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[own_name]
        raise


@cache
def offered() -> list[object]:
    """Load what installed packages offer: looked for when a method is not known, or all are listed.

    Raises
    ------
    ScenarioError
        Naming a package whose methods cannot be loaded.
    """
    found = []
    for point in entry_points(group=GROUP):
        try:
            found.append(point.load())
        except Exception as error:
            reason = brief(f"{type(error).__name__}: {error}", 200)
            raise ScenarioError(f"methods of the package {point.value}: cannot be loaded: {reason}") from error
    return found
