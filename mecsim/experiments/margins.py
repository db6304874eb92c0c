"""What each claim measures: margins that are above 0 where the claim holds.

A function takes the evidence (C18 and C20: the table of their study) and gives one row a seed and one column a part,
(seeds, parts), NaN where a part lacks a seed that others have; a claim holds where all its parts do (see
`mecsim.experiments.statistics.weakest`). Only C20 has no seeds to compare, and its function gives the interval itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy import stats

from mecsim.experiments.panels import AFTER, BEFORE, COMPARED, CONTROL, TRAINED
from mecsim.experiments.results import by_bs, curves, means, series, shared
from mecsim.experiments.statistics import CONFIDENCE, Interval, trailing_mean, trend
from mecsim.experiments.studies.lookup import ALGORITHM_1, LOOK_UP
from mecsim.physics import Array
from mecsim.scenario import Scenario
from mecsim.training import WINDOW

BAND, LAST, DEVIATIONS = 0.02, 500, 5.0
"""C2: the share of its final level within which a curve counts as converged, the slots that give this level, and the
standard deviations that luck is allowed: the least whole number by which no agent that never learns converges late."""
ABOUT = 200
"""C2b: slots within which a number counts as the paper's: half the least distance between the numbers."""
STATED = (1500, 1000, 600)
"""C2b: slots after which section V-A has the curves of 0.0001, 0.001 and 0.01 converge."""
CONVERGED = 200
"""C1, C3: slots at the end of a training whose mean is its converged income."""
FLAT = 0.05
"""C8 and C10: a total counts as flat where the last step of the sweep moves it by less than this share."""
PAPER_DEVICES = Scenario().n_devices
"""C18: the devices of section V in all cells."""
RARE = 1e-3
"""C20: with no violation seen, the rate of violations must surely lie below this."""

Reading = Literal["frozen", "training"]
READINGS: tuple[Reading, ...] = get_args(Reading)
"""A18: "average income" is that of the frozen policy on fresh slots (the default), or that of the training slots.

Only C1 and C3 compare learners alone, and so only they can be read both ways."""


@dataclass(frozen=True)
class Evidence:
    """What a claim is judged by.

    Attributes:
        tables: the results of its experiments, or the table of its study.
        agent: whom the claim is about; a rule may stand for INTO.
        compared: the agents that it is compared with, itself among them.
        preset: the scenario.
        reading: of "average income".
    """

    tables: Sequence[pd.DataFrame]
    agent: str = "INTO"
    compared: Collection[str] = COMPARED
    preset: str = "calibrated"
    reading: Reading = "frozen"

    def income(self, agent: str) -> Array:
        """The mean income of an agent at all points, (seeds, points)."""
        return self._side_by_side(lambda table: series(table, agent=agent))

    def incomes(self, *but: str) -> Array:
        """The mean incomes of the agents compared, but some, at all points, (seeds, points, agents)."""
        return np.stack([self.income(agent) for agent in self.compared if agent not in but], axis=2)

    def by_bs(self, metric: str, agent: str) -> Array:
        """The mean of a metric of an agent at each BS and all points, (seeds, points, n_bs)."""
        return self._side_by_side(lambda table: by_bs(table, metric, agent))

    def counts(self) -> Array:
        """The offloading devices of the agent at each BS and all points, (seeds, points, n_bs)."""
        return self.by_bs("offloading", self.agent)

    def _side_by_side(self, measured: Callable[[pd.DataFrame], Array]) -> Array:
        """What is measured at the points of all tables, (seeds, points, ...), NaN for seeds that a table lacks."""
        seeds = sorted(set().union(*(table["seed"] for table in self.tables)))
        parts = []
        for table in self.tables:
            found = measured(table)
            part = np.full((len(seeds), *found.shape[1:]), np.nan)
            part[np.isin(seeds, table["seed"])] = found
            parts.append(part)
        return np.concatenate(parts, axis=1)


def converged_income(table: pd.DataFrame, reading: Reading) -> dict[str, Array]:
    """The converged average income of INTO under a reading, by label, (seeds,)."""
    if reading == "frozen":
        return means(table)
    return {label: incomes[:, -CONVERGED:].mean(axis=1) for label, incomes in curves(table).items()}


def income_falls(found: Evidence) -> Array:
    """C1, C3: gap of the converged income at each point to the next, as a share of the mean over all."""
    levels = np.stack(list(converged_income(found.tables[0], found.reading).values()))
    return -np.diff(levels, axis=0).T / levels.mean()


def convergences(found: Evidence) -> Array:
    """C2: the slot at which each training curve, held against all-on's, has converged, (seeds, rates)."""
    trained, unlearnt = shared(found.tables)
    (against,) = curves(unlearnt, "all-on").values()
    return np.stack([converged_at(incomes, against) for incomes in curves(trained).values()], axis=1)


def later(found: Evidence) -> Array:
    """C2a: slots by which each training curve converges later than the next."""
    return -np.diff(convergences(found), axis=1)


def as_stated(found: Evidence) -> Array:
    """C2b: what is left of `ABOUT` of the distance between each slot of convergence and the paper's, on either side."""
    distance = convergences(found) - np.array(STATED)
    return ABOUT - np.concatenate([distance, -distance], axis=1)


