"""A slot of the twin with Algorithm 1: against the paper's sums task by task, and its cost as the system grows."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.result import Result
from mecsim.physics import Array, Ints
from mecsim.reference import literal
from mecsim.refinement import refine_discrete
from mecsim.scenario import Scenario
from mecsim.system import Action, SystemState
from mecsim.twin import DigitalTwin

SLOTS = 30
"""Slots in a repeat."""
WARM_UP = 50
"""Slots before the first repeat, in which the energy queues fill."""
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
"""Devices of the systems whose slots are timed, spread evenly over `STATIONS` BSs."""
STATIONS = 100


def system_vs_literal(repeats: int, scenario: Scenario | None = None) -> Result:
    """How many times as fast as `mecsim.reference.literal` a twin's slot is, Algorithm 1 with `reassess` included.

    Every device asks for a BS drawn at random, or for none. The literal slot decides, pays and moves the energy
    queues; that of the twin also draws the next slot's tasks and channels.

    Raises:
        AssertionError: the two decide differently.
    """
    twin, proposals = DigitalTwin(scenario or Scenario(), seed=0), np.random.default_rng(0)
    _run(twin, proposals, WARM_UP)
    pairs = []
    for _ in range(repeats):
        ours, decided = _run(twin, proposals, SLOTS)
        pairs.append((ours, sum(_literally(twin.scenario, *decision) for decision in decided)))
    ours, theirs = (1e3 * median(column) / SLOTS for column in zip(*pairs, strict=True))
    figures = {"twin_slot_ms": ours, "literal_slot_ms": theirs}
    return Result([other / own for own, other in pairs], figures)


def scaling_exponent(repeats: int, sizes: Sequence[int] = SIZES, n_bs: int = STATIONS) -> Result:
    """The p of "a slot of U devices takes a time that grows as (U log U)^p", fitted over the sizes above.

    Measured with every task offered to its own BS, and with every task offered to one drawn at random; the larger p
    counts. The figures hold both curves, and the p of their last decade, where what a BS costs however few its tasks
    no longer shows.
    """
    exponents, figures = [], {}
    for offered in ("own", "random"):
        curve = np.array([[_slot_s(_spread(size, n_bs), offered) for size in sizes] for _ in range(repeats)])
        exponents.append(_exponents(sizes, curve))
        late = [place for place, size in enumerate(sizes) if 10 * size >= max(sizes)]
        figures[f"{offered}_bs_last_decade"] = median(_exponents(np.array(sizes)[late], curve[:, late]))
        for size, times in zip(sizes, curve.T, strict=True):
            figures[f"{offered}_bs_{size}_devices_ms"] = 1e3 * median(times)
    return Result(max(exponents, key=median), figures)


def _spread(n_devices: int, n_bs: int) -> Scenario:
    """A system with its devices spread evenly, and with charged batteries so that none has to stay silent."""
    return Scenario(devices=(n_devices // n_bs,) * n_bs, initial_energy_j=1.0)


def _exponents(sizes: Sequence[int], curve: Array) -> list[float]:
    """The exponent of each repeat, from its times (repeats, sizes)."""
    growth = np.log(np.array(sizes) * np.log(sizes))
    return np.polyfit(growth, np.log(curve).T, 1)[0].tolist()


def _run(
    twin: DigitalTwin, proposals: np.random.Generator, slots: int
) -> tuple[float, list[tuple[SystemState, Ints, Action]]]:
    """Seconds that some slots of the twin take, and what was known, asked for and decided in each."""
    scenario, decided = twin.scenario, []
    asked = proposals.integers(-1, scenario.n_bs, (slots, scenario.n_devices))
    start = perf_counter()
    for placement in asked:
        state = twin.state
        action = refine_discrete(scenario, state, placement)
        twin.step(action)
        decided.append((state, placement, action))
    return perf_counter() - start, decided


def _literally(scenario: Scenario, state: SystemState, placement: Ints, expected: Action) -> float:
    """Seconds that the same slot takes task by task."""
    slot = literal.Slot.of(scenario, state)
    offload = (placement >= 0).astype(int).tolist()
    peer = (placement[:, None] == np.arange(scenario.n_bs)).astype(int).tolist()
    start = perf_counter()
    x, y, f = literal.fit_capacity(slot, *literal.with_energy(slot, offload, peer))
    literal.income(slot, x, y, f, rounding=1e-9)
    for j in slot.tasks:
        literal.next_energy(slot, x, j)
    taken = perf_counter() - start
    if not np.array_equal(y, expected.peer(scenario.n_bs)):
        raise AssertionError("mecsim.reference.literal and mecsim.refinement decide differently.")
    return taken


def _slot_s(scenario: Scenario, offered: str) -> float:
    """Seconds of a twin's first slot."""
    twin, placement = DigitalTwin(scenario, seed=0), scenario.cell
    if offered == "random":
        placement = np.random.default_rng(0).integers(scenario.n_bs, size=scenario.n_devices)
    start = perf_counter()
    twin.step(refine_discrete(scenario, twin.state, placement))
    return perf_counter() - start
