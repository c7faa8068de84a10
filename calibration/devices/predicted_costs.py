"""Costs of a scenario on a device that nobody measured: the trainer's step, traced, and priced operator by operator.

A trace takes a second or so and needs torch; it is made when a time is first asked for, and kept as long as the process
lives.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any

from parasim_core.calibration.devices.catalogue import CatalogueDevice
from parasim_core.calibration.devices.kernels import matrix_rate
from parasim_core.calibration.devices.operators import PASSES, Operator, Operators, Phase, once
from parasim_core.calibration.devices.prediction import band_of, predict, repeated, step_seconds
from parasim_core.calibration.memory.peaks import NO_MODEL, batches_per_step, recomputes, shared_batch
from parasim_core.calibration.memory.recipe import recipe_of, recipe_settings
from parasim_core.calibration.memory.together import together
from parasim_core.calibration.profiles.merge_rounds import Merges
from parasim_core.sim.engine.costs import Cost
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import CostError, install_hint
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import Block, adapted_modules
from parasim_core.sim.workload.methods import Trains

MERGED_TRAFFIC = 2 * 2 + 7 * 4
"""Bytes of memory traffic for every weight that a stack of adapters is merged into, beside the product's own: read and
written in bfloat16; lifted to float32, the product scaled, added, and the sum rounded, 4 B each time [B]."""


SOURCE = "operators of a traced step on {devices}, each by its shape and traffic"
"""What predicted times rest on."""


class PredictedCosts:
    """Costs of one scenario, all of whose clients compute on one kind of device.

    Parameters
    ----------
    setup : Setup
        The scenario and what follows from it; must name a model.
    device : CatalogueDevice
        The device.
    gpus : int
        How many of them each client has: they share out the sequences of every batch, and its weights unless
        ``train.sharding`` is none.

    Raises
    ------
    CostError
        If the device has no rate for the precision that it holds weights in, or a batch has fewer sequences than a
        client has GPUs.

    Notes
    -----
    `local.batch_size` is the client's: each of its GPUs takes the same share of it, rounded up.
    """

    def __init__(self, setup: Setup, device: CatalogueDevice, gpus: int = 1):
        self.device, self.gpus, self.band = device, gpus, band_of(device)
        self._setup, self._scenario = setup, setup.scenario
        # Traces of one GPU's step are the same for any number of them.
        self._traced = recipe_of(setup.scenario, device.precision)
        self._recipe = recipe_of(setup.scenario, device.precision, gpus)
        matrix_rate(device, self._traced.traced_in)
        batch_size = setup.scenario.local.batch_size
        if batch_size < gpus:
            raise CostError(
                f"local.batch_size is {batch_size}, fewer sequences than the {gpus} GPUs that a client shares them out "
                "to (fleet[].gpus)"
            )
        self._batch_size = shared_batch(setup, gpus)
        self._fleet = Fleet(setup.scenario.fleet)
        self._seconds: dict[Block | None, float] = {}
        self._factor = 1.0

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """K steps and what an update does once, over the client's speed; nothing of it keeps links idle.

        FLoRA's clients first merge every stack that they have not merged yet.
        """
        if block not in self._seconds:
            self._seconds[block] = self._update_seconds(block)
        seconds = self._seconds[block]
        if self._setup.method.trains is Trains.STACKED_LORA:
            seconds += self._merges.before(client, round)
        serial = self._scenario.compute.non_overlapping or 0.0
        return Cost.at_speed(self._fleet.group(client).speed, self._factor * seconds, serial)

    def full_pass(self, client: int) -> float:
        """What the scenario says, or a forward and backward pass with the gradients of all layers."""
        given = self._scenario.blocks.gradient_pass
        seconds = self._factor * self._pass_seconds if given is None else given
        return seconds / self._fleet.group(client).speed

    def provenance(self) -> dict[str, object]:
        """Say that times are predicted, for which device, and how far such predictions have been off."""
        notes = [f"priced: {', '.join(inexact)}"] if (inexact := self._recipe.inexact) else []
        if self._setup.method.trains is Trains.STACKED_LORA:
            notes.append("every client merges the stacks that arrive before it trains: by its products and traffic")
        return {
            "origin": "predicted",
            "source": SOURCE.format(devices=self.described),
            "device": self.device.name,
            "figures": self.device.source,
            "band": self.band,
            "notes": notes,
        }

    def times(self, factor: float) -> PredictedCosts:
        """Costs whose predicted seconds are so many times as long."""
        changed = copy(self)
        changed._factor = self._factor * factor
        return changed

    def trace(self) -> None:
        """Trace now what rounds will ask for."""
        for block in self._setup.trained_blocks or (None,):
            self.local_update(0, 0, block)

    @property
    def described(self) -> str:
        """The device, and how many of them a client has."""
        if self.gpus == 1:
            return self.device.name
        return f"{self.gpus} x {self.device.name} {'with FSDP' if self._recipe.sharded else 'in data parallel'}"

    @property
    def _model(self) -> Architecture:
        if self._setup.architecture is None:
            raise CostError(NO_MODEL)
        return self._setup.architecture

    def _update_seconds(self, block: Block | None) -> float:
        """Seconds of a whole local update at speed 1 [s]."""
        batches = batches_per_step(self._scenario)
        # From the second batch on nothing changes but how often the passes run.
        traced = min(2, batches)
        operators = self._operators(self._setup.method.trains, block, traced)
        step = self._predict(repeated(operators, batches / traced), self._setup.method.trains, block, batches)
        return self._scenario.local.steps * step + step_seconds(once(operators), self.device, self._recipe)

    @cached_property
    def _pass_seconds(self) -> float:
        """Seconds of a forward and backward pass with all gradients at speed 1 [s]."""
        operators = self._operators(Trains.EVERYTHING, None, 1)
        passes = {operator: calls for operator, calls in operators.items() if operator.phase in PASSES}
        return self._predict(passes, Trains.EVERYTHING)

    def _predict(self, operators: Operators, trains: Trains, block: Block | None = None, batches: int = 1) -> float:
        several = together(self._model, self._recipe, trains, block, self._scenario.lora)
        return predict(operators, self.device, self._recipe, several, batches).seconds

    @cached_property
    def _merges(self) -> Merges:
        return Merges(self._merge_seconds, self._scenario.lora.rank, self._setup.cohorts)

    def _merge_seconds(self, rank: int) -> float:
        """Seconds of adding a stack of a rank to the weights, in float32 as the trainer does it [s]."""
        operators: dict[Operator, float] = {}
        for linear, _ in adapted_modules(self._model, self._scenario.lora.targets):
            shape = linear.experts, linear.outputs, linear.inputs, rank
            weights, factors = linear.weights, linear.experts * rank * (linear.inputs + linear.outputs)
            product = Operator("merge", Phase.DELTA, "float32", 2 * weights * rank, 4 * (weights + factors), shape)
            rounded = Operator("merge", Phase.DELTA, "float32", 0, MERGED_TRAFFIC * weights)
            for operator in (product, rounded):
                operators[operator] = operators.get(operator, 0) + 1
        return step_seconds(operators, self.device, self._recipe)

    def _operators(self, trains: Trains, block: Block | None, batches: int) -> Operators:
        """Operators of an update of one step, on one of the client's GPUs."""
        name, config = self._config
        from parasim_core.calibration.memory.alike_layers import trace_step
        from parasim_core.calibration.memory.shapes import TracedStep

        settings = recipe_settings(self._scenario)
        step = TracedStep(
            trains,
            block,
            self._batch_size,
            self._scenario.local.sequence_length,
            batches,
            self._scenario.lora,
            recomputes(self._setup),
            # Packed sequences have a mask too, which keeps them apart.
            settings.padded or settings.packing,
            self._traced,
        )
        return trace_step(name, config, self._traced.traced_in, step, granularity=1).operators

    @cached_property
    def _config(self) -> tuple[str, dict[str, Any]]:
        """Name and configuration of the model."""
        if self._scenario.model is None:
            raise CostError(NO_MODEL)
        try:
            from parasim_core.calibration.measuring.configuration import model_config
        except ImportError as missing:
            raise CostError(f"{install_hint('predicting the times of a device', 'train')} ({missing})") from None
        return self._scenario.model, model_config(self._scenario.model)
