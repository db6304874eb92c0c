"""Where each algorithm stands: what it earns as a share of what no algorithm can exceed, at the points of Fig. 6."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import pandas as pd

from mecsim.experiments.panels import EXPERIMENTS
from mecsim.experiments.results import LEAST_SEEDS, MissingRuns, results, stored_seeds
from mecsim.experiments.statistics import interval
from mecsim.experiments.studies import STUDIES, studied
from mecsim.experiments.studies.bounds import LONG_RUN, LOWER, PANELS, UPPER, bounded_runs
from mecsim.scenario import Scenario

PER_SLOT_BOUND, LONG_RUN_BOUND = "per slot", "long run"
POINT = ["label", "point", "agent", "seed"]
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
    for (preset, bound, agent), part in once.groupby(["preset", "bound", "agent"], sort=False):
        of_seeds = interval(part.groupby("seed")["ratio"].mean())
        gap = part["bracket_gap"].mean()
        found.append(Standing(preset, bound, agent, *of_seeds, None if pd.isna(gap) else float(gap)))
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
    bounds = stored_bounds(preset)
    seeds = seeds_of(preset, bounds)
    parts = [_of_panel(panel, preset, seeds, bounds) for panel in PANELS]
    return pd.concat(parts, ignore_index=True).assign(preset=preset)[COLUMNS]


def stored_bounds(preset: str) -> pd.DataFrame:
    """The stored bounds of a preset, one row a point, seed and slot, slot -1 for the long run.

    Columns panel, label, point, seed, slot, and for each metric of the study one.

    Raises:
        MissingRuns: none is stored.
    """
    table = studied("bounds", preset)
    index = ["panel", "label", "point", "seed", "slot"]
    return table.pivot_table(index=index, columns="metric", values="value").reset_index()


def seeds_of(preset: str, bounds: pd.DataFrame) -> set[int]:
    """The seeds for which all runs of Fig. 6 and the bounds on all of them are stored.

    Raises:
        MissingRuns: there are fewer than two.
    """
    with_runs = set.intersection(*(set(stored_seeds(panel, preset=preset)) for panel in PANELS))
    with_bounds = {int(seed) for seed in bounds["seed"].unique() if _whole(bounds, preset, int(seed))}
    both = with_runs & with_bounds
    if len(both) < LEAST_SEEDS:
        raise MissingRuns(
            f"bounds: of {preset}, {len(with_runs)} seeds have all runs of Fig. 6, {len(with_bounds)} have all bounds "
            f"and {len(both)} both, where {LEAST_SEEDS} are needed; compute them with `mecsim run "
            f"{' '.join(PANELS)} --profile paper --preset {preset}` and `mecsim study bounds --preset {preset}`."
        )
    return both


def in_words(found: Sequence[Standing]) -> str:
    """The standings of one preset as a table of an agent a line."""
    by_agent: dict[str, dict[str, Standing]] = {}
    for one in found:
        by_agent.setdefault(one.agent, {})[one.bound] = one
    gap = 100.0 * next(one.bracket_gap for one in found if one.bracket_gap is not None)
    first, width = found[0], max(map(len, by_agent))
    lines = [
        f"{first.preset}: income over the bound at the points of Fig. 6, mean and 95 % interval, {first.seeds} seeds",
        f"{'':{width}}  " + "  ".join(f"{bound:20}" for bound in (PER_SLOT_BOUND, LONG_RUN_BOUND)),
    ]
    for agent, of_bound in by_agent.items():
        cells = [
            f"{one.ratio:.3f} [{one.low:.3f}, {one.high:.3f}]"
            for one in map(of_bound.get, (PER_SLOT_BOUND, LONG_RUN_BOUND))
        ]
        lines.append(f"{agent:{width}}  {'  '.join(cells)}")
    return "\n".join(
        [
            *lines,
            f"Per slot the brackets are {gap:.1f} % wide: the share of the optimum is at most that much larger.",
        ]
    )


def _whole(bounds: pd.DataFrame, preset: str, seed: int) -> bool:
    """Is there a bound on every point, as it is defined now, of a seed?"""
    sizes = STUDIES["bounds"].sizes
    wanted = {
        (panel, label, run.key)
        for panel, label, run in bounded_runs(preset, seed, sizes["points"], sizes["slots"])
    }
    of_seed = bounds[bounds["seed"] == seed]
    return wanted <= set(zip(of_seed["panel"], of_seed["label"], of_seed["point"], strict=True))


def _of_panel(panel: str, preset: str, seeds: Collection[int], bounds: pd.DataFrame) -> pd.DataFrame:
    """The ratios at the points of one panel."""
    here = bounds[(bounds["panel"] == panel) & bounds["seed"].isin(seeds)]
    earned = results(panel, preset=preset, seeds=seeds)
    places = {point.label: point.x for point in EXPERIMENTS[panel].points}
    both = pd.concat([_per_slot(earned, here), _long_run(earned, here)])
    return both.assign(panel=panel, x=both["label"].map(places))


def _per_slot(earned: pd.DataFrame, bounds: pd.DataFrame) -> pd.DataFrame:
    states = earned[earned["metric"] == "reference income"]
    joined = states.merge(bounds, on=["label", "seed", "slot"], validate="many_to_one")
    total = joined.groupby(POINT, sort=False)[["value", LOWER, UPPER]].sum().reset_index()
    gap = total[UPPER] / total[LOWER] - 1.0
    return total[POINT].assign(bound=PER_SLOT_BOUND, ratio=total["value"] / total[UPPER], bracket_gap=gap)


def _long_run(earned: pd.DataFrame, bounds: pd.DataFrame) -> pd.DataFrame:
    means = earned[earned["metric"] == "income"]
    joined = means.merge(bounds, on=["label", "seed", "slot"], validate="many_to_one")
    return joined[POINT].assign(bound=LONG_RUN_BOUND, ratio=joined["value"] / joined[LONG_RUN])
