"""The paper's claims: what each says, what is measured, and the verdict that the stored runs give.

`mecsim.experiments.margins` has what is measured as functions of arrays; `Evidence` takes these from stored results.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from mecsim.experiments import margins
from mecsim.experiments.panels import COMPARED, FIGURES, PRESETS
from mecsim.experiments.results import MissingRuns, by_bs, curves, means, series, together
from mecsim.experiments.statistics import Interval, Verdict, verdict, weakest
from mecsim.experiments.studies import STUDIES, studied
from mecsim.physics import Array
from mecsim.scenario import Scenario

Reading = Literal["frozen", "training"]
READINGS: tuple[Reading, ...] = get_args(Reading)
"""A18: "average income" is that of the frozen policy on fresh slots (the default), or that of the training slots.

Only C1 and C3 compare learners alone, and so only they can be read both ways."""

CONVERGED = 200
"""Slots at the end of a training whose mean is its converged income."""


def converged_income(table: pd.DataFrame, reading: Reading) -> dict[str, Array]:
    """The converged average income of INTO under a reading, by label, (seeds,)."""
    if reading == "frozen":
        return means(table)
    return {label: incomes[:, -CONVERGED:].mean(axis=1) for label, incomes in curves(table).items()}


@dataclass(frozen=True)
class Evidence:
    """What a claim is judged by.

    Attributes:
        tables: the results of its experiments over the same seeds, or the table of its study.
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
        return np.concatenate([series(table, agent=agent) for table in self.tables], axis=1)

    def incomes(self, *but: str) -> Array:
        """The mean incomes of the agents compared, but some, at all points, (seeds, points, agents)."""
        return np.stack([self.income(agent) for agent in self.compared if agent not in but], axis=2)

    def by_bs(self, metric: str, agent: str) -> Array:
        """The mean of a metric of an agent at each BS and all points, (seeds, points, n_bs)."""
        return np.concatenate([by_bs(table, metric, agent) for table in self.tables], axis=1)

    def counts(self) -> Array:
        """The offloading devices of the agent at each BS and all points, (seeds, points, n_bs)."""
        return self.by_bs("offloading", self.agent)


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
        source: where the paper makes it.
        statement: what the paper says.
        rule: what is measured; the claim holds where the margin is surely above 0.
        experiments: whose stored results it is judged by; or the name of a study.
        measure: the margin of every part for every seed, (seeds, parts), or the interval of the one part.
        unit: of the margin; empty for a share.
    """

    source: str
    statement: str
    rule: str
    experiments: tuple[str, ...]
    measure: Callable[[Evidence], Array | Interval]
    unit: str = ""

    def margin(self, evidence: Evidence) -> Interval:
        """The margin of the claim's weakest part with its interval over seeds."""
        found = self.measure(evidence)
        return found if isinstance(found, Interval) else weakest(found)

    def describe(self, ruling: Ruling) -> str:
        """A verdict on the claim as text of a few lines."""
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{ruling.id}  {ruling.verdict}: {self.statement} ({self.source})\n"
            f"    {self.rule}:\n"
            f"    {ruling.effect:.3g} [{ruling.low:.3g}, {ruling.high:.3g}]{unit}, {ruling.seeds} seeds"
        )


def rule_on(name: str, preset: str = "calibrated", reading: Reading = "frozen") -> Ruling:
    """The verdict on one claim from what is stored at the paper's scale.

    Raises:
        MissingRuns: runs that the claim needs are not stored.
    """
    claim = CLAIMS[name]
    if claim.experiments[0] in STUDIES:
        tables = [studied(study, preset) for study in claim.experiments]
    else:
        tables = list(together(claim.experiments, preset).values())
    margin = claim.margin(Evidence(tables, preset=preset, reading=reading))
    return Ruling(name, preset, verdict(margin), *margin)


def margins_of(
    tables: Mapping[str, pd.DataFrame], agent: str, compared: Collection[str] = COMPARED
) -> dict[str, Interval]:
    """The margins of all claims for which the results of some experiments are enough.

    Args:
        tables: results over the same seeds, by experiment.
        agent: whom the claims are taken to be about.
        compared: the agents that it is compared with, itself among them.
    """
    return {
        name: claim.margin(Evidence([tables[one] for one in claim.experiments], agent, compared))
        for name, claim in CLAIMS.items()
        if set(claim.experiments) <= set(tables)
    }


def _counts(measure: Callable[[Array], Array]) -> Callable[[Evidence], Array]:
    return lambda found: measure(found.counts())


def _income_falls(found: Evidence) -> Array:
    return margins.falling_gaps(converged_income(found.tables[0], found.reading).values())


def _incomes_rise(found: Evidence) -> Array:
    return margins.all_rise(found.incomes())


def _wasted(found: Evidence) -> Array:
    return margins.wasted(found.by_bs("idle CPU", "OLNPO"), found.by_bs("idle CPU", found.agent))


def _follows_change(found: Evidence) -> Array:
    (table,) = found.tables
    before, _, after = means(table, "offloading BS-1").values()
    _, untrained, trained = means(table).values()
    return margins.adapts(before, after, untrained, trained)


_GAP = "gap of the mean income between neighbours, as a share of the mean"
_FIRST_AGAINST_OTHERS = "fitted rise of BS-1's devices, and fall of each other's, as a share of their mean"
_RISE = "fitted rise of each BS's devices over the sweep, as a share of their mean"
_FLAT = "5 % minus the change of the total over the last step"
_INCOME_RISE = "fitted rise of each algorithm's income over the sweep, as a share of its mean"

