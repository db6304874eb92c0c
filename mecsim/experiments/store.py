"""Results on disk: files written whole or not at all, what made each, and a manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from mecsim.settings import SettingError

NUMERICS = 2
"""Version of the numerics: raised whenever a seeded run gives other bits, so that stored runs of before are seen."""

ROOT = Path(__file__).resolve().parents[2]
"""The checkout that this package lies in, or where it is installed."""
DATA_VARIABLE = "MECSIM_DATA"
REVISION_VARIABLE = "MECSIM_REVISION"


def _is_project(folder: Path) -> bool:
    project = folder / "pyproject.toml"
    return project.is_file() and 'name = "mecsim"' in project.read_text(encoding="utf-8", errors="replace")


def _checkout() -> Path | None:
    if _is_project(ROOT):
        return ROOT
    here = Path.cwd()
    return next((one for one in (here, *here.parents) if _is_project(one) and (one / "data").is_dir()), None)


_TOLD = os.environ.get(DATA_VARIABLE)
CHECKOUT = _checkout()
"""The checkout that this package lies in, or else one with results that the current folder lies in."""
DATA = Path(_TOLD).expanduser().absolute() if _TOLD else (CHECKOUT or Path.cwd()) / "data"
"""Where results are stored: as `MECSIM_DATA` says, or else in the checkout."""
BUILD = DATA / "build" if _TOLD else DATA.parent / "build"
"""Where goes what is no result to keep: runs of the quick profile, and checkpoints."""
MANIFEST = "_manifest.json"
"""pandas and pyarrow skip names that start with an underscore when they load a folder."""
PACKAGES = ("mecsim", "numpy", "torch", "scipy", "pandas", "pyarrow")
_META = b"mecsim"
MACHINE = re.sub("[^A-Za-z0-9-]", "-", platform.node()) or "here"
"""In the names of files that are being written, as machines may share a disk."""
Entry = TypeVar("Entry")


class DamagedFile(OSError, ValueError):
    """A file that is torn, or is not what its name says; the message names it and what to do."""


class CannotWrite(OSError):
    """A file or folder that cannot be written; the message names it and says why."""


def ensure_place(folder: Path) -> None:
    """Sees to it that stored results have a place, if the folder is the usual one for them.

    Raises:
        SettingError: `MECSIM_DATA` names no folder, or it is not set and no checkout is near.
    """
    if not (folder.is_relative_to(DATA) or folder.is_relative_to(BUILD)):
        return
    if _TOLD and not DATA.is_dir():
        raise SettingError(
            f"{DATA_VARIABLE} = {_TOLD!r} is not allowed: it should be a folder that exists, for results "
            "of your own or data/ of a checkout of mecsim."
        )
    if not _TOLD and CHECKOUT is None:
        raise SettingError(
            "This mecsim is installed outside a checkout and has no stored results: start it in a checkout, or name a "
            f"folder for them with `mecsim --data FOLDER` or the environment variable {DATA_VARIABLE}."
        )


def ensure_writable(folder: Path) -> None:
    """Sees to it, before anything is computed, that what is computed can be stored.

    Raises:
        CannotWrite: nothing can be written into the folder.
        SettingError: see `ensure_place`.
    """
    ensure_place(folder)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Says in one sentence which file or folder could not be written."""
    try:
        yield
    except CannotWrite:
        raise
    except OSError as error:
        raise CannotWrite(
            f"{shown(path)} cannot be written ({error.strerror or error}): make room or take another folder, such as "
            "with `mecsim --data FOLDER`."
        ) from None


def shown(path: Path) -> str:
    """What a file is called in messages: by its path in the checkout, or else in full."""
    inside = CHECKOUT is not None and path.is_relative_to(CHECKOUT)
    return path.relative_to(CHECKOUT).as_posix() if inside and CHECKOUT else str(path)


