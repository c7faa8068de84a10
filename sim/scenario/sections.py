"""The sections of a scenario, one class each; their defaults together are the setting of the ParaBlock paper."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PlainValidator,
    SerializeAsAny,
    StrictBool,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from parasim_core.sim.engine.shape import Params
from parasim_core.sim.errors import nearest, shown
from parasim_core.sim.scenario.economy import Watts
from parasim_core.sim.scenario.failures import Available, Deadline, Dropout, Failures, Outages, Part
from parasim_core.sim.scenario.fields import Duration, Line, Money, Name, Number, OneLine, Section, Size, Whole, one_of
from parasim_core.sim.scenario.links import Capacity, SiteLine, Transport
from parasim_core.sim.scenario.seconds import Seconds, read_seconds
from parasim_core.sim.scenario.uncertainty import Jitter, LinkJitter
from parasim_core.sim.workload.methods import METHODS, is_known, with_parameter


def _with_its_parameters(value: Any) -> Params:
    """Read what stands under `method:`, with the parameters of the shape that its name stands for."""
    if isinstance(value, Params):
        return value
    fields = {"name": value} if isinstance(value, str) else value
    if not isinstance(fields, dict):
        raise ValueError(f"must be a method's name, or a mapping with its name, not {shown(value)}")
    name = fields.get("name", Params().name)
    if not isinstance(name, str) or not is_known(name):
        raise _at("name", f"unknown method {shown(name)}; {nearest(str(name), METHODS)}", name)
    for field in fields:
        others = with_parameter(field)
        if name not in others:
            which = "" if str(field).isidentifier() else f" {shown(field)}"
            hint = f"unknown field{which}; {nearest(str(field), METHODS[name].shape.Params.model_fields)}"
            message = f"{name} has no such parameter; it is one of {' and '.join(others)}" if others else hint
            raise _at(str(field), message, fields[field])
    return METHODS[name].shape.Params.model_validate(fields)


def _at(field: str, message: str, given: Any) -> ValidationError:
    problem = PydanticCustomError("value_error", "{error}", {"error": message})
    return ValidationError.from_exception_data("method", [{"type": problem, "loc": (field,), "input": given}])


MethodChoice = Annotated[SerializeAsAny[Params], PlainValidator(_with_its_parameters)]
"""Which federated method runs; its name alone is enough."""


class Blocks(Section):
    """How the model is cut into blocks and in which order they are trained."""

    alternatives = (("layers", "count"),)

    layers: Number | None = Field(default=None, gt=0)
    """Layers per block: 0.5 (attention and MLP apart), 1, 2, 4 ...; 2 if neither this nor `count` is given."""
    count: Whole | None = Field(default=None, ge=1, le=100_000)
    """Number of blocks, of sizes as equal as whole layers allow, instead of `layers`."""
    schedule: Annotated[
        Literal["random", "sequential", "reverse", "gradient", "change", "bandit"] | tuple[Whole, ...],
        one_of(
            "'random', 'sequential', 'reverse', 'gradient', 'change', 'bandit' or a list of blocks",
            list,
            tuple,
            words=["random", "sequential", "reverse", "gradient", "change", "bandit"],
        ),
    ] = "random"
    """Which block each round trains: a rule, or one block (0-based) per round. By `change` and `bandit` it follows from
    what earlier rounds of a training brought; a simulation draws at random instead."""
    gradient_pass: Duration | None = None
    """Seconds of the extra full pass of the `gradient` schedule, where no profile knows them."""

    @field_validator("layers")
    @classmethod
    def _halves_or_whole(cls, layers: float | None) -> float | None:
        if layers is not None and layers != 0.5 and not layers.is_integer():
            raise ValueError(f"must be 0.5 or a whole number, not {layers:g}")
        return layers


class Local(Section):
    """One local update: the work of a client in a round."""

    steps: Whole = Field(default=40, ge=1)
    """Optimizer steps K per round."""
    batch_size: Whole = Field(default=4, ge=1, le=1_000_000)
    """Sequences per forward and backward pass; a step takes `train.accumulation` such batches, one if left out."""
    sequence_length: Whole = Field(default=512, ge=1, le=10_000_000)
    """Tokens per sequence."""


class Lora(Section):
    """The adapter of the LoRA methods."""

    rank: Whole = Field(default=32, ge=1, le=1_000_000)
    """Rank r of the adapter."""
    targets: Annotated[
        Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)],
        one_of("'all-linear' or a list of names", list, tuple, words=["all-linear"]),
    ] = ("q_proj", "v_proj")
    """Names of modules or stacked expert matrices that get an adapter, or `all-linear`."""


class CyclicOptions(Section):
    """What FedCyBGD is told unless `method` says otherwise: a file for several methods has it here."""

    download_fraction: Number = Field(default=1.0, ge=0, le=1)
    """Share of the blocks changed by others that a client downloads in its turn, drawn at random."""


class Group(Section):
    """Clients that are alike. Clients are numbered from 0 in the order of the fleet."""

    name: Line = ""
    """Free text; `group0`, `group1` ... if left out or empty."""
    count: Whole = Field(default=1, ge=1, le=10_000_000)
    """Number of clients."""
    uplink: Capacity = 100e6
    """Client to server."""
    downlink: Capacity | None = None
    """Server to client; like the uplink if left out."""
    latency: Duration = 0.0
    """One way, paid once per transfer, before the flow starts to share links."""
    transport: Transport | None = None
    """What TCP makes of the links; without it, a message gets all that its links give from the first byte on."""
    site: SiteLine | None = None
    """A line that clients of the group share."""
    region: Name | None = None
    """One of `regions`, between these clients and the server."""
    device: Name | None = None
    """Device that computes; `compute.device` if left out, or else the profile's own."""
    gpus: Whole = Field(default=1, ge=1, le=1024)
    """Such devices of one client: they share its batches out among them, and its model (`train.sharding`)."""
    speed: Number = Field(default=1.0, ge=1e-6, le=1e6)
    """Computes this many times as fast as its device (or the given seconds)."""
    duplex: Literal["full", "half"] = "full"
    """`half`: up and down share the air, so that their airtimes add up."""
    available: Available | None = None
    """When the clients are there; always if left out."""
    outages: Outages | None = None
    """Of the link; none if left out."""
    dropout: Dropout | None = None
    """How often clients vanish in the middle of a round; never if left out."""
    failures: Failures | None = None
    """Of the device; none if left out."""
    gpu_hour: Money | None = None
    """An hour of the device, for `paraSim plan`; `prices.gpu_hour` if left out."""
    power: Watts | None = None
    """What the device draws, for `paraSim plan`; `power` of the scenario if left out."""
    speed_jitter: Jitter | None = None
    """How the speed varies, for `paraSim plan`."""
    uplink_jitter: LinkJitter | None = None
    downlink_jitter: LinkJitter | None = None

    @model_validator(mode="after")
    def _one_direction_at_a_time_has_no_transport(self) -> Self:
        if self.transport is not None and self.duplex == "half":
            raise ValueError("transport: what TCP makes of links with duplex: half is not known; leave one of them out")
        return self

    @property
    def down(self) -> Capacity:
        """Downlink."""
        return self.uplink if self.downlink is None else self.downlink


