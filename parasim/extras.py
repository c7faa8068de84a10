"""What training and live runs need beside the simulator, asked for before anything of it is imported."""

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


def require_live(what: str) -> None:
    """Make sure that what carries messages between machines is installed; parameters and errors as above."""
    if find_spec("grpc") is None:
        raise ParaSimError(f"{install_hint(what, 'live')} (not installed: grpcio)")
