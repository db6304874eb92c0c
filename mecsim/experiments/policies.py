"""Small trained agents, stored so that notebook 13 can let them decide without training anything.

Only the network that decides is stored: INTO's actor, DDQN's q. Such a file can be deployed, not trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mecsim.experiments.runner import compute
from mecsim.experiments.runs import EVALUATION_WORLDS, Run
from mecsim.experiments.store import DATA, Job, Store, Wanted
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import PhysicalSystem
from mecsim.training import rollout
from mecsim.twin import DigitalTwin

if TYPE_CHECKING:
    from mecsim.agents.learner import Learner

FOLDER = DATA / "policies"
_HIDDEN = (128, 64)
POLICIES = {
    "INTO": Run(agent="INTO", settings={"actor_hidden": _HIDDEN, "critic_hidden": _HIDDEN}),
    "DDQN": Run(agent="DDQN", settings={"hidden": _HIDDEN}),
}
"""How each small agent is trained and evaluated: as at the paper's size, but for its networks."""
_DECIDES = {"INTO": "actor", "DDQN": "q"}


class PolicyError(ValueError):
    """A file that is no policy of mecsim's, or the policy of another agent or scenario."""


class PolicyStore(Store):
    """A folder of policies."""

    command = "mecsim policies"
    pattern = "*.safetensors"

    def wanted(self) -> list[Wanted]:
        """All small agents."""
        return [Wanted("the small agents", [policy_job(name) for name in POLICIES], self.command)]

    def encoded(self, result: tuple[dict[str, Any], float], made_by: dict[str, Any]) -> bytes:
        """The content of the file of a network's tensors, with the income in its metadata."""
        from mecsim.experiments.checkpoints import tensor_bytes

        tensors, income = result
        return tensor_bytes(tensors, {**made_by, "income": income})

    def about(self, path: Path) -> dict[str, Any]:
        """See `about_policy`."""
        return about_policy(path)

    def values(self, path: Path) -> dict[str, np.ndarray]:
        """The tensors, and the income."""
        from safetensors.numpy import load_file

        return {**load_file(path), "income": np.array(about_policy(path)["income"])}


def policy_job(name: str) -> Job:
    """The file of a small agent.

    Raises:
        SettingError: there is no such agent.
    """
    if name not in POLICIES:
        raise SettingError(f"policy = {name!r} is not allowed: it should be one of {', '.join(POLICIES)}.")
    run = POLICIES[name]
    return Job(f"{name}-small.safetensors", run.model_dump(mode="json"), partial(measure, run), run.about_s)


def path_of(name: str, folder: Path = FOLDER) -> Path:
    """Where a small agent is stored; see `policy_job`."""
    return folder / policy_job(name).name


def make_policies(names: Iterable[str] = POLICIES, folder: Path = FOLDER) -> list[Path]:
    """Trains the small agents that are not stored yet, evaluates them frozen, and stores them."""
    store, jobs = PolicyStore(folder), [policy_job(name) for name in names]
    compute(store, store.missing(jobs), label="policies")
    return [store.path(job) for job in jobs]


def measure(run: Run) -> tuple[dict[str, Any], float]:
    """Trains a small agent: the tensors of the network that decides, and its frozen mean income."""
    import torch

    from mecsim.training import train

    torch.set_num_threads(1)  # the number of threads changes the bits of a matrix product
    learner = cast("Learner", run.make_agent())
    train(learner, DigitalTwin(run.scenario(), run.seed), run.slots, progress=False)
    plant = PhysicalSystem(run.scenario(), EVALUATION_WORLDS + run.seed)
    income = float(rollout(learner, plant, run.evaluation_slots).income.mean())
    return learner.networks[_DECIDES[run.agent]].state_dict(), income


def about_policy(path: Path) -> dict[str, Any]:
    """What a policy's file says of itself: its run, what made it, and its frozen "income" per slot; needs no torch.

    Raises:
        PolicyError: the file is missing, damaged, or not one of mecsim's.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            about = json.loads(file.metadata()["mecsim"])
            _ = about["run"]["agent"], about["income"]
            return about
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise PolicyError(
            f"{path.name} is not a readable policy of mecsim ({error}); `mecsim policies` trains it anew where it is "
            "missing."
        ) from None


def load_policy(name: str, folder: Path = FOLDER) -> Learner:
    """A small trained agent, frozen, in the scenario that it was trained in.

    Raises:
        PolicyError: the file is missing or damaged, or its networks are not those of the agent.
        SettingError: there is no such agent.
    """
    from mecsim.experiments.checkpoints import CheckpointError, read_tensors

    path = path_of(name, folder)
    about = about_policy(path)
    if about["run"]["agent"] != name:
        raise PolicyError(f"{path.name} is the policy of {about['run']['agent']!r}, not of {name!r}.")
    learner = cast("Learner", Run(**about["run"]).make_agent())
    network = learner.networks[_DECIDES[name]]
    try:
        tensors = read_tensors(path).tensors
    except CheckpointError as error:
        raise PolicyError(str(error)) from None
    sizes, wanted = _sizes(tensors), _sizes(network.state_dict())
    if sizes != wanted:
        raise PolicyError(f"{path.name} holds layers of {sizes}, but its settings ask for {wanted}.")
    network.load_state_dict(tensors)
    return learner


def _sizes(tensors: dict[str, Any]) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in sorted(tensors.items())}


def deployed(learner: Learner, scenario: Scenario) -> Learner:
    """A trained agent in another scenario of the same devices and BSs, without training on.

    Algorithm 1 goes by the new scenario. What the network sees keeps the scaling that it was trained with.

    Raises:
        SettingError: the scenario has other devices.
    """
    if scenario.devices != learner.scenario.devices:
        raise SettingError(
            f"devices = {scenario.devices} is not allowed: the networks were trained for "
            f"{learner.scenario.devices}."
        )
    moved = copy(learner)
    moved.scenario = scenario
    return moved
