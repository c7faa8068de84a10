"""Shapes of what `paraSim simulate` and `paraSim explain` say of one run, and of the record beside results."""

from __future__ import annotations

from typing import Any

from parasim.contracts.shapes import Loose, OfScenario
from parasim_core.sim.scenario.fields import Section


class Compute(Loose):
    """Where computing times are from."""

    origin: str
    """Such as `given`, `fitted`, `measured`, `predicted` or `extrapolated`."""
    source: str
    """In words."""


class Source(Loose):
    """Where some of the numbers are from."""

    origin: str
    source: str


class Updates(Section):
    """Updates that were not aggregated; a count that would be 0 is left out."""

    dropped: dict[str, int] | None = None
    """How many were received and not aggregated, by the reason."""
    cancelled: int | None = None
    """How many were under way when the run ended."""
    never_begun: int | None = None
    """How many were expected and not begun."""
    lost: int | None = None
    """How many were lost with clients that vanished."""


class Provenance(Loose):
    """Where the numbers come from, and what is to be known of them; sentences are for people."""

    compute: Compute
    payload: Source
    network: Source
    memory: list[str] | None = None
    """What is said of clients' memory, a sentence each."""
    ignored: list[str] | None = None
    """What the scenario says and the run did not look at, a sentence each."""
    updates: Updates | None = None
    traces: list[dict[str, Any]] | None = None
    """Recorded traces and sessions that it stands on, each with its SHA-256."""
    schedule: Source | None = None


class Means(Section):
    """Means over clients."""

    compute_s: float
    """Computing [s]."""
    exposed_communication_s: float
    """Communication during which nothing was computed [s]."""
    hidden_communication_s: float
    """Communication during which something was computed [s]."""
    waiting_s: float
    """Neither computing nor communicating while taking part [s]."""
    offline_s: float
    """Not taking part [s]."""
    failed_s: float | None = None
    """Lost to repairs and outages [s]; where anything can fail."""


class GroupMeans(Means):
    """Means over the clients of a group of the fleet."""

    name: str
    """Of the group."""
    clients: int


class Level(Section):
    """Bytes over the links of a level."""

    level: str
    """`access`, `site`, `region` or `server`."""
    name: str
    links: int
    """How many links."""
    uploaded_bytes: float
    """[B]."""
    downloaded_bytes: float
    """[B]."""


class Messages(Section):
    """What messages took."""

    name: str
    """Whose: a group's mean client, or an aggregator."""
    seconds: dict[str, float]
    """By the resource that held them [s]."""


class LinkRow(Section):
    """What links are, in words; empty where there is nothing to say."""

    of: str
    """A group, a region or the server."""
    clients: int
    uplink: str
    downlink: str
    latency_s: float
    """One way [s]."""
    between: str
    """What is between it and the server."""
    transport: str


class Links(Section):
    """What links there are beside constant ones of clients and server."""

    said: str
    of: list[LinkRow]


class Calendar(Section):
    """When a run is, by the calendar."""

    starts: str
    """When it starts (ISO 8601)."""
    ends: str
    """When it ends (ISO 8601)."""


class Deadline(Section):
    """How a run stands to a deadline."""

    within: str
    """As it was asked."""
    within_s: float
    """From the start of the run to the deadline [s]."""
    met: bool
    margin_s: float
    """From the end of the run to the deadline [s]; negative if it is missed."""


class SimulateResult(OfScenario, Means):
    """What `paraSim simulate --format json` prints, and `result.json` holds."""

    name: str
    """Of the scenario."""
    method: str
    wall_clock_s: float
    """From the start to the last aggregation [s]."""
    wall_clock_low_s: float | None = None
    """With all predicted computing times at the fast end of their band [s]; where any is predicted."""
    wall_clock_high_s: float | None = None
    """At the slow end [s]."""
    stalled_communication_s: float
    """Part of the communication during which a link carried nothing [s]."""
    uploaded_bytes: float
    """By all clients [B]."""
    downloaded_bytes: float
    """By all clients [B]."""
    wasted_compute_s: float | None = None
    """Computing of all clients that came to nothing [s]; like the next ones where anything can fail."""
    wasted_bytes: float | None = None
    """Sent or received for nothing [B]."""
    short_rounds: int | None = None
    """Rounds aggregated with fewer updates than were wanted."""
    lost_updates: int | None = None
    """Updates lost with clients that vanished."""
    late_updates: int | None = None
    """Updates dropped as they were late."""
    rounds: int
    clients: int
    groups: list[GroupMeans]
    """Means over the clients of each group of the fleet."""
    levels: list[Level] | None = None
    """Where sites or regions share links."""
    messages: list[Messages] | None = None
    """Where links are more than constants, like `links`."""
    links: Links | None = None
    calendar: Calendar | None = None
    """Where the scenario gives `start`, or `--within` a time of the calendar."""
    deadline: Deadline | None = None
    """Where `--within` is given."""
    provenance: Provenance


class Share(Section):
    """What a resource holds of the critical path."""

    resource: str
    group: str
    """Whose; empty if nobody's alone."""
    seconds: float
    """[s]."""
    share: float
    """Of the wall-clock."""


class Slack(Section):
    """How much later a group could do what it does."""

    group: str
    least_slack_s: float | None
    """Anything that it does could be so much later without the run ending later [s]; null if it never takes part."""


class Claim(Section):
    """What an improvement would save."""

    change: str
    """In words."""
    lever: str
    """What is changed, such as `uplink`."""
    groups: list[str]
    """Of whom; empty for all."""
    predicted_s: float | None
    """Wall-clock by replay of the recorded run [s]; null if it cannot be replayed."""
    prediction: str
    """`exact replay`, `estimate` or `not predicted`."""
    simulated_s: float | None
    """Wall-clock as simulated [s]; null if that run ends early, in an error."""
    saves_s: float | None
    """Less wall-clock than now, as simulated [s]."""


class ExplainResult(OfScenario):
    """What `paraSim explain --format json` prints, and `explanation.json` holds."""

    name: str
    """Of the scenario."""
    method: str
    wall_clock_s: float
    """From the start to the last aggregation [s]."""
    sentences: list[str]
    """For people."""
    shares: list[Share]
    """Of the critical path; together they are the wall-clock."""
    slack: list[Slack]
    claims: list[Claim]
    rounds_ended_by: dict[str, int] | None = None
    """How many rounds ended because `everyone` was in, by `quorum` or by `deadline`; where there are several ways."""
    calendar: Calendar | None = None
    """Where the scenario gives `start`."""
    not_replayable: str | None
    """Why the run cannot be replayed exactly; null if it can."""
    provenance: Provenance


class RecordResult(OfScenario):
    """`reproduce.json` beside the results of every command with `--out`."""

    kind: str
    """The subcommand."""
    command: str
    """The whole command, as a shell takes it."""
    version: str
    """Like `parasim_version`."""
    files: list[str]
    """Names of the results and pictures that the command left."""
