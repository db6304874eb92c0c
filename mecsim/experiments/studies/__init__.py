"""Seeded measurements beside the runs: which there are, and how they are computed, stored and read."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mecsim.experiments.results import MissingRuns
from mecsim.experiments.runner import compute
from mecsim.experiments.store import DATA, Job, Store, Wanted, named, read_tables
from mecsim.experiments.studies.bounds import BOUNDS
from mecsim.experiments.studies.decisions import DECISIONS
from mecsim.experiments.studies.drift import DRIFT
from mecsim.experiments.studies.guarantees import GUARANTEES
from mecsim.experiments.studies.lookup import LOOKUP
from mecsim.experiments.studies.study import SEEDS
from mecsim.scenario import PRESETS as SCENARIOS
from mecsim.scenario import Scenario

FOLDER = DATA / "studies"
STUDIES = {
    "lookup": LOOKUP,
    "guarantees": GUARANTEES,
    "bounds": BOUNDS,
    "drift": DRIFT,
    "decisions": DECISIONS,
}


class StudyStore(Store):
    """A folder of studies."""

    command = "mecsim study"

    def wanted(self) -> list[Wanted]:
        """The measurements that the claims or the bounds need, by study and preset."""
        return [
            Wanted(f"the study {name} under {preset}", jobs, f"{self.command} {name} --preset {preset}")
            for preset in SEEDS
            for name in STUDIES
            for jobs in [study_jobs([name], preset)]
        ]

    def current(self) -> dict[str, Job]:
        """Those of more seeds and other presets, too."""
        made = {name: entry["run"] for name, entry in self.manifest().items()}
        return {
            name: study_job(run["study"], run["preset"], run["seed"])
            for name, run in made.items()
            if run["study"] in STUDIES and run["preset"] in SCENARIOS
        }


def study_job(name: str, preset: str, seed: int) -> Job:
    """One preset and seed of a study."""
    study = STUDIES[name]
    which = {"study": name, "preset": preset, "seed": seed}
    return Job(
        f"{name}-{preset}-seed{seed}.parquet",
        {**which, "changes": SCENARIOS[preset], **study.sizes},
        partial(_measure, name, preset, seed, study.sizes),
        study.about_s,
    )


def _measure(name: str, preset: str, seed: int, sizes: dict[str, Any]) -> pd.DataFrame:
    study = STUDIES[name]
    rows = [
        {"study": name, "preset": preset, "seed": seed, **row} for row in study.measure(preset, seed, **sizes)
    ]
    return pd.DataFrame(rows, columns=["study", "preset", "seed", "metric", *study.index, "value"])


def study_jobs(names: Iterable[str], preset: str = "calibrated", seeds: int | None = None) -> list[Job]:
    """The measurements of some studies, seed by seed; by default as many seeds as each study wants.

    Raises:
        SettingError: a study or the preset is not known.
    """
    Scenario.preset(preset)
    chosen = {name: named("study", name, STUDIES) for name in names}
    counts = {name: study.seeds.get(preset, 0) if seeds is None else seeds for name, study in chosen.items()}
    return [
        study_job(name, preset, seed)
        for seed in range(max(counts.values(), default=0))
        for name in chosen
        if seed < counts[name]
    ]


def run_studies(
    names: Iterable[str],
    preset: str = "calibrated",
    seeds: int | None = None,
    workers: int | None = None,
    folder: Path = FOLDER,
) -> list[Job]:
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
    wanted, store = study_jobs(names, preset, seeds), StudyStore(folder)
    compute(store, store.missing(wanted), workers, "studies")
    return wanted


def studied(name: str, preset: str = "calibrated", folder: Path = FOLDER) -> pd.DataFrame:
    """The table of a study over all stored seeds: columns study, preset, seed, metric, those of its index, value.

    Raises:
        SettingError: the study is not known.
        MissingRuns: no seed is stored; the message says how to compute it.
    """
    named("study", name, STUDIES)
    try:
        return read_tables(folder, f"{name}-{preset}-seed*.parquet")
    except FileNotFoundError:
        raise MissingRuns(
            f"the study {name} is not stored for the preset {preset}; compute it with "
            f"`mecsim study {name} --preset {preset}`."
        ) from None
