"""Claim C20 and assumption A21: what Algorithm 1 promises, on 10,000 random actions per preset, extremes included."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from worlds import OF_THE_PAPER, assert_guarantees, one_hot, stacked_protos

from mecsim.reference import literal
from mecsim.refinement import ProtoAction, refine, refine_discrete
from mecsim.scenario import PRESETS, Scenario
from mecsim.system import Action, PhysicalSystem, SystemState

AT_ONCE = 834
"""Random actions per preset and setting on which C1-C4, (5), (10) and the pay are checked; some a task at a time."""


def random_outputs(scenario: Scenario, rng: np.random.Generator) -> Iterator[tuple[str, ProtoAction]]:
    """Actor outputs without end, one in four of them extreme."""
    n, k = scenario.n_devices, scenario.n_bs
    extremes = np.array([0.0, 1.0, -1.0, np.inf, -np.inf, 1e300, -1e300, 1e-300])
    shapes = (n,), (n, k), (n, k)
    while True:
        yield "uniform", ProtoAction(*(rng.random(shape) for shape in shapes))
        yield "noisy", ProtoAction(*(rng.normal(0.8, 0.3, shape) for shape in shapes))
        yield "everything on", ProtoAction(*(rng.uniform(0.9, 1.0, shape) for shape in shapes))
        yield "extreme", ProtoAction(*(rng.choice(extremes, shape) for shape in shapes))


def random_slots(scenario: Scenario, rng: np.random.Generator) -> Iterator[tuple[str, SystemState]]:
    """States without end: as the system goes, and with one quantity zero, infinite or extreme."""
    system = PhysicalSystem(scenario, seed=5)
    n, k = scenario.n_devices, scenario.n_bs

    def some(values: np.ndarray, *odd: float) -> np.ndarray:
        return np.where(rng.random(values.shape) < 0.5, values, rng.choice(odd, values.shape))

    while True:
        state = system.state
        rich = replace(state, energy_j=np.full(n, np.inf))
        yield "as it goes", state
        yield "energy infinite", rich
        yield "energy zero or infinite", replace(state, energy_j=some(state.energy_j, 0.0, np.inf))
        yield "energy zero", replace(state, energy_j=np.zeros(n))
        yield "gain zero, tiny or huge", replace(rich, gain=some(state.gain, 0.0, 1e-300, 1e-9, 1e9, 1e280))
        tiny = some(state.deadline_s, 1e-300, 1e-12, 1e-3, 0.05)
        yield "deadline tiny", replace(rich, deadline_s=tiny)
        yield "cpu tiny", replace(rich, cpu_hz=some(state.cpu_hz, 1e-300, 1.0, 1e7))
        yield "tasks huge", replace(rich, size_bits=some(state.size_bits, 1e-6, 1e12, 1e300))
        yield "awards tiny or huge", replace(rich, award=some(state.award, 1e-200, 1e200))
        yield "no link", replace(rich, link_bps=np.where(np.eye(k) > 0, np.inf, 0.0))
        for _ in range(3):
            system.step(refine_discrete(scenario, system.state, rng.integers(-1, k, n)))


@pytest.mark.parametrize("preset", PRESETS)
def test_guarantees_on_ten_thousand_random_actions(preset) -> None:
    """C20: every refined action satisfies C1-C4, (5) and (10); and all that it keeps is paid (A21)."""
    scenario, rng = Scenario.preset(preset), np.random.default_rng(2023)
    outputs, slots, kept = random_outputs(scenario, rng), random_slots(scenario, rng), Counter()
    for setting in OF_THE_PAPER:
        kinds, protos = zip(*islice(outputs, AT_ONCE), strict=True)
        worlds, states = zip(*islice(slots, AT_ONCE), strict=True)
        columns = zip(*(tuple(vars(one).values())[1:] for one in states), strict=True)
        state = SystemState(0, *map(np.stack, columns))
        action = refine(scenario, state, stacked_protos(protos), setting)
        assert_guarantees(scenario, state, action)
        for number in range(0, AT_ONCE, 400):
            alone = Action(action.placement[number], action.cpu_hz[number])
            assert_guarantees_task_by_task(scenario, states[number], alone)
        for names in zip(kinds, worlds, [str(setting)] * AT_ONCE, action.offload.sum(axis=-1), strict=True):
            kept.update(dict.fromkeys(names[:3], int(names[3])))
    assert AT_ONCE * len(OF_THE_PAPER) >= 10_000
    # None of it held because there was nothing to hold: every kind of world but one kept tasks.
    assert {name for name, count in kept.items() if count == 0} <= {"energy zero"}
    assert len(kept) == 10 + 4 + len(OF_THE_PAPER)


def assert_guarantees_task_by_task(scenario: Scenario, state: SystemState, action: Action) -> None:
    """The same by the paper's sums in plain Python."""
    slot = literal.Slot.of(scenario, state)
    x, y = one_hot(scenario, action.placement)
    f = action.allocated_hz(scenario.n_bs).tolist()
    assert literal.broken(slot, x, y, f, rounding=1e-9) == set()
    paid = literal.income(slot, x, y, f, rounding=1e-9)
    assert paid == pytest.approx(float(state.award[action.offload].sum()), rel=1e-12)
