"""The planner, beyond the paper: it learns in the twin what energy is worth, and searches each slot for more."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field
from tqdm.auto import tqdm

from mecsim.agents.greedy import Slot, Thrifty
from mecsim.agents.local_search import searched
from mecsim.physics import Array, Ints
from mecsim.refinement import Refinement
from mecsim.scenario import Positive, Scenario
from mecsim.settings import Settings
from mecsim.system import SystemState
from mecsim.training import check_partners, rollout
from mecsim.twin import DigitalTwin

LEVEL_STEP, EXPONENT_STEP = 1.5, 0.25
"""By what the level is multiplied or divided, and the exponent raised or lowered, from one price to the next."""
EXPONENTS = (0.0, 1.5)
HARVESTS = 10
"""Mean harvests in K, at which the exponent makes no difference; see `Price`."""


class Price(NamedTuple):
    """A price of energy, a (g_mean / K) (K / Q)^b per J: K = 10 mean harvests, Q what the device has stored.

    Attributes:
        level: a.
        exponent: b; under 1 a device with little stored is less thrifty, and one with much is more so.
    """

    level: float
    exponent: float


class PlannerSettings(Settings):
    """How the planner learns its price.

    Attributes:
        level, exponent: of the price that it tries first; a = b = 1 is thrifty's.
        rehearsed_slots: slots that are simulated in the twin under each price; with 0 the first price is kept.
        reserve: share of each BS's CPU that is kept back. Shared out among the tasks (A10, pro rata), it saves those
            that need more than the twin has foreseen.
    """

    level: Positive = 0.6
    exponent: Annotated[float, Field(ge=EXPONENTS[0], le=EXPONENTS[1])] = 0.75
    rehearsed_slots: Annotated[int, Field(ge=0)] = 300
    reserve: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Planner(Thrifty):
    """What the paper's introduction promises: it learns in the digital twin and decides on the plant.

    It departs from thrifty in two things:

    1. The price of energy. Thrifty's g_mean / Q is a guess. The planner's has a level and an exponent, and `rehearse`
       finds those that earn most when it simulates ahead in the twin. Until then they are the first of the settings.
    2. The choice within a slot. Where greedy's three steps end, a local search begins (`mecsim.agents.local_search`):
       it adds, drops and swaps tasks, up to three at a time.

    What it chooses fills the BSs to the brim. Where the twin errs, a `reserve` is worth more than the last task.

    Args:
        scenario: the system as the agent knows it.
        seed: as of all agents; it draws nothing at random.
        refinement: what the paper leaves open in Algorithm 1.
        settings: how it learns the price.

    Attributes:
        price: what it has learnt.
    """

    Settings = PlannerSettings

    def __init__(
        self, scenario: Scenario, seed: int = 0, refinement: Refinement | None = None, settings: Any = None
    ) -> None:
        super().__init__(scenario, seed, refinement)
        self.settings = PlannerSettings.of(settings)
        self.price = Price(self.settings.level, self.settings.exponent)

    def price_per_j(self, state: SystemState) -> Array:
        """What each device's energy is worth to later slots, in income per J, (n_devices,); see `Price`."""
        scenario, (level, exponent) = self.scenario, self.price
        harvest_w = np.mean(scenario.harvest_w) * scenario.per_device("harvest_scale")
        usual_j = HARVESTS * harvest_w * scenario.slot_harvest_s
        with np.errstate(divide="ignore", over="ignore"):
            return level * self._mean_award / usual_j * (usual_j / state.energy_j) ** exponent

    def _offer(self, state: SystemState) -> Ints:
        return super()._offer(replace(state, cpu_hz=(1.0 - self.settings.reserve) * state.cpu_hz))

    def _chosen(self, slot: Slot) -> Ints:
        return searched(slot)

    def rehearse(
        self, twin: DigitalTwin, tried: dict[Price, float] | None = None, progress: bool = False
    ) -> dict[Price, float]:
        """Learns the price: simulates ahead in a twin under several, and keeps the one that earns most.

        It starts from the price of the settings and moves to a neighbour, of another level or exponent, while that
        earns more; so a first price under which nothing is sent, and nothing under its neighbours, is kept. Every price
        meets the same tasks, channels and harvests. The twin is left as it was, so that an agent at work can rehearse
        again whenever its twin has come to believe something else.

        Args:
            twin: of one world or many; its present state is where each simulation begins.
            tried: what a rehearsal that was cut short had found, to go on from; it is added to.
            progress: show a bar.

        Returns:
            The mean income per slot under each price that was tried.

        Raises:
            SettingError: the twin is none, or of other devices than the agent knows.
        """
        check_partners(self, twin)
        tried, before, best = {} if tried is None else tried, twin.snapshot(), (0, 0)
        if not self.settings.rehearsed_slots:
            return tried
        with tqdm(initial=len(tried), disable=not progress, unit="price") as bar:

            def income(steps: tuple[int, int]) -> float:
                price = self._price_after(*steps)
                if not EXPONENTS[0] <= price.exponent <= EXPONENTS[1]:
                    return -np.inf
                if price not in tried:
                    trial = copy(self)
                    trial.price = price
                    try:
                        tried[price] = float(
                            rollout(trial, twin, self.settings.rehearsed_slots).income.mean()
                        )
                    finally:
                        twin.restore(before)
                    bar.update()
                return tried[price]

            moved = True
            while moved:
                moved = False
                for level, exponent in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                    while income(best) < income(there := (best[0] + level, best[1] + exponent)):
                        best, moved = there, True
        self.price = self._price_after(*best)
        return tried

    def _price_after(self, level_steps: int, exponent_steps: int) -> Price:
        return Price(
            self.settings.level * LEVEL_STEP**level_steps,
            self.settings.exponent + EXPONENT_STEP * exponent_steps,
        )
