"""Seeded measurements beside the runs, of Algorithm 1 and of bounds: computed, stored and read like the runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mecsim.experiments.panels import FEW_SEEDS, PRESETS, PROFILES
from mecsim.experiments.pool import run_tasks
from mecsim.experiments.provenance import NUMERICS, provenance, read_manifest, write_manifest
from mecsim.experiments.results import MissingRuns
from mecsim.experiments.store import DATA, read_tables, write_table
from mecsim.experiments.study_bounds import bounds_sizes, measure_bounds
from mecsim.experiments.study_decisions import measure_decisions
from mecsim.experiments.study_drift import drift_sizes, measure_drift
from mecsim.experiments.study_guarantees import measure_guarantees
from mecsim.experiments.study_lookup import measure_lookup
from mecsim.scenario import PRESETS as SCENARIOS
from mecsim.scenario import Scenario
from mecsim.settings import SettingError

FOLDER = DATA / "studies"
SEEDS = {preset: PROFILES["paper"].seeds_of(preset) for preset in PRESETS}
"""How many seeds the claims need: those of the runs."""
OTHER_SEEDS = 3
"""How many seeds another preset is measured with by default."""
LONG = dict.fromkeys(SCENARIOS, FEW_SEEDS)
"""The seeds of studies that take long, by preset."""


@dataclass(frozen=True)
class Study:
    """One study.

    Attributes:
        measure: measures a preset and a seed, giving rows with metric, value and the columns of `index`.
        sizes: what it takes beside these.
        index: what tells the rows of a metric apart.
        seeds: how many seeds are wanted by preset, none where a preset is left out; by default those of the runs.
    """

    measure: Callable[..., list[dict[str, Any]]]
    sizes: dict[str, Any]
    index: tuple[str, ...] = ("devices",)
    seeds: Mapping[str, int] | None = None

    def wanted_seeds(self, preset: str) -> int:
        """How many seeds of a preset are wanted, counted from 0."""
        return SEEDS.get(preset, OTHER_SEEDS) if self.seeds is None else self.seeds.get(preset, 0)


STUDIES = {
    "lookup": Study(measure_lookup, {"devices": [5, 6, 7, 8, 9, 10], "states": 12, "paper_states": 120}),
    "guarantees": Study(measure_guarantees, {"actions": 20_000}),
    "bounds": Study(measure_bounds, bounds_sizes(), ("panel", "label", "point", "slot"), LONG),
    "drift": Study(measure_drift, drift_sizes(), ("variant", "slot"), LONG),
    "decisions": Study(measure_decisions, {"slots": 2000, "settings": {}}, ("slot",), {"calibrated": 1}),
}


class Measurement(NamedTuple):
    """One preset and seed of a study: what to measure, and where to keep it."""

    study: str
    preset: str
    seed: int
    sizes: dict[str, Any]
    folder: Path

    @property
    def path(self) -> Path:
        """The result file."""
        return self.folder / f"{self.study}-{self.preset}-seed{self.seed}.parquet"

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that the result depends on, ready for JSON."""
        named = {"study": self.study, "preset": self.preset, "seed": self.seed}
        return {**named, "changes": SCENARIOS[self.preset], **self.sizes}


def run_studies(
    names: Iterable[str],
    preset: str = "calibrated",
    seeds: int | None = None,
    workers: int | None = None,
    folder: Path = FOLDER,
) -> list[Measurement]:
    """Computes what is missing of some studies and returns all their measurements.

    Args:
        names: studies, see `STUDIES`.
        preset: the scenario.
        seeds: how many seeds, counted from 0; by default as many as each study wants.
        workers: processes side by side; by default one a core.
        folder: where they are stored.

    Raises:
        SettingError: a study or the preset is not known.
    """
    wanted = _measurements(names, preset, seeds, folder)
    run_tasks(compute, [one for one in wanted if not one.path.exists()], workers, "studies")
    write_manifest(folder)
    return wanted


def missing_studies(
    names: Iterable[str] | None = None,
    preset: str = "calibrated",
    seeds: int | None = None,
    folder: Path = FOLDER,
) -> list[Measurement]:
    """The measurements of some studies, by default of all, that are not stored; see `run_studies`."""
    wanted = STUDIES if names is None else names
    return [one for one in _measurements(wanted, preset, seeds, folder) if not one.path.exists()]


def compute(measurement: Measurement) -> None:
    """Measures and stores one preset and seed."""
    made_by = provenance(measurement.settings)
    study = STUDIES[measurement.study]
    frame = pd.DataFrame(study.measure(measurement.preset, measurement.seed, **measurement.sizes))
    frame = frame.assign(study=measurement.study, preset=measurement.preset, seed=measurement.seed)
    columns = ["study", "preset", "seed", "metric", *study.index, "value"]
    write_table(measurement.path, frame[columns], made_by)


def studied(name: str, preset: str = "calibrated", folder: Path = FOLDER) -> pd.DataFrame:
    """The table of a study over all stored seeds: columns study, preset, seed, metric, those of its index, value.

    Raises:
        SettingError: the study is not known.
        MissingRuns: no seed is stored; the message says how to compute it.
    """
    _known(name)
    try:
        return read_tables(folder, f"{name}-{preset}-seed*.parquet")
    except FileNotFoundError:
        raise MissingRuns(
            f"the study {name} is not stored for the preset {preset}; compute it with {_command(name, preset)}."
        ) from None


def lacking_studies(folder: Path = FOLDER) -> list[str]:
    """One sentence for every study of which measurements are not stored that the claims or the bounds need."""
    found = []
    for preset in SEEDS:
        for name in STUDIES:
            missing = len(missing_studies([name], preset, folder=folder))
            if missing:
                found.append(
                    f"the study {name} lacks {missing} of {STUDIES[name].wanted_seeds(preset)} seeds for the preset "
                    f"{preset}; run "
                    f"{_command(name, preset)}."
                )
    return found


def stale_studies(folder: Path = FOLDER) -> list[str]:
    """One sentence for every stored measurement that is not what would be measured now."""
    reasons = ((name, _stale(entry, folder)) for name, entry in sorted(read_manifest(folder).items()))
    return [
        f"data/{folder.name}/{name} is stale ({why}); delete it and run again."
        for name, why in reasons
        if why
    ]


def _stale(entry: dict[str, Any], folder: Path) -> str:
    """Why a stored measurement is not what would be measured now; nothing where it is."""
    made = entry["run"]
    if entry["numerics"] != NUMERICS:
        return f"numerics {entry['numerics']}, now {NUMERICS}"
    if made["study"] not in STUDIES or made["preset"] not in SCENARIOS:
        return "its study or its preset is no more"
    sizes = STUDIES[made["study"]].sizes
    now = Measurement(made["study"], made["preset"], made["seed"], sizes, folder).settings
    return "" if made == now else "its preset or its sizes have changed"


def _measurements(names: Iterable[str], preset: str, seeds: int | None, folder: Path) -> list[Measurement]:
    names = list(names)
    for name in names:
        _known(name)
    Scenario.preset(preset)
    counts = {name: STUDIES[name].wanted_seeds(preset) if seeds is None else seeds for name in names}
    return [
        Measurement(name, preset, seed, STUDIES[name].sizes, folder)
        for seed in range(max(counts.values(), default=0))
        for name in names
        if seed < counts[name]
    ]


def _known(name: str) -> None:
    if name not in STUDIES:
        raise SettingError(f"study = {name!r} is not allowed: it should be one of {', '.join(STUDIES)}.")


def _command(name: str, preset: str) -> str:
    return f"`mecsim study {name} --preset {preset}`"
