"""Result files: whole or not there, and carrying what made them."""

import hashlib

import pandas as pd
import pytest

from mecsim.experiments.store import DATA, checksum, read_meta, read_tables, write_atomically, write_table

FRAME = pd.DataFrame({"seed": [0, 1], "income": [0.1 + 0.2, 1e-300], "agent": ["INTO", "DDQN"]})


def test_a_table_comes_back_bit_for_bit_with_its_settings(tmp_path) -> None:
    meta = {"slots": 2000, "cell": [0.01, 0.1, 3.0], "name": "fig. 3a"}
    write_table(tmp_path / "deep" / "one.parquet", FRAME, meta)
    assert read_meta(tmp_path / "deep" / "one.parquet") == meta
    pd.testing.assert_frame_equal(read_tables(tmp_path / "deep"), FRAME, check_exact=True)


def test_the_same_table_has_the_same_checksum(tmp_path) -> None:
    for name in ("one", "other"):
        write_table(tmp_path / name, FRAME, {"seed": 1})
    write_table(tmp_path / "third", FRAME, {"seed": 2})
    assert checksum(tmp_path / "one") == checksum(tmp_path / "other") != checksum(tmp_path / "third")
    assert checksum(tmp_path / "one") == hashlib.sha256((tmp_path / "one").read_bytes()).hexdigest()


def test_tables_of_a_folder_are_read_as_one_in_the_order_of_their_names(tmp_path) -> None:
    write_table(tmp_path / "b.parquet", FRAME.assign(file="b"), {})
    write_table(tmp_path / "a.parquet", FRAME.assign(file="a"), {})
    table = read_tables(tmp_path)
    assert table["file"].tolist() == ["a", "a", "b", "b"]
    assert table.index.tolist() == [0, 1, 2, 3]


def test_nothing_half_written_is_read(tmp_path, monkeypatch) -> None:
    path = tmp_path / "one.parquet"
    write_table(path, FRAME, {"seed": 1})

    def no_power(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", no_power)
    with pytest.raises(OSError, match="the disk is full"):
        write_atomically(path, b"half")
    assert read_meta(path) == {"seed": 1}
    pd.testing.assert_frame_equal(read_tables(tmp_path), FRAME)


def test_other_files_are_refused_by_name(tmp_path) -> None:
    (tmp_path / "notes.parquet").write_text("not a table")
    FRAME.to_parquet(tmp_path / "foreign.parquet")
    for name in ("notes", "foreign"):
        with pytest.raises(ValueError, match=rf"{name}\.parquet is not a result file of mecsim"):
            read_meta(tmp_path / f"{name}.parquet")


def test_an_empty_folder_says_what_to_do(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no results; `mecsim` computes them"):
        read_tables(tmp_path / "calibration")


@pytest.mark.parametrize("folder", ["runs", "calibration", "studies"])
def test_a_folder_of_results_loads_with_one_call(folder) -> None:
    files = list((DATA / folder).glob("*.parquet"))
    assert len(pd.read_parquet(DATA / folder)) == sum(len(pd.read_parquet(file)) for file in files) > 0


def test_the_store_is_small_enough_for_git() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 20e6
