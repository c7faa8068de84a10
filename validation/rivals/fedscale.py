"""FedScale: computing, and the bytes of both ways over the client's one bandwidth.

`ClientMetadata.get_completion_time` of fedscale/cloud/internal/client_metadata.py says how long a client takes, and
`tictak_client_tasks` of fedscale/cloud/aggregation/aggregator.py that a round ends with the last one that is collected.
"""

from __future__ import annotations

from validation.case import Case, Work
from validation.rival import Rival


def duration(work: Work, together: int, case: Case) -> float:
    """Computing + (bytes up + bytes down) / bandwidth [s]; neither the server nor the others matter.

    Its 3 x batch size x local steps x latency of a sample is what the case says of computing. Its one bandwidth is the
    one over which both messages alone take as long as over up- and downlink, which is kind to it.
    """
    moved = work.up + work.down
    if moved == 0:
        return work.seconds
    bandwidth = moved / (work.up / work.uplink + work.down / work.downlink)
    return work.seconds + moved / bandwidth


RIVAL = Rival(
    name="FedScale",
    formula="computing + (bytes up + bytes down) / the client's bandwidth",
    source="`get_completion_time` of [SymbioticLab/FedScale](https://github.com/SymbioticLab/FedScale), 7ec441c",
    leaves_out="the server's link, latency, overlap; its one bandwidth is here what makes a lone client exact",
    duration=duration,
)
