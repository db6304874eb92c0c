"""Where each algorithm stands: what it earns as a share of what no algorithm can exceed, at the points of Fig. 6."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple, cast

import pandas as pd

from mecsim.experiments.panels import EXPERIMENTS
from mecsim.experiments.results import LEAST_SEEDS, MissingRuns, results, stored_seeds
from mecsim.experiments.statistics import interval
from mecsim.experiments.studies import STUDIES, studied
from mecsim.experiments.studies.bounds import LONG_RUN, LOWER, PANELS, UPPER, bounded_runs
from mecsim.scenario import Scenario

PER_SLOT_BOUND, LONG_RUN_BOUND = "per slot", "long run"
COLUMNS = ["preset", "panel", "label", "x", "point", "agent", "seed", "bound", "ratio", "bracket_gap"]


class Standing(NamedTuple):
    """An agent's income over a bound: mean over seeds with its 95 % interval.

    Attributes:
        bound: "per slot" or "long run".
        bracket_gap: (upper - lower) / lower of the incomes that a slot can give, so that the share of the optimum
            lies between the ratio and (1 + gap) times the ratio; None for the long run, of which no lower end is
            known but what the agents earn.
    """

    preset: str
    bound: str
    agent: str
    ratio: float
    low: float
    high: float
    seeds: int
    bracket_gap: float | None

    @property
    def share(self) -> str:
        """The ratio with its interval, in figures."""
        return f"{self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}]"


def standings(preset: str = "calibrated") -> list[Standing]:
    """Where each agent of Fig. 6 stands, on average over the points of its panels, each distinct point once.

    Raises:
        MissingRuns: fewer than two seeds have all runs and all bounds.
    """
    return averaged(ratios(preset))


def averaged(table: pd.DataFrame) -> list[Standing]:
    """The standings in a table of `ratios`, or in a part of it, such as one point."""
    once = table.drop_duplicates(["preset", "point", "agent", "seed", "bound"])
    found = []
    for key, part in once.groupby(["preset", "bound", "agent"], sort=False):
        of_seeds = interval(part.pivot_table("ratio", "seed")["ratio"].to_numpy())
        gap = float(part["bracket_gap"].to_numpy(float).mean())
        found.append(Standing(*cast("tuple[str, str, str]", key), *of_seeds, None if isnan(gap) else gap))
    return found


def ratios(preset: str = "calibrated") -> pd.DataFrame:
    """Income over the bound of each agent at each point of Fig. 6, for the seeds that have all runs and all bounds.

    Per slot it is the sum of the incomes in the reference states over the sum of the upper ends of their brackets; in
    the long run the mean income over the bound on it. All agents meet the same states, tasks, channels and harvests.

    Returns:
        Columns preset, panel, label, x, point (alike where panels share it), agent, seed, bound ("per slot" or
        "long run"), ratio, bracket_gap (see `Standing`; missing for the long run).

    Raises:
        SettingError: the preset is not known.
        MissingRuns: fewer than two seeds have all runs and all bounds; the message says how to compute them.
    """
    Scenario.preset(preset)
    bounds = (
        studied("bounds", preset)
        .pivot_table("value", ["panel", "label", "point", "seed", "slot"], "metric")
        .reset_index()
    )
    seeds = _whole_seeds(preset, bounds)
    parts = [_of_panel(panel, preset, seeds, bounds) for panel in PANELS]
    return pd.concat(parts, ignore_index=True).loc[:, COLUMNS]


def standings_table(found: Sequence[Standing]) -> str:
    """The standings of one preset as a table of an agent a line."""
    shares = {(one.agent, one.bound): one.share for one in found}
    agents, bounds = dict.fromkeys(one.agent for one in found), (PER_SLOT_BOUND, LONG_RUN_BOUND)
    first, width = found[0], max(map(len, agents))
    gap = next(100.0 * one.bracket_gap for one in found if one.bracket_gap is not None)
    lines = [
        f"{first.preset}: income over the bound at the points of Fig. 6, mean and 95 % interval, {first.seeds} seeds",
        f"{'':{width}}  " + "  ".join(f"{bound:20}" for bound in bounds),
        *(f"{agent:{width}}  {'  '.join(shares[agent, bound] for bound in bounds)}" for agent in agents),
        f"Per slot the brackets are {gap:.1f} % wide: the share of the optimum is at most that much larger.",
    ]
    return "\n".join(lines)


def _whole_seeds(preset: str, bounds: pd.DataFrame) -> list[int]:
    """The seeds for which all runs of Fig. 6 are stored and the bounds, as they are defined now, on all of them."""
    with_runs = set.intersection(*(set(stored_seeds(panel, preset=preset)) for panel in PANELS))
    sizes = STUDIES["bounds"].sizes
    stored = set(bounds[["seed", "panel", "label", "point"]].itertuples(index=False, name=None))
    with_bounds = {
        seed
        for seed in set(bounds["seed"])
        if all(
            (seed, panel, label, run.key) in stored
            for panel, label, run in bounded_runs(preset, int(seed), sizes["points"], sizes["slots"])
        )
    }
    both = with_runs & with_bounds
    if len(both) < LEAST_SEEDS:
        raise MissingRuns(
            f"bounds: of {preset}, {len(with_runs)} seeds have all runs of Fig. 6, {len(with_bounds)} have all bounds "
            f"and {len(both)} both, where {LEAST_SEEDS} are needed; compute them with `mecsim run "
            f"{' '.join(PANELS)} --profile paper --preset {preset}` and `mecsim study bounds --preset {preset}`."
        )
    return sorted(both)


def _of_panel(panel: str, preset: str, seeds: Sequence[int], bounds: pd.DataFrame) -> pd.DataFrame:
    """The ratios at the points of one panel."""
    here = bounds.loc[(bounds["panel"] == panel) & bounds["seed"].isin(seeds)]
    rows = results(panel, preset=preset, seeds=seeds).merge(
        here, on=["label", "seed", "slot"], validate="many_to_one"
    )
    point = ["label", "point", "agent", "seed"]
    states = rows.loc[rows["metric"] == "reference income"]
    best = states.groupby(["label", "seed", "slot"], observed=True)["value"].transform("max")
    states = states.assign(**{LOWER: states[LOWER].clip(lower=best)})  # what one earns can be earned
    slots = states.pivot_table(["value", LOWER, UPPER], point, aggfunc="sum", sort=False).reset_index()
    gap = slots[UPPER] / slots[LOWER] - 1.0
    per_slot = slots[point].assign(bound=PER_SLOT_BOUND, ratio=slots["value"] / slots[UPPER], bracket_gap=gap)
    means = rows.loc[rows["metric"] == "income"]
    long_run = means[point].assign(bound=LONG_RUN_BOUND, ratio=means["value"] / means[LONG_RUN])
    both = pd.concat([per_slot, long_run])
    places = [{one.label: one.x for one in EXPERIMENTS[panel].points}[label] for label in both["label"]]
    return both.assign(preset=preset, panel=panel, x=places)
