"""Runs on the workers of a dask scheduler: the same files, no matter which worker is lost on the way."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace

import distributed
import pandas as pd
import pytest
from stored import put_run

from mecsim.experiments import parallel
from mecsim.experiments.panels import PROFILES, RunStore
from mecsim.experiments.parallel import THREAD_VARIABLES, WorkersLost
from mecsim.experiments.runner import measure_on_worker, measured, run_experiments
from mecsim.experiments.runs import Run, path_of
from mecsim.experiments.store import MANIFEST
from mecsim.settings import SettingError

TINY = {"actor_hidden": (16, 8), "critic_hidden": (16, 8), "batch_size": 8}


def tiny_run(seed: int = 0, **changes) -> Run:
    settings = {"agent": "INTO", "settings": TINY, "slots": 20, "evaluation_slots": 5, "seed": seed}
    return Run(**{**settings, **changes})


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    with parallel.connect("local", workers=1) as connected:
        yield connected


@pytest.fixture
def folder(tmp_path, monkeypatch):
    quick = replace(PROFILES["quick"], slots=20, evaluation_slots=5, folder=tmp_path / "runs")
    monkeypatch.setitem(PROFILES, "quick", replace(quick, settings={"INTO": TINY}))
    return quick.folder


def worker_pid(client: distributed.Client) -> int:
    client.wait_for_workers(1, timeout=120)
    (pid,) = client.run(os.getpid).values()
    return pid


def test_a_local_cluster_has_one_thread_a_worker_in_another_process(client) -> None:
    assert list(client.nthreads().values()) == [1]
    (threads,) = client.run(lambda names: [os.environ[name] for name in names], THREAD_VARIABLES).values()
    assert threads == ["1", "1", "1"]
    assert worker_pid(client) != os.getpid()


def test_the_files_are_those_that_are_computed_here(client, folder, tmp_path) -> None:
    scheduler = tmp_path / "scheduler.json"
    scheduler.write_text(json.dumps({"type": "Scheduler", "address": client.scheduler.address}))
    runs = run_experiments(["fig3b"], seeds=1, scheduler=str(scheduler))
    assert set(RunStore(folder).manifest()) == {f"{run.key}.parquet" for run in runs}
    here, there = map(pd.read_parquet, (put_run(runs[0], tmp_path / "here"), path_of(runs[0], folder)))
    pd.testing.assert_frame_equal(here, there, check_exact=True)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    run_experiments(["fig3b"], seeds=1, scheduler="nowhere:1")  # nothing is missing, so nobody is asked
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")} == before
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest[f"{runs[0].key}.parquet"]["sha256"] = "0"
    (folder / MANIFEST).write_text(json.dumps(manifest))
    path_of(runs[0], folder).unlink()
    run_experiments(["fig3b"], seeds=1, scheduler=str(scheduler))
    assert RunStore(folder).damaged() == []


def test_a_worker_takes_stacks_where_that_is_asked_for(client, folder) -> None:
    words = {"seeds": 2, "scheduler": client.scheduler.address}
    with pytest.raises(
        SettingError, match="at_once is missing: a scheduler's workers do not say here how much"
    ):
        run_experiments(["fig3b"], device="cuda", **words)
    runs = run_experiments(["fig3b"], at_once=4, **words)
    about = RunStore(folder).manifest()
    assert [about[f"{run.key}.parquet"]["computed_on"]["at_once"] for run in runs] == [3] * 6


def test_the_run_of_a_lost_worker_is_given_to_another(client) -> None:
    runs = [tiny_run(seed) for seed in range(4)]
    first = worker_pid(client)
    done = []
    for event in measured(client, [[run] for run in runs]):
        if event is not None:
            if not done:
                os.kill(first, signal.SIGKILL)
            done.append(event[0])
    assert sorted(done) == [0, 1, 2, 3]
    assert worker_pid(client) != first


def test_a_run_that_loses_every_worker_is_given_up() -> None:
    with parallel.connect("local", workers=1) as client:  # of its own: the worker need not come back
        client.cluster.scheduler.allowed_failures = 0
        run, pid = tiny_run(seed=9, slots=100_000), worker_pid(client)
        events = measured(client, [[run]])
        assert next(events) is None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkersLost, match=run.key):
            list(events)


def test_an_error_of_a_run_is_passed_on_with_its_name(client) -> None:
    run = tiny_run(settings={**TINY, "device": "cuda:99"})
    with pytest.raises(SettingError, match="device = 'cuda:99' is not allowed") as error:
        list(measured(client, [[run]]))
    assert error.value.__notes__ == [f"This happened in {run.key}.parquet."]


def test_a_worker_with_another_version_is_refused(client) -> None:
    stack = {"INTO-of-other-numerics": tiny_run().model_dump(mode="json")}
    future = client.submit(measure_on_worker, stack)
    with pytest.raises(SettingError, match="has another version of mecsim than the runner"):
        future.result()


def test_a_worker_with_several_threads_is_refused() -> None:
    with (
        distributed.LocalCluster(
            processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0"
        ) as two_threads,
        parallel.connect(two_threads.scheduler_address) as client,
        pytest.raises(SettingError, match="has 2 threads: start it with one"),
    ):
        list(measured(client, [[tiny_run()]]))


def test_where_nothing_answers_there_is_one_sentence(monkeypatch) -> None:
    monkeypatch.setattr(parallel, "ANSWER_WITHIN_S", 1)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        for address in (f"tcp://127.0.0.1:{mute.getsockname()[1]}", "nonsense"):
            with (
                pytest.raises(SettingError, match="no dask scheduler answers there within 1 s"),
                parallel.connect(address),
            ):
                pass


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_file_that_is_not_a_schedulers_is_named(tmp_path, content) -> None:
    path = tmp_path / "scheduler.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingError, match=rf"{path}.*there is no such file"), parallel.connect(str(path)):
        pass


def test_the_workers_of_another_scheduler_are_its_own() -> None:
    here = parallel.connect("tcp://127.0.0.1:1", workers=3)
    with pytest.raises(SettingError, match="workers = 3 is not allowed"), here:
        pass


def test_without_dask_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingError, match=r"mecsim\[cluster\]"), parallel.connect("local"):
        pass
