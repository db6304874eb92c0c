"""Runs independent tasks in worker processes, one thread each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

from tqdm.auto import tqdm

Task = TypeVar("Task")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MOST_LOSSES = 3


def run_tasks(
    work: Callable[[Task], None], tasks: Sequence[Task], workers: int | None = None, label: str = ""
) -> None:
    """Does `work` on every task; `work` stores its own result.

    A worker that is killed costs the tasks it had in hand, which are done again by a new one.

    Args:
        work: a function that can be imported by its name.
        tasks: what it is called with, one after the other.
        workers: processes side by side; by default one a core.
        label: what the progress bar is called.

    Raises:
        BrokenProcessPool: workers were killed more than `MOST_LOSSES` times.
    """
    left, losses = list(tasks), 0
    with tqdm(total=len(left), desc=label, unit="run") as bar, _one_thread_each():
        while left:
            try:
                for done in _run_once(work, left, workers or os.cpu_count() or 1):
                    left.remove(done)
                    bar.update()
            except BrokenProcessPool:
                losses += 1
                if losses > MOST_LOSSES:
                    raise


def _run_once(work: Callable[[Task], None], tasks: Sequence[Task], workers: int) -> Iterator[Task]:
    size = min(workers, len(tasks))
    with ProcessPoolExecutor(size, get_context("spawn"), initializer=_end_with_parent) as pool:
        futures = {pool.submit(work, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """Ends a worker as soon as the runner is gone, however it went, so that no run is computed by two."""
    parent = parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
