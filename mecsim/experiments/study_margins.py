"""Claims C18 and C20 as margins that are above 0 where the claim holds, from the tables of their studies."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from mecsim.experiments.statistics import CONFIDENCE, Interval, weakest
from mecsim.experiments.studies.lookup import ALGORITHM_1, LOOK_UP
from mecsim.scenario import Scenario

PAPER_DEVICES = Scenario().n_devices
"""The devices of section V in all cells."""
RARE = 1e-3
"""C20: with no violation seen, the rate of violations must surely lie below this."""


def lookup_margin(table: pd.DataFrame, tau_s: float) -> Interval:
    """The margin of C18 from the study "lookup" of one preset: the weaker of two parts, in powers of ten.

    One part is by how much the look-up of the nearest feasible action alone (kappa 1) takes longer than a slot at the
    paper's number of devices; log10 of its seconds is fitted by least squares over the numbers of devices of a seed,
    and extrapolated. The other is by how much Algorithm 1 takes less than a slot there.

    Args:
        table: the study's table, see `mecsim.experiments.studies.studied`; two seeds or more.
        tau_s: the slot of the preset, in s.
    """
    slot = np.log10(tau_s)
    parts = [
        (_at_paper_size(of_seed) - slot, slot - np.log10(_seconds(of_seed, ALGORITHM_1)[PAPER_DEVICES]))
        for _, of_seed in table.groupby("seed")
    ]
    return weakest(parts)


def guarantees_margin(table: pd.DataFrame) -> Interval:
    """The margin of C20 from the study "guarantees" of one preset: what is left of `RARE` above the violations' rate.

    The rate is that over the actions of all seeds, with its exact interval (Clopper and Pearson). The paper says
    "every": a single action that breaks a constraint refutes it, so that the margin is then at most 0.
    """
    total = table.groupby("metric")["value"].sum()
    violations, actions = int(total["any"]), int(total["actions"])
    rate = stats.binomtest(violations, actions).proportion_ci(CONFIDENCE, method="exact")
    margin = RARE - np.array([violations / actions, rate.high, rate.low])
    mean, low, high = (np.minimum(margin, 0.0) if violations else margin).tolist()
    return Interval(mean, low, high, table["seed"].nunique())


def _seconds(of_seed: pd.DataFrame, metric: str) -> pd.Series:
    """A time of one seed by the number of devices."""
    return of_seed[of_seed["metric"] == metric].set_index("devices")["value"]


def _at_paper_size(of_seed: pd.DataFrame) -> float:
    """log10 of the seconds of the look-up, extrapolated to the paper's number of devices."""
    seconds = _seconds(of_seed, LOOK_UP)
    line = np.polyfit(seconds.index, np.log10(seconds), 1)
    return float(np.polyval(line, PAPER_DEVICES))
