"""Small trained agents, stored so that notebook 13 can let them decide without training anything.

Only the network that decides is stored: INTO's actor, DDQN's q. Such a file can be deployed, not trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mecsim.experiments.provenance import NUMERICS, provenance, read_manifest, write_manifest
from mecsim.experiments.runs import EVALUATION_WORLDS, Run
from mecsim.experiments.store import DATA
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import PhysicalSystem
from mecsim.training import rollout
from mecsim.twin import DigitalTwin

if TYPE_CHECKING:
    from mecsim.agents.learner import Learner

FOLDER = DATA / "policies"
PATTERN = "*.safetensors"
_HIDDEN = (128, 64)
POLICIES = {
    "INTO": Run(agent="INTO", settings={"actor_hidden": _HIDDEN, "critic_hidden": _HIDDEN}),
    "DDQN": Run(agent="DDQN", settings={"hidden": _HIDDEN}),
}
"""How each small agent is trained and evaluated: as at the paper's size, but for its networks."""
_DECIDES = {"INTO": "actor", "DDQN": "q"}


class PolicyError(ValueError):
    """A file that is no policy of mecsim's, or the policy of another agent or scenario."""


def path_of(name: str, folder: Path = FOLDER) -> Path:
    """Where a small agent is stored.

    Raises:
        SettingError: there is no such agent.
    """
    if name not in POLICIES:
        raise SettingError(f"policy = {name!r} is not allowed: it should be one of {', '.join(POLICIES)}.")
    return folder / f"{name}-small.safetensors"


def make_policies(names: Iterable[str] = POLICIES, folder: Path = FOLDER) -> list[Path]:
    """Trains the small agents that are not stored yet, evaluates them frozen, and stores them."""
    paths = {name: path_of(name, folder) for name in names}
    for name, path in paths.items():
        if not path.exists():
            _make(POLICIES[name], path)
    write_manifest(folder, PATTERN, about_policy)
    return list(paths.values())


def _make(run: Run, path: Path) -> None:
    import torch

    from mecsim.experiments.checkpoints import write_tensors
    from mecsim.training import train

    torch.set_num_threads(1)  # the number of threads changes the bits of a matrix product
    about = provenance(run.model_dump(mode="json"))
    learner = run.make_agent()
    train(learner, DigitalTwin(run.scenario(), run.seed), run.slots, progress=False)
    plant = PhysicalSystem(run.scenario(), EVALUATION_WORLDS + run.seed)
    about["income"] = float(rollout(learner, plant, run.evaluation_slots).income.mean())
    write_tensors(path, learner.networks[_DECIDES[run.agent]].state_dict(), about)


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
    learner = Run(**about["run"]).make_agent()
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


def lacking_policies(folder: Path = FOLDER) -> list[str]:
    """One sentence for every small agent that is not stored."""
    missing = [name for name in POLICIES if not path_of(name, folder).exists()]
    return [f"the small {name} is not stored; run `mecsim policies`." for name in missing]


def stale_policies(folder: Path = FOLDER) -> list[str]:
    """One sentence for every stored small agent that is not what would be trained now."""
    manifest = read_manifest(folder)
    found = []
    for name, run in POLICIES.items():
        entry = manifest.get(path_of(name, folder).name)
        if entry and (entry["numerics"], entry["run"]) != (NUMERICS, run.model_dump(mode="json")):
            found.append(
                f"data/{folder.name}/{path_of(name, folder).name} is stale (made by other settings or numerics); "
                "delete it and run `mecsim policies`."
            )
    return found
