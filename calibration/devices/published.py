"""Runs that others published, as steps that can be traced: what each row says, or why it cannot be expressed.

The rows that come along (`published_gpu.json`, with the models' shapes in `models.json`) are facts from the sources
that they name; nobody here measured them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from parasim_core.calibration.devices.catalogue import CatalogueDevice, as_driver_says
from parasim_core.calibration.memory.recipe import Optimizer, Recipe, Weights
from parasim_core.calibration.profiles.points import block_at
from parasim_core.sim.errors import ArchitectureError, CostError, ParaSimError, shown
from parasim_core.sim.scenario.safe_parsing import parse_json
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.architecture import find_config, from_config
from parasim_core.sim.workload.blocks import Block
from parasim_core.sim.workload.methods import Trains

GIB = 2**30
_MODELS = "models.json"
_NAMED = {"id", "metric", "model", "gpu"}

FUSED = re.compile(r"fused RMSNorm|triton|TransformerEngine|liger|unsloth", re.IGNORECASE)
"""What a row says whose elementwise operators ran as kernels written by hand."""


class NotExpressibleError(ParaSimError):
    """A row says too little, or something that no recipe has a word for."""


@dataclass(frozen=True)
class PublishedRow:
    """One published figure, as its file has it.

    Attributes
    ----------
    fields : mapping of str to object
        The row; `docs/appendices/devices.md` names what is read of it.
    models : mapping of str to object
        Configurations by the names that the file's rows use; a string stands for a name of the catalogue.
    """

    fields: Mapping[str, Any]
    models: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Identifier of the row."""
        return str(self.fields["id"])

    @property
    def metric(self) -> str:
        """What is reported: ``time`` or ``memory``."""
        return str(self.fields["metric"])

    @property
    def comparable(self) -> bool:
        """Whether nothing about the run had to be guessed."""
        return not self.fields.get("inferred")

    @property
    def inputs(self) -> str:
        """What ran, in a few words."""
        said = self.fields
        size = f"{said.get('batch')} x {said.get('sequence_length')}"
        batches = int(said.get("accumulation") or 1)
        extras = [str(said.get("method")), str(said.get("precision"))]
        extras += ["checkpointing"] * bool(said.get("checkpointing")) + ["compiled"] * bool(said.get("compile"))
        on = f"{said.get('model')} on {said.get('gpu')}"
        return f"{on}, {size}{f' x {batches} batches' if batches > 1 else ''}, {', '.join(extras)}"

    def config(self) -> Mapping[str, Any]:
        """Configuration of the row's model.

        Raises
        ------
        NotExpressibleError
            If nobody knows the model.
        """
        name = self.fields.get("model")
        found = self.models.get(str(name), name)
        if isinstance(found, Mapping):
            return found
        try:
            return find_config(str(found))
        except ArchitectureError:
            raise NotExpressibleError(f"model {shown(name)} is neither in the catalogue nor in {_MODELS}") from None

    def device(self) -> CatalogueDevice:
        """Device of the catalogue that the row's GPU is.

        Raises
        ------
        NotExpressibleError
            If it is none.
        """
        try:
            return as_driver_says(str(self.fields.get("gpu")))
        except CostError as unknown:
            raise NotExpressibleError(str(unknown)) from None

    def reported(self) -> float:
        """The figure in [s] per step or in [B].

        Raises
        ------
        NotExpressibleError
            If it has no unit that says so, or is no positive number.
        """
        if self.metric not in ("time", "memory"):
            raise NotExpressibleError(f"metric is {shown(self.metric)}, allowed are time and memory")
        if self.metric == "memory":
            size = {"gib": GIB, "gb": 1e9, "mib": 2**20, "mb": 1e6}.get(
                str(self.fields.get("unit")).split(" ")[0].lower()
            )
            if size is None:
                raise NotExpressibleError(f"unit {shown(self.fields.get('unit'))} is no unit of memory")
            return _positive("value", self.fields.get("value")) * size
        if "DeepSpeed" in f"{self.fields.get('method')} {self.fields.get('optimizer')}":
            raise NotExpressibleError("DeepSpeed's own overhead is in the measured time, and in no trace")
        seconds = self.fields.get("step_seconds")
        if seconds is None:
            raise NotExpressibleError("no seconds per step follow from what is stated")
        return _positive("step_seconds", seconds)

    @property
    def memory_kind(self) -> str:
        """Who reports a memory peak: the tensors (``allocated``), the allocator (``reserved``), or the ``device``."""
        unit = str(self.fields.get("unit"))
        return next((kind for kind in ("reserved", "device") if kind in unit), "allocated")

    def recipe(self) -> Recipe:
        """How the step was trained: as the row's `recipe` states in Recipe's own words, else as the rest of it says.

        Raises
        ------
        NotExpressibleError
            If no recipe has a word for it.
        """
        if isinstance(stated := self.fields.get("recipe"), Mapping):
            return Recipe(**stated)
        said = " ".join(str(self.fields.get(name)) for name in ("method", "optimizer", "missing", "notes", "attention"))
        gpus = int(self.fields.get("gpus") or 8)
        sharded = (
            re.search(r"FSDP|HSDP|ZeRO-?3", str(self.fields.get("method")), re.IGNORECASE) is not None and gpus > 1
        )
        full = self._trains() is Trains.EVERYTHING
        eight_bit = re.search(r"8-?bit", str(self.fields.get("optimizer")), re.IGNORECASE)
        paged = "paged" in str(self.fields.get("optimizer")).lower()
        weights = _weights(str(self.fields.get("precision")), said)
        pure = re.search(r"pure bf16|states? bf16|bf16 states?", said) is not None or eight_bit or weights != "bfloat16"
        optimizer: Optimizer = "adamw"
        if str(self.fields.get("optimizer")).lower() == "none":
            optimizer = "none"
        elif eight_bit or paged:
            optimizer = "paged-adamw-8bit" if paged else "adamw-8bit"
        master = bool(full and not pure and optimizer == "adamw")
        return Recipe(
            weights=weights,
            master=master,
            delta=master,
            optimizer=optimizer,
            # So does peft, whose adapters nearly everybody trains; hand-written kernels take those of the weights
            # beside.
            adapters="base" if full or FUSED.search(said) else "float32",
            attention="eager" if "eager" in str(self.fields.get("attention")) else "fused",
            loss="chunked" if re.search(r"chunked|fused linear|liger|cut cross", said, re.IGNORECASE) else "full",
            kernels="compiled" if self.fields.get("compile") else "fused" if FUSED.search(said) else "eager",
            gpus=gpus,
            sharded=sharded,
        )

    def _trains(self) -> Trains:
        method = str(self.fields.get("method")).lower()
        if "lora" in method:
            return Trains.LORA
        if "full" in method or "sft" in method:
            return Trains.EVERYTHING
        if method == Trains.BLOCK:
            return Trains.BLOCK
        raise NotExpressibleError(f"method {shown(self.fields.get('method'))} is neither full training, LoRA nor block")

    def step(self) -> dict[str, Any]:
        """Arguments of `calibration.memory.shapes.TracedStep`, with every batch of the step in `accumulation`.

        Raises
        ------
        NotExpressibleError
            If the row does not state them, or states what no step has.
        """
        for name in ("batch", "sequence_length"):
            if not isinstance(self.fields.get(name), int):
                raise NotExpressibleError(f"{name.replace('_', ' ')} is not stated")
        trains = self._trains()
        arguments: dict[str, Any] = {"trains": trains}
        if trains is Trains.LORA:
            arguments["lora"] = _adapter(self.fields.get("lora"))
        if trains is Trains.BLOCK:
            arguments["block"] = self._block()
        checkpointing = self.fields.get("checkpointing") or False
        if not isinstance(checkpointing, bool):
            raise NotExpressibleError(f"checkpointing is {shown(checkpointing)}, allowed are true and false")
        if "selective checkpointing" in str(self.fields.get("missing")):
            checkpointing = "selective"
        return arguments | {
            "batch_size": self.fields["batch"],
            "sequence_length": self.fields["sequence_length"],
            "accumulation": self.fields.get("accumulation") or 1,
            "checkpointing": checkpointing,
            "recipe": self.recipe(),
        }

    def _block(self) -> Block:
        place = self.fields.get("block")
        if not isinstance(place, Mapping) or set(place) != {"first_layer", "layers"}:
            raise NotExpressibleError("the block's first_layer and layers are not stated")
        return block_at(from_config(self.config(), str(self.fields["model"])), **place)


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise NotExpressibleError(f"{name} is {shown(value)}, allowed are numbers above 0")
    return float(value)


