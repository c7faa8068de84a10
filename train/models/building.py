"""The model that is fine-tuned: a causal language model or an image classifier, built from its configuration.

`train.models.files` reads and writes models.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from parasim_core.sim.errors import ParaSimError, brief, nearest
from parasim_core.train.models.out_of_memory import is_out_of_memory

DEMO = "demo"
SMOLLM2 = "smollm2-135m-instruct"
BUILT_IN = (DEMO, SMOLLM2)


class ModelError(ParaSimError):
    """A model cannot be found or read, or is of a kind that paraSim does not train."""


def base_dtype(device: torch.device | str) -> torch.dtype:
    """Precision in which base weights are held.

    Parameters
    ----------
    device : torch.device or str
        Where the model lives.

    Returns
    -------
    torch.dtype
        bfloat16 on a CUDA device, whose matrix units want it; float32 everywhere else.
    """
    return torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32


def placed(model: nn.Module, device: torch.device | str, dtype: torch.dtype) -> nn.Module:
    """Put a model on a device, its parameters in a precision, as transformers would have loaded it there.

    Buffers keep what transformers itself gives them in a model of that precision: a rotary embedding's frequencies stay
    float32, for rounded to bfloat16 they would turn distant positions by a wrong angle.

    Parameters
    ----------
    model : torch.nn.Module
        A transformers model; changed in place.
    device : torch.device or str
        Where it goes.
    dtype : torch.dtype
        Precision of its parameters.

    Returns
    -------
    torch.nn.Module
        The same model.
    """
    buffers = dict(model.named_buffers(remove_duplicate=False))
    precisions = _buffer_precisions(model, dtype)
    model.to(device=device, dtype=dtype)
    for name, buffer in buffers.items():
        place, _, own = name.rpartition(".")
        model.get_submodule(place)._buffers[own] = buffer.to(device=device, dtype=precisions[name])
    return model


def _buffer_precisions(model: Any, dtype: torch.dtype) -> dict[str, torch.dtype]:
    """Precision of every buffer as transformers builds this model in `dtype`: a model without memory shows it."""
    own = {name: buffer.dtype for name, buffer in model.named_buffers(remove_duplicate=False)}
    if dtype == torch.float32:
        return own
    # Building notes the precision in the configuration.
    with torch.device("meta"):
        alike = _built(copy.deepcopy(model.config), seed=0, dtype=dtype)
    return own | {name: buffer.dtype for name, buffer in alike.named_buffers(remove_duplicate=False) if name in own}


def random_model(config: Any, *, seed: int) -> nn.Module:
    """Build a model with seeded random weights, leaving torch's own random state untouched.

    Parameters
    ----------
    config : transformers.PretrainedConfig
        Configuration of a causal language model or an image classifier.
    seed : int
        Seed of the weights.

    Returns
    -------
    torch.nn.Module
        The model, float32, on the CPU.

    Raises
    ------
    ModelError
        If the configuration is of another kind of model, or transformers cannot build it.
    """
    return _built(config, seed=seed, dtype=torch.float32)


def _built(config: Any, *, seed: int, dtype: torch.dtype) -> nn.Module:
    factory = model_class(config)
    with torch.random.fork_rng(devices=[]), reading(str(config.model_type), "configuration"):
        torch.manual_seed(seed)
        model: nn.Module = factory.from_config(config, dtype=dtype, trust_remote_code=False)
    return model


def model_class(config: Any) -> Any:
    """The transformers class that builds this kind of model.

    Parameters
    ----------
    config : transformers.PretrainedConfig
        Its configuration.

    Returns
    -------
    type
        That of a whole multimodal model (one that also sees or hears, and writes), else of a causal language model,
        else of an image classifier.

    Raises
    ------
    ModelError
        If it is none of these.
    """
    import transformers

    # Some multimodal families are listed as causal language models too, which are then their text decoder alone; some
    # that hear, only where most are encoder-decoder models.
    multimodal = (
        ("MULTIMODAL_LM", "AutoModelForMultimodalLM"),  # since transformers 5
        ("IMAGE_TEXT_TO_TEXT", "AutoModelForImageTextToText"),
        ("SEQ_TO_SEQ_CAUSAL_LM", "AutoModelForSeq2SeqLM"),
    )
    for kind, builder in (
        *(() if config.is_encoder_decoder else multimodal),
        ("CAUSAL_LM", "AutoModelForCausalLM"),
        ("IMAGE_CLASSIFICATION", "AutoModelForImageClassification"),
    ):
        if type(config) in getattr(transformers, f"MODEL_FOR_{kind}_MAPPING", {}):
            return getattr(transformers, builder)
    raise ModelError(f"model type {config.model_type!r} is neither a causal language model nor an image classifier")


def classifies_images(config: Any) -> bool:
    """Whether a configuration is that of a classifier of images of one size, and no language model that also sees."""
    try:
        kind = model_class(config)
    except ModelError:
        return False
    return hasattr(config, "image_size") and kind.__name__ == "AutoModelForImageClassification"


def keep_no_cache(model: Any) -> None:
    """Let a model keep no keys and values: the cache serves generation, which asks for it by itself.

    In training it would copy every key and value.
    """
    for config in (model.config, model.config.get_text_config()):
        config.use_cache = False


@contextmanager
def quiet() -> Iterator[None]:
    """Let transformers show no progress bars of its own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def reading(source: str, what: str) -> Iterator[None]:
    """Turn whatever transformers raises while it reads `source` into one clear sentence."""
    try:
        with quiet():
            yield
    except Exception as error:  # a foreign or damaged file fails in any of a dozen libraries, each in its way
        if is_out_of_memory(error) or isinstance(error, ModelError | ModuleNotFoundError):
            raise  # Nothing is wrong with what was read, or it is said already.
        reason = brief(str(error).strip().partition("\n")[0]) or type(error).__name__
        raise ModelError(
            f"cannot read the {what} of {source!r}: {reason} "
            f"(a model is a local folder, a config.json, an id on the hub, or built in: "
            f"{nearest(source, BUILT_IN)})"
        ) from error
