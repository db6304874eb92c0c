"""What each panel of section V runs, on one screen, and what else is run at the paper's size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mecsim.experiments.runs import Run
from mecsim.experiments.store import DATA, ROOT
from mecsim.settings import SettingError


@dataclass(frozen=True)
class Point:
    """One curve or one place on the x axis of a panel: what it changes, and for which agents it is run."""

    label: str
    agents: tuple[str, ...] = ("INTO",)
    changes: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """One panel: what it varies, and its points."""

    title: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Profile:
    """A scale at which experiments are run: seeds, slots, and settings of the learners that replace Table II's."""

    seeds: int
    slots: int
    evaluation_slots: int
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)


def _learning_rate(rate: float) -> Point:
    return Point(f"{rate:g}", settings={"actor_learning_rate": rate, "critic_learning_rate": rate})


EXPERIMENTS = {
    "fig3a": Experiment("Learning rate", tuple(_learning_rate(rate) for rate in (1e-4, 1e-3, 1e-2))),
    "fig3b": Experiment(
        "Discount factor", tuple(Point(f"{g:g}", settings={"gamma": g}) for g in (0.99, 0.79, 0.59))
    ),
    "precision": Experiment(
        "Precision of the products",
        tuple(Point(name, settings={"precision": name}) for name in ("float32", "bfloat16")),
    ),
}

PROFILES = {
    "paper": Profile(seeds=5, slots=2000, evaluation_slots=500, folder=DATA / "runs"),
    "quick": Profile(
        seeds=2,
        slots=300,
        evaluation_slots=100,
        folder=ROOT / "build" / "runs",
        settings={"actor_hidden": (300, 100), "critic_hidden": (150, 60)},
    ),
}


def runs_of(
    names: Iterable[str], profile: str = "paper", preset: str = "calibrated", seeds: int | None = None
) -> list[Run]:
    """The runs of some experiments, each once, seed by seed so that a part of them is already a result.

    Raises:
        SettingError: an experiment or a profile is not known.
    """
    names = list(names)
    for kind, name, known in [
        ("profile", profile, PROFILES),
        *(("experiment", name, EXPERIMENTS) for name in names),
    ]:
        if name not in known:
            raise SettingError(f"{kind} = {name!r} is not allowed: it should be one of {', '.join(known)}.")
    scale = PROFILES[profile]
    runs = [
        run
        for seed in range(scale.seeds if seeds is None else seeds)
        for name in names
        for point in EXPERIMENTS[name].points
        for run in point_runs(point, scale, preset, seed)
    ]
    return list({run.key: run for run in runs}.values())


def point_runs(point: Point, scale: Profile, preset: str, seed: int) -> list[Run]:
    """The runs of one point for one seed, one an agent."""
    return [
        Run(
            agent=agent,
            preset=preset,
            changes=point.changes,
            settings={**scale.settings, **point.settings},
            slots=scale.slots,
            evaluation_slots=scale.evaluation_slots,
            seed=seed,
        )
        for agent in point.agents
    ]
