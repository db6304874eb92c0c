"""The paper's claims, each with the rule that turns stored runs into a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from mecsim.experiments import evidence
from mecsim.experiments.evidence import Reading
from mecsim.experiments.panels import PRESETS
from mecsim.experiments.results import MissingRuns
from mecsim.experiments.statistics import Interval, Verdict, verdict


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
        margin: computes the margin's interval for a preset and a reading of "average income".
        unit: of the margin; empty for a share.
    """

    source: str
    statement: str
    rule: str
    margin: Callable[[str, Reading], Interval]
    unit: str = ""

    def in_words(self, ruling: Ruling) -> str:
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
    margin = CLAIMS[name].margin(preset, reading)
    return Ruling(name, preset, verdict(margin), margin.mean, margin.low, margin.high, margin.seeds)


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
        partial(evidence.income_falls, "fig3a"),
    ),
    "C2": Claim(
        "Fig. 3(a)",
        "a smaller learning rate converges later (about 600, 1000 and 1500 slots)",
        "slots by which the smaller of two neighbouring rates comes later to stay within 2 % of its final level",
        evidence.smaller_rate_converges_later,
        "slots",
    ),
    "C3": Claim(
        "Fig. 3(b)",
        "the converged average income orders the discount factors 0.99 > 0.79 > 0.59",
        _GAP,
        partial(evidence.income_falls, "fig3b"),
    ),
    "C4": Claim(
        "Fig. 4(a)",
        "as the award of BS-1's tasks rises, BS-1 offloads more devices, BS-2 and BS-3 fewer",
        _FIRST_AGAINST_OTHERS,
        partial(evidence.counts_follow, "fig4a", "C4"),
    ),
    "C5": Claim(
        "Fig. 4(a)",
        "offloading devices order BS-1 < BS-2 < BS-3",
        "gap between neighbouring BSs at each point, as a share of the mean",
        partial(evidence.counts_follow, "fig4a", "C5"),
    ),
    "C6": Claim(
        "Fig. 4(b)",
        "as the density of BS-2's and BS-3's tasks rises, BS-1 offloads more devices, BS-2 and BS-3 fewer",
        _FIRST_AGAINST_OTHERS,
        partial(evidence.counts_follow, "fig4b", "C6"),
    ),
    "C7": Claim(
        "Fig. 5(a)",
        "as the channel gain rises, the offloading devices of all BSs rise",
        _RISE,
        partial(evidence.counts_follow, "fig5a", "C7"),
    ),
    "C8": Claim(
        "Fig. 5(a)",
        "and their total flattens at the end",
        _FLAT,
        partial(evidence.counts_follow, "fig5a", "C8"),
    ),
    "C9": Claim(
        "Fig. 5(b)",
        "as the harvested energy rises, the offloading devices of all BSs rise",
        _RISE,
        partial(evidence.counts_follow, "fig5b", "C9"),
    ),
    "C10": Claim(
        "Fig. 5(b)",
        "and their total flattens at the end",
        _FLAT,
        partial(evidence.counts_follow, "fig5b", "C10"),
    ),
    "C11": Claim(
        "Fig. 6(a)",
        "income falls as the task size rises, for every algorithm",
        _INCOME_RISE.replace("rise", "fall"),
        partial(evidence.incomes_move, "fig6a", -1),
    ),
    "C12": Claim(
        "Fig. 6(b)",
        "income rises with computing capacity, for every algorithm",
        _INCOME_RISE,
        partial(evidence.incomes_move, "fig6b", 1),
    ),
    "C13": Claim(
        "Fig. 6(c)",
        "income rises as the deadlines grow longer, for every algorithm",
        _INCOME_RISE,
        partial(evidence.incomes_move, "fig6c", 1),
    ),
    "C14": Claim(
        "Fig. 6(d)",
        "income rises with channel bandwidth, for every algorithm",
        _INCOME_RISE,
        partial(evidence.incomes_move, "fig6d", 1),
    ),
    "C15": Claim(
        "Fig. 6",
        "INTO's income exceeds OLNPO's, LPWPO's and DDQN's at every point of every panel",
        "INTO's income over the other's, minus 1, at each point",
        evidence.into_earns_most,
    ),
    "C16": Claim(
        "section V",
        "OLNPO earns less because it leaves the spare CPU of other BSs unused",
        "idle share of the CPU under OLNPO minus that under INTO, mean over Fig. 6",
        evidence.olnpo_wastes_cpu,
    ),
    "C17": Claim(
        "section V",
        "DDQN suffers from the size of the action space",
        "fitted fall of DDQN's income over INTO's from 17 to 165 devices, and what it lacks at 165",
        evidence.ddqn_falls_behind,
    ),
    "C18": Claim(
        "section IV-B",
        "refining an action is fast where looking up its nearest feasible neighbours is too slow",
        "orders of magnitude by which the look-up takes longer than a slot at 165 devices, and Algorithm 1 less",
        evidence.look_up_is_slow,
        "powers of ten",
    ),
    "C19": Claim(
        "sections I, V-A",
        "INTO adapts its decisions when the environment changes",
        "rise of BS-1's devices once its awards have tripled, and income that training on adds",
        evidence.into_adapts,
    ),
    "C20": Claim(
        "section IV-B",
        "every refined action satisfies constraints C1-C4, (5) and (10)",
        "1 in 1000 minus the rate of refined actions that break a constraint; one that does refutes the claim",
        evidence.always_feasible,
    ),
}


def claims_table(presets: tuple[str, ...] = PRESETS) -> str:
    """The verdicts under each preset as a Markdown table, for the README."""
    lines = [
        f"| claim | source | the paper says | {' | '.join(presets)} |",
        "|---" * (3 + len(presets)) + "|",
    ]
    for name, claim in CLAIMS.items():
        verdicts = " | ".join(_in_words(name, preset) for preset in presets)
        lines.append(f"| {name} | {claim.source} | {claim.statement} | {verdicts} |")
    return "\n".join(lines)


def _in_words(name: str, preset: str) -> str:
    try:
        ruling = rule_on(name, preset)
    except MissingRuns:
        return "runs are missing"
    return f"{ruling.verdict} ({ruling.seeds} seeds)"
