"""Computes the runs of an experiment that are not stored yet."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mecsim.experiments import computing, store
from mecsim.experiments.computing import compute, path_of
from mecsim.experiments.cost import probe
from mecsim.experiments.defaults import DEFAULTS, record_defaults
from mecsim.experiments.plan import Plan, plan
from mecsim.experiments.pool import follow, noted, run_tasks
from mecsim.experiments.progress import Progress
from mecsim.experiments.provenance import write_manifest
from mecsim.experiments.runs import Run


class Stopped(KeyboardInterrupt):
    """Ctrl-C; the message says what is stored."""


def run_experiments(
    names: Iterable[str],
    profile: str = "quick",
    preset: str = "calibrated",
    seeds: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> list[Run]:
    """Computes what is missing of some experiments and returns all their runs.

    Args:
        names: experiments, see `mecsim.experiments.panels.EXPERIMENTS`.
        profile: "paper" for the paper's sizes, stored in data/, or "quick", stored in build/.
        preset: the scenario.
        seeds: how many seeds, counted from 0; the profile's own number by default.
        workers: processes side by side; by default one a core.
        scheduler: "local" or the address of a dask scheduler, see `mecsim.experiments.cluster.connect`; by default
            the workers are processes of this machine, without dask.
        changes: fields of the scenario that differ at every point.

    Raises:
        SettingError: an experiment, profile or preset is not known, or there is no such scheduler.
        WorkersLost: workers were killed again and again.
        Stopped: Ctrl-C.
    """
    wanted = plan(names, profile, preset, seeds, changes)
    for folder in (wanted.folder, computing.WORK):
        store.remove_abandoned(folder)
    with _kept(wanted):
        if wanted.missing and scheduler is not None:
            _run_on(scheduler, wanted, workers, f"{profile} runs")
        elif wanted.missing:
            _run_here(wanted, workers, f"{profile} runs")
    return wanted.runs


@contextmanager
def _kept(wanted: Plan) -> Iterator[None]:
    """Lists what is stored at the end, however it comes."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(
            f"Stopped: {wanted.stored} of {len(wanted.runs)} runs are stored; run the same again to go on."
        ) from None
    finally:
        write_manifest(wanted.folder)
        record_defaults(wanted.folder.parent / DEFAULTS.name)


def _run_here(wanted: Plan, workers: int | None, label: str) -> None:
    work = partial(_compute_missing, folder=wanted.folder)
    run_tasks(work, wanted.missing, workers, label, wanted.costs_s(probe()))


def _run_on(scheduler: str, wanted: Plan, workers: int | None, label: str) -> None:
    from mecsim.experiments import cluster

    costs_s = wanted.costs_s(probe())
    with cluster.connect(scheduler, workers) as client:
        workers_now = cluster.size(client)
        if not workers_now:
            print(f"{scheduler} has no workers yet; the runs wait for them.", file=sys.stderr)
        progress = Progress(label, costs_s, workers_now or 1)
        with progress, closing(_stored(cluster.measured(client, wanted.missing), wanted)) as events:
            follow(events, progress)


def _stored(contents: Iterator[tuple[int, bytes] | None], wanted: Plan) -> Iterator[int | None]:
    """Stores runs as they come, and tells which."""
    for event in contents:
        if event is None:
            yield None
            continue
        number, content = event
        store.write_atomically(path_of(wanted.missing[number], wanted.folder), content)
        yield number


def _compute_missing(run: Run, folder: Path) -> None:
    """Computes a run, unless it was stored while it waited for its turn."""
    if not path_of(run, folder).exists():
        with noted(f"This happened in the run {run.key}."):
            compute(run, folder)
