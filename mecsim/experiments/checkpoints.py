"""Checkpoints of a training and policies of a trained agent, as safetensors files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file

from mecsim.agents.learner import Learner
from mecsim.experiments.store import whole_file
from mecsim.twin import DigitalTwin


class CheckpointError(ValueError):
    """A file that is no checkpoint, or the checkpoint of something else."""


class Loaded(NamedTuple):
    """A file's tensors and what it says of itself."""

    tensors: dict[str, torch.Tensor]
    about: dict[str, Any]


def save_checkpoint(path: Path, learner: Learner, twin: DigitalTwin, incomes: list[float], key: str) -> None:
    """Saves a training so that it can go on with the same bits; the file is whole or not there."""
    about = {"key": key, "learner": learner.position(), "twin": twin.snapshot(), "incomes": incomes}
    write_tensors(path, learner.tensors(), about)


def resume(path: Path, learner: Learner, twin: DigitalTwin, key: str) -> list[float]:
    """Goes back to a checkpoint and returns the incomes of the slots done.

    Raises:
        CheckpointError: the file cannot be read, or it belongs to another run.
    """
    loaded = read_tensors(path)
    if loaded.about.get("key") != key:
        raise CheckpointError(
            f"{path.name} is the checkpoint of {loaded.about.get('key')!r}, not of {key!r}."
        )
    learner.restore(loaded.tensors, loaded.about["learner"])
    twin.restore(loaded.about["twin"])
    return list(loaded.about["incomes"])


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    """Writes named tensors with a description of them, atomically."""
    with whole_file(path) as partial:  # not by way of bytes in memory, which would be twice the tensors
        save_file(_ready(tensors), partial, {"mecsim": json.dumps(about)})


def tensor_bytes(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> bytes:
    """The content of the file that `write_tensors` writes."""
    return save(_ready(tensors), {"mecsim": json.dumps(about)})


def _ready(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def read_tensors(path: Path) -> Loaded:
    """Reads what `write_tensors` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, or not one of mecsim's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["mecsim"])
            return Loaded({name: file.get_tensor(name) for name in file.keys()}, about)  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path.name} is not a readable checkpoint of mecsim ({error}).") from None
