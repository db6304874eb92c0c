"""Runs independent tasks in worker processes, one thread each."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from signal import SIG_BLOCK, SIG_SETMASK, SIGINT, pthread_sigmask
from threading import RLock, Thread
from typing import TypeVar

from tqdm import tqdm

from mecsim.experiments.progress import Progress

Task = TypeVar("Task")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MOST_LOSSES = 3
BEAT_S = 1.0


class WorkersLost(RuntimeError):
    """Workers were killed too often, or can no longer be reached."""


def run_tasks(
    work: Callable[[Task], None],
    tasks: Sequence[Task],
    workers: int | None = None,
    label: str = "",
    costs_s: Sequence[float] | None = None,
) -> None:
    """Does `work` on every task; `work` stores its own result.

    A worker that is killed costs the tasks in hand, which are done again by new workers. An error in a task is raised
    once the other tasks in hand are done. Ctrl-C ends the workers at once, as does the end of this process.

    Args:
        work: a function that can be imported by its name.
        tasks: what it is called with, one after the other.
        workers: processes side by side; by default one a core.
        label: what the progress bar is called.
        costs_s: seconds that each task is expected to take; by default they are taken to be alike.

    Raises:
        WorkersLost: workers were killed more than `MOST_LOSSES` times.
    """
    workers = min(workers or default_workers(), len(tasks))
    at_a_time = min(workers, default_workers())
    expected = Progress(label, costs_s, at_a_time) if costs_s else Progress(label, [1.0] * len(tasks))
    with expected as progress, closing(_finished(work, tasks, workers)) as events:
        follow(events, progress)


def follow(events: Iterator[int | None], progress: Progress) -> None:
    """Shows the progress of tasks that are done, by number, and of the time (None)."""
    for number in events:
        if number is None:
            progress.show()
        else:
            progress.advance(number)


@contextmanager
def noted(text: str) -> Iterator[None]:
    """Adds a note to an error, which it also keeps on its way from a worker to the runner."""
    try:
        yield
    except Exception as error:
        error.add_note(text)
        raise


def default_workers() -> int:
    """One a core."""
    return os.cpu_count() or 1


def completed(futures: Collection[Future]) -> Iterator[Future | None]:
    """Futures in the order in which they are done, and None after each second in which none was."""
    queue: SimpleQueue[Future] = SimpleQueue()
    for future in futures:
        future.add_done_callback(queue.put)
    left = len(futures)
    while left:
        future = None
        with suppress(Empty):
            future = queue.get(timeout=BEAT_S)
            left -= 1
        yield future


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Gives processes that are started here one thread for their matrix products."""
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


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Lets processes and threads that are started here never see Ctrl-C, which is for the runner alone to handle.

    A terminal sends it to all of them. Here, Ctrl-C takes effect at the end of the block.
    """
    resource_tracker.ensure_running()  # or it starts with the first process and unblocks the signal
    before = pthread_sigmask(SIG_BLOCK, {SIGINT})
    try:
        yield
    finally:
        pthread_sigmask(SIG_SETMASK, before)


def _finished(work: Callable[[Task], None], tasks: Sequence[Task], workers: int) -> Iterator[int | None]:
    """The number of each task that is done, and None from time to time."""
    left, losses = dict(enumerate(tasks)), 0
    while left:
        try:
            for number in _finished_by_one_pool(work, left, workers):
                if number is not None:
                    del left[number]
                yield number
        except BrokenProcessPool:
            losses += 1
            if losses > MOST_LOSSES:
                raise WorkersLost(
                    f"Workers were killed {losses} times, perhaps for want of memory: try fewer side by side."
                ) from None


def _finished_by_one_pool(
    work: Callable[[Task], None], tasks: Mapping[int, Task], workers: int
) -> Iterator[int | None]:
    context = get_context("spawn")
    held_by_workers, held_here = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _prepare_worker, (held_by_workers,))
    try:
        with one_thread_each(), without_interrupts():
            numbers = {pool.submit(work, task): number for number, task in tasks.items()}
        for future in completed(numbers):
            if future is not None:
                future.result()
            yield None if future is None else numbers[future]
    except Exception:
        raise
    except BaseException:  # Ctrl-C, or nobody asks for more: not even the tasks in hand are waited for
        held_here.close()
        raise
    finally:
        try:
            pool.shutdown(cancel_futures=True)
        finally:
            held_here.close()
            held_by_workers.close()


def _prepare_worker(pipe: Connection) -> None:
    """Lets a worker end as soon as the runner has closed its end of the pipe or is gone, and leave nothing behind."""
    tqdm.set_lock(RLock())  # by default, one between processes, which would outlive a worker that is killed

    def watch() -> None:
        with suppress(EOFError, OSError):
            pipe.recv_bytes()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