def converged_at(incomes: Array, against: Array) -> Array:
    """The first slot from which a curve stays near its final level, (..., slots) -> (...).

    The curve is the ratio of the trailing means, its level the ratio over the last `LAST` slots. Near is within
    `BAND`, or within what the luck of a window's slots alone may move, if that is more: `DEVIATIONS` standard
    deviations, by the scatter of the last slots around the level.

    Args:
        incomes: of the training slots.
        against: all-on's in the same slots, whose luck cancels.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # nobody earns before the first energy is there
        curve = trailing_mean(incomes) / trailing_mean(against)
    own, others = incomes[..., -LAST:], against[..., -LAST:]
    level = own.sum(axis=-1, keepdims=True) / others.sum(axis=-1, keepdims=True)
    scatter = (own - level * others).std(axis=-1, keepdims=True) / own.mean(axis=-1, keepdims=True)
    near = np.maximum(BAND, DEVIATIONS * scatter / np.sqrt(WINDOW))
    outside = ~(np.abs(curve / level - 1.0) <= near)
    after_last = incomes.shape[-1] - np.argmax(outside[..., ::-1], axis=-1)
    return np.where(outside.any(axis=-1), after_last, 0)


def incomes_rise(found: Evidence) -> Array:
    """C12-C14 (C11: minus it): the fitted change of each algorithm's income over a sweep, as a share of its mean."""
    return _rise(found.incomes())


def counts_rise(found: Evidence) -> Array:
    """C7, C9: the fitted change of each BS's offloading devices over a sweep, as a share of their mean."""
    return _rise(found.counts())


def _rise(parts: Array) -> Array:
    return trend(np.swapaxes(parts, 1, 2))


def first_rises_others_fall(found: Evidence) -> Array:
    """C4, C6: the fitted rise of BS-1's offloading devices and fall of the others'."""
    return counts_rise(found) * np.array([1.0, -1.0, -1.0])


def ordered(found: Evidence) -> Array:
    """C5: gaps between the offloading devices of neighbouring BSs at each point, as a share of the mean."""
    counts = found.counts()
    mean = counts.reshape(len(counts), -1).mean(axis=1, keepdims=True)
    return np.diff(counts, axis=2).reshape(len(counts), -1) / mean


def flattens(found: Evidence) -> Array:
    """C8, C10: `FLAT` minus the share by which the last step moves the total of the offloading devices."""
    total = found.counts().sum(axis=2)
    return FLAT - np.abs(total[:, -1:] / total[:, -2:-1] - 1.0)


def excess(found: Evidence) -> Array:
    """C15: the share by which the agent's income exceeds that of each other at each point."""
    own, others = found.income(found.agent), found.incomes(found.agent)
    return (own[..., None] / others - 1.0).reshape(len(own), -1)


def wasted(found: Evidence) -> Array:
    """C16: idle share of the CPU under OLNPO minus that under the agent, mean over all points and BSs."""
    idle = found.by_bs("idle CPU", "OLNPO") - found.by_bs("idle CPU", found.agent)
    return idle.mean(axis=(1, 2))[:, None]


def falls_behind(found: Evidence) -> Array:
    """C17: the fitted fall of DDQN's income over INTO's from few devices to many, and what it lacks in the end."""
    ratio = found.income("DDQN") / found.income("INTO")
    return np.stack([-trend(ratio), 1.0 - ratio[:, -1]], axis=1)


def slower(table: pd.DataFrame, tau_s: float) -> Array:
    """C18: by how much the look-up takes longer than a slot at the paper's size, and Algorithm 1 less.

    In powers of ten. For the look-up of the nearest feasible action alone (kappa 1), log10 of its seconds is fitted by
    least squares over the numbers of devices of a seed, and extrapolated.

    Args:
        table: the study "lookup" of one preset.
        tau_s: the slot of the preset, in s.
    """
    slot = np.log10(tau_s)
    parts = []
    for seed in sorted(set(table["seed"])):
        of_seed = table.loc[table["seed"] == seed]
        look_up, algorithm_1 = (
            of_seed.loc[of_seed["metric"] == metric, ["devices", "value"]].to_numpy()
            for metric in (LOOK_UP, ALGORITHM_1)
        )
        line = np.polyfit(look_up[:, 0], np.log10(look_up[:, 1]), 1)
        at_paper_size = algorithm_1[algorithm_1[:, 0] == PAPER_DEVICES, 1].item()
        parts.append((np.polyval(line, PAPER_DEVICES) - slot, slot - np.log10(at_paper_size)))
    return np.array(parts)


def follows(found: Evidence) -> Array:
    """C19a: the rise of BS-1's offloading devices once its awards have risen, without further training."""
    counts = means(found.tables[0], "offloading BS-1")
    return (counts[AFTER] / counts[BEFORE] - 1.0)[:, None]


def gains_by_training(found: Evidence) -> Array:
    """C19b: what training on after the change adds to the income, over training as long without it."""
    incomes = means(found.tables[0])
    return (incomes[TRAINED] / incomes[CONTROL] - 1.0)[:, None]


def always_feasible(table: pd.DataFrame) -> Interval:
    """C20: what is left of `RARE` above the rate of refined actions that break a constraint.

    The rate is that over the actions of all seeds, with its exact interval (Clopper and Pearson). The paper says
    "every": a single action that breaks a constraint refutes it, so that the margin is then at most 0.

    Args:
        table: the study "guarantees" of one preset.
    """
    violations, actions = (
        int(table.loc[table["metric"] == metric, "value"].to_numpy().sum()) for metric in ("any", "actions")
    )
    rate = stats.binomtest(violations, actions).proportion_ci(CONFIDENCE, method="exact")
    margin = RARE - np.array([violations / actions, rate.high, rate.low])
    mean, low, high = (np.minimum(margin, 0.0) if violations else margin).tolist()
    return Interval(mean, low, high, len(set(table["seed"])))
