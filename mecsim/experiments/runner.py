"""Computes the files of a store that are missing, and tells before what that takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from mecsim.experiments import parallel, runs
from mecsim.experiments.panels import PROFILES, Profile, RunStore, runs_of
from mecsim.experiments.parallel import Progress, clock_time, duration_s, noted
from mecsim.experiments.runs import Run, not_stored, record_defaults, run_job
from mecsim.experiments.store import Job, Store, remove_abandoned
from mecsim.refinement import ensure_compiled
from mecsim.settings import SettingError

MOST_LINES = 40
"""Groups of runs that are listed one by one; where there are more, all values of a field share a line."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C; the message says what is stored."""


def compute(store: Store, jobs: Sequence[Job], workers: int | None = None, label: str = "files") -> None:
    """Computes the jobs of a store, each in a process of its own, and lists the store's files at the end.

    Args:
        store: where the files go.
        jobs: what is not stored yet, see `Store.missing`.
        workers: processes side by side; by default one a core.
        label: what the progress bar is called.

    Raises:
        WorkersLost: workers were killed again and again.
    """
    remove_abandoned(store.folder)
    store.write_manifest()  # without what is to be computed, so that this is listed anew
    try:
        if jobs:
            ensure_compiled()  # here once, and from then on kept on disk, so that the workers need not all compile
            costs_s = [job.about_s for job in jobs]
            parallel.run_tasks(partial(_compute, store=store), jobs, costs_s, workers, label)
    finally:
        store.write_manifest()


