"""What made a result, and the manifest that vouches for every file of a folder."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mecsim.experiments import store

NUMERICS = 2
"""Version of the numerics: raised whenever a seeded run gives other bits, so that stored runs of before are seen."""

MANIFEST = "_manifest.json"
"""pandas and pyarrow skip names that start with an underscore when they load a folder."""
PACKAGES = ("mecsim", "numpy", "torch", "scipy", "pandas", "pyarrow")


def provenance(run: dict[str, Any]) -> dict[str, Any]:
    """What makes a result now: its settings with the seed, the versions and the code revision."""
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return {"run": run, "numerics": NUMERICS, "versions": versions, "revision": _revision()}


def write_manifest(
    folder: Path,
    pattern: str = "*.parquet",
    read_meta: Callable[[Path], dict[str, Any]] = store.read_meta,
) -> None:
    """Lists the results of a folder with what made them, as `read_meta` tells it, and their checksums."""
    rows = {
        path.name: {"sha256": store.checksum(path), **read_meta(path)}
        for path in sorted(folder.glob(pattern))
    }
    if rows:
        text = json.dumps(rows, indent=1, sort_keys=True) + "\n"
        store.write_atomically(folder / MANIFEST, text.encode())


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """The manifest of a folder, empty where there is none.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise ValueError(
            f"data/{folder.name}/{MANIFEST} is not readable; `mecsim run` writes it anew."
        ) from None


@cache
def _revision() -> str:
    """The commit of the code that this process loaded, marked where files differ; "unknown" outside a checkout."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=store.ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()
