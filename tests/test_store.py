"""Result files: whole or not there, carrying what made them, and listed."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mecsim.experiments import store
from mecsim.experiments.calibration import CalibrationStore
from mecsim.experiments.store import (
    DATA,
    MACHINE,
    NUMERICS,
    CannotWrite,
    DamagedFile,
    checksum,
    ensure_writable,
    read_meta,
    read_table,
    read_tables,
    remove_abandoned,
    table_bytes,
    write_atomically,
)

FRAME = pd.DataFrame({"seed": [0, 1], "income": [0.1 + 0.2, 1e-300], "agent": ["INTO", "DDQN"]})


def write(path, frame=FRAME, meta=None) -> None:
    write_atomically(path, table_bytes(frame, meta or {"numerics": NUMERICS, "run": {}}))


def test_a_table_comes_back_bit_for_bit_with_its_settings(tmp_path) -> None:
    meta = {"slots": 2000, "cell": [0.01, 0.1, 3.0], "name": "fig. 3a"}
    write(tmp_path / "deep" / "one.parquet", meta=meta)
    assert read_meta(tmp_path / "deep" / "one.parquet") == meta
    pd.testing.assert_frame_equal(read_tables(tmp_path / "deep"), FRAME, check_exact=True)


def test_the_same_table_has_the_same_checksum(tmp_path) -> None:
    for name, seed in (("one", 1), ("other", 1), ("third", 2)):
        write(tmp_path / name, meta={"seed": seed})
    assert checksum(tmp_path / "one") == checksum(tmp_path / "other") != checksum(tmp_path / "third")
    assert checksum(tmp_path / "one") == hashlib.sha256((tmp_path / "one").read_bytes()).hexdigest()


def test_tables_of_a_folder_are_read_as_one_in_the_order_of_their_names(tmp_path) -> None:
    for name in "ba":
        write(tmp_path / f"{name}.parquet", FRAME.assign(file=name))
    table = read_tables(tmp_path)
    assert table["file"].tolist() == ["a", "a", "b", "b"]
    assert table.index.tolist() == [0, 1, 2, 3]


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch) -> None:
    path = tmp_path / "one.parquet"
    write(path, meta={"seed": 1})

    def no_power(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", no_power)
    with pytest.raises(CannotWrite, match=r"one\.parquet cannot be written \(the disk is full\)"):
        write_atomically(path, b"half")
    assert [one.name for one in tmp_path.iterdir()] == ["one.parquet"]  # nothing half-written is left
    assert read_meta(path) == {"seed": 1}
    pd.testing.assert_frame_equal(read_tables(tmp_path), FRAME)


def test_what_a_living_process_or_another_machine_is_writing_stays(tmp_path) -> None:
    writing = tmp_path / f".a.parquet.{MACHINE}.{os.getpid()}.part"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    abandoned = tmp_path / f".b.parquet.{MACHINE}.{dead.pid}.part"
    elsewhere = tmp_path / f".c.parquet.another-machine.{dead.pid}.part"
    for path in (writing, abandoned, elsewhere):
        path.touch()
    remove_abandoned(tmp_path)
    assert {*tmp_path.iterdir()} == {writing, elsewhere}


def test_other_files_are_refused_by_name(tmp_path) -> None:
    (tmp_path / "notes.parquet").write_text("not a table")
    FRAME.to_parquet(tmp_path / "foreign.parquet")
    for name in ("notes", "foreign"):
        with pytest.raises(ValueError, match=rf"{name}\.parquet is not a result file of mecsim"):
            read_meta(tmp_path / f"{name}.parquet")


def test_a_torn_table_is_named(tmp_path) -> None:
    write(tmp_path / "whole.parquet")
    (tmp_path / "torn.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-9])
    for read in (read_tables, lambda folder: read_table(folder / "torn.parquet")):
        with pytest.raises(DamagedFile, match=r"torn\.parquet is not a result file of mecsim, or it is torn"):
            read(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"file/runs cannot be written \(Not a directory\)"):
        ensure_writable(tmp_path / "file" / "runs")


def test_what_another_run_stores_meanwhile_is_listed_too(tmp_path, monkeypatch) -> None:
    write(tmp_path / "mine.parquet")
    summed = store.checksum

    def while_another_run_stores(path):
        if not (tmp_path / "theirs.parquet").exists():
            write(tmp_path / "theirs.parquet")
            write_atomically(tmp_path / store.MANIFEST, b"{}")
        return summed(path)

    monkeypatch.setattr(store, "checksum", while_another_run_stores)
    CalibrationStore(tmp_path).write_manifest()
    assert list(CalibrationStore(tmp_path).manifest()) == ["mine.parquet", "theirs.parquet"]


def test_an_empty_folder_says_what_to_do(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no results; `mecsim` computes them"):
        read_tables(tmp_path / "calibration")


@pytest.mark.parametrize("folder", ["calibration", "studies", "sensitivity"])
def test_a_folder_of_results_loads_with_one_call(folder) -> None:
    files = list((DATA / folder).glob("*.parquet"))
    assert len(pd.read_parquet(DATA / folder)) == sum(len(pd.read_parquet(file)) for file in files) > 0


def test_the_store_is_small_enough_for_git() -> None:
    assert np.sum([path.stat().st_size for path in DATA.rglob("*") if path.is_file()]) < 60e6
