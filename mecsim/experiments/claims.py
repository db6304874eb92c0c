"""The paper's claims: what each says, what is measured (`mecsim.experiments.margins`), and the verdict of the runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from mecsim.experiments import margins
from mecsim.experiments.margins import READINGS, Evidence, Reading
from mecsim.experiments.panels import COMPARED, FIGURES, PRESETS
from mecsim.experiments.results import MissingRuns, results
from mecsim.experiments.statistics import LOOK_CONFIDENCE, Interval, Verdict, negligible, verdict, weakest
from mecsim.experiments.store import named
from mecsim.experiments.studies import STUDIES, studied
from mecsim.physics import Array
from mecsim.scenario import Scenario

CHOSEN = " †"
"""The mark of a verdict that the choice of `calibrated` made likely."""
CHOSEN_WHY = (
    "† calibrated was chosen because all-on, which does not learn, shows the same trend (ASSUMPTIONS.md)."
)
OF_INCOME, OF_A_COUNT, OF_CONVERGENCE = 0.005, 0.01, 100.0
"""The smallest differences that matter: shares of an income and of a count, and slots."""


class Ruling(NamedTuple):
    """A claim's verdict; effect, low and high are the margin of the part that decides it and its interval at a look."""

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
        matters: the smallest difference that matters, in that unit; 0 where every difference does.
        chosen: does `calibrated` owe its choice to the same trend of all-on's?
    """

    source: str
    statement: str
    rule: str
    experiments: tuple[str, ...]
    measure: Callable[[Evidence], Array | Interval]
    unit: str = ""
    matters: float = 0.0
    chosen: bool = False

    def judged(self, evidence: Evidence) -> tuple[Verdict, Interval]:
        """The verdict of one look, and the interval of the part that decides it."""
        found = self._measured(evidence)
        if isinstance(found, Interval):
            return verdict(found), found
        margin = weakest(found, LOOK_CONFIDENCE)
        alike = None
        if verdict(margin) == "inconclusive":
            alike = negligible(found, self.matters, LOOK_CONFIDENCE)
        return ("no difference that matters", alike) if alike else (verdict(margin), margin)

    def margin(self, evidence: Evidence) -> Interval:
        """The margin of the claim's weakest part with its interval over seeds."""
        found = self._measured(evidence)
        return found if isinstance(found, Interval) else weakest(found)

    def _measured(self, evidence: Evidence) -> Array | Interval:
        # A NaN is a seed that a part lacks, and nothing else.
        with np.errstate(divide="raise", invalid="raise"):
            return self.measure(evidence)

    def mark(self, preset: str) -> str:
        """What stands behind a verdict that the choice of the preset made likely."""
        return CHOSEN if self.chosen and preset == "calibrated" else ""

    def describe(self, ruling: Ruling) -> str:
        """A verdict on the claim as text of a few lines."""
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{ruling.id}  {ruling.verdict}{self.mark(ruling.preset)}: {self.statement} ({self.source})\n"
            f"    {self.rule}:\n"
            f"    {ruling.effect:.3g} [{ruling.low:.3g}, {ruling.high:.3g}]{unit}, {ruling.seeds} seeds"
        )


def rule_on(name: str, preset: str = "calibrated", reading: Reading = "frozen") -> Ruling:
    """The verdict on one claim from what is stored at the paper's scale.

    Raises:
        MissingRuns: runs that the claim needs are not stored.
        SettingError: there is no such claim or reading.
    """
    claim = named("claim", name, CLAIMS)
    named("reading", reading, dict.fromkeys(READINGS))
    if claim.experiments[0] in STUDIES:
        tables = [studied(study, preset) for study in claim.experiments]
    else:
        tables = [results(experiment, preset=preset) for experiment in claim.experiments]
    found, margin = claim.judged(Evidence(tables, preset=preset, reading=reading))
    return Ruling(name, preset, found, *margin)


