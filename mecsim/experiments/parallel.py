"""Many tasks at once: on processes of this machine or on the workers of a dask scheduler, with the time that is left.

Each worker has one thread. CLUSTER.md shows how to start a scheduler; its workers need not see the disk of the runner.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from heapq import heapify, heapreplace
from multiprocessing import current_process, get_context, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import RLock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tqdm import auto, notebook, tqdm

from mecsim.settings import SettingError

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from distributed import Client

Task = TypeVar("Task")
Result = TypeVar("Result")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MOST_LOSSES = 3
BEAT_S = 1.0
LINE_EVERY_S = 60.0
"""Seconds between two lines in a log file."""
WORKERS_VARIABLE = "MECSIM_WORKERS"
LOCAL = "local"
ANSWER_WITHIN_S = 10


class WorkersLost(ChildProcessError):
    """Workers were killed too often, or can no longer be reached."""


class NoGuard(SettingError):
    """Workers ended before they had begun, as they do where they import a script that starts workers itself."""

    def __init__(self) -> None:
        super().__init__(
            'No worker could start: in a script, what computes must stand below `if __name__ == "__main__":`, as each '
            "worker imports the script."
        )


class Progress:
    """How far a set of tasks is: a bar on a terminal or in a notebook, lines in a log file.

    Args:
        label: what is being done.
        costs_s: seconds that each task takes, about; the pace corrects them as tasks are done.
        workers: how many tasks go on at a time.
        clock: tells the time in seconds.
    """

    def __init__(
        self, label: str, costs_s: Sequence[float], workers: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._label, self._workers, self._clock = label, workers, clock
        self._pending = dict(enumerate(costs_s))
        self._count, self._total = len(costs_s), sum(costs_s)
        self._started = self._last = clock()
        self._line_due = -float("inf")
        on_screen = sys.stderr.isatty() or issubclass(auto.tqdm, notebook.tqdm)
        shape = "{percentage:3.0f}%|{bar}| {desc}"
        self._bar = auto.tqdm(total=self._total, bar_format=shape) if on_screen and costs_s else None

    def __enter__(self) -> Self:
        self.show()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def follow(self, events: Iterator[tuple[int, Result] | None]) -> Iterator[tuple[int, Result]]:
        """Passes on the number and the result of each task that is done, and shows the time where there is None."""
        for event in events:
            if event is None:
                self.show()
            else:
                yield event
                self.advance(event[0])

    def advance(self, task: int) -> None:
        """Counts a task as done, by its number from 0."""
        cost = self._pending.pop(task)
        self._last = self._clock()
        if self._bar is not None:
            self._bar.n += cost
        self.show()

    def show(self) -> None:
        """Shows the time; in a log file once a minute, and at the end."""
        if self._bar is not None:
            self._bar.set_description_str(self.text())
        elif self._count and (self._clock() >= self._line_due or not self._pending):
            self._line_due = self._clock() + LINE_EVERY_S
            print(self.text(), file=sys.stderr, flush=True)

    def text(self) -> str:
        """How far it is, in words."""
        done = self._count - len(self._pending)
        gone = f"{self._label}: {done} of {self._count} done in {clock_time(self._clock() - self._started)}"
        return f"{gone}, about {clock_time(self.left_s())} left" if self._pending else gone

    def left_s(self) -> float:
        """Seconds until all is done, from the pace up to the last task done.

        The costs count as a pace that was seen for as long as one task takes.
        """
        if not self._pending:
            return 0.0
        usual, pending = self._total / self._count, list(self._pending.values())
        done = self._total - sum(pending) + self._workers * usual
        pace = self._workers * (self._last - self._started + usual) / done
        return max(pace * duration_s(pending, self._workers) - (self._clock() - self._last), 0.0)


def duration_s(costs_s: Sequence[float], workers: int) -> float:
    """Seconds until tasks are done that workers take up one after the other."""
    busy_until = [0.0] * workers
    heapify(busy_until)
    for cost in costs_s:
        heapreplace(busy_until, busy_until[0] + cost)
    return max(busy_until)


def clock_time(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, such as 0:01:30."""
    return str(timedelta(seconds=round(seconds)))


