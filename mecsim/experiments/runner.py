"""Computes the files of a store that are missing, and tells before what that takes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mecsim.experiments import parallel, runs
from mecsim.experiments.lockstep import compute_stacks, contents, stacks
from mecsim.experiments.panels import PROFILES, RunStore, runs_of
from mecsim.experiments.parallel import Progress, clock_time, duration_s, noted
from mecsim.experiments.runs import Run, missing_runs, record_defaults, run_job
from mecsim.experiments.store import Job, Store, ensure_place, ensure_writable, remove_abandoned
from mecsim.refinement import ensure_compiled
from mecsim.settings import SettingError

if TYPE_CHECKING:
    from distributed import Client


class Stopped(KeyboardInterrupt):
    """Ctrl-C; the message says what is stored."""


class Diverged(ArithmeticError):
    """Trainings whose networks gave NaN; the message names them."""


def compute(store: Store, jobs: Sequence[Job], workers: int | None, label: str) -> None:
    """Computes the jobs of a store, each in a process of its own, and lists the store's files at the end.

    Args:
        store: where the files go.
        jobs: what is not stored yet, see `Store.missing`.
        workers: processes side by side; by default one a core.
        label: what the progress bar is called.

    Raises:
        CannotWrite: what is computed could not be stored.
        WorkersLost: workers were killed again and again.
    """
    if jobs:
        ensure_writable(store.folder)
        for folder in {job.scratch.parent for job in jobs if job.scratch is not None}:
            ensure_writable(folder)
    remove_abandoned(store.folder)
    store.write_manifest()  # without what is to be computed, so that this is listed anew
    try:
        compute_files([(store, job) for job in jobs], workers, label)
    finally:
        store.write_manifest()


def compute_files(files: Sequence[tuple[Store, Job]], workers: int | None, label: str) -> None:
    """Computes files, each in a process of its own, and lists none; see `compute`."""
    if files:
        ensure_compiled()  # here once, and from then on kept on disk, so that the workers need not all compile
        parallel.run_tasks(_compute, files, [job.about_s for _, job in files], workers, label)


def _compute(file: tuple[Store, Job]) -> None:
    """Computes and stores a file, unless that was done while it waited for its turn."""
    store, job = file
    if not store.path(job).exists():
        with noted(f"This happened in {job.name}."):
            store.write(job, store.content(job))


def describe(wanted: Sequence[Run], profile: str, workers: int) -> str:
    """What of some runs is stored, what is missing, and about how long it takes with so many workers."""
    missing = missing_runs(wanted, PROFILES[profile].folder)
    stored = f"{len(wanted) - len(missing)} of {len(wanted)} runs are stored"
    if not missing:
        return f"{stored}: nothing is missing."
    costs_s = [run.about_s for run in missing]
    rows = pd.DataFrame(
        {"agent": run.agent, "what differs": _differing(run, profile), "seed": run.seed, "s": run.about_s}
        for run in missing
    )
    groups = rows.groupby(["agent", "what differs"], sort=False).agg(
        runs=("seed", "size"),
        seeds=("seed", lambda seeds: ", ".join(map(str, sorted(set(seeds))))),
        time=("s", lambda costs_s: clock_time(sum(costs_s))),
    )
    took = f"about {clock_time(sum(costs_s))} on one core like that of the stored runs (AMD EPYC)"
    return (
        f"{stored}. Missing:\n{groups.reset_index().to_string(index=False)}\n"
        f"{len(missing)} runs: {took}, {clock_time(duration_s(costs_s, workers))} with workers = {workers}."
    )


def _differing(run: Run, profile: str) -> str:
    """The names of what a run changes, but for the settings that its profile gives to all."""
    scale = PROFILES[profile]
    usual = scale.settings.get(run.agent, {})
    own = [name for name, value in run.settings.items() if usual.get(name) != value]
    shift = [f"then {name}" for name in run.shift]
    slots = [] if run.slots in (0, scale.slots) else [f"{run.slots} slots"]
    differing = [*run.changes, *own, *run.refinement, *shift, *run.deviation, *run.evaluation, *slots]
    return ", ".join(differing) or "nothing"


def run_experiments(
    names: Iterable[str],
    profile: str = "quick",
    preset: str = "calibrated",
    seeds: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    changes: Mapping[str, Any] | None = None,
    device: str = "cpu",
    at_once: int | None = None,
) -> list[Run]:
    """Computes what is missing of some experiments and returns all their runs.

    With a GPU, or `at_once`, trainings are measured in stacks, see `mecsim.experiments.lockstep`; such a result has not
    the bits of one computed on a CPU alone, and its file says so.

    Args:
        names: experiments, see `mecsim.experiments.panels.EXPERIMENTS`.
        profile: "paper" for the paper's sizes, stored in data/, or "quick", stored in build/.
        preset: the scenario.
        seeds: how many seeds, counted from 0; the profile's own number by default.
        workers: processes side by side; by default one a core.
        scheduler: "local" or the address of a dask scheduler, see `mecsim.experiments.parallel.connect`; by default
            the workers are processes of this machine, without dask.
        changes: fields of the scenario that differ at every point.
        device: where networks live, such as "cuda".
        at_once: trainings in a stack at most; by default one on a CPU, and as many as fit the memory of a GPU.

    Raises:
        CannotWrite: what is computed could not be stored.
        Diverged: trainings in stacks gave NaN.
        SettingError: an experiment, profile or preset is not known, there is no such scheduler, or there is no place
            for results (`mecsim.experiments.store.ensure_place`).
        WorkersLost: workers were killed again and again.
        Stopped: Ctrl-C.
    """
    wanted = runs_of(names, profile, preset, seeds, changes)
    compute_runs(wanted, PROFILES[profile].folder, profile, workers, scheduler, device, at_once)
    return wanted


def compute_runs(
    wanted: Sequence[Run],
    folder: Path,
    what: str,
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "cpu",
    at_once: int | None = None,
) -> None:
    """Computes what a folder lacks of some runs; `what` is what they are called, for the rest see `run_experiments`."""
    store = RunStore(folder)
    ensure_place(folder)
    if device != "cpu" and scheduler is None:  # before rules are computed on the CPU
        from mecsim.agents.learner import torch_device

        torch_device(device)
    missing = missing_runs(wanted, store.folder)
    if missing:
        ensure_writable(store.folder)
        remove_abandoned(runs.WORK)
    lockstep = device != "cpu" or at_once is not None
    if lockstep and scheduler is not None and at_once is None:
        raise SettingError(
            "at_once is missing: a scheduler's workers do not say here how much memory they have."
        )
    together = [run for run in missing if lockstep and run.is_training]
    alone = [run for run in missing if not (lockstep and run.is_training)]
    labels = f"{what} runs", f"{what} stacks"
    try:
        if scheduler is None:
            compute(store, [run_job(run, _checkpoint(run)) for run in alone], workers, labels[0])
            compute_stacks(store, together, device, at_once, workers, labels[1])
        else:
            _compute_on(scheduler, store, [[run] for run in alone], None, workers, labels[0])
            _compute_on(scheduler, store, stacks(together, device, at_once, 1), device, workers, labels[1])
        lost = missing_runs(together, store.folder)
        if lost:
            raise Diverged(f"Not stored, as they diverged: {', '.join(run.key for run in lost)}.")
    except KeyboardInterrupt:
        stored = len(wanted) - len(missing_runs(wanted, store.folder))
        raise Stopped(
            f"Stopped: {stored} of {len(wanted)} runs are stored; run the same again to go on."
        ) from None
    finally:
        if missing:
            store.write_manifest()
            record_defaults(store.folder.parent / runs.DEFAULTS.name)


def _checkpoint(run: Run) -> Path | None:
    return runs.WORK / f"{run.key}.safetensors" if run.slots else None


def _compute_on(
    scheduler: str, store: Store, stacks: list[list[Run]], device: str | None, workers: int | None, label: str
) -> None:
    """Computes stacks, or where `device` is None runs each by itself, on dask."""
    if not stacks:
        return
    store.write_manifest()  # as `compute` does
    ensure_compiled()  # for the workers of a local scheduler
    with parallel.connect(scheduler, workers) as client:
        threads: Any = client.nthreads()
        if not threads:
            print(f"{scheduler} has no workers yet; the runs wait for them.", file=sys.stderr)
        costs_s = [sum(run.about_s for run in stack) for stack in stacks]
        with Progress(label, costs_s, len(threads) or 1) as progress:
            for number, contents in progress.follow(measured(client, stacks, device)):
                for run in stacks[number]:
                    if run.key in contents:
                        store.write(run_job(run), contents[run.key])


def measured(
    client: Client, stacks: Sequence[Sequence[Run]], device: str | None = None
) -> Iterator[tuple[int, dict[str, bytes]] | None]:
    """The number of each stack of runs as it is done on dask, with what `measure_on_worker` gives, or None.

    Raises:
        SettingError: a worker has another mecsim than the runner, or several threads.
        WorkersLost: several workers were lost with the same stack, or the scheduler is gone.
    """

    def measure_there(*stack: Any) -> dict[str, bytes]:
        from mecsim.experiments.runner import measure_on_worker

        return measure_on_worker(*stack)

    known = [{run.key: run.model_dump(mode="json") for run in stack} for stack in stacks]
    tasks = {"+".join(stack): (stack, device) for stack in known}
    return parallel.done_by(client, measure_there, tasks)


def measure_on_worker(stack: dict[str, dict[str, Any]], device: str | None = None) -> dict[str, bytes]:
    """Measures runs on a worker, if that is sure to give the results that the runner would get.

    Args:
        stack: the fields of each run, by its key as the runner knows it.
        device: where the runs are measured at once, see `mecsim.experiments.lockstep`; None for a run by itself.

    Returns:
        The content of the result file of each run by key, without those that diverge.

    Raises:
        SettingError: it is not sure.
    """
    from distributed import get_worker

    worker, runs_by_key = get_worker(), {key: Run(**fields) for key, fields in stack.items()}
    if any(run.key != key for key, run in runs_by_key.items()):
        raise SettingError(f"the worker {worker.name} has another version of mecsim than the runner.")
    if worker.state.nthreads != 1:  # the seeds of networks are process-wide
        raise SettingError(
            f"the worker {worker.name} has {worker.state.nthreads} threads: start it with one (--nthreads 1)."
        )
    if device is not None:
        return {run.key: content for run, content in contents(list(runs_by_key.values()), device)}
    found = {}
    for key, run in runs_by_key.items():
        with noted(f"This happened in {key}.parquet."):
            found[key] = RunStore(runs.WORK).content(run_job(run))
    return found