def verdicts_on(panel: str, presets: Iterable[str]) -> str:
    """The verdicts on what the paper says of one panel alone, such as fig3a: a line a claim.

    Raises:
        MissingRuns: runs that a claim needs are not stored.
    """
    return "\n".join(
        f"{name:4} {claim.statement}\n     "
        + "; ".join(f"{preset}: {rule_on(name, preset).verdict}{claim.mark(preset)}" for preset in presets)
        for name, claim in CLAIMS.items()
        if [one for one in claim.experiments if one.startswith("fig")] == [panel]
    )


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
        margins.income_falls,
        matters=OF_INCOME,
    ),
    "C2a": Claim(
        "Fig. 3(a)",
        "a smaller learning rate converges later",
        "slots by which the smaller of two neighbouring rates comes later to stay within 2 % of its final level, as a "
        "share of all-on's income in the same slots",
        ("fig3a", "unlearnt"),
        margins.later,
        "slots",
        matters=OF_CONVERGENCE,
    ),
    "C2b": Claim(
        "Fig. 3(a)",
        "and that after about 1500, 1000 and 600 slots",
        f"{margins.ABOUT} slots minus the distance from the paper's number, on either side",
        ("fig3a", "unlearnt"),
        margins.as_stated,
        "slots",
    ),
    "C3": Claim(
        "Fig. 3(b)",
        "the converged average income orders the discount factors 0.99 > 0.79 > 0.59",
        _GAP,
        ("fig3b",),
        margins.income_falls,
        matters=OF_INCOME,
    ),
    "C4": Claim(
        "Fig. 4(a)",
        "as the award of BS-1's tasks rises, BS-1 offloads more devices, BS-2 and BS-3 fewer",
        _FIRST_AGAINST_OTHERS,
        ("fig4a",),
        margins.first_rises_others_fall,
        matters=OF_A_COUNT,
        chosen=True,
    ),
    "C5": Claim(
        "Fig. 4(a)",
        "offloading devices order BS-1 < BS-2 < BS-3",
        "gap between neighbouring BSs at each point, as a share of the mean",
        ("fig4a",),
        margins.ordered,
        matters=OF_A_COUNT,
        chosen=True,
    ),
    "C6": Claim(
        "Fig. 4(b)",
        "as the density of BS-2's and BS-3's tasks rises, BS-1 offloads more devices, BS-2 and BS-3 fewer",
        _FIRST_AGAINST_OTHERS,
        ("fig4b",),
        margins.first_rises_others_fall,
        matters=OF_A_COUNT,
        chosen=True,
    ),
    "C7": Claim(
        "Fig. 5(a)",
        "as the channel gain rises, the offloading devices of all BSs rise",
        _RISE,
        ("fig5a",),
        margins.counts_rise,
        matters=OF_A_COUNT,
        chosen=True,
    ),
    "C8": Claim(
        "Fig. 5(a)",
        "and their total flattens at the end",
        _FLAT,
        ("fig5a",),
        margins.flattens,
        matters=OF_A_COUNT,
        chosen=True,
    ),
    "C9": Claim(
        "Fig. 5(b)",
        "as the harvested energy rises, the offloading devices of all BSs rise",
        _RISE,
        ("fig5b",),
        margins.counts_rise,
        matters=OF_A_COUNT,
        chosen=True,
    ),
    "C10": Claim(
        "Fig. 5(b)",
        "and their total flattens at the end",
        _FLAT,
        ("fig5b",),
        margins.flattens,
        matters=OF_A_COUNT,
        chosen=True,
    ),
    "C11": Claim(
        "Fig. 6(a)",
        "income falls as the task size rises, for every algorithm",
        _INCOME_RISE.replace("rise", "fall"),
        ("fig6a",),
        lambda found: -margins.incomes_rise(found),
        matters=OF_INCOME,
    ),
    "C12": Claim(
        "Fig. 6(b)",
        "income rises with computing capacity, for every algorithm",
        _INCOME_RISE,
        ("fig6b",),
        margins.incomes_rise,
        matters=OF_INCOME,
    ),
    "C13": Claim(
        "Fig. 6(c)",
        "income rises as the deadlines grow longer, for every algorithm",
        _INCOME_RISE,
        ("fig6c",),
        margins.incomes_rise,
        matters=OF_INCOME,
    ),
    "C14": Claim(
        "Fig. 6(d)",
        "income rises with channel bandwidth, for every algorithm",
        _INCOME_RISE,
        ("fig6d",),
        margins.incomes_rise,
        matters=OF_INCOME,
    ),
    "C15": Claim(
        "Fig. 6",
        "INTO's income exceeds OLNPO's, LPWPO's and DDQN's at every point of every panel",
        "INTO's income over the other's, minus 1, at each point",
        FIGURES["fig6"],
        margins.excess,
        matters=OF_INCOME,
    ),
    "C16": Claim(
        "section V",
        "OLNPO earns less because it leaves the spare CPU of other BSs unused",
        "idle share of the CPU under OLNPO minus that under INTO, mean over Fig. 6",
        FIGURES["fig6"],
        margins.wasted,
    ),
    "C17": Claim(
        "section V",
        "DDQN suffers from the size of the action space",
        "fitted fall of DDQN's income over INTO's from 17 to 165 devices, and what it lacks at 165",
        ("devices",),
        margins.falls_behind,
        matters=OF_INCOME,
    ),
    "C18": Claim(
        "section IV-B",
        "refining an action is fast where looking up its nearest feasible neighbours is too slow",
        "orders of magnitude by which the look-up takes longer than a slot at 165 devices, and Algorithm 1 less",
        ("lookup",),
        lambda found: margins.slower(found.tables[0], Scenario.preset(found.preset).tau_s),
        "powers of ten",
    ),
    "C19a": Claim(
        "sections I, V-A",
        "INTO's decisions follow the environment when it changes",
        "rise of BS-1's devices once its awards have tripled, without further training",
        ("change",),
        margins.follows,
        matters=OF_A_COUNT,
    ),
    "C19b": Claim(
        "sections I, V-A",
        "and it adapts to the change by training on",
        "income that training on after the change adds, over training as long before it",
        ("change",),
        margins.gains_by_training,
        matters=OF_INCOME,
    ),
    "C20": Claim(
        "section IV-B",
        "every refined action satisfies constraints C1-C4, (5) and (10)",
        "1 in 1000 minus the rate of refined actions that break a constraint; one that does refutes the claim",
        ("guarantees",),
        lambda found: margins.always_feasible(found.tables[0]),
    ),
}


def claims_table() -> str:
    """The verdicts under each preset as a Markdown table, for the README."""

    def told(name: str, preset: str) -> str:
        try:
            ruling = rule_on(name, preset)
        except MissingRuns:
            return "runs are missing"
        return f"{ruling.verdict}{CLAIMS[name].mark(preset)} ({ruling.seeds} seeds)"

    rows: list[tuple[str, ...]] = [("claim", *PRESETS, "the paper says")]
    for name, claim in CLAIMS.items():
        verdicts = (told(name, preset) for preset in PRESETS)
        rows.append((name, *verdicts, f"{claim.statement} ({claim.source})"))
    header, *lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join((header, "|---" * len(rows[0]) + "|", *lines))
