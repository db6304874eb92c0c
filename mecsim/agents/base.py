"""The interface of every agent, and the table of agents by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import numpy as np
from pydantic import AfterValidator

from mecsim.physics import Array, Bools, Ints
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario, ScenarioStack
from mecsim.settings import SettingError, whole_number
from mecsim.system import Action, SystemState

if TYPE_CHECKING:
    from mecsim.twin import DigitalTwin


class Offer(NamedTuple):
    """What an agent hands to lines 2-8 of Algorithm 1 in one world.

    Attributes:
        placement: the BS that each task is offered to, -1 where it is not offered, (n_devices,).
        cpu_share: f as a share of each BS's CPU, (n_devices, n_bs), of an agent that puts one out.
        shielded: tasks that a BS discards only after all its others; None where no task is.
    """

    placement: Ints
    cpu_share: Array | None = None
    shielded: Bools | None = None


class Agent(ABC):
    """Decides, at the start of each slot, what is offloaded where.

    Args:
        scenario: the system as the agent knows it; a stack for worlds with scenarios of their own.
        seed: seed of its own randomness.
        refinement: what the paper leaves open in Algorithm 1.

    Attributes:
        vectorized: can `act` take the state of many worlds, device arrays (worlds, n_devices)?
        worlds: (how many,) of an agent that decides for so many worlds, each by networks of its own; else ().
    """

    vectorized = False
    worlds: tuple[int, ...] = ()

    def __init__(
        self, scenario: Scenario | ScenarioStack, seed: int = 0, refinement: Refinement | None = None
    ) -> None:
        self.scenario: Any = scenario if isinstance(scenario, ScenarioStack) else Scenario.of(scenario)
        self.seed = whole_number("seed", seed)
        self.refinement = Refinement.of(refinement)

    @abstractmethod
    def act(self, state: SystemState) -> Action:
        """A valid action for the state, without exploration; for that of many worlds where `vectorized` is set."""

    def decide(self, state: SystemState) -> Action:
        """`act`, for the state of one world or of many; if need be, world by world.

        Raises:
            SettingError: the worlds have scenarios of their own, and the agent decides for one at a time.
        """
        if self.vectorized or state.energy_j.ndim == 1:
            return self.act(state)
        if isinstance(self.scenario, ScenarioStack):
            raise SettingError(
                f"agent = {type(self).__name__} is not allowed: worlds with scenarios of their own should have an "
                "agent that is vectorized."
            )
        actions = [self.act(state.world(number)) for number in range(len(state.energy_j))]
        return Action(np.stack([one.placement for one in actions]), np.stack([one.cpu_hz for one in actions]))

    def rehearse(self, twin: DigitalTwin) -> dict[Any, float]:
        """Learns in a twin, left as it was, before deployment; most agents do not. Returns what each choice earned."""
        return {}

    def offers(self, state: SystemState) -> list[Offer]:
        """What `act` hands to lines 2-8 of Algorithm 1, round by round; the last round gives the action.

        Raises:
            SettingError: the agent does not say.
        """
        raise SettingError(
            f"agent = {type(self).__name__} is not allowed: why its tasks are discarded can be told of an agent with "
            "offers."
        )


AGENTS: dict[str, str | type[Agent]] = {
    "INTO": "mecsim.agents.into:INTO",
    "DDQN": "mecsim.agents.ddqn:DDQN",
    "OLNPO": "mecsim.agents.rules:OLNPO",
    "LPWPO": "mecsim.agents.rules:LPWPO",
    "all-on": "mecsim.agents.rules:AllOn",
    "untrained": "mecsim.agents.into:INTO",
    "greedy": "mecsim.agents.greedy:Greedy",
    "thrifty": "mecsim.agents.greedy:Thrifty",
    "planner": "mecsim.agents.planner:Planner",
}
"""Each agent's class, or "module:Class", imported when it is first asked for, so that physics needs no torch."""


def agent_class(name: str) -> type[Agent]:
    """The class of an agent.

    Raises:
        SettingError: no agent has that name.
    """
    if not isinstance(name, str) or name not in AGENTS:
        raise SettingError(f"agent = {name!r} is not allowed: it should be one of {', '.join(AGENTS)}.")
    entry = AGENTS[name]
    if not isinstance(entry, str):
        return entry
    module, _, attribute = entry.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingError(
            f'AGENTS[{name!r}] = {entry!r} is not allowed: it should be "module:Class", to be imported ({error}).'
        ) from None


def _known(name: str) -> str:
    if name not in AGENTS:
        raise ValueError(f"one of {', '.join(AGENTS)}")
    return name


AgentName = Annotated[str, AfterValidator(_known)]
"""The name of an agent, in settings."""


def make_agent(
    name: str,
    scenario: Scenario | ScenarioStack | Sequence[Scenario],
    seed: int | Sequence[int] = 0,
    **arguments: Any,
) -> Agent:
    """A new agent by its name; more arguments go to its class, such as `settings={"gamma": 0.9}` to INTO.

    INTO and DDQN take many seeds or scenarios as well, see `mecsim.agents.learner.Learner`.

    Raises:
        SettingError: no agent has that name, it takes no such argument, or a value is not allowed.
    """
    kind = agent_class(name)
    try:
        signature(kind).bind(scenario, seed, **arguments)
    except TypeError as error:
        takes = ", ".join(list(signature(kind).parameters))
        raise SettingError(f"agent = {name!r}: {error}; it takes {takes}.") from None
    return cast(Any, kind)(scenario, seed, **arguments)
