"""A scenario: everything that determines a run, validated and frozen.

Read one from a file with `sim.scenario.reading.load`; the field names are the file's. What is left out takes
the default of its section (`sim/scenario/sections.py`); the defaults together are the setting of the ParaBlock paper.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from parasim_core.sim.engine.shape import Params
from parasim_core.sim.errors import ScenarioError, nearest, shown
from parasim_core.sim.scenario import economy, failures, links, sections
from parasim_core.sim.scenario.calendar import read_moment, seconds_of_day
from parasim_core.sim.scenario.fields import Integer, Moment, Name, OneLine, PlainFields, SchemaOfFields, Section, Whole
from parasim_core.sim.scenario.seconds import chosen, leaves
from parasim_core.sim.scenario.uncertainty import Uncertainty
from parasim_core.sim.scenario.validation_messages import validation_message
from parasim_core.sim.workload.methods import METHODS, with_parameter

PLANNED: dict[str, Any] = {
    **dict.fromkeys(("prices", "power", "choices", "uncertainty"), True),
    "fleet": {"__all__": {"gpu_hour", "power", "speed_jitter", "uplink_jitter", "downlink_jitter"}},
}
"""Fields that only planning looks at, as pydantic's `exclude` takes them: two runs that differ in them alone agree."""


_BY_THE_CLOCK = "goes by the time of day; say when the run starts, start: 2026-12-04T18:00"


class Scenario(Section):
    """Everything that determines a run.

    Raises
    ------
    pydantic.ValidationError
        On direct construction; `Scenario.parse` turns it into a `ScenarioError` with one clear line per field.
    """

    name: Name = "scenario"
    """Free text."""
    model: OneLine | None = None
    """Catalogue name or path of a config.json; not needed if compute and payload are explicit."""
    method: sections.MethodChoice = Field(default_factory=lambda: METHODS[Params().name].shape.Params())
    rounds: Whole = Field(default=32, ge=1, le=1_000_000)
    """Number of rounds; for FedCyBGD the number of turns."""
    start: Moment | None = None
    """When the run starts, by the calendar: ISO 8601, and perhaps a time zone, `2026-12-04T18:00 Europe/Berlin`.
    Results then say when it ends, and clients that come and go by the time of day do so by the clock."""
    blocks: sections.Blocks = sections.Blocks()
    local: sections.Local = sections.Local()
    lora: sections.Lora = sections.Lora()
    cyclic: sections.CyclicOptions = sections.CyclicOptions()
    fleet: tuple[sections.Group, ...] = Field(
        default=(sections.Group(name="client", count=10),), min_length=1, fail_fast=True
    )
    """Groups of clients; 10 clients on 100 MB/s links if left out."""
    regions: dict[Name, links.Region] = Field(default_factory=dict)
    """Regions, by the name that groups give."""
    server: sections.ServerResources = sections.ServerResources()
    participation: sections.Participation = sections.Participation()
    wire: sections.Wire = sections.Wire()
    compute: sections.Compute = sections.Compute()
    payload: sections.PayloadSizes | None = None
    prices: economy.Prices = economy.Prices()
    """For `paraSim plan`; a simulation does not look at it, nor at the next three."""
    power: economy.Watts = economy.Watts()
    choices: economy.Choices = economy.Choices()
    uncertainty: Uncertainty = Uncertainty()
    train: PlainFields | None = None
    """Settings of `paraSim train`, which checks them. A simulation looks only at those that say how a step is computed,
    such as `accumulation`, `weights` and `optimizer`, for its memory and where its seconds are predicted."""
    seed: Integer = Field(default=0, ge=0, lt=2**63)
    """Seed of every random draw."""

    @model_validator(mode="before")
    @classmethod
    def _cyclic_told(cls, data: Any) -> Any:
        """Let the section `cyclic` tell the method what it does not say itself, if it is one that can be told."""
        if not isinstance(data, dict) or not isinstance(data.get("cyclic"), dict):
            return data
        method = data.get("method", Params().name)
        method = {"name": method} if isinstance(method, str) else method
        if not isinstance(method, dict):
            return data
        own = {field: value for field, value in data["cyclic"].items() if method.get("name") in with_parameter(field)}
        return data | {"method": own | method}

    @property
    def clients(self) -> int:
        """Number of clients in the fleet."""
        return sum(group.count for group in self.fleet)

    @property
    def starts(self) -> datetime | None:
        """When the run starts; None if the calendar does not matter."""
        return None if self.start is None else read_moment(self.start)

    @property
    def clock(self) -> float | None:
        """Time of day at which it starts, since midnight [s]; None if nobody says."""
        return None if self.starts is None else seconds_of_day(self.starts)

    @property
    def given_seconds(self) -> tuple[tuple[str, ...], Any]:
        """Plain seconds of this method, model and batch size, with the keys of the mapping that lead to them.

        One number for all, one per client, or rounds x clients [s]; None where no seconds are given.

        Raises
        ------
        CostError
            If `compute.seconds` is a mapping and has none for them.
        """
        return chosen(self.compute.seconds, self.method.name, self.model, self.local.batch_size)

    def device_of(self, group: sections.Group) -> str | None:
        """Device that a group computes on, if it or `compute.device` names one."""
        return self.compute.device if group.device is None else group.device

    @property
    def devices(self) -> list[str]:
        """Devices that groups compute on, as far as they are named, each once, in the order of the fleet."""
        return [name for name in dict.fromkeys(map(self.device_of, self.fleet)) if name is not None]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_regions()
        self._check_participants()
        self._check_waiting()
        self._check_seconds()
        self._check_days()
        if isinstance(self.blocks.schedule, tuple):
            _fits(len(self.blocks.schedule), self.rounds, "blocks.schedule", "blocks", "rounds")
        weighed = self.payload is not None or METHODS[self.method.name].sends is not None
        if self.model is None and not (weighed and self.compute.seconds is not None):
            missing = "compute.seconds" if weighed else "payload"
            raise ValueError(
                f"model: needed, because {missing} is not given; name one (`paraSim list models`), "
                "or give both payload and compute.seconds"
            )
        return self

    def _check_regions(self) -> None:
        for number, group in enumerate(self.fleet):
            if group.region is not None and group.region not in self.regions:
                hint = nearest(group.region, self.regions) if self.regions else "regions names none"
                raise ValueError(f"fleet.{number}.region: there is no region {shown(group.region)}; {hint}")

    def _check_days(self) -> None:
        """Refuse what goes by the time of day where nobody says when the run starts."""
        starts = self.starts
        if starts is None:
            self._check_links()
        for number, group in enumerate(self.fleet):
            field = f"fleet.{number}.available"
            if group.available is None or (group.available.daily is None and group.available.zone is None):
                continue
            if starts is None:
                raise ValueError(f"{field}: {_BY_THE_CLOCK}")
            if group.available.zone is not None and starts.tzinfo is None:
                raise ValueError(f"{field}.zone: start has none; give it one, such as start: {self.start} UTC")

    def _check_links(self) -> None:
        lines: list[tuple[str, Any]] = [(f"fleet.{number}", group) for number, group in enumerate(self.fleet)]
        lines += [(f"fleet.{number}.site", group.site) for number, group in enumerate(self.fleet) if group.site]
        lines += [(f"regions.{name}", region) for name, region in self.regions.items()]
        ends = (("uplink", "downlink"), ("ingress", "egress"))
        for path, line in (*lines, ("server", self.server)):
            for field in ends[path == "server"]:
                if getattr(getattr(line, field), "start", None) == links.TIME_OF_DAY:
                    raise ValueError(f"{path}.{field}.start: {_BY_THE_CLOCK}")

    def _check_participants(self) -> None:
        lists, clients = self.participation.rounds, self.clients
        if lists is None:
            return
        _fits(len(lists), self.rounds, "participation.rounds", "lists", "rounds")
        for number, members in enumerate(lists):
            where = f"participation.rounds.{number}"
            if not members:
                raise ValueError(f"{where}: nobody takes part")
            if len(members) > clients:
                raise ValueError(f"{where}: {len(members)} participants, but the fleet has {clients} clients")
            if len(set(members)) < len(members):
                raise ValueError(f"{where}: names a client twice")
            if unknown := [client for client in members if not 0 <= client < clients]:
                raise ValueError(f"{where}: no client {unknown[0]}; they are 0 to {clients - 1}")

    def _check_waiting(self) -> None:
        traits = METHODS[self.method.name].shape.traits
        if traits.rounds_numbered and not traits.takes_turns:
            return
        given, default = self.participation, sections.Participation()
        # A quorum of one is nothing to wait for.
        fields = ["over_selection", "deadline", "late", *(() if given.quorum == 1 else ("quorum",))]
        for field in fields:
            if getattr(given, field) != getattr(default, field):
                why = "take turns" if traits.takes_turns else "begin again by themselves"
                raise ValueError(f"participation.{field}: clients of {self.method.name} {why}; leave it out")

    def _check_seconds(self) -> None:
        for keys, seconds in leaves(self.compute.seconds):
            field = ".".join(("compute.seconds", *keys))
            if not isinstance(seconds, tuple):
                continue
            if not isinstance(seconds[0], tuple):
                _fits(len(seconds), self.clients, field, "numbers", "clients")
                continue
            _fits(len(seconds), self.rounds, field, "rows", "rounds")
            for number, row in enumerate(seconds):
                _fits(len(row), self.clients, f"{field}.{number}", "numbers", "clients")

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
            raise ScenarioError(f"{source}:{validation_message(error, cls)}") from None