class ServerResources(Section):
    """The server's links and its work; a link left out is unlimited."""

    ingress: Capacity | None = None
    """All uploads together."""
    egress: Capacity | None = None
    """All downloads together."""
    aggregation: Duration = 0.0
    """Time to aggregate one round."""
    parallel: StrictBool = False
    """Whether rounds may be aggregated side by side; otherwise one after the other, in their order."""


class Participation(Section):
    """Who takes part in a round, and whom it waits for: everyone if left out."""

    alternatives = (("fraction", "rounds"),)

    fraction: Number | None = Field(default=None, gt=0, le=1)
    """This share of the clients, drawn anew each round."""
    rounds: tuple[tuple[Whole, ...], ...] | None = None
    """The clients of each round, one list per round."""
    over_selection: Number = Field(default=1.0, ge=1, le=100)
    """So many times as many clients are selected as `fraction` wants, so that some may be late or fail."""
    quorum: Part | None = Field(default=None, gt=0)
    """A round ends when the updates of this share of the clients that are wanted are in, and not with fewer; if left
    out, with those of all that are left."""
    deadline: Deadline | None = None
    """A round ends so long after it was opened, if any update is in, or is short of its quorum: a duration, or by the
    rounds so far."""
    late: Literal["discard", "next-round"] = "discard"
    """What becomes of updates whose round has ended: dropped, or aggregated with the next one."""
    short: Literal["end", "wait"] = "end"
    """What becomes of a round of which nobody is left, or whose quorum cannot be reached: the run ends in an error, or
    it is opened anew for further clients when they are there."""

    @model_validator(mode="after")
    def _only_a_fraction_is_drawn(self) -> Self:
        if self.over_selection > 1 and self.fraction is None:
            raise ValueError("over_selection: only a fraction can be drawn larger than it is wanted; give fraction")
        return self


