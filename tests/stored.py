"""Computes files in this process, where a test has no need of workers."""

from collections.abc import Iterable
from pathlib import Path

from mecsim.experiments.panels import RunStore
from mecsim.experiments.runs import Run, run_job
from mecsim.experiments.store import Job, Store


def put(store: Store, jobs: Iterable[Job]) -> Store:
    """Computes and stores files, and lists them."""
    for job in jobs:
        store.write(job, store.content(job))
    store.write_manifest()
    return store


def put_run(run: Run, folder: Path) -> Path:
    """Computes and stores a run, and returns its file."""
    job = run_job(run)
    return put(RunStore(folder), [job]).path(job)