def run_tasks(
    work: Callable[[Task], None],
    tasks: Sequence[Task],
    costs_s: Sequence[float],
    workers: int | None = None,
    label: str = "tasks",
) -> None:
    """Does `work` on every task; `work` stores its own result.

    A worker that is killed costs the tasks in hand, which are done again by new workers. An error in a task is raised
    once the other tasks in hand are done. Ctrl-C ends the workers at once, as does the end of this process.

    Args:
        work: a function that can be imported by its name.
        tasks: what it is called with, one after the other.
        costs_s: seconds that each task is expected to take.
        workers: processes side by side; by default `default_workers`.
        label: what the progress bar is called.

    Raises:
        NoGuard: no worker could start.
        WorkersLost: workers were killed more than `MOST_LOSSES` times.
    """
    if not tasks:
        return
    refuse_without_guard()
    workers = min(workers or default_workers(), len(tasks))
    left, losses = dict(enumerate(tasks)), 0
    with Progress(label, costs_s, min(workers, default_workers())) as progress:
        while left:
            try:
                with closing(_finished_by_one_pool(work, left, workers)) as events:
                    for number, _ in progress.follow(events):
                        del left[number]
            except BrokenProcessPool:
                losses += 1
                if losses > MOST_LOSSES:
                    raise WorkersLost(
                        f"Workers were killed {losses} times, perhaps for want of memory: try fewer side by side."
                    ) from None


@contextmanager
def noted(text: str) -> Iterator[None]:
    """Adds a note to an error, which it also keeps on its way from a worker to the runner."""
    try:
        yield
    except Exception as error:
        error.add_note(text)
        raise


def default_workers() -> int:
    """`MECSIM_WORKERS` where it is set, else one for each of `usable_cores`.

    Raises:
        SettingError: `MECSIM_WORKERS` is no number from 1 on.
    """
    told = os.environ.get(WORKERS_VARIABLE)
    if told:
        if not told.isdecimal() or int(told) < 1:
            raise SettingError(
                f"{WORKERS_VARIABLE} = {told!r} is not allowed: it should be a number from 1 on."
            )
        return int(told)
    return usable_cores()


def usable_cores() -> int:
    """The cores that this process, its container or its job may use."""
    import joblib

    cores, job = joblib.cpu_count(), os.environ.get("SLURM_CPUS_PER_TASK", "")
    return max(1, min(cores, int(job))) if job.isdecimal() else cores


