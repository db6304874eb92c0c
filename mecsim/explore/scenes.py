"""The slots that the explorer shows: those of a world in which all-on decides, whoever is looked at."""

from __future__ import annotations

from itertools import islice

from mecsim.agents import make_agent
from mecsim.scenario import Scenario
from mecsim.system import PhysicalSystem, SystemState
from mecsim.training import states_met
from mecsim.twin import DigitalTwin

SLOTS = 60
SEED = 2_000_000
"""Of the world shown; nobody trains or is evaluated in it."""


def scenes(scenario: Scenario, slots: int = SLOTS, seed: int = SEED) -> list[SystemState]:
    """The states of the first slots of a world under all-on, so that every agent can be shown the same ones."""
    return list(islice(states_met(make_agent("all-on", scenario), PhysicalSystem(scenario, seed)), slots))


def twin_of(scenario: Scenario, state: SystemState, seed: int = 0) -> DigitalTwin:
    """A twin that has just taken in a report of this state."""
    twin = DigitalTwin(scenario, seed)
    twin.update(state)
    return twin
