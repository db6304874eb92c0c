"""Small systems and their states for the tests, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from mecsim.agents import Agent, agent_class, make_agent
from mecsim.refinement import ProtoAction, Refinement
from mecsim.scenario import Scenario
from mecsim.system import Action, Outcome, PhysicalSystem, SystemState, outcome

ALPHAS = (0.0, 0.01, 1.0)
TINY = Scenario(devices=(3, 4, 5), interference=0.01, mean_gain=0.1, tau_s=3.0)


@st.composite
def scenarios(draw: Any, most_bs: int = 4, most_devices: int = 6) -> Scenario:
    """One to four BSs with a few devices each, linked in any way, with per-BS capacities that make them compete."""
    n_bs = draw(st.integers(1, most_bs))
    pairs = [(a, b) for a in range(n_bs) for b in range(a + 1, n_bs)]
    custom = st.lists(st.sampled_from(pairs), unique=True).map(tuple) if pairs else st.just(())
    return Scenario(
        devices=tuple(draw(st.lists(st.integers(1, most_devices), min_size=n_bs, max_size=n_bs))),
        links=draw(st.one_of(st.sampled_from(["all", "line", "star"]), custom)),
        link_bps=draw(st.sampled_from([1e5, 1e6, 100e6])),
        interference=draw(st.sampled_from(ALPHAS)),
        cpu_hz=tuple(draw(st.lists(st.sampled_from([2e8, 5e8, 1e9, 3e9]), min_size=n_bs, max_size=n_bs))),
        bandwidth_hz=tuple(draw(st.lists(st.sampled_from([6e5, 1e6, 2e6]), min_size=n_bs, max_size=n_bs))),
        mean_gain=draw(st.sampled_from([0.05, 0.2, 1.0])),
        initial_energy_j=draw(st.sampled_from([0.0, 0.01, 1.0])),
    )


seeds = st.integers(0, 2**32 - 1)


def random_state(scenario: Scenario, seed: int) -> SystemState:
    """A state of the scenario, with energies that let some devices send and others not."""
    rng = np.random.default_rng(seed)
    state = PhysicalSystem(scenario, seed % 1000).state
    return replace(state, energy_j=state.energy_j + rng.exponential(0.02, scenario.n_devices))


def random_placement(scenario: Scenario, seed: int) -> np.ndarray:
    """A discrete action that satisfies C1-C3, one BS index a device, -1 where the task is discarded."""
    return np.random.default_rng(seed).integers(-1, scenario.n_bs, scenario.n_devices)


def random_proto(scenario: Scenario, seed: int) -> ProtoAction:
    """An actor's output with exploration noise: mostly in [0, 1], sometimes beyond."""
    rng = np.random.default_rng(seed)
    n, k = scenario.n_devices, scenario.n_bs
    noisy = (rng.random(shape) + rng.normal(0.0, 0.1, shape) for shape in (n, (n, k), (n, k)))
    return ProtoAction(*noisy)


def place(*placement: int, cpu_hz: float = 1e9) -> Action:
    """An action that gives the same CPU to every task it places."""
    where = np.array(placement)
    return Action(where, np.where(where >= 0, cpu_hz, 0.0))


def small_agent(name: str, scenario: Scenario, seed: int = 0, **settings: Any) -> Agent:
    """An agent by its name, with small networks where it has any."""
    known = getattr(agent_class(name), "Settings", None)
    if known is not None:
        hidden = [field for field in known.model_fields if field.endswith("hidden")]
        settings["settings"] = known(**dict.fromkeys(hidden, (16, 8)))
    return make_agent(name, scenario, seed, **settings)


def as_placement(y: list[list[int]]) -> list[int]:
    """One-hot rows as BS indices, -1 for a row of zeros."""
    return [row.index(1) if 1 in row else -1 for row in y]


def one_hot(scenario: Scenario, placement: np.ndarray) -> tuple[list[int], list[list[int]]]:
    """BS indices as the paper's x and y."""
    action = Action(placement, np.zeros(placement.size))
    return action.offload.astype(int).tolist(), action.peer(scenario.n_bs).astype(int).tolist()


def assert_guarantees(scenario: Scenario, state: SystemState, action: Action) -> None:
    """C1-C4, (5), (10) and the pay, for all devices at once, in one state or many."""
    n_bs = scenario.n_bs
    x, y, f = action.offload, action.peer(n_bs), action.allocated_hz(n_bs)
    assert x.dtype == bool  # C1
    assert y.dtype == bool  # C2
    assert (y.sum(axis=-1) == x).all()  # C3
    assert (f >= 0).all()  # C4
    assert (f <= state.cpu_hz[..., None, :] * (1 + 1e-12)).all()
    assert (f.sum(axis=-2) <= state.cpu_hz * (1 + 1e-12)).all()  # (10)
    assert (action.cpu_hz[~x] == 0).all()
    result = outcome(scenario, state, action)
    sent_j = state.power_w * result.uplink_s
    assert (sent_j <= state.energy_j * (1 + 1e-12)).all()  # (5)
    assert (result.delay_s[x] <= state.deadline_s[x] * (1 + 1e-12)).all()
    assert (result.completed == x).all()  # what stays is always paid
    assert result.income == pytest.approx(np.where(x, state.award, 0.0).sum(axis=-1), rel=1e-12)


def same_bits(one: Any, other: Any) -> bool:
    """Are two records (dataclasses, tuples of arrays) equal bit for bit?"""
    values = [record._asdict() if hasattr(record, "_asdict") else vars(record) for record in (one, other)]
    bits = [{name: np.asarray(value).tobytes() for name, value in record.items()} for record in values]
    return bits[0] == bits[1]


OF_THE_PAPER = [
    *(
        Refinement(reading=reading, hopeless=hopeless, cpu=cpu)
        for reading in ("reassess", "one-shot")
        for hopeless in ("worst slack", "lowest index")
        for cpu in ("least", "pro rata", "actor")
    ),
    *(Refinement(reading="one-shot", one_shot_cpu="after", cpu=cpu) for cpu in ("least", "pro rata")),
]
"""What `mecsim.reference.literal` can do as well."""
EVERY_SETTING = [
    *OF_THE_PAPER,
    Refinement(energy="one by one"),
    Refinement(energy="one by one", stations="last first", reading="one-shot"),
    Refinement(energy="off"),
    Refinement(stations="last first", cpu="pro rata"),
]


def stacked(states: Sequence[SystemState]) -> SystemState:
    """States of one scenario as those of a fleet."""
    names = [name for name in vars(states[0]) if name not in ("slot", "cpu_hz", "link_bps")]
    return replace(states[0], **{name: np.stack([getattr(one, name) for one in states]) for name in names})


def stacked_protos(protos: Sequence[ProtoAction]) -> ProtoAction:
    """Proto-actions as those of a fleet."""
    return ProtoAction(
        *(None if values[0] is None else np.stack(values) for values in zip(*protos, strict=True))
    )


def assert_same_bits(batch: SystemState | Action | Outcome, singles: Sequence[Any]) -> None:
    """Each twin of a batch holds what the record of a single one holds, bit for bit."""
    for twin, single in enumerate(singles):
        if isinstance(batch, SystemState):
            own = vars(batch.world(twin))
        else:
            own = {name: value[twin] for name, value in vars(batch).items()}
        for name, value in own.items():
            expected = np.asarray(getattr(single, name))
            assert np.asarray(value).dtype == expected.dtype, name
            assert np.array_equal(value, expected), (name, twin)
