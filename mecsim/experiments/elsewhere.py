"""Runs that are computed on another machine, and what it takes to bring them there and their results home."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mecsim.experiments.runs import DEFAULTS, Run, record_defaults
from mecsim.experiments.store import (
    NUMERICS,
    DamagedFile,
    Store,
    ensure_writable,
    read_meta,
    read_table,
    shown,
    write_atomically,
)
from mecsim.settings import SettingError


def listed(runs: Iterable[Run]) -> str:
    """Runs as a list to be computed elsewhere, in JSON."""
    return json.dumps([run.model_dump(mode="json") for run in runs], indent=1)


def read_list(path: Path) -> list[Run]:
    """The runs of a list.

    Raises:
        DamagedFile: the file is no such list.
        SettingError: a run is not allowed here.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(rows, list):
            raise TypeError
        return [Run(**row) for row in rows]
    except SettingError:
        raise
    except (OSError, ValueError, TypeError):
        raise DamagedFile(
            f"{shown(path)} is not a list of runs: `mecsim run PANELS --dry-run --json` prints one."
        ) from None


class Merged(NamedTuple):
    """Files that were brought home, files that are stored already, and one sentence for each that was refused."""

    taken: list[str]
    known: list[str]
    refused: list[str]


def merge(folder: Path, store: Store) -> Merged:
    """Takes the result files of another machine into a store, if they are what would be computed here.

    Args:
        folder: where the files are.
        store: where they go; what it holds already stays.

    Raises:
        CannotWrite: the store cannot be written to.
        SettingError: the folder holds no result.
    """
    files, merged = sorted(folder.glob(store.pattern)), Merged([], [], [])
    if not files:
        raise SettingError(f"folder = {str(folder)!r} is not allowed: it holds no {store.pattern}.")
    ensure_writable(store.folder)
    store.write_manifest()
    for path in files:
        why = _unlike(path)
        if why:
            merged.refused.append(f"{path.name} is not taken: {why}.")
        elif (store.folder / path.name).exists():
            merged.known.append(path.name)
        else:
            write_atomically(store.folder / path.name, path.read_bytes())
            merged.taken.append(path.name)
    store.write_manifest()
    record_defaults(store.folder.parent / DEFAULTS.name)
    return merged


def _unlike(path: Path) -> str:
    """In what a file is not the whole result of the run whose name it has, in a few words; nothing where it is."""
    try:
        about, table = read_meta(path), read_table(path)
        if about["numerics"] != NUMERICS:
            return f"its numerics are {about['numerics']}, here they are {NUMERICS}"
        run = Run(**about["run"])
    except (DamagedFile, KeyError, TypeError):
        return "it is no result file of mecsim, or it is torn"
    except SettingError as error:
        return str(error).rstrip(".")
    if path.name != f"{run.key}.parquet":
        return f"its settings give the key {run.key} here"
    trained = np.count_nonzero(table["metric"] == "training income")
    if set(table["run"]) != {run.key} or trained != run.slots:
        return "its table is that of another run"
    return "" if np.isfinite(table["value"]).all() else "it holds numbers that are not finite"
