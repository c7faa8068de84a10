"""What training needs beside the simulator, asked for before anything of it is imported."""

from __future__ import annotations

from importlib.util import find_spec

from parasim_core.sim.errors import ParaSimError, install_hint

# Without any of these an import fails somewhere inside of another, in words of its own; what only some runs need is
# named where it is imported.
_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub")


def require_training(what: str) -> None:
    """Make sure that what every training and evaluation imports is installed.

    Parameters
    ----------
    what : str
        What a message says cannot be done without.

    Raises
    ------
    ParaSimError
        Naming what is missing, and how to install it.
    """
    if missing := [package for package in _PACKAGES if find_spec(package) is None]:
        raise ParaSimError(f"{install_hint(what, 'train')} (not installed: {', '.join(missing)})")