def provenance(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a result now: its settings with the seed, the versions and the code revision."""
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return {"run": dict(settings), "numerics": NUMERICS, "versions": versions, "revision": _revision()}


@cache
def _revision() -> str:
    """The commit of the code that this process loaded, marked where mecsim/ differs.

    Outside a checkout it is what `REVISION_VARIABLE` says, or "unknown".
    """
    git = [
        "git",
        f"--git-dir={ROOT / '.git'}",
        f"--work-tree={ROOT}",
    ]  # no repository that the checkout lies in
    about: dict[str, Any] = {"cwd": ROOT, "capture_output": True, "encoding": "utf-8"}
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], check=True, **about)
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "mecsim"], **about)
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get(REVISION_VARIABLE, "unknown")
    return f"{head.stdout.strip()}{'-dirty' if changed.returncode else ''}"


def named(kind: str, name: str, known: Mapping[str, Entry]) -> Entry:
    """The entry of that name.

    Raises:
        SettingError: there is none.
    """
    if name not in known:
        raise SettingError(f"{kind} = {name!r} is not allowed: it should be one of {', '.join(known)}.")
    return known[name]


@dataclass(frozen=True)
class Job:
    """One file to compute.

    Attributes:
        name: of the file.
        settings: everything that the result depends on, ready for JSON.
        measure: computes the result, here or in another process.
        about_s: seconds that it takes on one core, about, for the time left.
        scratch: where `measure` keeps what it has so far; it goes once the result is stored.
    """

    name: str
    settings: Mapping[str, Any]
    measure: Callable[[], Any]
    about_s: float
    scratch: Path | None = None


class Wanted(NamedTuple):
    """Some files that a store should hold, and the command that computes them."""

    what: str
    jobs: list[Job]
    command: str


@dataclass(frozen=True)
class Store:
    """A folder of files that jobs compute; by default they are tidy tables. A subclass says which.

    Attributes:
        folder: where the files are.
        command: what computes those that are missing.
        pattern: of their names.
    """

    folder: Path
    command: ClassVar[str]
    pattern: ClassVar[str] = "*.parquet"

    def wanted(self) -> Iterable[Wanted]:
        """What should be stored."""
        raise NotImplementedError

    def current(self) -> dict[str, Job]:
        """The job that computes each stored file now, by the name under which it is stored."""
        return {job.name: job for _, jobs, _ in self.wanted() for job in jobs}

    def path(self, job: Job) -> Path:
        """Where a job's file is."""
        return self.folder / job.name

    def missing(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs without a file."""
        return [job for job in jobs if not self.path(job).exists()]

    def content(self, job: Job) -> bytes:
        """The content of a job's file, computed now, to be stored here or elsewhere."""
        made_by = provenance(job.settings)  # first, as it names the code that is loaded
        return self.encoded(job.measure(), made_by)

    def write(self, job: Job, content: bytes) -> None:
        """Stores what was computed."""
        write_atomically(self.path(job), content)
        if job.scratch is not None:
            job.scratch.unlink(missing_ok=True)

    def encoded(self, result: Any, made_by: dict[str, Any]) -> bytes:
        """The content of the file of a result."""
        return table_bytes(result, made_by)

    def about(self, path: Path) -> dict[str, Any]:
        """What made a file.

        Raises:
            ValueError: the file is no result of mecsim's.
        """
        return read_meta(path)

    def values(self, path: Path) -> dict[str, np.ndarray]:
        """Everything that computing a file again must give again: its columns, without seconds that were measured."""
        table = read_table(path)
        if "metric" in table:
            table = table[~table["metric"].astype(str).str.endswith("seconds")]
        return {str(name): np.asarray(table[name]) for name in table}

    def difference(self, path: Path, other: Path) -> str:
        """In what the values of two files differ, bit for bit, in a few words; nothing where they are equal."""
        one, two = self.values(path), self.values(other)
        if {name: part.shape for name, part in one.items()} != {
            name: part.shape for name, part in two.items()
        }:
            sizes = [sum(part.size for part in values.values()) for values in (one, two)]
            return f"{sizes[0]} values instead of {sizes[1]}"
        counts = {name: int(_unequal(part, two[name]).sum()) for name, part in one.items()}
        return ", ".join(f"{count} of {one[name].size} in {name}" for name, count in counts.items() if count)

    def manifest(self) -> dict[str, dict[str, Any]]:
        """What the manifest says of each file, by name; nothing where there is none.

        Raises:
            DamagedFile: the manifest is damaged.
        """
        path = self.folder / MANIFEST
        rows = read_json(path, self.command)
        if not all(
            isinstance(row, dict) and {"numerics", "run", "sha256"} <= row.keys() for row in rows.values()
        ):
            raise damaged_json(path, self.command)
        return rows

    def write_manifest(self, renewed: Collection[str] = ()) -> None:
        """Lists the files with what made them and their checksums.

        Those that are listed already are vouched for by what was written then, so that damage stays to be seen.

        Args:
            renewed: names of files that were written anew.
        """
        before = self.manifest()
        rows = {
            path.name: before[path.name]
            if path.name in before and path.name not in renewed
            else {"sha256": checksum(path), **self.about(path)}
            for path in sorted(self.folder.glob(self.pattern))
        }
        if rows != before:
            text = json.dumps(rows, indent=1, sort_keys=True) + "\n"
            write_atomically(self.folder / MANIFEST, text.encode())
            if rows.keys() != {
                path.name for path in self.folder.glob(self.pattern)
            }:  # another run stored something
                self.write_manifest(renewed)

    def damaged(self) -> list[str]:
        """One sentence for every file that differs from the manifest, is not in it, or is in it alone."""
        known, files = self.manifest(), {path.name: path for path in self.folder.glob(self.pattern)}
        found = [
            f"{self.label(name)} is in the manifest but not there." for name in sorted(known.keys() - files)
        ]
        for name, path in sorted(files.items()):
            if name not in known:
                found.append(f"{self.label(name)} is not in the manifest.")
            elif checksum(path) != known[name]["sha256"]:
                found.append(f"{self.label(name)} differs from its checksum in the manifest.")
        return found

    def reproducible(self) -> set[str]:
        """The files that can be computed again bit for bit: those of which each was computed alone, on a CPU."""
        return {name for name, entry in self.manifest().items() if "computed_on" not in entry}

    def stale(self) -> dict[str, str]:
        """Why each stored file that is not what would be computed now is not, by name."""
        now = self.current()
        reasons = {
            name: _stale(entry, name, now.get(name)) for name, entry in sorted(self.manifest().items())
        }
        return {name: why for name, why in reasons.items() if why}

    def label(self, name: str) -> str:
        """What a file is called in messages."""
        return shown(self.folder / name)


def _stale(entry: Mapping[str, Any], name: str, job: Job | None) -> str:
    if entry["numerics"] != NUMERICS:
        return f"numerics {entry['numerics']}, now {NUMERICS}"
    if job is None:
        return "nothing computes it any more"
    same = job.name == name and json.loads(json.dumps(job.settings)) == entry["run"]
    return "" if same else "its settings or its preset have changed"


def _unequal(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Where two arrays of one shape differ, by bits where they are numbers."""
    if one.dtype != two.dtype:
        return np.ones(one.shape, dtype=bool)
    if one.dtype.kind == "f":
        one, two = (part.view(f"u{part.dtype.itemsize}") for part in map(np.ascontiguousarray, (one, two)))
    return np.asarray(one != two)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file so that it is either whole or not there, also when the machine stops.

    Raises:
        CannotWrite: it cannot be written; nothing of it is left.
    """
    partial = path.with_name(f".{path.name}.{MACHINE}.{os.getpid()}.part")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that it is either whole or not there, also when the machine stops."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


def remove_abandoned(folder: Path) -> None:
    """Removes, where that is allowed, beginnings of files whose writers, processes of this machine, were killed."""
    for partial in folder.glob(f".*.{MACHINE}.*.part"):
        writer = partial.name.split(".")[-2]
        if writer.isdigit() and not psutil.pid_exists(int(writer)):
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def table_bytes(frame: pd.DataFrame, meta: dict[str, Any]) -> bytes:
    """The content of the file of a table, with what made it (settings, seed, versions) in the file's own metadata.

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
        use_dictionary=[name for name, encoding in coded.items() if encoding is None],  # pyright: ignore[reportArgumentType]  # its stubs know bool alone
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
        DamagedFile: the file is no result file of mecsim.
    """
    with _reading(path):
        return json.loads(pq.read_schema(path).metadata[_META])


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A table, or some of its columns.

    Raises:
        DamagedFile: the file cannot be read.
        FileNotFoundError: there is none.
    """
    with _reading(path):
        return pd.read_parquet(path, columns=columns)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Says in one sentence which file could not be read."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        raise DamagedFile(
            f"{shown(path)} is not a result file of mecsim, or it is torn; delete it and run again."
        ) from None


def read_json(path: Path, command: str) -> dict[str, Any]:
    """What a JSON file holds; nothing where there is none.

    Args:
        path: of the file.
        command: what writes it anew.

    Raises:
        DamagedFile: it cannot be read.
    """
    try:
        written = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if isinstance(written, dict):
            return written
    except (OSError, ValueError):
        pass
    raise damaged_json(path, command)


def damaged_json(path: Path, command: str) -> DamagedFile:
    """What is said of a JSON file that a command writes anew."""
    return DamagedFile(f"{shown(path)} is not readable; delete it, and `{command}` writes it anew.")


def read_tables(folder: Path, pattern: str = "*.parquet") -> pd.DataFrame:
    """The tables of a folder whose names match a pattern, as one.

    Raises:
        DamagedFile: one of them cannot be read.
        FileNotFoundError: there is none.
        SettingError: see `ensure_place`.
    """
    ensure_place(folder)
    files = sorted(folder.glob(pattern))
    if not files:
        raise FileNotFoundError(
            f"{shown(folder)} holds no results; `mecsim` computes them (see data/README.md)."
        )
    return pd.concat([read_table(file) for file in files], ignore_index=True)


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
