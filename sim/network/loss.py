"""Rates that TCP's congestion control reaches when packets get lost at random."""

from __future__ import annotations

import math

LEAST_TIMER = 0.2
"""Linux waits for an acknowledgement at least so much longer than a round trip [s]."""
SHARPNESS = 4
"""Exponent with which two limits join (see `joined`), of a window that swings between them."""


def loss_limit(control: str, loss: float, round_trip: float) -> float:
    """Segments that one stream sends under random loss on a link without limit [1/s].

    Reno: Padhye et al., SIGCOMM 1998, eq. 30, with b = 1 (Linux counts segments, not acknowledgements) and the timer of
    Linux. CUBIC (RFC 9438): at least what Reno gets (4.3), else eq. 5, which is for losses at equal distances; for
    random ones, simulated round trip by round trip with fast convergence (4.7), it is 1.13 times as much, and the
    greater of both laws at every moment gives the fourth root of the sum of their fourth powers, within 7 %.
    """
    if not loss or control == "bbr":
        return math.inf
    timeouts = (LEAST_TIMER + round_trip) * min(1.0, 3 * math.sqrt(3 * loss / 8)) * loss * (1 + 32 * loss**2)
    reno = 1 / (round_trip * math.sqrt(2 * loss / 3) + timeouts)
    if control == "reno" or not round_trip:
        return reno
    return joined(reno, 1.13 * 1.054 * (round_trip / loss) ** 0.75 / round_trip, SHARPNESS)


def joined(one: float, other: float, power: float) -> float:
    """(one^power + other^power)^(1/power): near the greater of two rates, or near the lesser if the power is < 0."""
    low, high = sorted((one, other))
    if not low or high == math.inf:
        return high if power > 0 else low
    return float((high if power > 0 else low) * (1 + (low / high) ** abs(power)) ** (1 / power))