CLAIMS = {
    "C1": Claim(
        "Fig. 3(a)",
        "the converged average income orders the learning rates 0.0001 > 0.001 > 0.01",
        _GAP,
        ("fig3a",),
        _income_falls,
    ),
    "C2": Claim(
        "Fig. 3(a)",
        "a smaller learning rate converges later (about 600, 1000 and 1500 slots)",
        "slots by which the smaller of two neighbouring rates comes later to stay within 2 % of its final level",
        ("fig3a",),
        lambda found: margins.later(curves(found.tables[0]).values()),
        "slots",
    ),
    "C3": Claim(
        "Fig. 3(b)",
        "the converged average income orders the discount factors 0.99 > 0.79 > 0.59",
        _GAP,
        ("fig3b",),
        _income_falls,
    ),
    "C4": Claim(
        "Fig. 4(a)",
        "as the award of BS-1's tasks rises, BS-1 offloads more devices, BS-2 and BS-3 fewer",
        _FIRST_AGAINST_OTHERS,
        ("fig4a",),
        _counts(margins.first_rises_others_fall),
    ),
    "C5": Claim(
        "Fig. 4(a)",
        "offloading devices order BS-1 < BS-2 < BS-3",
        "gap between neighbouring BSs at each point, as a share of the mean",
        ("fig4a",),
        _counts(margins.ordered),
    ),
    "C6": Claim(
        "Fig. 4(b)",
        "as the density of BS-2's and BS-3's tasks rises, BS-1 offloads more devices, BS-2 and BS-3 fewer",
        _FIRST_AGAINST_OTHERS,
        ("fig4b",),
        _counts(margins.first_rises_others_fall),
    ),
    "C7": Claim(
        "Fig. 5(a)",
        "as the channel gain rises, the offloading devices of all BSs rise",
        _RISE,
        ("fig5a",),
        _counts(margins.all_rise),
    ),
    "C8": Claim(
        "Fig. 5(a)", "and their total flattens at the end", _FLAT, ("fig5a",), _counts(margins.flattens)
    ),
    "C9": Claim(
        "Fig. 5(b)",
        "as the harvested energy rises, the offloading devices of all BSs rise",
        _RISE,
        ("fig5b",),
        _counts(margins.all_rise),
    ),
    "C10": Claim(
        "Fig. 5(b)", "and their total flattens at the end", _FLAT, ("fig5b",), _counts(margins.flattens)
    ),
    "C11": Claim(
        "Fig. 6(a)",
        "income falls as the task size rises, for every algorithm",
        _INCOME_RISE.replace("rise", "fall"),
        ("fig6a",),
        lambda found: -_incomes_rise(found),
    ),
    "C12": Claim(
        "Fig. 6(b)",
        "income rises with computing capacity, for every algorithm",
        _INCOME_RISE,
        ("fig6b",),
        _incomes_rise,
    ),
    "C13": Claim(
        "Fig. 6(c)",
        "income rises as the deadlines grow longer, for every algorithm",
        _INCOME_RISE,
        ("fig6c",),
        _incomes_rise,
    ),
    "C14": Claim(
        "Fig. 6(d)",
        "income rises with channel bandwidth, for every algorithm",
        _INCOME_RISE,
        ("fig6d",),
        _incomes_rise,
    ),
    "C15": Claim(
        "Fig. 6",
        "INTO's income exceeds OLNPO's, LPWPO's and DDQN's at every point of every panel",
        "INTO's income over the other's, minus 1, at each point",
        FIGURES["fig6"],
        lambda found: margins.excess(found.income(found.agent), found.incomes(found.agent)),
    ),
    "C16": Claim(
        "section V",
        "OLNPO earns less because it leaves the spare CPU of other BSs unused",
        "idle share of the CPU under OLNPO minus that under INTO, mean over Fig. 6",
        FIGURES["fig6"],
        _wasted,
    ),
    "C17": Claim(
        "section V",
        "DDQN suffers from the size of the action space",
        "fitted fall of DDQN's income over INTO's from 17 to 165 devices, and what it lacks at 165",
        ("devices",),
        lambda found: margins.falls_behind(found.income("DDQN"), found.income("INTO")),
    ),
    "C18": Claim(
        "section IV-B",
        "refining an action is fast where looking up its nearest feasible neighbours is too slow",
        "orders of magnitude by which the look-up takes longer than a slot at 165 devices, and Algorithm 1 less",
        ("lookup",),
        lambda found: margins.slower(found.tables[0], Scenario.preset(found.preset).tau_s),
        "powers of ten",
    ),
    "C19": Claim(
        "sections I, V-A",
        "INTO adapts its decisions when the environment changes",
        "rise of BS-1's devices once its awards have tripled, and income that training on adds",
        ("change",),
        _follows_change,
    ),
    "C20": Claim(
        "section IV-B",
        "every refined action satisfies constraints C1-C4, (5) and (10)",
        "1 in 1000 minus the rate of refined actions that break a constraint; one that does refutes the claim",
        ("guarantees",),
        lambda found: margins.always_feasible(found.tables[0]),
    ),
}


def claims_table(presets: tuple[str, ...] = PRESETS) -> str:
    """The verdicts under each preset as a Markdown table, for the README."""
    lines = [
        f"| claim | source | the paper says | {' | '.join(presets)} |",
        "|---" * (3 + len(presets)) + "|",
    ]
    for name, claim in CLAIMS.items():
        verdicts = " | ".join(_verdict(name, preset) for preset in presets)
        lines.append(f"| {name} | {claim.source} | {claim.statement} | {verdicts} |")
    return "\n".join(lines)


def _verdict(name: str, preset: str) -> str:
    try:
        ruling = rule_on(name, preset)
    except MissingRuns:
        return "runs are missing"
    return f"{ruling.verdict} ({ruling.seeds} seeds)"
