"""The runner: nothing twice, nothing half, nothing lost."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mecsim.experiments.computing import compute, path_of, reference_states
from mecsim.experiments.provenance import NUMERICS, read_manifest, write_manifest
from processes import is_alive, wait_until

from mecsim.experiments import computing, runner, store
from mecsim.experiments.panels import EXPERIMENTS, PROFILES, runs_of
from mecsim.experiments.parallel import run_tasks
from mecsim.experiments.runs import Run
from mecsim.settings import SettingError
from mecsim.system import outcome

SMALL = {"actor_hidden": (16, 8), "critic_hidden": (16, 8), "batch_size": 8}


def small_run(seed: int = 0, **changes) -> Run:
    settings = {"agent": "INTO", "settings": SMALL, "slots": 30, "evaluation_slots": 5, "seed": seed}
    return Run(**{**settings, **changes})


def test_fig3_at_the_papers_scale_is_25_trainings_of_2000_slots_with_table_ii():
    runs = runs_of(["fig3a", "fig3b"], "paper")
    assert len(runs) == 25  # (3 + 3 points, one of them shared) x 5 seeds
    assert {run.slots for run in runs} == {2000}
    assert {run.seed for run in runs} == set(range(5))
    assert not any({"actor_hidden", "critic_hidden"} & set(run.departures()["settings"]) for run in runs)


def test_a_point_shared_by_two_panels_is_one_run():
    left, right = ({run.key for run in runs_of([name], "paper", seeds=1)} for name in ("fig3a", "fig3b"))
    assert len(left) == len(right) == 3
    assert len(left & right) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"slots": 31},
        {"evaluation_slots": 6},
        {"preset": "printed"},
        {"changes": {"tau_s": 4.0}},
        {"refinement": {"reading": "one-shot"}},
        {"settings": {**SMALL, "gamma": 0.5}},
    ],
)
def test_the_key_depends_on_every_setting(change):
    assert small_run(**change).key != small_run().key


def test_the_key_does_not_depend_on_how_a_default_is_spelt():
    spelt_out = small_run(
        settings={**SMALL, "gamma": 0.99}, changes={"tau_s": 3.0, "cpu_hz": (5e9, 5e9, 5e9)}
    )
    assert spelt_out.key == small_run().key


def test_a_per_bs_value_that_differs_between_bss_counts():
    keys = {
        small_run(changes={"award_scale": scale}).key
        for scale in (1.0, 2.0, (2.0, 2.0, 2.0), (2.0, 1.0, 1.0))
    }
    assert len(keys) == 3


def test_the_key_depends_on_the_numerics(monkeypatch):
    before = small_run().key
    monkeypatch.setattr("mecsim.experiments.runs.NUMERICS", NUMERICS + 1)
    assert small_run().key != before


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((["fig9"], "paper"), ["fig9", "fig3a"]),
        ((["fig3a"], "huge"), ["huge", "quick"]),
        ((["fig3a"], "paper", "moon"), ["moon", "calibrated"]),
    ],
)
def test_unknown_names_are_refused_in_one_sentence(arguments, names):
    with pytest.raises(SettingError) as refusal:
        runs_of(*arguments)
    assert all(name in str(refusal.value) for name in names)


def test_a_run_is_stored_with_what_made_it_and_gives_the_same_bits_again(tmp_path):
    run = small_run()
    compute(run, tmp_path / "one")
    compute(run, tmp_path / "two")
    first, second = (pd.read_parquet(path_of(run, tmp_path / name)) for name in ("one", "two"))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    curve = first[first["metric"] == "training income"]
    assert list(curve["slot"]) == list(range(30))
    assert set(first.loc[first["slot"] == -1, "metric"]) >= {"income", "offloading BS-1", "idle CPU BS-3"}
    meta = store.read_meta(path_of(run, tmp_path / "one"))
    assert Run(**meta["run"]).key == run.key
    assert {"versions", "revision", "numerics"} <= set(meta)


def test_reference_states_are_the_same_for_every_agent_and_store_an_income_each(tmp_path):
    trained, rule = (
        small_run(slots=0, evaluation_slots=100),
        Run(agent="all-on", slots=0, evaluation_slots=100),
    )
    states = list(reference_states(trained))
    assert [state.slot for state in states] == [49, 99]
    for one, other in zip(states, reference_states(rule), strict=True):
        assert all(np.array_equal(left, vars(other)[name]) for name, left in vars(one).items())
    compute(trained, tmp_path)
    table = pd.read_parquet(path_of(trained, tmp_path)).query("metric == 'reference income'")
    agent = trained.make_agent()
    for state, stored in zip(states, table.itertuples(), strict=True):
        expected = outcome(trained.scenario(), state, agent.act(state)).income
        assert (stored.slot, stored.value) == (state.slot, np.float32(expected))


def test_a_stored_run_is_not_run_again(tmp_path, monkeypatch):
    monkeypatch.setitem(PROFILES, "quick", PROFILES["quick"].__class__(1, 12, 5, tmp_path, {"INTO": SMALL}))
    runner.run_experiments(["fig3b"], "quick", workers=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet")}
    assert len(before) == len(EXPERIMENTS["fig3b"].points)
    runner.run_experiments(["fig3b"], "quick", workers=1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet")} == before
    assert set(read_manifest(tmp_path)) == {path.name for path in before}


def test_a_killed_training_continues_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(computing, "WORK", tmp_path / "checkpoints")
    monkeypatch.setattr(computing, "CHECKPOINT_EVERY", 10)
    run = small_run()
    compute(run, tmp_path / "whole")
    child = multiprocessing.get_context("fork").Process(
        target=_killed_at_slot_25, args=(run, tmp_path / "cut")
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert len(list((tmp_path / "checkpoints").glob("*.safetensors"))) == 1
    assert not list((tmp_path / "cut").glob("*"))
    compute(run, tmp_path / "cut")
    whole, cut = (pd.read_parquet(path_of(run, tmp_path / name)) for name in ("whole", "cut"))
    pd.testing.assert_frame_equal(whole, cut, check_exact=True)
    assert not list((tmp_path / "checkpoints").glob("*.safetensors"))


def _killed_at_slot_25(run: Run, folder: Path) -> None:
    import mecsim.training as training

    plain = training.train

    def cut_short(learner, twin, slots, done, progress, after_slot):
        def then(incomes):
            after_slot(incomes)
            if len(incomes) == 25:
                os.kill(os.getpid(), signal.SIGKILL)

        return plain(learner, twin, slots, done, progress, then)

    training.train = cut_short
    compute(run, folder)


def _touch_or_die(name: str, folder: Path) -> None:
    """Kills its own worker the first time it is given the task "deadly"."""
    tried = folder / f"{name}.tried"
    if name == "deadly" and not tried.exists():
        tried.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    (folder / name).touch()


def test_a_killed_worker_costs_no_task(tmp_path):
    tasks = ["a", "deadly", "b", "c", "d"]
    run_tasks(partial(_touch_or_die, folder=tmp_path), tasks, workers=2)
    assert {path.name for path in tmp_path.iterdir()} - {"deadly.tried"} == set(tasks)


def _fail(name: str) -> None:
    raise ValueError(f"{name} went wrong")


def test_an_error_in_a_task_is_raised():
    with pytest.raises(ValueError, match="a went wrong"):
        run_tasks(_fail, ["a"], workers=1)


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "table.parquet"
    store.write_table(path, pd.DataFrame({"value": [1.0]}), {"run": 1})
    before = path.read_bytes()

    def power_cut(descriptor):
        raise OSError("power cut")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError, match="power cut"):
        store.write_table(path, pd.DataFrame({"value": [2.0]}), {"run": 2})
    assert path.read_bytes() == before


def test_a_file_that_is_no_result_is_refused_by_name(tmp_path):
    path = tmp_path / "other.parquet"
    pd.DataFrame({"value": [1.0]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"other\.parquet is not a result file"):
        store.read_meta(path)
    path.write_bytes(b"not parquet")
    with pytest.raises(ValueError, match=r"other\.parquet is not a result file"):
        store.read_meta(path)


def test_the_manifest_names_every_file_with_its_checksum(tmp_path):
    store.write_table(tmp_path / "one.parquet", pd.DataFrame({"value": np.arange(3.0)}), {"run": {"seed": 1}})
    write_manifest(tmp_path)
    entry = read_manifest(tmp_path)["one.parquet"]
    assert entry["sha256"] == store.checksum(tmp_path / "one.parquet")
    assert entry["run"] == {"seed": 1}
    (tmp_path / "_manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"_manifest\.json is not readable"):
        read_manifest(tmp_path)


SLOW = """
import os, sys, time
from pathlib import Path
from mecsim.experiments.parallel import run_tasks

def stay(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(300)

if __name__ == "__main__":
    run_tasks(stay, [sys.argv[1]] * 2, workers=2)
"""


def test_workers_end_with_a_killed_runner(tmp_path):
    script, marks = tmp_path / "slow.py", tmp_path / "marks"
    script.write_text(SLOW)
    marks.mkdir()
    started = subprocess.Popen([sys.executable, script, marks], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(marks.iterdir())) == 2, seconds=60)
    started.kill()
    started.wait()
    wait_until(lambda: not any(is_alive(int(mark.name)) for mark in marks.iterdir()), seconds=60)
