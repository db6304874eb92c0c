"""Claims C4-C10 on the number of offloading devices, as margins that are above 0 where the claim holds.

A margin is relative: a fitted change over the sweep, or a gap between BSs, as a share of the mean. Counts have the
shape (points of the sweep, n_bs), one array a seed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mecsim.evaluation import trend
from mecsim.physics import Array

FLAT = 0.05
"""C8 and C10: a total counts as flat where the last step of the sweep moves it by less than this share."""


def count_margins(counts: Mapping[str, Array]) -> dict[str, float]:
    """The margins of C4-C10 from the counts of one seed, by the symbol of the sweep (xi, zeta, sigma, rho)."""
    return {
        "C4": _first_rises_others_fall(counts["xi"]),
        "C5": _ordered(counts["xi"]),
        "C6": _first_rises_others_fall(counts["zeta"]),
        "C7": _all_rise(counts["sigma"]),
        "C8": _flattens(counts["sigma"]),
        "C9": _all_rise(counts["rho"]),
        "C10": _flattens(counts["rho"]),
    }


def _first_rises_others_fall(counts: Array) -> float:
    return float(min(trend(counts[:, 0]), *(-trend(counts[:, bs]) for bs in range(1, counts.shape[1]))))


def _ordered(counts: Array) -> float:
    return float(np.diff(counts, axis=1).min() / counts.mean())


def _all_rise(counts: Array) -> float:
    return float(min(trend(counts[:, bs]) for bs in range(counts.shape[1])))


def _flattens(counts: Array) -> float:
    total = counts.sum(axis=1)
    return float(FLAT - abs(total[-1] / total[-2] - 1.0))