def _compute(job: Job, store: Store) -> None:
    """Computes and stores a file, unless that was done while it waited for its turn."""
    if not store.path(job).exists():
        with noted(f"This happened in {job.name}."):
            store.write(job, store.content(job))


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
    def store(self) -> RunStore:
        """Where the runs are stored."""
        return RunStore(self.scale.folder)

    @cached_property
    def missing(self) -> list[Run]:
        """The runs that were not stored when this was first asked."""
        return not_stored(self.runs, self.scale.folder)

    @property
    def stored(self) -> int:
        """How many runs are stored now."""
        return len(self.runs) - len(not_stored(self.runs, self.scale.folder))

    def describe(self, workers: int) -> str:
        """What is stored, what is missing, and about how long it takes with so many workers."""
        stored = f"{len(self.runs) - len(self.missing)} of {len(self.runs)} runs are stored"
        if not self.missing:
            return f"{stored}: nothing is missing."
        costs_s = [run.about_s for run in self.missing]
        took = f"about {clock_time(sum(costs_s))} on one core like that of the stored runs (AMD EPYC)"
        lines = self._lines(
            lambda run: ", ".join(f"{at} {_spelt(to)}" for at, to in self._differing(run).items())
        )
        if len(lines) > MOST_LINES:
            lines = self._lines(lambda run: ", ".join(self._differing(run)))
        return "\n".join(
            [
                f"{stored}. Missing:",
                *lines,
                f"{_runs(len(costs_s))}: {took}, {clock_time(duration_s(costs_s, workers))} with workers = {workers}.",
            ]
        )

    def _lines(self, what: Callable[[Run], str]) -> list[str]:
        """A line for each agent and kind of point, in the order of the runs."""
        kinds = {run.key: (run.agent, what(run)) for run in self.missing}
        order = {kind: place for place, kind in enumerate(dict.fromkeys(kinds.values()))}
        rows = sorted(self.missing, key=lambda run: order[kinds[run.key]])
        lines = []
        for (agent, changed), group in groupby(rows, key=lambda run: kinds[run.key]):
            members = list(group)
            point = f"{agent}, {changed}" if changed else agent
            took = clock_time(sum(run.about_s for run in members))
            lines.append(f"  {point}: {_runs(len(members))}, {_seeds({run.seed for run in members})}, {took}")
        return lines

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
        scheduler: "local" or the address of a dask scheduler, see `mecsim.experiments.parallel.connect`; by default
            the workers are processes of this machine, without dask.
        changes: fields of the scenario that differ at every point.

    Raises:
        SettingError: an experiment, profile or preset is not known, or there is no such scheduler.
        WorkersLost: workers were killed again and again.
        Stopped: Ctrl-C.
    """
    wanted = plan(names, profile, preset, seeds, changes)
    remove_abandoned(runs.WORK)
    label = f"{profile} runs"
    try:
        if wanted.missing and scheduler is not None:
            _compute_on(scheduler, wanted, workers, label)
        else:
            compute(wanted.store, [run_job(run, _checkpoint(run)) for run in wanted.missing], workers, label)
    except KeyboardInterrupt:
        raise Stopped(
            f"Stopped: {wanted.stored} of {len(wanted.runs)} runs are stored; run the same again to go on."
        ) from None
    finally:
        record_defaults(wanted.store.folder.parent / runs.DEFAULTS.name)
    return wanted.runs


def _checkpoint(run: Run) -> Path | None:
    return runs.WORK / f"{run.key}.safetensors" if run.slots else None


def _compute_on(scheduler: str, wanted: Plan, workers: int | None, label: str) -> None:
    ensure_compiled()  # for the workers of a local scheduler
    with parallel.connect(scheduler, workers) as client:
        workers_now = len(client.nthreads())
        if not workers_now:
            print(f"{scheduler} has no workers yet; the runs wait for them.", file=sys.stderr)
        progress = Progress(label, [run.about_s for run in wanted.missing], workers_now or 1)
        try:
            with progress, closing(_stored(measured(client, wanted.missing), wanted)) as events:
                progress.follow(events)
        finally:
            wanted.store.write_manifest()


def _stored(contents: Iterator[tuple[str, bytes] | None], wanted: Plan) -> Generator[int | None]:
    """Stores runs as they come, and tells which."""
    jobs = {run.key: (number, run_job(run)) for number, run in enumerate(wanted.missing)}
    for event in contents:
        if event is None:
            yield None
            continue
        key, content = event
        number, job = jobs[key]
        wanted.store.write(job, content)
        yield number


def measured(client: Any, wanted: Sequence[Run]) -> Iterator[tuple[str, bytes] | None]:
    """The key and the content of the file of each run as it is done on dask, and None from time to time.

    Raises:
        SettingError: a worker has another mecsim than the runner, or several threads.
        WorkersLost: several workers were lost with the same run, or the scheduler is gone.
    """

    def measure_there(*run: Any) -> bytes:
        from mecsim.experiments.runner import measure_on_worker

        return measure_on_worker(*run)

    return parallel.done_by(
        client, measure_there, {run.key: (run.key, run.model_dump(mode="json")) for run in wanted}
    )


def measure_on_worker(key: str, settings: dict[str, Any]) -> bytes:
    """Measures a run on a worker, if that is sure to give the result that the runner would get.

    Args:
        key: of the run, as the runner knows it.
        settings: the fields of the run.

    Returns:
        The content of the run's result file.

    Raises:
        SettingError: it is not sure.
    """
    from distributed import get_worker

    worker, job = get_worker(), run_job(Run(**settings))
    if job.name != f"{key}.parquet":
        raise SettingError(f"the worker {worker.name} has another version of mecsim than the runner.")
    if worker.state.nthreads != 1:  # the seeds of networks are process-wide
        raise SettingError(
            f"the worker {worker.name} has {worker.state.nthreads} threads: start it with one (--nthreads 1)."
        )
    with noted(f"This happened in {job.name}."):
        return RunStore(runs.WORK).content(job)


def _runs(count: int) -> str:
    return f"{count} run{'s' if count > 1 else ''}"


def _seeds(seeds: set[int]) -> str:
    first, last = min(seeds), max(seeds)
    if first == last:
        return f"seed {first}"
    whole = len(seeds) == last - first + 1
    return f"seeds {first}-{last}" if whole else f"seeds {', '.join(map(str, sorted(seeds)))}"


def _spelt(value: Any) -> str:
    """A value as short as can be; one value for each BS counts as one for all where they are equal."""
    if isinstance(value, tuple | list):
        parts = list(dict.fromkeys(map(_spelt, value)))
        return parts[0] if len(parts) == 1 else f"({', '.join(map(_spelt, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)
