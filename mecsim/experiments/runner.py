"""Computes the runs of an experiment that are not stored yet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mecsim.deployment import Rollout, rollout
from mecsim.experiments import store
from mecsim.experiments.defaults import DEFAULTS, record_defaults
from mecsim.experiments.pool import run_tasks
from mecsim.experiments.provenance import provenance, write_manifest
from mecsim.experiments.registry import PROFILES, runs_of
from mecsim.experiments.runs import EVALUATION_WORLDS, LEARNERS, Run
from mecsim.system import PhysicalSystem
from mecsim.twin import DigitalTwin

CHECKPOINT_EVERY = 1000
WORK = store.ROOT / "build" / "checkpoints"


def run_experiments(
    names: Iterable[str],
    profile: str = "quick",
    preset: str = "calibrated",
    seeds: int | None = None,
    workers: int | None = None,
) -> list[Run]:
    """Computes what is missing of some experiments and returns all their runs.

    Args:
        names: experiments, see `mecsim.experiments.registry.EXPERIMENTS`.
        profile: "paper" for the paper's sizes, stored in data/, or "quick", stored in build/.
        preset: the scenario.
        seeds: how many seeds, counted from 0; the profile's own number by default.
        workers: processes side by side; by default one a core.

    Raises:
        SettingError: an experiment, profile or preset is not known.
    """
    runs = runs_of(names, profile, preset, seeds)
    folder = PROFILES[profile].folder
    missing = [run for run in runs if not path_of(run, folder).exists()]
    run_tasks(partial(compute, folder=folder), missing, workers, f"{profile} runs")
    write_manifest(folder)
    record_defaults(folder.parent / DEFAULTS.name)
    return runs


def path_of(run: Run, folder: Path) -> Path:
    """Where a run's result is stored."""
    return folder / f"{run.key}.parquet"


def compute(run: Run, folder: Path) -> None:
    """Trains, evaluates and stores one run; a training that was cut off goes on from its last checkpoint."""
    made_by = provenance(run.model_dump(mode="json"))
    agent = run.make_agent()
    incomes = _train(run, agent) if run.agent in LEARNERS and run.slots else np.empty(0)
    plant = PhysicalSystem(run.scenario(), EVALUATION_WORLDS + run.seed)
    record = rollout(agent, plant, run.evaluation_slots)
    store.write_table(path_of(run, folder), _tidy(run, incomes, record), made_by)
    _checkpoint(run).unlink(missing_ok=True)


def _checkpoint(run: Run) -> Path:
    return WORK / f"{run.key}.safetensors"


def _train(run: Run, learner: Any) -> np.ndarray:
    import torch

    from mecsim.experiments.checkpoints import resume, save_checkpoint
    from mecsim.training import train

    torch.set_num_threads(1)  # the number of threads changes the bits of a matrix product
    twin, path = DigitalTwin(run.scenario(), run.seed), _checkpoint(run)
    done = resume(path, learner, twin, run.key) if path.exists() else []

    def keep(incomes: list[float]) -> None:
        if len(incomes) % CHECKPOINT_EVERY == 0 and len(incomes) < run.slots:
            save_checkpoint(path, learner, twin, incomes, run.key)

    return train(learner, twin, run.slots, done, progress=False, after_slot=keep)


def _tidy(run: Run, incomes: np.ndarray, record: Rollout) -> pd.DataFrame:
    """One row a number: the learning curve slot by slot (slot >= 0), then means over the evaluation (slot = -1)."""
    curve = pd.DataFrame({"metric": "training income", "slot": np.arange(len(incomes)), "value": incomes})
    stations = range(1, record.offloading.shape[1] + 1)
    means = {
        "income": record.income.mean(),
        "completed": record.completed.mean(),
        **{f"offloading BS-{bs}": record.offloading[:, bs - 1].mean() for bs in stations},
        **{f"idle CPU BS-{bs}": record.idle_cpu[:, bs - 1].mean() for bs in stations},
    }
    frozen = pd.DataFrame({"metric": list(means), "slot": -1, "value": list(means.values())})
    frame = pd.concat([curve, frozen], ignore_index=True).astype({"slot": "int32", "value": "float32"})
    changed = json.dumps({**run.changes, **run.settings, **run.refinement}, sort_keys=True)
    frame = frame.assign(
        run=run.key, agent=run.agent, preset=run.preset, changes=changed, seed=np.int32(run.seed)
    )
    return frame[["run", "agent", "preset", "changes", "seed", "metric", "slot", "value"]].astype(
        dict.fromkeys(("run", "agent", "preset", "changes", "metric"), "category")
    )