def completed(futures: Collection[Any]) -> Iterator[Any]:
    """Futures, of processes or of dask, in the order in which they are done, and None after each second without one."""
    queue: SimpleQueue[Any] = SimpleQueue()
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
    before = {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name in THREAD_VARIABLES:
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Lets processes and threads that are started here never see Ctrl-C, which is for the runner alone to handle.

    A terminal sends it to all of them. Here, Ctrl-C takes effect at the end of the block. Windows has no such mask:
    there, processes ignore Ctrl-C once they are up.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # or it starts with the first process and unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def without_lost_script() -> Iterator[None]:
    """Spares processes that are started here the import of a script that is no file, as one from standard input."""
    main = sys.modules["__main__"]
    told = getattr(main, "__file__", None)
    lost = told is not None and not Path(told).exists()
    if lost:
        del main.__file__
    try:
        yield
    finally:
        if lost:
            main.__file__ = told


def refuse_without_guard() -> None:
    """Ends a worker that, as it imports the script of the runner, is asked to start workers of its own.

    Raises:
        SystemExit: this is such a worker; the runner tells of it (`NoGuard`).
    """
    if getattr(current_process(), "_inheriting", False):
        raise SystemExit(1)


def _finished_by_one_pool(
    work: Callable[[Task], None], tasks: Mapping[int, Task], workers: int
) -> Generator[tuple[int, None] | None]:
    """The number of each task that is done, and None from time to time."""
    context = get_context("spawn")
    held_by_workers, held_here = context.Pipe(duplex=False)
    began = context.Event()
    pool = ProcessPoolExecutor(workers, context, _prepare_worker, (held_by_workers, began))
    try:
        with one_thread_each(), without_interrupts(), without_lost_script():
            numbers = {pool.submit(work, task): number for number, task in tasks.items()}
        for future in completed(numbers):
            yield None if future is None else (numbers[future], future.result())
    except BrokenProcessPool:
        if began.is_set():
            raise
        raise NoGuard from None
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


def _prepare_worker(pipe: Connection, began: Event) -> None:
    """Lets a worker end as soon as the runner has closed its end of the pipe or is gone, and leave nothing behind."""
    began.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tqdm.set_lock(RLock())  # by default, one between processes, which would outlive a worker that is killed

    def watch() -> None:
        with suppress(EOFError, OSError):
            pipe.recv_bytes()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


@contextmanager
def connect(scheduler: str, workers: int | None = None) -> Iterator[Client]:
    """A client of a scheduler.

    Args:
        scheduler: "local" for one that is started here and ends with the client, the address of one, such as
            tcp://10.0.0.1:8786, or the path of the JSON file that it has written.
        workers: how many workers a local one starts; by default `default_workers`.

    Raises:
        NoGuard: no worker of a local one could start.
        SettingError: dask is not installed, nothing answers at the address, or another scheduler should start workers.
    """
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError:
        raise SettingError(
            f"scheduler = {scheduler!r} needs dask: install it with pip install 'mecsim[cluster]'."
        ) from None
    if scheduler != LOCAL:
        if workers is not None:
            raise SettingError(
                f"workers = {workers} is not allowed: the scheduler {scheduler} has workers of its own."
            )
        with _reach(scheduler) as client:
            yield client
        return
    refuse_without_guard()
    with one_thread_each(), without_interrupts(), without_lost_script():
        try:
            cluster = LocalCluster(
                n_workers=workers or default_workers(),
                threads_per_worker=1,
                memory_limit=None,
                dashboard_address=":0",
                silence_logs=logging.ERROR,  # or a worker that is lost or stopped is told of at length
            )
        except RuntimeError:
            raise NoGuard from None
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


def done_by(
    client: Client, work: Callable[..., Result], tasks: Mapping[str, tuple[Any, ...]]
) -> Iterator[tuple[int, Result] | None]:
    """The number and the result of each task as it is done by a worker of a scheduler, and None from time to time.

    Args:
        client: of the scheduler.
        work: a function, sent as it stands, so that a worker without mecsim can say so.
        tasks: what it is called with, by key.

    Raises:
        SettingError: a worker lacks a package.
        WorkersLost: several workers were lost with the same task, or the scheduler is gone.
    """
    from distributed import CancelledError, KilledWorker

    numbers = {
        client.submit(work, *task, key=key): number for number, (key, task) in enumerate(tasks.items())
    }
    for future in completed(numbers):
        if future is None:
            yield None
            continue
        try:
            result = future.result()
        except ModuleNotFoundError as error:
            raise SettingError(f"a worker has no {error.name}: install there what the runner has.") from None
        except KilledWorker:
            raise WorkersLost(f"Several workers were lost one after the other with {future.key}.") from None
        except CancelledError:
            raise WorkersLost("The scheduler is gone, or it has dropped the runs.") from None
        yield numbers[future], result


def _reach(scheduler: str) -> Client:
    """A client of a scheduler that answers; `Client` alone waits for ever where something else than dask listens."""
    from distributed import Client

    address = _address(scheduler)
    try:
        with ThreadPoolExecutor(1) as apart:  # a notebook has an event loop of its own here
            apart.submit(asyncio.run, _greet(address)).result()
    except Exception:  # whatever it is that listens there may say anything
        raise SettingError(
            f"scheduler = {scheduler!r} is not allowed: no dask scheduler answers there within {ANSWER_WITHIN_S} s."
        ) from None
    return Client(address, timeout=ANSWER_WITHIN_S, set_as_default=False)


async def _greet(address: str) -> None:
    from distributed import Security
    from distributed.comm.core import connect

    access = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, ANSWER_WITHIN_S, **access), ANSWER_WITHIN_S)
    await comm.close()


def _address(scheduler: str) -> str:
    """The address of a scheduler, if need be from the file that it has written."""
    if not scheduler.endswith(".json"):
        return scheduler
    try:
        return json.loads(Path(scheduler).read_text(encoding="utf-8"))["address"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingError(
            f"scheduler = {scheduler!r} is not allowed: there is no such file of a scheduler."
        ) from None
