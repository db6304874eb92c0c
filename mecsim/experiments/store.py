"""Result files: tidy Parquet tables that carry their own settings, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
_META = b"mecsim"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file so that it is either whole or not there, also when the machine stops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    yield partial
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that it is either whole or not there, also when the machine stops."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


def remove_abandoned(folder: Path) -> None:
    """Removes beginnings of files whose writers, processes of this machine, were killed."""
    for partial in folder.glob(".*.part"):
        writer = partial.name.split(".")[-2]
        if writer.isdigit() and not _alive(int(writer)):
            partial.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's, but it is there
        return True
    return True


def write_table(path: Path, frame: pd.DataFrame, meta: dict[str, Any]) -> None:
    """Writes a table with what made it (settings, seed, versions) in the file's own metadata."""
    write_atomically(path, table_bytes(frame, meta))


def table_bytes(frame: pd.DataFrame, meta: dict[str, Any]) -> bytes:
    """The content of the file that `write_table` writes.

    What pandas and Arrow would add about their own types is left out: it takes more space than a small table does.
    """
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
    coded = {column.name: _encoding(column.type) for column in table.schema}
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=19,
        write_statistics=False,
        store_schema=False,
        use_dictionary=[name for name, encoding in coded.items() if encoding is None],
        column_encoding={name: encoding for name, encoding in coded.items() if encoding},
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_META: json.dumps(meta).encode()})
    return sink.getvalue().to_pybytes()


def _encoding(kind: pa.DataType) -> str | None:
    """The encoding that packs a column of results best, None for a dictionary."""
    if pa.types.is_floating(kind):
        return "BYTE_STREAM_SPLIT"
    return "DELTA_BINARY_PACKED" if pa.types.is_integer(kind) else None


def read_meta(path: Path) -> dict[str, Any]:
    """What made a table.

    Raises:
        ValueError: the file is no result file of mecsim.
    """
    try:
        return json.loads(pq.read_schema(path).metadata[_META])
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError):
        raise ValueError(f"{path.name} is not a result file of mecsim; delete it and run again.") from None


def read_tables(folder: Path, pattern: str = "*.parquet") -> pd.DataFrame:
    """The tables of a folder whose names match a pattern, as one.

    Raises:
        FileNotFoundError: there is none.
    """
    files = sorted(folder.glob(pattern))
    if not files:
        raise FileNotFoundError(
            f"data/{folder.name} holds no results; `mecsim` computes them (see data/README.md)."
        )
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
