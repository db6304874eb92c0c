"""The study behind C20: actions refined at the paper's size, each checked against every constraint of the paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import cycle, islice

import numpy as np

from mecsim.experiments.studies.study import Row, Study
from mecsim.reference import literal
from mecsim.refinement import ProtoAction, line_1, refine
from mecsim.scenario import Scenario
from mecsim.system import Action, PhysicalSystem, SystemState, stream

KINDS = ("uniform", "noisy", "everything on")
CONSTRAINTS = ("C1", "C2", "C3", "C4", "(5)", "(10)")
ROUNDING = 1e-9
"""Share of a limit by which literal sums may exceed it: they are added up in another order."""


def measure_guarantees(preset: str, seed: int, actions: int) -> list[Row]:
    """Refines proto-actions in the states that the system meets under them, and counts those that break a constraint.

    Args:
        preset: the scenario.
        seed: seed of the system and of the proto-actions.
        actions: how many actions.

    Returns:
        Rows with metric, devices and value: the number of actions, how many of them break each constraint and how many
        break any, and, so that a reader sees that there was something to refine, the tasks that line 1 of Algorithm 1
        offered and those that were kept.
    """
    scenario = Scenario.preset(preset)
    system, counts = PhysicalSystem(scenario, seed), Counter[str]()
    for proto in islice(proto_actions(scenario, seed), actions):
        action = refine(scenario, system.state, proto)
        found = broken(scenario, system.state, action)
        counts.update(found)
        counts["any"] += bool(found)
        counts["tasks offered"] += int((line_1(proto) >= 0).sum())
        counts["tasks kept"] += int(action.offload.sum())
        system.step(action)
    counts["actions"] = actions
    return [
        {"metric": metric, "devices": scenario.n_devices, "value": float(counts[metric])}
        for metric in ("actions", *CONSTRAINTS, "any", "tasks offered", "tasks kept")
    ]


def broken(scenario: Scenario, state: SystemState, action: Action) -> set[str]:
    """Which of C1-C4, (5) and (10) an action breaks, by the paper's sums in plain Python."""
    return literal.broken(
        literal.Slot.of(scenario, state),
        action.offload.astype(int).tolist(),
        action.peer(scenario.n_bs).astype(int).tolist(),
        action.allocated_hz(scenario.n_bs).tolist(),
        rounding=ROUNDING,
    )


def proto_actions(scenario: Scenario, seed: int) -> Iterator[ProtoAction]:
    """Proto-actions without end, of each kind in turn; the same seed gives the same ones."""
    rng = stream(seed, "exploration")
    for kind in cycle(KINDS):
        yield proto_action(kind, scenario, rng)


def proto_action(kind: str, scenario: Scenario, rng: np.random.Generator) -> ProtoAction:
    """A random proto-action: uniform over [0, 1], noisy about 0.8 and beyond 1, or everything between 0.9 and 1."""
    n, k = scenario.n_devices, scenario.n_bs
    shapes = (n,), (n, k), (n, k)
    if kind == "noisy":
        return ProtoAction(*(rng.normal(0.8, 0.3, shape) for shape in shapes))
    low = 0.9 if kind == "everything on" else 0.0
    return ProtoAction(*(rng.uniform(low, 1.0, shape) for shape in shapes))


GUARANTEES = Study(measure_guarantees, {"actions": 20_000}, 17.0)
