"""The other side of `train.ray_trainer`: a process of a Ray cluster that does jobs on a model of its own.

Every errand says all that is needed to do it. What a worker still has from earlier ones (the model, the versions that
it shows) only saves it from fetching that again: a worker that was started anew does the same, to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import nn

from sim.errors import EngineError
from sim.studies.ray_engine import WorkerEnvironment, adopt
from train.blocks import Values, checkpoint_activations
from train.jobs import Job, do
from train.local import LocalSettings, Loss
from train.models import ModelError, placed, random_model
from train.packing import Packed, pack, unpack
from train.trained import Trained
from train.versions import BASE, Versions

Place = tuple[int, int]


class Model(NamedTuple):
    """A model and how it is trained, as plain data.

    Attributes
    ----------
    config : str
        Its configuration, as JSON.
    attention : str or None
        Which implementation of attention computes it.
    precision : torch.dtype
        Of its weights.
    device : str
        Kind of device that it is trained on.
    checkpointing : bool
        Whether activations are computed again instead of kept.
    choose : callable
        Chooses what of it is trained.
    tensors : Packed
        All parameters and buffers, those that `choose` adds included.
    settings : LocalSettings
        Local training.
    loss : callable
        Mean loss of a model on a batch.
    """

    config: str
    attention: str | None
    precision: torch.dtype
    device: str
    checkpointing: bool
    choose: Callable[[nn.Module], Trained]
    tensors: Packed
    settings: LocalSettings
    loss: Loss


class Errand(NamedTuple):
    """A job for another process.

    Attributes
    ----------
    model : (str, object reference)
        Name of the model, and where it is.
    job : Job
        The job, but for the client's own updates.
    own : mapping of int to sequence of Packed
        Those.
    batches : sequence of Packed
        What is trained on.
    versions : mapping of (item, version) to object reference
        Where the values of versions are that the worker may not have.
    merged : object reference or None
        Where the base weights are that stacks were merged into.
    """

    model: tuple[str, Any]
    job: Job
    own: Mapping[int, Sequence[Packed]]
    batches: Sequence[Packed]
    versions: Mapping[Place, Any]
    merged: Any


class Done(NamedTuple):
    """`train.jobs.Learned`, packed."""

    message: Packed
    loss: float
    seconds: float


def describe(
    trained: Trained,
    choose: Callable[[nn.Module], Trained],
    settings: LocalSettings,
    loss: Loss,
    *,
    checkpointing: bool,
) -> Model:
    """Describe a model as it is now, so that workers can build the same."""
    model: Any = trained.model
    weight = next(model.parameters())
    return Model(
        model.config.to_json_string(use_diff=False),
        getattr(model.config, "_attn_implementation", None),
        weight.dtype,
        weight.device.type,
        checkpointing,
        choose,
        pack(_tensors(model)),
        settings,
        loss,
    )


class Worker:
    """Does errands, one after the other."""

    _model: Model
    _device: torch.device
    _trained: Trained
    _versions: Versions

    def __init__(self) -> None:
        self._name: str | None = None
        self._merged = BASE
        self._warm = False

    def begin(self, around: WorkerEnvironment, torch_version: str, threads: int) -> None:
        """Become like the process that it works for.

        Raises
        ------
        EngineError
            If it has another version of paraSim or of torch.
        """
        adopt(around)
        if torch.__version__ != torch_version:
            raise EngineError(
                f"a worker of the Ray cluster has torch {torch.__version__}, this is {torch_version}; "
                "install the same on all machines"
            )
        # Sums depend on how many threads share them.
        torch.set_num_threads(threads)

    def do(self, errand: Errand) -> Done:
        """Do one."""
        import ray

        name, reference = errand.model
        if name != self._name:
            self._prepare(ray.get(reference))
            self._name = name
        self._catch_up(errand)
        own = {item: [self._unpack(delta) for delta in deltas] for item, deltas in errand.own.items()}
        learned = do(
            replace(errand.job, own=own),
            self._trained,
            self._versions,
            map(unpack, errand.batches),
            self._model.loss,
            self._model.settings,
            warm_up=not self._warm,
        )
        self._warm = True
        return Done(pack(learned.message), learned.loss, learned.seconds)

    def _prepare(self, model: Model) -> None:
        self._trained, self._device = build(model)
        self._model = model._replace(tensors=pack({}))
        self._versions = Versions(self._trained.part, lag=0)
        self._merged = BASE
        self._warm = False

    def _catch_up(self, errand: Errand) -> None:
        """Fetch what the model does not show yet."""
        import ray

        for (item, version), reference in errand.versions.items():
            if version not in self._versions.values.get(item, (BASE,)):
                # In the place of any other: a worker keeps what it shows.
                self._versions.values.pop(item, None)
                self._versions.load(item, version, self._unpack(ray.get(reference)))
        if errand.job.merged != self._merged:
            self._trained.load_merged(unpack(ray.get(errand.merged)))
            self._merged = errand.job.merged

    def _unpack(self, packed: Packed) -> Values:
        return {name: value.to(self._device) for name, value in unpack(packed).items()}


def build(described: Model) -> tuple[Trained, torch.device]:
    """Build a model that was described.

    Raises
    ------
    ModelError
        If it comes out with other parameters.
    """
    from transformers import AutoConfig

    fields = json.loads(described.config)
    config = AutoConfig.for_model(fields.pop("model_type"), attn_implementation=described.attention, **fields)
    device = torch.device(described.device)
    model = placed(random_model(config, seed=0), device, described.precision).eval()
    if described.checkpointing:
        checkpoint_activations(model)
    trained = described.choose(model)
    tensors, own = unpack(described.tensors), _tensors(trained.model)
    if [(name, tensor.shape) for name, tensor in own.items()] != [(name, t.shape) for name, t in tensors.items()]:
        raise ModelError(f"{type(model).__name__}: a worker of the Ray cluster builds another model from its config")
    for name, tensor in own.items():
        tensor.data = tensors[name].to(device)
    return trained, device


def _tensors(model: nn.Module) -> Values:
    """All that a model computes with; those that are one under several names, once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
