"""What the stored runs say on each claim: the margin of its weakest part, with its interval over seeds."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, get_args

import numpy as np
import pandas as pd

from mecsim.experiments import margins
from mecsim.experiments.panels import COMPARED, FIGURES
from mecsim.experiments.results import by_bs, curves, means, results, series, together
from mecsim.experiments.statistics import Interval, weakest
from mecsim.experiments.studies import studied
from mecsim.experiments.study_margins import guarantees_margin, lookup_margin
from mecsim.experiments.trends import COUNT_CLAIMS
from mecsim.physics import Array
from mecsim.scenario import Scenario

Reading = Literal["frozen", "training"]
READINGS: tuple[Reading, ...] = get_args(Reading)
"""A18: "average income" is that of the frozen policy on fresh slots (the default), or that of the training slots.

Only C1 and C3 compare learners alone, and so only they can be read both ways."""


def converged_income(table: pd.DataFrame, reading: Reading) -> dict[str, Array]:
    """The converged average income of INTO under a reading, by label, (seeds,)."""
    if reading == "frozen":
        return means(table)
    return {label: incomes[:, -margins.CONVERGED :].mean(axis=1) for label, incomes in curves(table).items()}


def income_falls(experiment: str, preset: str, reading: Reading) -> Interval:
    """C1, C3: the converged income falls from each point of an experiment to the next."""
    levels = converged_income(results(experiment, preset=preset), reading)
    return weakest(margins.falling_gaps(levels.values()))


def smaller_rate_converges_later(preset: str, _reading: Reading) -> Interval:
    """C2: training with the smaller of two neighbouring learning rates converges later."""
    return weakest(margins.later(curves(results("fig3a", preset=preset)).values()))


def counts_follow(experiment: str, claim: str, preset: str, _reading: Reading) -> Interval:
    """C4-C10: the offloading devices of the BSs do along a sweep what the claim says."""
    return counts_margin(results(experiment, preset=preset), claim)


def counts_margin(table: pd.DataFrame, claim: str, agent: str = "INTO") -> Interval:
    """The margin of one of C4-C10 under an agent, from the results of the claim's panel."""
    _, parts = COUNT_CLAIMS[claim]
    return weakest([parts(of_seed) for of_seed in by_bs(table, agent=agent)])


def incomes_move(experiment: str, sign: int, preset: str, _reading: Reading) -> Interval:
    """C11-C14: every algorithm's income rises along a sweep (sign 1) or falls (sign -1)."""
    return rise_margin(results(experiment, preset=preset), sign)


def rise_margin(table: pd.DataFrame, sign: int, agents: Collection[str] = COMPARED) -> Interval:
    """The margin of one of C11-C14 over some agents, from the results of the claim's panel."""
    return weakest(sign * margins.all_rise(_incomes(table, agents)))


def into_earns_most(preset: str, _reading: Reading) -> Interval:
    """C15: INTO earns more than each other algorithm at every point of Fig. 6."""
    return lead_margin(together(FIGURES["fig6"], preset).values())


def lead_margin(
    panels: Iterable[pd.DataFrame], best: str = "INTO", agents: Collection[str] = COMPARED
) -> Interval:
    """The margin of C15: one agent against each other of some, from the results of panels over the same seeds."""
    leads = [margins.excess(_incomes(table, agents), best) for table in panels]
    return weakest(np.concatenate(leads, axis=1))


def olnpo_wastes_cpu(preset: str, _reading: Reading) -> Interval:
    """C16: OLNPO leaves more CPU idle than INTO."""
    return waste_margin(together(FIGURES["fig6"], preset).values())


def waste_margin(panels: Collection[pd.DataFrame], pooling: str = "INTO") -> Interval:
    """The margin of C16 against an agent that pools the BSs, from the results of panels over the same seeds."""
    alone, pooled = (
        np.concatenate([by_bs(table, "idle CPU", agent) for table in panels], axis=1)
        for agent in ("OLNPO", pooling)
    )
    return weakest(margins.wasted(alone, pooled))


def _incomes(table: pd.DataFrame, agents: Collection[str]) -> dict[str, Array]:
    return {agent: series(table, agent=agent) for agent in agents}


def ddqn_falls_behind(preset: str, _reading: Reading) -> Interval:
    """C17: DDQN falls behind INTO as devices are added."""
    table = results("devices", preset=preset)
    return weakest(margins.falls_behind(series(table, agent="DDQN"), series(table, agent="INTO")))


def look_up_is_slow(preset: str, _reading: Reading) -> Interval:
    """C18: the look-up is too slow for the paper's system, and Algorithm 1 is not."""
    return lookup_margin(studied("lookup", preset), Scenario.preset(preset).tau_s)


def into_adapts(preset: str, _reading: Reading) -> Interval:
    """C19: INTO's decisions and its income follow a change of the environment."""
    table = results("change", preset=preset)
    before, _, after = means(table, "offloading BS-1").values()
    _, untrained, trained = means(table).values()
    return weakest(margins.adapts(before, after, untrained, trained))


def always_feasible(preset: str, _reading: Reading) -> Interval:
    """C20: every refined action satisfies every constraint."""
    return guarantees_margin(studied("guarantees", preset))
