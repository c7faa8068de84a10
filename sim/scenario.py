"""A scenario: everything that determines a run, validated and frozen.

Read one from a file with `sim.scenario_file.load`; the field names are the file's. What is left out takes
the default written here, and the defaults together are the setting of the ParaBlock paper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    field_serializer,
    field_validator,
    model_validator,
)

from sim import units
from sim.complaints import explain, shown
from sim.errors import ParaSimError, ScenarioError, nearest
from sim.methods import METHODS


def _quantity(read: Callable[[Any], float], write: Callable[[float], str], example: str) -> tuple[Any, ...]:
    """Pydantic's machinery for a quantity: read with its unit, written back with one, a string in the schema."""

    def parse(value: Any) -> float:
        try:
            return read(value)
        except ParaSimError as error:
            raise ValueError(str(error)) from None

    number = {"type": "number", "minimum": 0} if read is units.duration else {"const": 0}
    text = {"type": "string", "pattern": r"^\s*\+?[0-9.]+([eE][+-]?[0-9]+)?\s*[A-Za-zµ/]*\s*$"}
    schema = {"anyOf": [text, number], "examples": [example]}
    return BeforeValidator(parse), PlainSerializer(write, when_used="json"), WithJsonSchema(schema)


def _is_number(value: Any) -> Any:
    # Pydantic would take true for 1 and "32" for 32, which the schema refuses.
    if isinstance(value, bool | str):
        raise ValueError(f"must be a number, not {shown(value)}")
    return value


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"must be one line of printable text, not {shown(text)}")
    return text


Whole = Annotated[int, BeforeValidator(_is_number)]
Number = Annotated[float, BeforeValidator(_is_number)]
Line = Annotated[str, AfterValidator(_one_line), Field(max_length=200)]
Bandwidth = Annotated[float, *_quantity(units.bandwidth, units.format_bandwidth, "100MB/s")]
Duration = Annotated[float, *_quantity(units.duration, lambda seconds: f"{seconds!r}s", "10ms")]
Size = Annotated[float, *_quantity(units.size, units.format_size, "872MB")]


class Section(BaseModel):
    """Base of every part of a scenario: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Method(Section):
    """Which federated method runs; its name alone is enough."""

    name: str = "parablock"
    """One of `paraSim list methods`."""
    staleness: Whole = Field(default=1, ge=1, le=1000)
    """Rounds between an update and its exchange, in overlapped methods: 1 in the paper; others have none."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in METHODS:
            raise ValueError(f"unknown method {name!r}; {nearest(name, METHODS)}")
        return name


class Blocks(Section):
    """How the model is cut into blocks and in which order they are trained."""

    layers: Number | None = Field(default=None, gt=0)
    """Layers per block: 0.5 (attention and MLP apart), 1, 2, 4 ...; 2 if neither this nor `count` is given."""
    count: Whole | None = Field(default=None, ge=1, le=100_000)
    """Number of blocks, of sizes as equal as whole layers allow, instead of `layers`."""
    schedule: Literal["random", "sequential", "reverse", "gradient"] | tuple[Whole, ...] = "random"
    """Which block each round trains: a rule, or one block (0-based) per round."""
    gradient_pass: Duration | None = None
    """Seconds of the extra full pass of the `gradient` schedule, where no profile knows them."""

    @model_validator(mode="after")
    def _one_partition(self) -> Self:
        if self.layers is not None and self.count is not None:
            raise ValueError("give layers (per block) or count (of blocks), not both")
        return self

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
    batch_size: Whole = Field(default=4, ge=1)
    """Sequences per step (the effective batch size)."""
    sequence_length: Whole = Field(default=512, ge=1)
    """Tokens per sequence."""


class Lora(Section):
    """The adapter of the LoRA methods."""

    rank: Whole = Field(default=32, ge=1)
    """Rank r of the adapter."""
    targets: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = ("q_proj", "v_proj")
    """Module names that get an adapter, or `all-linear`."""


class Cyclic(Section):
    """What is particular to FedCyBGD."""

    download_fraction: Number = Field(default=1.0, ge=0, le=1)
    """Share of the blocks changed by others that a client downloads in its turn, drawn at random."""


