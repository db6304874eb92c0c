"""The files of the figures, and the stored runs that they are drawn from."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mecsim.experiments.panels import FIGURES, PRESETS, PROFILES, RunStore, runs_of
from mecsim.experiments.runs import path_of
from mecsim.experiments.store import DATA, Job, Store, Wanted, ensure_writable, named, provenance

FOLDER = DATA / "figures"
KINDS = ("svg", "png")


class FigureStore(Store):
    """A folder of figures. A file does not say what made it: the manifest alone does, from when it was drawn."""

    command = "mecsim figures"
    pattern = "fig*.*"

    def wanted(self) -> list[Wanted]:
        """Every file of every figure."""
        jobs = [figure_job(f"{figure}.{kind}") for figure in FIGURES for kind in KINDS]
        return [Wanted("the figures", jobs, self.command)]

    def encoded(self, result: bytes, made_by: dict[str, Any]) -> bytes:
        """The file as it was drawn."""
        return result

    def about(self, path: Path) -> dict[str, Any]:
        """What makes the figure now."""
        return provenance(figure_job(path.name).settings)

    def values(self, path: Path) -> dict[str, np.ndarray]:
        """The bytes, which another version of matplotlib may write in another way."""
        return {"bytes": np.frombuffer(path.read_bytes(), np.uint8)}


def figure_job(name: str) -> Job:
    """A file of a figure, such as fig3.svg, which depends on the stored runs that it shows.

    Raises:
        SettingError: there is no such figure.
    """
    panels = named("figure", name.partition(".")[0], FIGURES)
    store = RunStore(PROFILES["paper"].folder)
    known = store.manifest()
    shown = {
        path_of(run, store.folder).name for preset in PRESETS for run in runs_of(panels, "paper", preset)
    }
    drawn_from = sorted((run, known[run]["sha256"]) for run in shown & known.keys())
    settings = {
        "figure": name,
        "runs": len(drawn_from),
        "sha256_of_runs": sha256(repr(drawn_from).encode()).hexdigest(),
    }
    return Job(name, settings, partial(_draw, name), about_s=10.0)


def draw(folder: Path) -> list[Path]:
    """Draws every figure from the stored runs, and returns the files.

    Raises:
        MissingRuns: runs that a figure needs are not stored under any preset.
    """
    from mecsim.experiments.figures import save_figures

    ensure_writable(folder)
    written = save_figures(folder)
    if folder.resolve() == FOLDER.resolve():  # what lies elsewhere is the user's
        FigureStore(folder).write_manifest(renewed={path.name for path in written})
    return written


def _draw(name: str) -> bytes:
    from mecsim.experiments.figures import save_figures

    with TemporaryDirectory() as folder:
        save_figures(Path(folder), [name.partition(".")[0]])
        return Path(folder, name).read_bytes()
