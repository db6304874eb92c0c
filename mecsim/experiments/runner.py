"""Computes the runs of an experiment that are not stored yet."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from mecsim.experiments.computing import compute, path_of
from mecsim.experiments.defaults import DEFAULTS, record_defaults
from mecsim.experiments.pool import run_tasks
from mecsim.experiments.provenance import write_manifest
from mecsim.experiments.registry import PROFILES, runs_of
from mecsim.experiments.runs import Run


def run_experiments(
    names: Iterable[str],
    profile: str = "quick",
    preset: str = "calibrated",
    seeds: int | None = None,
    workers: int | None = None,
) -> list[Run]:
    """Computes what is missing of some experiments and returns all their runs.

    Args:
        names: experiments, see `mecsim.experiments.registry.EXPERIMENTS`.
        profile: "paper" for the paper's sizes, stored in data/, or "quick", stored in build/.
        preset: the scenario.
        seeds: how many seeds, counted from 0; the profile's own number by default.
        workers: processes side by side; by default one a core.

    Raises:
        SettingError: an experiment, profile or preset is not known.
    """
    runs = runs_of(names, profile, preset, seeds)
    folder = PROFILES[profile].folder
    missing = [run for run in runs if not path_of(run, folder).exists()]
    run_tasks(partial(compute, folder=folder), missing, workers, f"{profile} runs")
    write_manifest(folder)
    record_defaults(folder.parent / DEFAULTS.name)
    return runs
