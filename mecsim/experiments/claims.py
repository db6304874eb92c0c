"""The paper's claims, each with the rule that turns stored runs into a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from mecsim.evaluation import Interval, Verdict, trailing_mean, verdict, weakest
from mecsim.experiments.results import curves, means, results
from mecsim.physics import Array

BAND = 0.02
"""C2: a curve has converged where it stays within this share of its final level."""

CONVERGED = 200
"""Slots at the end of a training whose mean is its converged income."""

Reading = Literal["frozen", "training"]
READINGS: tuple[Reading, ...] = get_args(Reading)
"""A18: "average income" is that of the frozen policy on fresh slots (the default), or that of the training slots."""


class Ruling(NamedTuple):
    """A claim's verdict; effect, low and high are the margin of its weakest part and its 95 % interval."""

    id: str
    preset: str
    verdict: Verdict
    effect: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        statement: what the paper says.
        rule: what is measured; the claim holds where the margin is surely above 0.
        unit: of the margin.
        margin: computes the margin's interval for a preset and a reading of "average income".
    """

    statement: str
    rule: str
    unit: str
    margin: Callable[[str, Reading], Interval]


def rule_on(name: str, preset: str = "calibrated", reading: Reading = "frozen") -> Ruling:
    """The verdict on one claim from the stored runs of the paper profile.

    Raises:
        MissingRuns: runs that the claim needs are not stored.
    """
    margin = CLAIMS[name].margin(preset, reading)
    return Ruling(name, preset, verdict(margin), margin.mean, margin.low, margin.high, margin.seeds)


def falling_gaps(series: list[Array]) -> Array:
    """Gap of each array to the next, as a share of the mean over all, (seeds, parts): above 0 where they fall."""
    stacked = np.stack(series)
    return -np.diff(stacked, axis=0).T / stacked.mean()


def converged_at(incomes: Array) -> Array:
    """The first slot from which the trailing mean stays within `BAND` of its final value, (..., slots) -> (...)."""
    curve = trailing_mean(incomes)
    outside = np.abs(curve / curve[..., -1:] - 1.0) > BAND
    after_last = incomes.shape[-1] - np.argmax(outside[..., ::-1], axis=-1)
    return np.where(outside.any(axis=-1), after_last, 0)


def converged_income(table: pd.DataFrame, reading: Reading) -> dict[str, Array]:
    """The converged average income of INTO under a reading, by label, (seeds,)."""
    if reading == "frozen":
        return means(table)
    return {label: incomes[:, -CONVERGED:].mean(axis=1) for label, incomes in curves(table).items()}


def _income_falls(experiment: str, preset: str, reading: Reading) -> Interval:
    return weakest(falling_gaps(list(converged_income(results(experiment, preset=preset), reading).values())))


def _smaller_rate_converges_later(preset: str, _reading: Reading) -> Interval:
    slots = [converged_at(incomes) for incomes in curves(results("fig3a", preset=preset)).values()]
    return weakest(-np.diff(np.stack(slots), axis=0).T)


CLAIMS = {
    "C1": Claim(
        "Fig. 3(a): the converged average income orders the learning rates 0.0001 > 0.001 > 0.01",
        "gap of the mean income between neighbouring rates, as a share of the mean",
        "1",
        partial(_income_falls, "fig3a"),
    ),
    "C2": Claim(
        "Fig. 3(a): a smaller learning rate converges later (about 600, 1000 and 1500 slots)",
        "slots by which the smaller of two neighbouring rates comes later to stay within 2 % of its final level",
        "slots",
        _smaller_rate_converges_later,
    ),
    "C3": Claim(
        "Fig. 3(b): the converged average income orders the discount factors 0.99 > 0.79 > 0.59",
        "gap of the mean income between neighbouring factors, as a share of the mean",
        "1",
        partial(_income_falls, "fig3b"),
    ),
}


def claims_table(preset: str = "calibrated") -> str:
    """The verdicts under both readings as a Markdown table, for the README."""
    lines = [
        "| claim | the paper says | " + " | ".join(READINGS) + " |",
        "|---|---|" + "---|" * len(READINGS),
    ]
    for name, claim in CLAIMS.items():
        verdicts = [rule_on(name, preset, reading).verdict for reading in READINGS]
        lines.append(f"| {name} | {claim.statement} | {' | '.join(verdicts)} |")
    return "\n".join(lines)
