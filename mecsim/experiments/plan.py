"""What a command would compute: the runs that are missing, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from mecsim.experiments.computing import not_stored
from mecsim.experiments.cost import Machine, cost_s
from mecsim.experiments.panels import PROFILES, Profile, runs_of
from mecsim.experiments.progress import clock_time, duration_s
from mecsim.experiments.runs import Run

MOST_LINES = 40
"""Groups of runs that are listed one by one; where there are more, all values of a field share a line."""


@dataclass(frozen=True)
class Plan:
    """The runs of some experiments at one scale.

    Attributes:
        runs: all of them, each once.
        scale: the profile that they belong to.
    """

    runs: list[Run]
    scale: Profile

    @property
    def folder(self) -> Path:
        """Where the runs are stored."""
        return self.scale.folder

    @cached_property
    def missing(self) -> list[Run]:
        """The runs that were not stored when this was first asked."""
        return not_stored(self.runs, self.folder)

    @property
    def stored(self) -> int:
        """How many runs are stored now."""
        return len(self.runs) - len(not_stored(self.runs, self.folder))

    def costs_s(self, machine: Machine) -> list[float]:
        """Seconds that each missing run takes on one thread of a machine."""
        return [cost_s(run, machine) for run in self.missing]

    def describe(self, machine: Machine, workers: int) -> str:
        """What is stored, what is missing, and what it costs on a machine with so many workers."""
        stored = f"{len(self.runs) - len(self.missing)} of {len(self.runs)} runs are stored"
        if not self.missing:
            return f"{stored}: nothing is missing."
        costs = self.costs_s(machine)
        took = f"about {clock_time(sum(costs))} of one thread of this machine"
        return "\n".join(
            [
                f"{stored}. Missing:",
                *self._lines(costs),
                f"{_runs(len(costs))}: {took}, {clock_time(duration_s(costs, workers))} with workers = {workers}.",
            ]
        )

    def _lines(self, costs: list[float]) -> list[str]:
        lines = _grouped(self.missing, costs, self._point)
        return lines if len(lines) <= MOST_LINES else _grouped(self.missing, costs, self._fields)

    def _point(self, run: Run) -> str:
        return ", ".join(f"{name} {_spelt(value)}" for name, value in self._differing(run).items())

    def _fields(self, run: Run) -> str:
        return ", ".join(self._differing(run))

    def _differing(self, run: Run) -> dict[str, Any]:
        """What a run changes, but for the settings that its profile gives to all."""
        usual = self.scale.settings.get(run.agent, {})
        own = {name: value for name, value in run.settings.items() if usual.get(name) != value}
        shift = {f"then {name}": value for name, value in run.shift.items()}
        slots = {} if run.slots in (0, self.scale.slots) else {"slots": run.slots}
        return {**run.changes, **own, **run.refinement, **shift, **run.deviation, **slots}


def plan(
    names: Iterable[str],
    profile: str = "quick",
    preset: str = "calibrated",
    seeds: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Plan:
    """What `run_experiments` computes for the same arguments.

    Raises:
        SettingError: an experiment, profile or preset is not known.
    """
    return Plan(runs_of(names, profile, preset, seeds, changes), PROFILES[profile])


def _grouped(runs: list[Run], costs: list[float], what: Callable[[Run], str]) -> list[str]:
    """A line for each agent and kind of point, in the order of the runs."""
    kinds = [(run.agent, what(run)) for run in runs]
    order = {kind: place for place, kind in enumerate(dict.fromkeys(kinds))}
    rows = sorted(zip(kinds, runs, costs, strict=True), key=lambda row: order[row[0]])
    lines = []
    for (agent, changed), group in groupby(rows, key=lambda row: row[0]):
        members = list(group)
        seeds = sorted({run.seed for _, run, _ in members})
        took = clock_time(sum(cost for *_, cost in members))
        point = f"{agent}, {changed}" if changed else agent
        lines.append(f"  {point}: {_runs(len(members))}, {_seeds(seeds)}, {took}")
    return lines


def _runs(count: int) -> str:
    return f"{count} run{'s' if count > 1 else ''}"


def _seeds(seeds: list[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    whole = seeds == list(range(seeds[0], seeds[-1] + 1))
    return f"seeds {seeds[0]}-{seeds[-1]}" if whole else f"seeds {', '.join(map(str, seeds))}"


def _spelt(value: Any) -> str:
    """A value as short as can be; one value for each BS counts as one for all where they are equal."""
    if isinstance(value, tuple | list):
        parts = list(dict.fromkeys(map(_spelt, value)))
        return parts[0] if len(parts) == 1 else f"({', '.join(map(_spelt, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)
