"""What each panel of section V runs, on one screen, and what else is run at the paper's size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mecsim.experiments.beyond import BEYOND
from mecsim.experiments.points import Experiment, Point, along
from mecsim.experiments.runs import LEARNERS, Run
from mecsim.experiments.store import DATA, ROOT
from mecsim.experiments.sweeps import (
    AWARD,
    BANDWIDTH,
    CPU,
    DEADLINE,
    DENSITY,
    GAIN,
    HARVEST,
    SIZE,
    Sweep,
)
from mecsim.scenario import Scenario
from mecsim.settings import SettingError


@dataclass(frozen=True)
class Profile:
    """A scale at which experiments are run: seeds, slots, and settings of each agent that replace the paper's."""

    seeds: int
    slots: int
    evaluation_slots: int
    folder: Path
    settings: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    fewer_seeds: Mapping[str, int] = field(default_factory=dict)

    def seeds_of(self, preset: str) -> int:
        """How many seeds a preset is run with."""
        return self.fewer_seeds.get(preset, self.seeds)


COUNTED = ("INTO", "all-on")
"""Figs 4 and 5 show INTO; all-on is the control that the calibration looked at."""

COMPARED = ("INTO", "LPWPO", "OLNPO", "DDQN")
"""The algorithms of Fig. 6."""

CONTROLS = ("all-on", "untrained")
"""What learning has to be held against: no learning."""

RIVALS = ("greedy", "thrifty")
"""Rules that are not in the paper, for notebook 11."""

_EVERYONE = COMPARED + CONTROLS + RIVALS


def _learning_rate(rate: float) -> Point:
    return Point(f"{rate:g}", settings={"actor_learning_rate": rate, "critic_learning_rate": rate})


def _devices(share: float) -> Point:
    """Fewer devices, and so much less CPU that as many of them go without: only the number of actions shrinks."""
    devices = tuple(round(share * number) for number in Scenario().devices)
    changes = {"devices": devices, "cpu_hz": share * Scenario().cpu_hz[0]}
    return Point(str(sum(devices)), LEARNERS, changes, x=float(sum(devices)))


def _panel(title: str, sweep: Sweep, agents: tuple[str, ...]) -> Experiment:
    return Experiment(title, along(sweep, agents), sweep.axis)


EXPERIMENTS = {
    "fig3a": Experiment("Learning rate", tuple(_learning_rate(rate) for rate in (1e-4, 1e-3, 1e-2))),
    "fig3b": Experiment(
        "Discount factor", tuple(Point(f"{g:g}", settings={"gamma": g}) for g in (0.99, 0.79, 0.59))
    ),
    "fig4a": _panel("Award of BS-1's tasks", AWARD, COUNTED),
    "fig4b": _panel("Density of BS-2's and BS-3's tasks", DENSITY, COUNTED),
    "fig5a": _panel("Channel gain", GAIN, COUNTED),
    "fig5b": _panel("Harvested energy", HARVEST, COUNTED),
    "fig6a": _panel("Task size", SIZE, _EVERYONE),
    "fig6b": _panel("Computing capacity", CPU, _EVERYONE),
    "fig6c": _panel("Deadlines", DEADLINE, _EVERYONE),
    "fig6d": _panel("Bandwidth", BANDWIDTH, _EVERYONE),
    "devices": Experiment(
        "Number of devices (C17)", tuple(_devices(share) for share in (0.1, 0.25, 0.5, 1.0)), "devices"
    ),
    "change": Experiment(
        "The award of BS-1's tasks triples halfway (C19)",
        (
            Point("before", half=True),
            Point("after, not trained further", half=True, shift=AWARD.changes(3.0)),
            Point("after, trained further", shift=AWARD.changes(3.0)),
        ),
    ),
    **BEYOND,
}
"""Every experiment: the panels of section V, what its other claims need, and what goes beyond the paper."""

FIGURES = {
    figure: tuple(name for name in EXPERIMENTS if name.startswith(figure))
    for figure in ("fig3", "fig4", "fig5", "fig6")
}
"""The panels of each figure."""

_QUICK_INTO = {"actor_hidden": (300, 100), "critic_hidden": (150, 60)}

PROFILES = {
    "paper": Profile(
        seeds=5,
        slots=2000,
        evaluation_slots=500,
        folder=DATA / "runs",
        fewer_seeds={"printed": 3},
    ),
    "quick": Profile(
        seeds=2,
        slots=300,
        evaluation_slots=100,
        folder=ROOT / "build" / "runs",
        settings={"INTO": _QUICK_INTO, "untrained": _QUICK_INTO, "DDQN": {"hidden": (100, 60)}},
    ),
}


def runs_of(
    names: Iterable[str],
    profile: str = "paper",
    preset: str = "calibrated",
    seeds: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> list[Run]:
    """The runs of some experiments, each once, seed by seed so that a part of them is already a result.

    Args:
        names: experiments.
        profile: the scale.
        preset: the scenario.
        seeds: how many seeds, counted from 0; by default the profile's number for the preset.
        changes: fields of the scenario that differ at every point, unless the point itself sets them.

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
    wanted = {name: wanted_seeds(name, profile, preset) if seeds is None else seeds for name in names}
    runs = [
        run
        for seed in range(max(wanted.values(), default=0))
        for name in names
        if seed < wanted[name]
        for point in EXPERIMENTS[name].points
        for run in point_runs(point, scale, preset, seed, changes)
    ]
    return list({run.key: run for run in runs}.values())


def wanted_seeds(name: str, profile: str, preset: str) -> int:
    """How many seeds an experiment is run with at a scale, counted from 0."""
    return min(PROFILES[profile].seeds_of(preset), EXPERIMENTS[name].most_seeds)


def point_runs(
    point: Point, scale: Profile, preset: str, seed: int, changes: Mapping[str, Any] | None = None
) -> list[Run]:
    """The runs of one point for one seed, one an agent."""
    half = scale.slots // 2
    slots = half if point.half else scale.slots
    return [
        Run(
            agent=agent,
            preset=preset,
            changes={**(changes or {}), **point.changes},
            settings={**scale.settings.get(agent, {}), **point.settings},
            slots=slots if agent in LEARNERS else 0,
            refinement=point.refinement,
            deviation=point.deviation,
            shift=point.shift,
            shift_at=half if point.shift else 0,
            evaluation_slots=scale.evaluation_slots,
            seed=seed,
        )
        for agent in point.agents
    ]
