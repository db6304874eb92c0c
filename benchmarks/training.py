"""What is trained while it is measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from benchmarks.flops import network_sizes
from mecsim.agents.into import INTOSettings
from mecsim.experiments.runs import Run
from mecsim.training import train
from mecsim.twin import DigitalTwin


@dataclass(frozen=True)
class Load:
    """A training of INTO, and for how long it is measured; by default at Table II's sizes under `calibrated`.

    Attributes:
        run: the training.
        warm_up: slots before the first measurement; they should outlast the wait for the first mini-batch.
        chunk: slots that are measured at a time.
    """

    run: Run = field(default_factory=lambda: Run(agent="INTO"))
    warm_up: int = 100
    chunk: int = 100

    @property
    def settings(self) -> INTOSettings:
        """INTO's settings in this run."""
        return INTOSettings(**self.run.settings)

    @property
    def layers(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Sizes of the layers of the actor and of the critic, inputs first."""
        actor, critic = network_sizes(self.run)
        return actor, critic


TABLE_II = Load()


class IntoSlots:
    """A training of INTO that goes on for as many slots as asked.

    A slot is everything: acting with Algorithm 1, the twin's step, remembering, and one update of both networks and
    both targets.
    """

    def __init__(self, load: Load) -> None:
        self.learner: Any = load.run.make_agent()
        self.twin = DigitalTwin(load.run.scenario(), load.run.seed)
        self.incomes: list[float] = []
        self(load.warm_up)

    def __call__(self, slots: int) -> float:
        """Trains on; returns the seconds a slot."""
        start = perf_counter()
        train(self.learner, self.twin, len(self.incomes) + slots, self.incomes, progress=False)
        return (perf_counter() - start) / slots