def _weights(precision: str, said: str) -> Weights:
    """How base weights are held, by a row's precision and what else it says."""
    if precision in ("bfloat16", "float16") and "autocast" in said:
        return "float32-autocast"
    known: dict[str, Weights] = {"bfloat16": "bfloat16", "float16": "bfloat16", "float32": "float32", "nf4": "nf4"}
    if precision not in known:
        raise NotExpressibleError(f"no recipe holds or multiplies weights in {precision}")
    return known[precision]


def _adapter(lora: Any) -> Lora:
    if not isinstance(lora, Mapping):
        raise NotExpressibleError("the adapter's rank and targets are not stated")
    targets = lora.get("targets", "all-linear")
    return Lora(rank=lora["rank"], targets=targets if isinstance(targets, str) else tuple(targets))


def shipped_rows() -> list[PublishedRow]:
    """The rows that come along."""
    folder = resources.files("parasim_core.calibration") / "devices"
    return _rows((folder / "published_gpu.json").read_text("utf-8"), (folder / _MODELS).read_text("utf-8"), "the rows")


def read_rows(path: Path) -> list[PublishedRow]:
    """Read rows of the same form from a file, with the models' shapes in a ``models.json`` beside it, if there is one.

    Raises
    ------
    CostError
        If a file cannot be read, or is no list of rows.
    """
    beside = path.parent / _MODELS
    try:
        models = beside.read_text("utf-8") if beside.is_file() else "{}"
        return _rows(path.read_text("utf-8"), models, f"--rows {path}")
    except (OSError, UnicodeDecodeError) as error:
        raise CostError(f"--rows {path}: cannot be read ({error})") from None


def _rows(text: str, models: str, name: str) -> list[PublishedRow]:
    try:
        found, shapes = parse_json(text), parse_json(models)
    except ValueError as error:
        raise CostError(f"{name}: {error}") from None
    if (
        not isinstance(found, list)
        or not found
        or not all(isinstance(row, dict) and set(row) >= _NAMED for row in found)
    ):
        raise CostError(f"{name}: must be a list of one row or more, each with at least {', '.join(sorted(_NAMED))}")
    if not isinstance(shapes, dict):
        raise CostError(f"{name}: {_MODELS} beside it must hold configurations by name")
    return [PublishedRow(row, shapes) for row in found]
