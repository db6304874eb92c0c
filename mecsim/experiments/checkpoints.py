"""Checkpoints of a training and policies of a trained agent, as safetensors files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from mecsim.experiments.store import DamagedFile, shown, whole_file
from mecsim.twin import DigitalTwin

if TYPE_CHECKING:
    import torch

    from mecsim.agents.learner import Learner


class CheckpointError(DamagedFile):
    """A file that is no checkpoint, or the checkpoint of something else."""


def save_checkpoint(path: Path, learner: Learner, twin: DigitalTwin, incomes: list[Any], key: str) -> None:
    """Saves a training so that it can go on with the same bits; the file is whole or not there."""
    done = np.array(incomes).tolist()
    about = {"key": key, "learner": learner.position(), "twin": twin.snapshot(), "incomes": done}
    write_tensors(path, learner.tensors(), about)


def resume(path: Path, learner: Learner, twin: DigitalTwin, key: str) -> list[Any]:
    """Goes back to a checkpoint and returns the incomes of the slots done.

    Raises:
        CheckpointError: the file cannot be read, or it belongs to another run.
    """
    tensors, about = read_tensors(path)
    if about.get("key") != key:
        raise CheckpointError(f"{shown(path)} is the checkpoint of {about.get('key')!r}, not of {key!r}.")
    learner.restore(tensors, about["learner"])
    twin.restore(about["twin"])
    return list(about["incomes"])


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    """Writes named tensors with a description of them, atomically."""
    from safetensors.torch import save_file

    with whole_file(path) as partial:  # not by way of bytes in memory, which would be twice the tensors
        try:
            save_file(_ready(tensors), partial, {"mecsim": json.dumps(about)})
        except SafetensorError as error:
            raise OSError(str(error)) from None


def tensor_bytes(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> bytes:
    """The content of the file that `write_tensors` writes."""
    from safetensors.torch import save

    return save(_ready(tensors), {"mecsim": json.dumps(about)})


def _ready(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def read_tensors(path: Path, framework: str = "pt") -> tuple[dict[str, Any], dict[str, Any]]:
    """The named tensors that `write_tensors` wrote, and their description.

    Args:
        path: of the file.
        framework: "pt" for PyTorch's tensors, "np" for NumPy's arrays, which need no torch.

    Raises:
        CheckpointError: the file is missing, damaged, or not one of mecsim's.
    """
    try:
        with safe_open(path, framework=framework) as file:
            about = json.loads(file.metadata()["mecsim"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{shown(path)} is not a readable checkpoint of mecsim ({error}).") from None