class Compression(Section):
    """What is left out of a message. Nothing if empty."""

    top_k: Number | None = Field(default=None, gt=0, le=1)
    """Send only this share of the values, the largest ones, each with its index."""
    index_bytes: Number = Field(default=4, ge=0, le=16)
    """Bytes per index of a top-k value."""
    bits: Whole | None = Field(default=None, ge=1, le=32)
    """Quantize each value to this many bits."""
    group_size: Whole = Field(default=256, ge=1)
    """Values that share one scale when quantized."""
    scale_bytes: Number = Field(default=4, ge=0, le=16)
    """Bytes per scale."""


WIDTHS = {"bfloat16": 2, "float16": 2, "float32": 4}
"""Size of the types that values of messages can have [B]."""


class Wire(Section):
    """How values become bytes."""

    bytes_per_parameter: Number = Field(default=2, ge=0.01, le=16)
    """Size of a value that is not quantized [B]; that of `precision` if it is given."""
    precision: Literal["bfloat16", "float16", "float32"] | None = None
    """What such values are, and what training rounds them to: if left out, `bfloat16` for 2 bytes, `float32` for 4 or
    more. Other sizes are priced, and training rounds nothing."""
    serialization: Duration = 0.0
    """A client's time to pack or unpack one message, part of that transfer."""
    upload: Compression = Compression()
    download: Compression = Compression()

    @model_validator(mode="before")
    @classmethod
    def _as_wide_as_its_values(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("bytes_per_parameter") is not None:
            return data
        width = next((size for name, size in WIDTHS.items() if name == data.get("precision")), None)
        return data if width is None else data | {"bytes_per_parameter": width}

    @model_validator(mode="after")
    def _precision_is_as_wide(self) -> Self:
        if self.precision is not None and WIDTHS[self.precision] != self.bytes_per_parameter:
            of_this_width = [name for name, width in WIDTHS.items() if width == self.bytes_per_parameter]
            raise ValueError(
                f"precision: {self.precision} takes {WIDTHS[self.precision]} bytes per value, but bytes_per_parameter "
                f"is {self.bytes_per_parameter:g}; leave one of them out"
                + (f", or take {' or '.join(of_this_width)}" if of_this_width else "")
            )
        if self.precision is not None:
            # It follows from the type, given or not: whoever sets another type means the width of that.
            self.model_fields_set.discard("bytes_per_parameter")
        return self

    @property
    def carried(self) -> str | None:
        """Type that values have in a message that is not quantized; None for a size that no type has."""
        if self.precision is not None:
            return self.precision
        if self.bytes_per_parameter >= WIDTHS["float32"]:
            return "float32"
        return "bfloat16" if self.bytes_per_parameter == WIDTHS["bfloat16"] else None


class Compute(Section):
    """How long a local update takes: predicted for a device, from a profile, or given in seconds."""

    alternatives = (("seconds", "profile"), ("seconds", "dataset"), ("seconds", "device"))

    profile: OneLine | None = None
    """Name or file of a profile; `paper-a100` if nothing is given."""
    device: Name | None = None
    """Device of all groups that name none: where no profile covers it, its times are predicted (`paraSim list
    devices`)."""
    dataset: OneLine | None = None
    """Data set, for profiles that tell them apart."""
    seconds: Seconds | None = None
    """Instead of a profile: one for all, one per client, or rounds x clients, for a device of speed 1; or a mapping of
    such by method, model or batch size, or by several of them, with `default` for whatever is not named."""
    non_overlapping: Duration | None = None
    """Part of a round's computation during which nothing can be sent (the profile's, or none with seconds)."""

    @field_validator("seconds", mode="before")
    @classmethod
    def _plain_or_told_apart(cls, value: Any) -> Any:
        return None if value is None else read_seconds(value)

    @field_serializer("seconds", when_used="json")
    def _plain(self, seconds: Any) -> Any:
        # The union would write a list with the serializer of a single duration.
        return seconds


class PayloadSizes(Section):
    """Message sizes before compression (`wire`), instead of those that follow from the model."""

    upload: Size
    """One client's update."""
    download: Size | None = None
    """The aggregate of one block; like the upload if left out."""

    @property
    def down(self) -> float:
        """Size of one aggregate [B]."""
        return self.upload if self.download is None else self.download
