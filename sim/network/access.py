"""Access links of a tree in one direction, with the transfers on them; see `tree.py`."""

from __future__ import annotations

import heapq
import math
from typing import Any

from parasim_core.sim.network.access_rate import AccessRate, fixed_point
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.network.timing import CLOCK_SLACK
from parasim_core.sim.network.transfer import Transfer


class Access(AccessRate):
    """One direction of a port: an access link with the transfers on it."""

    __slots__ = ()

    def start(self, transfer: Transfer, size: float) -> None:
        """Let a transfer share from now on; see `AccessLink.start`."""
        if self.coupled is not None and not self.ends:
            self._meet(self.coupled, 1)
        self._leave()
        self.trunk.stamps += 1
        heapq.heappush(self.ends, (self.virtual + size, self.trunk.stamps, transfer))

    def withdraw(self, transfer: Transfer) -> float:
        """Take out a transfer, and return the bytes of it that are left [B]; see `AccessLink.withdraw`."""
        load: float = transfer.size if transfer.load is None else transfer.load
        entry = next((entry for entry in self.ends if entry[2] is transfer), None)
        if entry is None:
            return load
        self._leave()
        left: float = entry[0] - self.virtual
        self.ends.remove(entry)
        heapq.heapify(self.ends)
        if not self.ends:
            self._become_idle()
        return min(max(left, 0.0), load)

    def _become_idle(self) -> None:
        self.virtual = 0.0
        if self.coupled is not None:
            self._meet(self.coupled, -1)

    def _meet(self, other: AccessRate, more: int) -> None:
        """Tell the other direction that this one begins to carry something, or ends to."""
        if other.ends:
            self.trunk.meetings += more
            other.trunk.meetings += more
            other.look_again()

    def set_capacity(self, capacity: float | Varying) -> None:
        """Change the capacity [B/s] from now on."""
        self.look_again()
        self.change(self.env.now, capacity)
        # What it had before is not taken back: links above may then be taken for binding though they are not.
        self.above.add_peak(self.count * (capacity.peak if isinstance(capacity, Varying) else capacity))
        self.trunk.varied = True
        self.wake = -math.inf
        self.special = self.connection is not None or self.course is not None
        self.flow = None
        self.share = self.count * fixed_point(self.capacity)
        if self.coupled is not None:
            self.coupled.look_again()

    def withdraw_peak(self) -> None:
        """Have the links above know that nothing will come from here any more."""
        peak = self.course.peak if self.course is not None else self.capacity
        if peak < math.inf:
            self.above.add_peak(-self.count * peak)

    def finish_due(self) -> None:
        """End what is due now, before rates change, on a link that has been taken out."""
        slack = self.trunk.clock * CLOCK_SLACK
        rate = self.above.rate() if self.fair else self.own
        if self.virtual and self.ends and self.ends[0][0] <= self.virtual + (slack * rate if slack else 0.0):
            self.finish(slack, rate)

    def finish(self, slack: float, rate: float) -> None:
        """End the first transfer, and others that are within `slack` [s] of it at `rate` [B/s]."""
        above, trunk = self.above, self.trunk
        if self.stamp >= 0:
            above.detach()
            above.take_out(self)
        if trunk.notes:
            self._note_bottleneck()
        ends = self.ends
        if len(ends) == 1:
            trunk.arrived.append(ends.pop()[2])
            self._become_idle()
            return
        if self.flow is not None and not self.fair:
            rate = self.flow.rate(trunk.clock)
        reached = max(self.virtual, ends[0][0])
        # Infinite rates are allowed, and zero times infinity is not a number.
        due = reached + slack * rate if slack else reached
        while ends and ends[0][0] <= due:
            trunk.arrived.append(heapq.heappop(ends)[2])
        if ends:
            self.virtual = reached
            trunk.touched[self] = None
        else:
            self._become_idle()

    def finish_rounded(self) -> None:
        """End all transfers of which only rounding is left, as this link or one above it goes down."""
        above, clock, got = self.above, self.trunk.clock, self.virtual
        if self.stamp >= 0:
            if self.fair:
                got += above.bytes_so_far() - self.since
            elif clock > self.since:
                got += (clock - self.since) * self.own if self.flow is None else self.flow.delivered(self.since, clock)
        while self.ends:
            due, _, transfer = self.ends[0]
            if not transfer.is_through(due - got, clock, due + sum(branch.virtual for branch in above.path())):
                return
            self.finish(0.0, 0.0)

    def _note_bottleneck(self) -> None:
        """Note which link has bound the transfers here until now."""
        link: Any = self
        while link.fair and link is not self.trunk:
            link = link.above
        for entry in self.ends:
            entry[2].bound = link


def couple(up: Access, down: Access) -> None:
    """Let each direction of a port with TCP know when the other one carries anything."""
    up.coupled, down.coupled = down, up