class Group(Section):
    """Clients that are alike. Clients are numbered from 0 in the order of the fleet."""

    name: Line = ""
    """Free text; `group0`, `group1` ... if left out."""
    count: Whole = Field(default=1, ge=1, le=10_000_000)
    """Number of clients."""
    uplink: Bandwidth = 100e6
    """Client to server."""
    downlink: Bandwidth | None = None
    """Server to client; like the uplink if left out."""
    latency: Duration = 0.0
    """One way, paid once per transfer, before the flow starts to share links."""
    device: Line | None = None
    """Device that computes; the profile's own if left out."""
    speed: Number = Field(default=1.0, ge=1e-6, le=1e6)
    """Computes this many times as fast as the device of the profile (or the given seconds)."""
    duplex: Literal["full", "half"] = "full"
    """`half`: up and down share the air, so that their airtimes add up."""

    @property
    def down(self) -> float:
        """Downlink [B/s]."""
        return self.uplink if self.downlink is None else self.downlink


class Server(Section):
    """The server's links and its work; a link left out is unlimited."""

    ingress: Bandwidth | None = None
    """All uploads together."""
    egress: Bandwidth | None = None
    """All downloads together."""
    aggregation: Duration = 0.0
    """Time to aggregate one round."""


class Participation(Section):
    """Who takes part in a round: everyone if left out."""

    fraction: Number | None = Field(default=None, gt=0, le=1)
    """This share of the clients, drawn anew each round."""
    rounds: tuple[tuple[Whole, ...], ...] | None = None
    """The clients of each round, one list per round."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.fraction is not None and self.rounds is not None:
            raise ValueError("give fraction or rounds, not both")
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


class Wire(Section):
    """How values become bytes."""

    bytes_per_parameter: Number = Field(default=2, ge=0.01, le=16)
    """2 for bf16, 4 for fp32."""
    serialization: Duration = 0.0
    """A client's time to pack or unpack one message, part of that transfer."""
    upload: Compression = Compression()
    download: Compression = Compression()


