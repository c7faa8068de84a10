"""What a run costs, and what there is to choose from: sections that `paraSim plan` reads and a simulation does not.

The defaults are round numbers of the order of public list prices and datasheets, made up so that a plan works at
once: assumptions, and called so wherever they enter. Give your own.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from parasim_core.sim.scenario import units
from parasim_core.sim.scenario.fields import Bandwidth, Money, Name, Power, PriceOfTraffic, Section, Whole, is_number


class Prices(Section):
    """What is paid for."""

    gpu_hour: Money = 2.0
    """An hour of a client's device."""
    billed: Literal["wall-clock", "presence", "compute"] = "wall-clock"
    """Hours that are billed: all from start to end, those of the rounds that a client takes part in, or computing."""
    hours: Literal["exact", "started"] = "exact"
    """`started`: whole hours, also of one that has only begun, each time that a client's device is rented."""
    upload: PriceOfTraffic = 0.0
    """Client to server: traffic into clouds is mostly free."""
    download: PriceOfTraffic = units.price_of_traffic("0.05USD/GB")
    """Server to client."""
    link_month: Money = 0.0
    """A month of a client's own links, or of the line that a site's clients share; 0 if they are there anyway."""
    months: Literal["share", "started"] = "share"
    """Months of links that are billed: the share that the run takes, or whole ones, also of one that has only begun."""
    kilowatt_hour: Money = 0.0
    """Electricity, where it is not part of the device's price."""


class Watts(Section):
    """What a client's device draws."""

    compute: Power = 400.0
    """While it computes."""
    idle: Power = 60.0
    """While it is there and does not."""


class DeviceChoice(Section):
    """A device that clients could have instead."""

    name: Name
    """Of the catalogue in docs/explanation/devices.md, or any if `speed` is given."""
    speed: Annotated[float, Field(ge=1e-6, le=1e6), BeforeValidator(is_number)] | None = None
    """As in `fleet`; by predictions for the catalogue, and roughly so, if left out."""
    gpu_hour: Money
    """An hour of it."""
    power: Watts = Watts()


class LinkChoice(Section):
    """Access links that clients could have instead; of a group with a site, the line that the site's clients share."""

    name: Name
    uplink: Bandwidth
    downlink: Bandwidth | None = None
    """Like the uplink if left out."""
    month: Money = 0.0
    """A month of it for one client, or one site, billed as `prices.months` says."""
    once: Money = 0.0
    """Setting it up for one client, or one site."""
    upload: PriceOfTraffic | None = None
    """Instead of `prices.upload`."""
    download: PriceOfTraffic | None = None
    """Instead of `prices.download`."""


DEVICES = tuple(
    DeviceChoice.model_validate({"name": name, "gpu_hour": price, "power": {"compute": power}})
    for name, price, power in (("rtx-4090", "0.5USD", "450W"), ("l40s", "1USD", "350W"), ("h100", "3USD", "700W"))
)
"""Assumed prices; power as the vendors' datasheets limit it."""
LINKS = tuple(
    LinkChoice.model_validate({"name": name, "uplink": name, "month": price})
    for name, price in (("200 Mbit/s", "100USD"), ("1 Gbit/s", "500USD"), ("10 Gbit/s", "2500USD"))
)
"""Assumed prices."""
LAYERS = (1.0, 2.0, 4.0)


class Choices(Section):
    """What `paraSim plan --budget` may choose; what the fleet has already is always among it."""

    groups: tuple[Name, ...] | None = None
    """Names of the groups that get a chosen device and links, all of them or one alone; all groups if left out."""
    leave_out: tuple[Name, ...] = ()
    """Names of groups any of which may be left out of the run."""
    every: Annotated[tuple[Annotated[Whole, Field(ge=1, le=1000)], ...], Field(min_length=1)] = (1,)
    """How seldom `groups`, all of them or one alone, may take part: in every n-th round."""
    devices: tuple[DeviceChoice, ...] = DEVICES
    links: tuple[LinkChoice, ...] = LINKS
    layers: tuple[Annotated[float, Field(gt=0), BeforeValidator(is_number)], ...] = LAYERS
    """Block widths, for methods in which all clients train the same block."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for field in ("devices", "links"):
            names = [choice.name for choice in getattr(self, field)]
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ValueError(f"{field}: {twice!r} stands there twice; tell them apart by their names")
        return self
