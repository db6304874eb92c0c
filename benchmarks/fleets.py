"""Many twins stepped at once against one at a time."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.result import Result
from benchmarks.turns import Peer, in_turn
from mecsim.experiments.runs import Run
from mecsim.mdp import Encoder
from mecsim.refinement import refine
from mecsim.system import PhysicalSystem
from mecsim.training import keep_freed_memory, rollout
from mecsim.twin import DigitalTwin

TWINS = 512
SLOTS, FLEET_SLOTS = 100, 4
"""Slots in a repeat, of one twin and of the whole fleet."""
WARM_UP = 10


class Policies:
    """A frozen policy, which decides for one plant and for a fleet of them."""

    def __init__(self, run: Run, twins: int) -> None:
        scenario = run.scenario()
        self._agent: Any = run.make_agent()
        self._plant, self._fleet = PhysicalSystem(scenario, run.seed), PhysicalSystem(scenario, range(twins))
        rollout(self._agent, self._plant, WARM_UP)
        rollout(self._agent, self._fleet, 2)

    def __call__(self, slots: int, fleet_slots: int) -> tuple[float, float]:
        """Seconds a slot, alone and in the fleet."""
        alone = _seconds(rollout, self._agent, self._plant, slots) / slots
        many = _seconds(rollout, self._agent, self._fleet, fleet_slots)
        return alone, many / (fleet_slots * self._fleet.worlds[0])


class Environments:
    """A twin and a fleet that carry out proto-actions drawn at random."""

    def __init__(self, run: Run, twins: int) -> None:
        self._scenario = scenario = run.scenario()
        self._encoder, self._draws = Encoder(scenario), np.random.default_rng(run.seed)
        self._twin, self._fleet = DigitalTwin(scenario, run.seed), PhysicalSystem(scenario, range(twins))
        keep_freed_memory()
        self(WARM_UP, 2)

    def __call__(self, slots: int, fleet_slots: int) -> tuple[float, float]:
        """Seconds a slot, alone and in the fleet."""
        encoder, fleet = self._encoder, self._fleet
        size, twins = encoder.action_size, fleet.worlds[0]
        single = self._draws.random((slots, size), dtype=np.float32)
        batches = self._draws.random((fleet_slots, twins, size), dtype=np.float32)
        alone, many = _seconds(self._alone, single), _seconds(self._together, batches)
        return alone / slots, many / (fleet_slots * twins)

    def _alone(self, vectors: np.ndarray) -> None:
        for vector in vectors:
            self._twin.step(refine(self._scenario, self._twin.state, self._encoder.proto(vector)))

    def _together(self, batches: np.ndarray) -> None:
        for batch in batches:
            self._fleet.step(refine(self._scenario, self._fleet.state, self._encoder.proto(batch)))


def batched_vs_single(repeats: int, run: Run | None = None, twins: int = TWINS) -> Result:
    """How many times as many slots a second a fleet evaluates as one twin at a time, in one thread.

    Measured for a frozen INTO with Table II's networks, and for the environment alone: Algorithm 1 and the twin's step
    under random proto-actions. The smaller counts; both are among the figures.
    """
    run = run or Run(agent="INTO", slots=0)
    ratios, figures = [], {"twins": float(twins)}
    for name, setup in (("policy", Policies), ("environment", Environments)):
        with Peer(name, setup, run, twins, threads=1) as peer:
            times = [answer for (answer,) in in_turn([peer], repeats, SLOTS, FLEET_SLOTS)]
        ratios.append([alone / many for alone, many in times])
        alone, many = (1e6 * median(column) for column in zip(*times, strict=True))
        figures |= {f"{name}_alone_us": alone, f"{name}_fleet_us": many, f"{name}_ratio": median(ratios[-1])}
    return Result(min(ratios, key=median), figures)


def _seconds(work: Any, *args: Any) -> float:
    start = perf_counter()
    work(*args)
    return perf_counter() - start
