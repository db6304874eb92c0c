"""Are the stored results whole, complete and up to date, and is what is not named with why?"""

import pandas as pd

from mecsim.experiments import checks, store
from mecsim.experiments.provenance import NUMERICS, provenance, write_manifest
from mecsim.experiments.runs import Run
from mecsim.scenario import PRESETS


def put_run(folder, run):
    store.write_table(
        folder / f"{run.key}.parquet", pd.DataFrame({"value": [1.0]}), provenance(run.model_dump())
    )


def test_a_damaged_unknown_or_lost_file_is_named(tmp_path):
    runs = [Run(agent="OLNPO", slots=0, seed=seed) for seed in range(3)]
    for run in runs:
        put_run(tmp_path, run)
    write_manifest(tmp_path)
    assert checks.damaged(tmp_path) == []
    changed, lost = (tmp_path / f"{run.key}.parquet" for run in runs[:2])
    changed.write_bytes(changed.read_bytes() + b" ")
    lost.unlink()
    put_run(tmp_path, Run(agent="OLNPO", slots=0, seed=9))
    text = "\n".join(checks.damaged(tmp_path))
    assert f"{changed.name} differs from its checksum" in text
    assert f"{lost.name} is in the manifest but not there" in text
    assert "seed9" in text
    assert "is not in the manifest" in text


def test_stale_runs_are_named_with_why(tmp_path, monkeypatch):
    put_run(tmp_path, Run(agent="OLNPO", slots=0))
    write_manifest(tmp_path)
    assert checks.stale(tmp_path) == []
    monkeypatch.setattr("mecsim.experiments.runs.NUMERICS", 99)
    monkeypatch.setattr("mecsim.experiments.checks.NUMERICS", 99)
    assert f"stale (numerics {NUMERICS}, now 99)" in checks.stale(tmp_path)[0]


def test_a_changed_preset_makes_runs_stale(tmp_path, monkeypatch):
    put_run(tmp_path, Run(agent="OLNPO", slots=0))
    write_manifest(tmp_path)
    monkeypatch.setitem(PRESETS, "calibrated", {"tau_s": 4.0})
    assert "its preset has changed" in checks.stale(tmp_path)[0]


def test_the_stored_results_are_whole_up_to_date_and_complete():
    assert checks.problems() == []
