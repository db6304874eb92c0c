"""Runs computed on another machine: listed here, computed there, and taken in only if they are what they should be."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mecsim.experiments import panels, parallel
from mecsim.experiments.cli import app
from mecsim.experiments.elsewhere import listed, read_list
from mecsim.experiments.panels import PROFILES, RunStore
from mecsim.experiments.runs import Run, path_of
from mecsim.experiments.store import MANIFEST, NUMERICS, ROOT, DamagedFile, read_meta, table_bytes
from mecsim.settings import SettingError

SMALL = {"actor_hidden": (4,), "critic_hidden": (4,), "batch_size": 4}
RUNS = [
    *(Run(agent="INTO", slots=6, evaluation_slots=2, seed=seed, settings=SMALL) for seed in (0, 1)),
    Run(agent="OLNPO", slots=0, evaluation_slots=2),
]


def command(*words: object) -> str:
    """Runs it and returns what it says."""
    return CliRunner().invoke(app, list(map(str, words))).output


@pytest.fixture
def at(monkeypatch):
    """Puts the command where a folder of runs is its own."""
    return lambda folder: monkeypatch.setitem(PROFILES, "paper", replace(PROFILES["paper"], folder=folder))


def test_runs_are_listed_here_computed_there_and_taken_in_here(at, tmp_path, monkeypatch) -> None:
    here, there, todo = tmp_path / "here/runs", tmp_path / "there/runs", tmp_path / "todo.json"
    at(here)
    monkeypatch.setattr(panels, "runs_of", lambda *_: RUNS)
    monkeypatch.setattr(parallel, "run_tasks", lambda work, tasks, *_: list(map(work, tasks)))
    todo.write_text(command("run", "fig3a", "--profile", "paper", "--dry-run", "--json"))
    assert read_list(todo) == RUNS
    at(there)
    assert command("compute", todo, "--at-once", 2, "--workers", 1).endswith("3 runs are stored.\n")
    at(here)
    assert command("merge", there) == "3 files are taken, 0 were stored already.\n"
    assert command("merge", there) == "0 files are taken, 3 were stored already.\n"
    assert json.loads(command("run", "fig3a", "--profile", "paper", "--dry-run", "--json")) == []
    for run in RUNS:
        assert path_of(run, here).read_bytes() == path_of(run, there).read_bytes()
    assert json.loads((here / MANIFEST).read_text()) == json.loads((there / MANIFEST).read_text())
    assert (RunStore(here).damaged(), RunStore(here).stale()) == ([], {})


def table(of: Run, **changes: object) -> pd.DataFrame:
    """What might be the table of a run."""
    metrics = ["income", *["training income"] * of.slots]
    columns = {"run": of.key, "metric": metrics, "value": np.float32(1.0)}
    return pd.DataFrame(columns | changes)


def test_what_is_not_what_would_be_computed_here_is_refused_by_name(at, tmp_path) -> None:
    run, there = RUNS[0], tmp_path / "there"
    there.mkdir()
    about = {"run": run.model_dump(mode="json"), "numerics": NUMERICS}
    other = {**about, "run": {**about["run"], "seed": 7}}
    wrong = {**about, "run": {**about["run"], "agent": "Nobody"}}
    for folder, content in {
        "whole": table_bytes(table(run), about),
        "torn": b"PAR1",
        "older": table_bytes(table(run), {**about, "numerics": NUMERICS - 1}),
        "of another seed": table_bytes(table(run), other),
        "of nobody": table_bytes(table(run), wrong),
        "of no run": table_bytes(table(run), {"numerics": NUMERICS}),
        "mixed up": table_bytes(table(run, run="another"), about),
        "cut short": table_bytes(table(run).head(3), about),
        "diverged": table_bytes(table(run, value=np.float32(np.nan)), about),
    }.items():
        (there / folder).mkdir()
        (there / folder / f"{run.key}.parquet").write_bytes(content)
    reasons = {
        "torn": "it is no result file of mecsim, or it is torn",
        "older": f"its numerics are {NUMERICS - 1}, here they are {NUMERICS}",
        "of another seed": "its settings give the key INTO-calibrated-seed7-",
        "of nobody": "Run.agent = 'Nobody' is not allowed",
        "of no run": "it is no result file of mecsim, or it is torn",
        "mixed up": "its table is that of another run",
        "cut short": "its table is that of another run",
        "diverged": "it holds numbers that are not finite",
    }
    at(tmp_path / "here")
    for folder, reason in reasons.items():
        said = command("merge", there / folder)
        assert "0 files are taken, 0 were stored already.\n" in said
        assert f"{run.key}.parquet is not taken: {reason}" in said
    assert list((tmp_path / "here").glob("*.parquet")) == []
    assert command("merge", there / "whole") == "1 files are taken, 0 were stored already.\n"
    assert read_meta(path_of(run, tmp_path / "here")) == about


def test_a_list_or_folder_that_is_none_is_refused_in_one_sentence(at, tmp_path) -> None:
    path = tmp_path / "todo.json"
    for content in ("", "{}", "{}[", "[3]", "5"):
        path.write_text(content)
        with pytest.raises(DamagedFile, match=r"todo\.json is not a list of runs: `mecsim run PANELS"):
            read_list(path)
    path.write_text(listed(RUNS).replace("INTO", "Nobody"))
    with pytest.raises(SettingError, match=r"Run\.agent = 'Nobody' is not allowed"):
        read_list(path)
    at(tmp_path / "here")
    with pytest.raises(SettingError, match=r"folder = .* is not allowed: it holds no \*\.parquet"):
        CliRunner().invoke(app, ["merge", str(tmp_path)], catch_exceptions=False)


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_the_script_packs_and_its_parcel_computes(tmp_path) -> None:
    """With a stand-in for Python that writes down what it is asked for."""
    stand_in, log, parcel = tmp_path / "python", tmp_path / "log", tmp_path / "parcel"
    stand_in.write_text(
        f'#!/bin/sh\necho "$PYTHONPATH: $*" >>{log}\n'
        'while [ $# -gt 0 ]; do [ "$1" != --target ] || mkdir "$2"\n'
        '[ "$1" != --wheel-dir ] || echo "$WHEEL" >"$2/mecsim.whl"; shift; done\n'
    )
    stand_in.chmod(0o755)

    def script(path: Path, *words: str, wheel: str = "") -> subprocess.CompletedProcess:
        log.write_text("")
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHON": str(stand_in),
            "PYTHONPATH": "/x",
            "WHEEL": wheel,
        }
        return subprocess.run([path, *words], env=environment, capture_output=True, text=True)

    usage = script(ROOT / "tools/elsewhere.sh")
    assert usage.returncode == 2
    assert "PARCEL/compute [options of mecsim compute]" in usage.stdout
    assert script(ROOT / "tools/elsewhere.sh", str(parcel), "fig3a", "--seeds", "20").returncode == 0
    listing, built, download, revision = log.read_text().splitlines()
    assert listing == "/x: -m mecsim run fig3a --seeds 20 --profile paper --dry-run --json"
    assert built.endswith(f"--wheel-dir {parcel}/wheels {ROOT}")
    assert "--python-version 3.12" in download
    assert download.endswith(
        f"--dest {parcel}/wheels pydantic pydantic-core annotated-types typing-inspection"
    )
    assert "provenance" in revision
    for wheel, installs in (("packed", 1), ("packed", 0), ("changed since", 1)):
        assert script(ROOT / "tools/elsewhere.sh", str(parcel), "fig3a", wheel=wheel).returncode == 0
        assert script(parcel / "compute", "--device", "cuda").returncode == 0
        *install, computed = log.read_text().splitlines()
        assert len(install) == installs
        words = f"-P -m mecsim --data {parcel}/data compute {parcel}/todo.json --device cuda"
        assert computed == f"{parcel}/site:/x: {words}"