def _fits(given: int, wanted: int, field: str, things: str, per: str) -> None:
    if given != wanted:
        raise ValueError(f"{field}: {given} {things} for {wanted} {per}; give one for each")


def json_schema() -> dict[str, Any]:
    """JSON Schema of scenario files, the method's name alone included."""
    schema = Scenario.model_json_schema(schema_generator=SchemaOfFields)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "paraSim scenario"
    shapes: dict[type[Params], list[str]] = {method.shape.Params: [] for method in METHODS.values()}
    for name, method in sorted(METHODS.items()):
        shapes[method.shape.Params].append(name)
    choices: list[dict[str, Any]] = [{"type": "string", "enum": sorted(METHODS)}]
    for params, names in shapes.items():
        own = params.model_json_schema(schema_generator=SchemaOfFields)
        own["properties"]["name"] = {"type": "string", "enum": names}
        if Params().name not in names:
            own["required"] = ["name"]
        choices.append(own)
    schema["properties"]["method"] = {"anyOf": choices, "default": {"name": Params().name}}
    schema["$defs"].pop("Params", None)
    # Defaults as a file would write them: with their units, so that an editor may fill them in.
    known = vars(sections) | vars(economy) | vars(links) | vars(failures) | {"Uncertainty": Uncertainty}
    for name, definition in schema["$defs"].items():
        written = known[name].model_construct().model_dump(mode="json")
        for field, described in definition["properties"].items():
            if "default" in described:
                described["default"] = written[field]
    return schema
