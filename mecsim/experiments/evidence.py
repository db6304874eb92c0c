"""Until `calibration` and `sensitivity` ask `claims.margins_of`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import pandas as pd

from mecsim.experiments.claims import CLAIMS, Evidence
from mecsim.experiments.margins import all_rise, first_rises_others_fall, flattens, ordered
from mecsim.experiments.statistics import Interval, weakest
from mecsim.physics import Array

COUNT_CLAIMS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "C4": ("xi", first_rises_others_fall),
    "C5": ("xi", ordered),
    "C6": ("zeta", first_rises_others_fall),
    "C7": ("sigma", all_rise),
    "C8": ("sigma", flattens),
    "C9": ("rho", all_rise),
    "C10": ("rho", flattens),
}


def count_margins(counts: Mapping[str, Array]) -> dict[str, list[float]]:
    return {
        claim: measure(counts[symbol][None])[0].tolist() for claim, (symbol, measure) in COUNT_CLAIMS.items()
    }


def counts_margin(table: pd.DataFrame, claim: str, agent: str) -> Interval:
    return CLAIMS[claim].margin(Evidence([table], agent))


def rise_margin(table: pd.DataFrame, sign: int, agents: Collection[str]) -> Interval:
    return weakest(sign * all_rise(Evidence([table], compared=agents).incomes()))


def lead_margin(panels: Iterable[pd.DataFrame], best: str, agents: Collection[str]) -> Interval:
    return CLAIMS["C15"].margin(Evidence(list(panels), best, agents))


def waste_margin(panels: Iterable[pd.DataFrame], pooling: str) -> Interval:
    return CLAIMS["C16"].margin(Evidence(list(panels), pooling))
