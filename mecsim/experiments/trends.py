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


def count_margins(counts: Mapping[str, Array]) -> dict[str, list[float]]:
    """The margins of the parts of C4-C10 from the counts of one seed, by the sweep's symbol (xi, zeta, sigma, rho).

    A claim holds where all its parts do (see `mecsim.evaluation.weakest`).
    """
    return {
        "C4": _first_rises_others_fall(counts["xi"]),
        "C5": _ordered(counts["xi"]),
        "C6": _first_rises_others_fall(counts["zeta"]),
        "C7": _all_rise(counts["sigma"]),
        "C8": _flattens(counts["sigma"]),
        "C9": _all_rise(counts["rho"]),
        "C10": _flattens(counts["rho"]),
    }


def _first_rises_others_fall(counts: Array) -> list[float]:
    first, *others = trend(counts.T).tolist()
    return [first, *(-other for other in others)]


def _ordered(counts: Array) -> list[float]:
    return (np.diff(counts, axis=1) / counts.mean()).ravel().tolist()


def _all_rise(counts: Array) -> list[float]:
    return trend(counts.T).tolist()


def _flattens(counts: Array) -> list[float]:
    total = counts.sum(axis=1)
    return [float(FLAT - abs(total[-1] / total[-2] - 1.0))]
