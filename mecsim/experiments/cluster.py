"""Runs on the workers of a dask.distributed scheduler, which need not see the disk of the runner.

A worker returns the content of a run's file, and the runner writes it. The scheduler gives the run of a lost worker to
another one. CLUSTER.md shows how to start schedulers.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mecsim.experiments.computing import measure
from mecsim.experiments.pool import (
    WorkersLost,
    completed,
    default_workers,
    noted,
    one_thread_each,
    without_interrupts,
)
from mecsim.experiments.runs import Run
from mecsim.settings import SettingError

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
ANSWER_WITHIN_S = 10


@contextmanager
def connect(scheduler: str, workers: int | None = None) -> Iterator[Client]:
    """A client of a scheduler.

    Args:
        scheduler: "local" for one that is started here and ends with the client, the address of one, such as
            tcp://10.0.0.1:8786, or the path of the JSON file that it has written.
        workers: how many workers a local one starts; by default one a core.

    Raises:
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
    with one_thread_each(), without_interrupts():
        cluster = LocalCluster(
            n_workers=workers or default_workers(),
            threads_per_worker=1,
            memory_limit=None,
            dashboard_address=":0",
            silence_logs=logging.ERROR,  # or a worker that is lost or stopped is told of at length
        )
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


def size(client: Client) -> int:
    """How many workers a scheduler has now."""
    return len(client.nthreads())


def measured(client: Client, runs: Sequence[Run]) -> Iterator[tuple[int, bytes] | None]:
    """The number and the content of the result file of each run as it is done, and None from time to time.

    Raises:
        SettingError: a worker has another mecsim than the runner, or several threads.
        WorkersLost: several workers were lost with the same run, or the scheduler is gone.
    """
    from distributed import CancelledError, KilledWorker

    def measure_there(*run: Any) -> bytes:  # sent as it stands, so that a worker without mecsim can say so
        from mecsim.experiments.cluster import measure_on_worker

        return measure_on_worker(*run)

    numbers = {
        client.submit(measure_there, run.key, run.model_dump(mode="json"), key=run.key): number
        for number, run in enumerate(runs)
    }
    for future in completed(list(numbers)):
        if future is None:
            yield None
            continue
        try:
            content = future.result()
        except ModuleNotFoundError as error:
            raise SettingError(f"a worker has no {error.name}: install there what the runner has.") from None
        except KilledWorker:
            raise WorkersLost(f"Several workers were lost one after the other with {future.key}.") from None
        except CancelledError:
            raise WorkersLost("The scheduler is gone, or it has dropped the runs.") from None
        yield numbers.pop(future), content


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
    from distributed.comm import connect

    access = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, ANSWER_WITHIN_S, **access), ANSWER_WITHIN_S)
    await comm.close()


def _address(scheduler: str) -> str:
    """The address of a scheduler, if need be from the file that it has written."""
    if not scheduler.endswith(".json"):
        return scheduler
    try:
        return json.loads(Path(scheduler).read_text())["address"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingError(
            f"scheduler = {scheduler!r} is not allowed: there is no such file of a scheduler."
        ) from None


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

    worker, run = get_worker(), Run(**settings)
    if run.key != key:
        raise SettingError(f"the worker {worker.name} has another version of mecsim than the runner.")
    if worker.state.nthreads != 1:  # the seeds of networks are process-wide
        raise SettingError(
            f"the worker {worker.name} has {worker.state.nthreads} threads: start it with one (--nthreads 1)."
        )
    with noted(f"This happened in the run {key}."):
        return measure(run)
