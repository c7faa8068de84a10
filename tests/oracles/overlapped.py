"""ParaBlock under changing participation, worked out round by round without events: unlimited server, no latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Fleet:
    """What each client takes [s], and when what it does last is done."""

    compute: Sequence[float]
    up: Sequence[float]
    down: Sequence[float]
    aggregation: float
    at: list[float] = field(init=False)
    version: list[dict[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self.at = [0.0] * len(self.compute)
        self.version = [{} for _ in self.compute]


def wall_clock(fleet: Fleet, participants: Sequence[set[int]], schedule: Sequence[int], staleness: int) -> float:
    """When everything is done [s].

    Of round t, its participants compute; those of round t - s upload; those of round t + 1 wait for the aggregate of
    round t - s and download what they miss. A round whose clients are others begins when all of these are done. After
    the last round, those that computed it go on with what they still have; others begin when it has been computed.
    """
    rounds, clients = len(participants), range(len(fleet.compute))
    begun: frozenset[int] | None = frozenset(clients)
    aggregated: dict[int, float] = {}
    newest: dict[int, int] = {}
    opening = 0.0

    def members(round: int) -> set[int]:
        return participants[round] if 0 <= round < rounds else set()

    def goes_on(round: int) -> set[int]:
        """Who needs the aggregate: the next to compute; at the end, who sends now and again."""
        if round < staleness:
            return set()
        return members(round + 1) or members(round - staleness) & members(round + 1 - staleness)

    def exchange(round: int, who: set[int], begin: dict[int, float]) -> dict[int, float]:
        """Upload, aggregate and download; when each of some clients is done."""
        due = round - staleness
        done = {client: begin[client] for client in who}
        for client in who & members(due):
            done[client] += fleet.up[client]
        if not members(due):
            return done
        received = max(done[client] for client in members(due))
        aggregated[due] = max(received, aggregated.get(due - 1, 0.0)) + fleet.aggregation
        newest[schedule[due]] = due
        for client in who & goes_on(round):
            missed = [block for block, version in newest.items() if fleet.version[client].get(block, -1) < version]
            done[client] = max(done[client], aggregated[due]) + len(missed) * fleet.down[client]
            fleet.version[client] = dict(newest)
        return done

    for round in range(rounds):
        computing, sending = members(round), members(round - staleness)
        fetching = goes_on(round)
        roles = {frozenset(role) for role in (computing, sending, fetching) if role}
        everyone = computing | sending | fetching
        if roles != {begun}:
            for client in everyone:
                fleet.at[client] = opening
        begun = frozenset(everyone) if len(roles) == 1 else None
        begin = {client: fleet.at[client] for client in everyone}
        done = exchange(round, everyone, begin)
        for client in everyone:
            computed = begin[client] + fleet.compute[client] if client in computing else 0.0
            fleet.at[client] = max(done[client], computed)
        opening = max(fleet.at[client] for client in everyone)
    for client in set(clients) - members(rounds - 1):
        fleet.at[client] = opening
    for round in range(rounds, rounds + staleness):
        sending = members(round - staleness)
        done = exchange(round, sending, dict(enumerate(fleet.at)))
        for client in sending:
            fleet.at[client] = done[client]
    return max([aggregated[rounds - 1], *(fleet.at[client] for client in clients)])
