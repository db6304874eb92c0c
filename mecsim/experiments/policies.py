"""Small trained agents, stored so that notebook 13 can let them decide without training anything.

Only the network that decides is stored: INTO's actor, DDQN's q. Such a file can be deployed, not trained on.
"""

from __future__ import annotations

from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mecsim.experiments.checkpoints import CheckpointError, read_tensors, tensor_bytes
from mecsim.experiments.runner import compute
from mecsim.experiments.runs import Run, evaluation_world, train_agent
from mecsim.experiments.store import DATA, DamagedFile, Job, Store, Wanted, ensure_place, named, shown
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.training import rollout

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


class PolicyError(DamagedFile):
    """A file that is no policy of mecsim's, or that of another agent or of other layers than its settings ask for."""


class PolicyStore(Store):
    """A folder of policies."""

    command = "mecsim policies"
    pattern = "*.safetensors"

    def wanted(self) -> list[Wanted]:
        """All small agents."""
        return [Wanted("the small agents", [policy_job(name) for name in POLICIES], self.command)]

    def encoded(self, result: tuple[dict[str, Any], float], made_by: dict[str, Any]) -> bytes:
        """The content of the file of a network's tensors, with the income in its metadata."""
        tensors, income = result
        return tensor_bytes(tensors, {**made_by, "income": income})

    def about(self, path: Path) -> dict[str, Any]:
        """See `about_policy`."""
        return about_policy(path)

    def values(self, path: Path) -> dict[str, np.ndarray]:
        """The tensors, and the income."""
        tensors, about = _read(path, "np")
        return {**tensors, "income": np.array(about["income"])}


def policy_job(name: str) -> Job:
    """The file of a small agent.

    Raises:
        SettingError: there is no such agent.
    """
    run = named("policy", name, POLICIES)
    return Job(f"{name}-small.safetensors", run.model_dump(mode="json"), partial(measure, run), run.about_s)


def path_of(name: str, folder: Path = FOLDER) -> Path:
    """Where a small agent is stored; see `policy_job`."""
    return folder / policy_job(name).name


def make_policies() -> list[Path]:
    """Trains the small agents that are not stored yet, evaluates them frozen, and stores them."""
    store, jobs = PolicyStore(FOLDER), [policy_job(name) for name in POLICIES]
    compute(store, store.missing(jobs), workers=None, label="policies")
    return [store.path(job) for job in jobs]


def measure(run: Run) -> tuple[dict[str, Any], float]:
    """Trains a small agent: the tensors of the network that decides, and its frozen mean income."""
    learner = cast("Learner", run.make_agent())
    train_agent(run, learner)
    income = float(rollout(learner, evaluation_world(run), run.evaluation_slots).income.mean())
    return learner.networks[_DECIDES[run.agent]].state_dict(), income


def about_policy(path: Path) -> dict[str, Any]:
    """What a policy's file says of itself: its run, what made it, and its frozen "income" per slot; needs no torch.

    Raises:
        PolicyError: the file is missing, damaged, or not one of mecsim's.
    """
    return _read(path, "np")[1]


def _read(path: Path, framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    ensure_place(path.parent)
    try:
        tensors, about = read_tensors(path, framework)
        _ = about["run"]["agent"], about["income"]
    except (CheckpointError, KeyError, TypeError) as error:
        raise PolicyError(
            f"{shown(path)} is not a readable policy of mecsim ({error.__context__ or error}): delete it if it is "
            "there, and `mecsim policies` trains it anew."
        ) from None
    return tensors, about


def load_policy(name: str, folder: Path = FOLDER) -> Learner:
    """A small trained agent, frozen, in the scenario that it was trained in.

    Raises:
        PolicyError: the file is missing or damaged, or its networks are not those of the agent.
        SettingError: there is no such agent.
    """
    path = path_of(name, folder)
    tensors, about = _read(path, "pt")
    if about["run"]["agent"] != name:
        raise PolicyError(f"{shown(path)} is the policy of {about['run']['agent']!r}, not of {name!r}.")
    learner = cast("Learner", Run(**about["run"]).make_agent())
    try:
        learner.networks[_DECIDES[name]].load_state_dict(tensors)
    except RuntimeError:
        raise PolicyError(
            f"{shown(path)} holds other layers than its settings ask for: delete it, and `mecsim policies` "
            "trains it anew."
        ) from None
    return learner


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
