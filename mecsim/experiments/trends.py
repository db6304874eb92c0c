"""Claims C4-C10 on the number of offloading devices, as margins that are above 0 where the claim holds.

A margin is relative: a fitted change over the sweep, or a gap between BSs, as a share of the mean. Counts have the
shape (points of the sweep, n_bs), one array a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mecsim.experiments.statistics import trend
from mecsim.physics import Array

FLAT = 0.05
"""C8 and C10: a total counts as flat where the last step of the sweep moves it by less than this share."""


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


COUNT_CLAIMS: dict[str, tuple[str, Callable[[Array], list[float]]]] = {
    "C4": ("xi", _first_rises_others_fall),
    "C5": ("xi", _ordered),
    "C6": ("zeta", _first_rises_others_fall),
    "C7": ("sigma", _all_rise),
    "C8": ("sigma", _flattens),
    "C9": ("rho", _all_rise),
    "C10": ("rho", _flattens),
}
"""The sweep that each claim looks at, and the margins of its parts from the counts of one seed."""


def count_margins(counts: Mapping[str, Array]) -> dict[str, list[float]]:
    """The margins of the parts of C4-C10 from the counts of one seed, by the sweep's symbol (xi, zeta, sigma, rho).

    A claim holds where all its parts do (see `mecsim.experiments.statistics.weakest`).
    """
    return {claim: margins(counts[symbol]) for claim, (symbol, margins) in COUNT_CLAIMS.items()}
