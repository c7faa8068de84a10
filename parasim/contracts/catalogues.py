"""Shapes of what `paraSim list` and `paraSim import` say."""

from __future__ import annotations

from pydantic import Field

from parasim.contracts.shapes import Stamped
from parasim_core.sim.scenario.fields import Section


class Model(Section):
    """A model of the catalogue."""

    name: str
    model_type: str
    parameters: int
    active_parameters: int
    """Of a token: of a mixture, the experts that it is sent to and all else."""
    layers: int
    parameters_per_layer: float
    """Mean over the layers."""
    embedding_parameters: int
    head_parameters: int
    other_parameters: int
    bytes: float
    """In bfloat16 [B], like the next one."""
    bytes_per_layer: float


class ModelsResult(Stamped):
    """What `paraSim list models --format json` prints."""

    models: list[Model]


class Method(Section):
    """A federated method."""

    name: str
    protocol: str
    """Its shape in time."""
    trains: str
    """What is trained."""
    summary: str


class MethodsResult(Stamped):
    """What `paraSim list methods --format json` prints."""

    methods: list[Method]


class Profile(Section):
    """A profile that comes with paraSim."""

    name: str
    kind: str
    """`published` or `measured`."""
    device: str
    source: str


class ProfilesResult(Stamped):
    """What `paraSim list profiles --format json` prints."""

    profiles: list[Profile]


class Device(Section):
    """A device whose memory and rates are known."""

    name: str
    memory_bytes: float
    """As the device reports it [B]."""
    precision: str
    """Type that weights are held in."""
    bandwidth_bytes_per_s: float
    """Of its memory [B/s]."""
    launch_s: float
    """Time to launch an operation [s]."""
    operations_per_s: dict[str, float]
    """Dense matrix rates by type [FLOP/s]."""
    source: str
    memory_source: str
    kind: str
    """Class of the device."""
    cache: float
    """[B]."""
    sustained: float
    """Share of its rates that it keeps up."""
    processors: int
    achievable: dict[str, float]
    """Rates that were reached, by type [FLOP/s]."""
    achievable_source: str
    link: float
    """Rate between such devices [B/s]."""
    power: float | None
    """[W]."""
    price_per_hour: float | None
    """[USD/h]."""
    price_source: str


class DevicesListResult(Stamped):
    """What `paraSim list devices --format json` prints."""

    devices: list[Device]


class Figure(Section):
    """One measured figure."""

    value: float | str | None
    """In base units; null if nobody measured it."""
    unit: str
    source: str = Field(alias="from", description="File that it is from.")
    how: str
    """How it follows from that."""


class ImportedClient(Section):
    """What was measured of a client's links."""

    name: str
    count: int
    uplink: Figure
    downlink: Figure
    latency: Figure
    loss: Figure
    control: Figure
    notes: list[str]


class ImportLinksResult(Stamped):
    """What `paraSim import links --format json` prints."""

    clients: list[ImportedClient]
    files: list[str]
    """What was written."""