class Compute(Section):
    """How long a local update takes: from a profile, or given in seconds."""

    profile: str | None = None
    """Name or file of a profile; `paper-a100` if nothing is given."""
    dataset: str | None = None
    """Data set, for profiles that tell them apart."""
    seconds: Duration | tuple[Duration, ...] | tuple[tuple[Duration, ...], ...] | None = None
    """Instead of a profile: one for all, one per client, or rounds x clients, for a device of speed 1."""
    non_overlapping: Duration | None = None
    """Part of a round's computation during which nothing can be sent (the profile's, or none with seconds)."""

    @field_validator("seconds", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        # Tried one by one, the union's branches would answer a bad list with a page of messages.
        def read(item: Any, depth: int) -> Any:
            if isinstance(item, list | tuple):
                if depth == 2:
                    raise ValueError(
                        "must be a number, a list of them (one per client), or a list of such lists (rounds x clients)"
                    )
                if not item:
                    raise ValueError("must not be an empty list")
                if len({isinstance(entry, list | tuple) for entry in item}) > 1:
                    raise ValueError("must not mix numbers and lists")
                return tuple(read(entry, depth + 1) for entry in item)
            try:
                return units.duration(item)
            except ParaSimError as error:
                raise ValueError(str(error)) from None

        return None if value is None else read(value, 0)

    @field_serializer("seconds", when_used="json")
    def _plain(self, seconds: Any) -> Any:
        # The union would write a list with the serializer of a single duration.
        return seconds

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.seconds is not None and (self.profile is not None or self.dataset is not None):
            raise ValueError("give seconds or a profile (with its dataset), not both")
        return self


class Payload(Section):
    """Message sizes, instead of those that follow from the model."""

    upload: Size
    """One client's update."""
    download: Size | None = None
    """The aggregate of one block; like the upload if left out."""

    @property
    def down(self) -> float:
        """Size of one aggregate [B]."""
        return self.upload if self.download is None else self.download


class Scenario(Section):
    """Everything that determines a run.

    Raises
    ------
    pydantic.ValidationError
        On direct construction; `Scenario.parse` turns it into a `ScenarioError` with one clear line per field.
    """

    name: Line = "scenario"
    """Free text."""
    model: str | None = Field(default=None, min_length=1)
    """Catalogue name or path of a config.json; not needed if compute and payload are explicit."""
    method: Method = Method()
    rounds: Whole = Field(default=32, ge=1, le=1_000_000)
    """Number of rounds; for FedCyBGD the number of turns."""
    blocks: Blocks = Blocks()
    local: Local = Local()
    lora: Lora = Lora()
    cyclic: Cyclic = Cyclic()
    fleet: tuple[Group, ...] = Field(default=(Group(name="client", count=10),), min_length=1, fail_fast=True)
    """Groups of clients; 10 clients on 100 MB/s links if left out."""
    server: Server = Server()
    participation: Participation = Participation()
    wire: Wire = Wire()
    compute: Compute = Compute()
    payload: Payload | None = None
    train: dict[str, Any] | None = None
    """Settings of `paraSim train`, which checks them; a simulation does not look at them."""
    seed: Whole = Field(default=0, ge=0, lt=2**63)
    """Seed of every random draw."""

    @field_validator("method", mode="before")
    @classmethod
    def _method_by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def clients(self) -> int:
        """Number of clients in the fleet."""
        return sum(group.count for group in self.fleet)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_participants()
        self._check_seconds()
        if isinstance(self.blocks.schedule, tuple):
            _fits(len(self.blocks.schedule), self.rounds, "blocks.schedule", "blocks", "rounds")
        if self.model is None and (self.payload is None or self.compute.seconds is None):
            missing = "payload" if self.payload is None else "compute.seconds"
            raise ValueError(
                f"model: needed, because {missing} is not given; name one (`paraSim list models`), "
                "or give both payload and compute.seconds"
            )
        return self

    def _check_participants(self) -> None:
        lists = self.participation.rounds
        if lists is None:
            return
        _fits(len(lists), self.rounds, "participation.rounds", "lists", "rounds")
        for number, members in enumerate(lists):
            where = f"participation.rounds.{number}"
            if not members:
                raise ValueError(f"{where}: nobody takes part")
            if len(members) > self.clients:
                raise ValueError(f"{where}: {len(members)} participants, but the fleet has {self.clients} clients")
            if len(set(members)) < len(members):
                raise ValueError(f"{where}: names a client twice")
            for client in members:
                if not 0 <= client < self.clients:
                    raise ValueError(f"{where}: no client {client}; they are 0 to {self.clients - 1}")

    def _check_seconds(self) -> None:
        seconds = self.compute.seconds
        if not isinstance(seconds, tuple):
            return
        if not isinstance(seconds[0], tuple):
            _fits(len(seconds), self.clients, "compute.seconds", "numbers", "clients")
            return
        _fits(len(seconds), self.rounds, "compute.seconds", "rows", "rounds")
        for number, row in enumerate(seconds):
            assert isinstance(row, tuple)
            _fits(len(row), self.clients, f"compute.seconds.{number}", "numbers", "clients")

    @classmethod
    def parse(cls, data: Any, source: str = "scenario") -> Scenario:
        """Validate plain data (what a YAML, TOML or JSON file holds).

        Parameters
        ----------
        data : mapping
            The fields.
        source : str
            Where they came from, for messages.

        Raises
        ------
        ScenarioError
            Naming each wrong field, what was given, and the nearest right spelling of an unknown one.
        """
        if not isinstance(data, dict):
            raise ScenarioError(f"{source}: a scenario is a mapping of fields, not {shown(data)}")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ScenarioError(f"{source}:{explain(error, cls)}") from None


def _fits(given: int, wanted: int, field: str, things: str, per: str) -> None:
    if given != wanted:
        raise ValueError(f"{field}: {given} {things} for {wanted} {per}; give one for each")


def json_schema() -> dict[str, Any]:
    """JSON Schema of scenario files, the method's name alone included."""
    schema = Scenario.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "paraSim scenario"
    method = schema["properties"]["method"]
    name = {"type": "string", "enum": sorted(METHODS)}
    schema["properties"]["method"] = {"anyOf": [name, {"$ref": "#/$defs/Method"}], "default": method.get("default")}
    schema["$defs"]["Method"]["properties"]["name"]["enum"] = sorted(METHODS)
    # Defaults as a file would write them: with their units, so that an editor may fill them in.
    for section in (Method, Blocks, Local, Lora, Cyclic, Group, Server, Participation, Compression, Wire, Compute):
        written = section().model_dump(mode="json")
        for name, field in schema["$defs"][section.__name__]["properties"].items():
            if "default" in field:
                field["default"] = written[name]
    return schema
