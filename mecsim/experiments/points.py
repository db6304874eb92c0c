"""What an experiment is: points at which agents are run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mecsim.experiments.sweeps import Sweep

PRESETS = ("calibrated", "printed")
"""The scenarios that every figure is shown under."""

FEW_SEEDS = 3
"""Seeds of what goes beyond the paper, where trainings or bounds are many."""


@dataclass(frozen=True)
class Point:
    """One curve or one place on the x axis of a panel: what it changes, and for which agents it is run.

    Attributes:
        label: what the point is called.
        agents: who is run there; a learner is trained anew.
        changes: fields of the scenario.
        settings: fields of the learners' settings.
        refinement: fields of `Refinement`.
        deviation: fields of `Deviation`, between the twin and its plant.
        shift: fields of the scenario that change halfway through the training, or after it where `half` is set.
        half: train for half the slots only.
        x: place on the x axis; None for a curve.
    """

    label: str
    agents: tuple[str, ...] = ("INTO",)
    changes: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    refinement: dict[str, Any] = field(default_factory=dict)
    deviation: dict[str, Any] = field(default_factory=dict)
    shift: dict[str, Any] = field(default_factory=dict)
    half: bool = False
    x: float | None = None


@dataclass(frozen=True)
class Experiment:
    """One panel: what it varies, its points, the presets it belongs to, and the most seeds that it is run with."""

    title: str
    points: tuple[Point, ...]
    axis: str = ""
    presets: tuple[str, ...] = PRESETS
    most_seeds: int = 5


def along(sweep: Sweep, agents: tuple[str, ...]) -> tuple[Point, ...]:
    """A point at each value of a sweep."""
    return tuple(
        Point(f"{value / sweep.per:g}", agents, sweep.changes(value), x=value / sweep.per)
        for value in sweep.values
    )
