"""The server's model as versions of its items, and each client's view of it.

An item is what a round renews: a block, the one adapter, or the whole model. The values of each version are
kept once, however many clients hold it; a client is only the list of versions it knows and its own updates
that are not in them yet. So N clients cost one model, the versions that someone may still train on, and the
updates in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from parasim_core.train.models.blocks import Part, Values

BASE = -1
"""Version of an item that no round has renewed yet."""


class Versions:
    """Versions of the server's items.

    Parameters
    ----------
    part : callable
        Parameters of an item in the one model.
    lag : int
        Rounds that a client may train behind the server (the staleness of an overlapped protocol).
    held : callable, optional
        Versions of an item that clients go back to however old they are, as FedCyBGD's do that skip downloads.

    Notes
    -----
    Values are float32. Where the model is, too, its parameters point at them instead of holding copies.
    """

    def __init__(
        self, part: Callable[[int], Part], *, lag: int, held: Callable[[int], Collection[int]] = lambda item: ()
    ):
        self._part = part
        self._lag = lag
        self._held = held
        self.values: dict[int, dict[int, Values]] = {}
        self._shown: dict[int, int | None] = {}

    def newest(self, item: int) -> int:
        """Newest version of an item."""
        return max(self.values[item]) if item in self.values else BASE

    def get(self, item: int, version: int) -> Values:
        """Values of a version, the model's own for an item that was never renewed."""
        if item not in self.values:
            base = {name: parameter.detach().to(torch.float32) for name, parameter in self._part(item).items()}
            self.values[item] = {BASE: base}
            self._shown[item] = BASE
        return self.values[item][version]

    def newest_values(self, item: int) -> Values:
        """Values of the newest version of an item."""
        return self.get(item, self.newest(item))

    def load(self, item: int, version: int, values: Values) -> None:
        """Put back a version that was saved."""
        self.values.setdefault(item, {})[version] = {name: values[name] for name in self._part(item)}

    def replace(self, values: Mapping[int, Mapping[int, Values]]) -> None:
        """Have other versions, by item and number; the model shows none of them yet."""
        self.values = {item: dict(versions) for item, versions in values.items()}
        self._shown = dict.fromkeys(self.values)

    def renew(self, item: int, round: int, change: Mapping[str, Tensor]) -> None:
        """Add a change to the newest version of an item, and forget versions that no one will train on again."""
        newest = self.newest_values(item)
        self.values[item][round] = {name: value + change[name] for name, value in newest.items()}
        for other, versions in self.values.items():
            held = self._held(other)
            # All updates of this round are in, so every client's next one starts from at least this version.
            needed = max((v for v in versions if v <= round - self._lag), default=BASE)
            for version in [v for v in versions if v < needed and v not in held]:
                del versions[version]

    def show(self, item: int, version: int) -> None:
        """Let the model have a version of an item."""
        if self._shown.get(item) != version:
            self._point(item, self.get(item, version))
            self._shown[item] = version

    def show_private(self, item: int, values: Values) -> None:
        """Let the model have a client's own values of an item, until something else is shown."""
        self._point(item, values)
        self._shown[item] = None

    def show_newest(self) -> None:
        """Let the model be the server's."""
        for item in self.values:
            self.show(item, self.newest(item))

    def _point(self, item: int, values: Values) -> None:
        for name, parameter in self._part(item).items():
            parameter.data = values[name].to(device=parameter.device, dtype=parameter.dtype)
