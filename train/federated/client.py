"""What one client has, beyond the base model."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from parasim_core.sim.engine.learner import Update
from parasim_core.train.models.blocks import Values


@dataclass
class Client:
    """What one client has, beyond the base model.

    Attributes
    ----------
    known : dict of int to int
        Version that it has of each item; the base where nothing is noted.
    pending : dict of (item, round) to values
        Its own updates that are in none of these versions.
    updates : dict of (item, round) to Update
        What became of them, where it does not wait for an aggregate before it trains again.
    adamw : dict of int to values
        What AdamW knew after its last update of each item, where clients keep that (`LocalUpdate.adamw`).
    """

    known: dict[int, int] = field(default_factory=dict)
    pending: dict[tuple[int, int], Values] = field(default_factory=dict)
    updates: dict[tuple[int, int], Update] = field(default_factory=dict)
    adamw: dict[int, Values] = field(default_factory=dict)

    def own(self, *, replaced: bool) -> dict[int, list[Values]]:
        """Its pending updates by item, oldest first.

        Parameters
        ----------
        replaced : bool
            Whether versions are numbered by rounds: one that is late is not in its round's version, which stands in its
            place all the same.
        """
        updates: dict[int, list[Values]] = {}
        for (item, round), delta in sorted(self.pending.items(), key=lambda entry: entry[0]):
            if not (replaced and round <= self.known.get(item, round - 1)):
                updates.setdefault(item, []).append(delta)
        return updates

    def replace(self, item: int, round: int) -> None:
        """Take one of its own updates back: what is on the server stands in its place, or nothing."""
        self.pending.pop((item, round), None)
        self.updates.pop((item, round), None)

    def correct(self, items: Collection[int]) -> None:
        """Have the server's versions of some items in the place of its own updates that the server has by now.

        Those may be in these versions, or come with later ones; what is still to be sent stays.
        """
        for key in [key for key, update in self.updates.items() if update.received and key[0] in items]:
            self.replace(*key)

    def forget(self, newest: Callable[[int], int]) -> None:
        """Go back to the base for every item of which there is a newer version that it did not fetch."""
        self.known = {item: version for item, version in self.known.items() if version == newest(item)}
