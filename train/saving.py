"""Models on disk, as ordinary Hugging Face folders that transformers, `peft` and lm-eval read."""

from __future__ import annotations

from pathlib import Path
from stat import S_IMODE
from typing import Any

from torch import nn

from train.models import quiet
from train.template import Template


def save_model(model: nn.Module, tokenizer: Any, folder: Path) -> None:
    """Save a model with its tokenizer.

    Parameters
    ----------
    model : torch.nn.Module
        A transformers model, without an adapter.
    tokenizer : transformers.PreTrainedTokenizerBase or None
        Saved with the frame that training puts around questions as its chat template; None for images.
    folder : Path
        Where it goes; made if it is missing.

    Raises
    ------
    OSError or SafetensorError
        If it cannot be written.
    """
    whole: Any = model
    with quiet():
        whole.save_pretrained(str(folder))
    # safetensors writes for its owner alone, where other files follow the umask.
    rights = S_IMODE((folder / "config.json").stat().st_mode)
    for path in folder.glob("*.safetensors"):
        path.chmod(rights)
    if tokenizer is not None:
        Template(tokenizer).chat_tokenizer().save_pretrained(str(folder))
