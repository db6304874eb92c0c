"""The study of certified bounds: what no agent can exceed at the points of Fig. 6, in single states and on average."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from mecsim.bounds import idle_states, long_run_bound, per_slot_bounds
from mecsim.experiments.panels import EXPERIMENTS, FIGURES, PROFILES
from mecsim.experiments.runs import Run, reference_states
from mecsim.experiments.studies.study import LONG, Row, Study

PANELS = FIGURES["fig6"]
LOWER, UPPER, LONG_RUN = "slot lower", "slot upper", "long run"
ALL_SLOTS = -1
"""The slot of a bound that is a mean over all evaluation slots, as in the table of a run."""


def measure_bounds(preset: str, seed: int, points: dict[str, list[str]], slots: int, gap: float) -> list[Row]:
    """Bounds on what any agent earns in the evaluation world of a seed.

    Args:
        preset: the scenario.
        seed: the seed of the runs that the bounds are for.
        points: labels of points by panel.
        slots: evaluation slots of those runs.
        gap: relative gap at which the bracket of a slot is narrow enough.

    Returns:
        Rows with panel, label, point (see `point_of`), slot, metric and value: the ends of the bracket in each
        reference state, and the bound on the mean over all evaluation slots with slot -1. A point that panels share
        is computed once and has its rows in each.
    """

    @cache
    def bounds_of(run: Run) -> list[Row]:
        return [*_in_reference(run, gap), _long_run(run)]

    return [
        {"panel": panel, "label": label, "point": run.key, **row}
        for panel, label, run in bounded_runs(preset, seed, points, slots)
        for row in bounds_of(run)  # pyright: ignore[reportArgumentType]  # pydantic's stubs hide the hash of a record
    ]


def bounded_runs(
    preset: str, seed: int, points: dict[str, list[str]], slots: int
) -> Iterator[tuple[str, str, Run]]:
    """The control's run at each point, with its panel and label."""
    for panel, labels in points.items():
        for point in EXPERIMENTS[panel].points:
            if point.label in labels:
                yield panel, point.label, _control(preset, point.changes, slots, seed)


def point_of(run: Run) -> str:
    """The name of what a run is evaluated in, scenario and world: that of the control's run there."""
    return _control(run.preset, {**run.changes, **run.shift}, run.evaluation_slots, run.seed).key


def _control(preset: str, changes: dict[str, Any], slots: int, seed: int) -> Run:
    where = {"preset": preset, "changes": changes, "evaluation_slots": slots, "seed": seed}
    return Run(agent="all-on", slots=0, **where)


def _in_reference(run: Run, gap: float) -> Iterator[Row]:
    for state in reference_states(run):
        bracket = per_slot_bounds(run.shifted(), state, gap)
        yield {"slot": state.slot, "metric": LOWER, "value": bracket.lower}
        yield {"slot": state.slot, "metric": UPPER, "value": bracket.upper}


def _long_run(run: Run) -> Row:
    scenario = run.shifted()
    states = idle_states(scenario, run.evaluation_seed(), run.evaluation_slots)
    return {"slot": ALL_SLOTS, "metric": LONG_RUN, "value": long_run_bound(scenario, states).income}


SIZES = {
    "points": {panel: [point.label for point in EXPERIMENTS[panel].points] for panel in PANELS},
    "slots": PROFILES["paper"].evaluation_slots,
    "gap": 0.03,
}
BOUNDS = Study(measure_bounds, SIZES, 600.0, ("panel", "label", "point", "slot"), LONG)
