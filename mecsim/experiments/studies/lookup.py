"""The study behind C18: Algorithm 1 against looking up the nearest feasible actions, as the devices grow in number.

The look-up (`mecsim.reference.lookup`) can be done for a few devices only. So it is timed there, and the time at the
paper's size is extrapolated along a line in its logarithm. The line overshoots by some ten of about a hundred powers of
ten, as the time for one placement grows too, but only in proportion to the devices. The number of placements alone,
(N+1)^U, would do for the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from statistics import mean, median
from time import perf_counter

import numpy as np

from mecsim.agents import make_agent
from mecsim.experiments.studies.guarantees import proto_actions
from mecsim.experiments.studies.study import Row, Study
from mecsim.reference.lookup import lookup, nearer
from mecsim.refinement import refine
from mecsim.scenario import Scenario
from mecsim.system import Action, PhysicalSystem, SystemState, outcome
from mecsim.training import states_met

ALGORITHM_1 = "Algorithm 1 seconds"
LOOK_UP = "look-up 1 seconds"
KAPPAS = (1, 10)
WARM_UP = 20
"""Slots under all-on before the first state, in which the energy queues fill and are drawn on."""


def small_scenario(preset: str, n_devices: int) -> Scenario:
    """A preset with few devices, spread evenly over its BSs, and with as much CPU a device as the preset has.

    The CPU of every BS is scaled with the number of devices, so that they compete for it as in the preset. A task does
    not shrink with it: with few devices a BS can compute one task of several, with fewer than five next to none.
    """
    whole = Scenario.preset(preset)
    parts = np.array_split(np.arange(n_devices), whole.n_bs)
    share = n_devices / whole.n_devices
    return Scenario.preset(
        preset, devices=tuple(map(len, parts)), cpu_hz=tuple(share * whole.per_bs("cpu_hz"))
    )


def measure_lookup(
    preset: str, seed: int, devices: Sequence[int], states: int, paper_states: int
) -> list[Row]:
    """Times and incomes of Algorithm 1 and of the look-up, and the time of Algorithm 1 at the preset's full size.

    Args:
        preset: the scenario.
        seed: seed of the system and of the proto-actions.
        devices: the numbers of devices at which both are carried out.
        states: states at each of them.
        paper_states: states at the full size.

    Returns:
        Rows with metric, devices and value. For each number of devices, over the states: the median of the seconds of
        Algorithm 1 and of the look-ups with kappa of `KAPPAS`, the mean of their incomes, and the median of the
        placements that are nearer than the nearest feasible one (`mecsim.reference.lookup.nearer`).
    """
    rows = [row for n in devices for row in _compare(small_scenario(preset, n), seed, states)]
    whole = Scenario.preset(preset)
    met = zip(warm_states(whole, seed, paper_states), proto_actions(whole, seed), strict=False)
    seconds = median(_timed(partial(refine, whole, state, proto))[1] for state, proto in met)
    return [*rows, {"metric": ALGORITHM_1, "devices": whole.n_devices, "value": seconds}]


def warm_states(scenario: Scenario, seed: int, count: int) -> Iterator[SystemState]:
    """The states of successive slots of a system under all-on, after `WARM_UP` slots."""
    states = states_met(make_agent("all-on", scenario), PhysicalSystem(scenario, seed))
    return islice(states, WARM_UP, WARM_UP + count)


def _compare(scenario: Scenario, seed: int, states: int) -> list[Row]:
    """The rows of one number of devices."""
    found: dict[str, list[float]] = {}
    for state, proto in zip(warm_states(scenario, seed, states), proto_actions(scenario, seed), strict=False):
        ways: dict[str, Callable[[], Action]] = {"Algorithm 1": partial(refine, scenario, state, proto)}
        ways |= {f"look-up {kappa}": partial(lookup, scenario, state, proto, kappa) for kappa in KAPPAS}
        for name, way in ways.items():
            action, seconds = _timed(way)
            found.setdefault(f"{name} seconds", []).append(seconds)
            found.setdefault(f"{name} income", []).append(float(outcome(scenario, state, action).income))
            if name == "look-up 1":
                found.setdefault("nearer placements", []).append(nearer(scenario, proto, action.placement))
    return [
        {
            "metric": metric,
            "devices": scenario.n_devices,
            "value": float(mean(values) if metric.endswith("income") else median(values)),
        }
        for metric, values in found.items()
    ]


def _timed(work: Callable[[], Action]) -> tuple[Action, float]:
    start = perf_counter()
    action = work()
    return action, perf_counter() - start


LOOKUP = Study(measure_lookup, {"devices": [5, 6, 7, 8, 9, 10], "states": 12, "paper_states": 120}, 10.0)
