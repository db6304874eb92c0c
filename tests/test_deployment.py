"""`rollout`: an agent decides for some slots, and what happens is written down."""

import numpy as np
import pytest
from worlds import TINY, place, same_bits

from mecsim.agents import Agent, make_agent
from mecsim.settings import SettingError
from mecsim.system import Action, PhysicalSystem, SystemState
from mecsim.training import rollout
from mecsim.twin import Deviation, DigitalTwin


class Witness(Agent):
    """Decides like all-on and keeps what it saw and did."""

    def act(self, state: SystemState) -> Action:
        if not hasattr(self, "seen"):
            self.seen, self.done = [], []
        action = make_agent("all-on", self.scenario).act(state)
        self.seen.append(state)
        self.done.append(action)
        return action


def test_a_record_is_what_the_system_did() -> None:
    witness, mirror = Witness(TINY), PhysicalSystem(TINY, 3)
    record = rollout(witness, PhysicalSystem(TINY, 3), 6)
    assert [len(field) for field in record] == [6] * len(record)
    for t, action in enumerate(witness.done):
        assert same_bits(witness.seen[t], mirror.state)
        result = mirror.step(action)
        assert record.income[t] == result.income
        assert record.completed[t] == result.completed.sum() == action.offload.sum()
        assert record.helped[t] == (action.placement[action.offload] != TINY.cell[action.offload]).sum()
        by_cell = [int(action.offload[TINY.cell == bs].sum()) for bs in range(3)]
        assert record.offloading[t].tolist() == by_cell
        for bs in range(3):
            used = action.cpu_hz[action.placement == bs].sum()
            assert record.idle_cpu[t, bs] == pytest.approx(1 - used / 5e9)
    assert record.income.sum() > 0


def test_a_device_counts_for_the_cell_that_serves_it_wherever_its_task_is_computed() -> None:
    class Sender(Agent):
        def act(self, state: SystemState) -> Action:
            return place(1, 1, -1, *[-1] * 9, cpu_hz=1e9)

    scenario = TINY.replace(initial_energy_j=1.0)
    record = rollout(Sender(scenario), PhysicalSystem(scenario), 2)
    assert record.offloading.tolist() == [[2, 0, 0], [2, 0, 0]]
    assert record.helped.tolist() == [2, 2]
    assert record.idle_cpu == pytest.approx(np.array([[1, 0.6, 1], [1, 0.6, 1]]))


def test_through_a_twin_the_agent_sees_what_the_twin_believes() -> None:
    witness, plant = Witness(TINY), PhysicalSystem(TINY, 3)
    twin = DigitalTwin(TINY, 9, Deviation(gain_bias=2.0))
    record = rollout(witness, plant, 5, twin)
    mirror = PhysicalSystem(TINY, 3)
    for t, action in enumerate(witness.done):
        assert np.array_equal(witness.seen[t].gain, mirror.state.gain * 2.0)
        assert record.income[t] == mirror.step(action).income
    assert same_bits(mirror.state, plant.state)


def test_an_overestimated_channel_costs_income() -> None:
    agent = make_agent("all-on", TINY)
    honest = rollout(agent, PhysicalSystem(TINY, 3), 30, DigitalTwin(TINY, 3)).income.mean()
    fooled = rollout(
        agent, PhysicalSystem(TINY, 3), 30, DigitalTwin(TINY, 3, Deviation(gain_bias=5.0))
    ).income.mean()
    assert fooled < 0.9 * honest


def test_a_twin_can_be_the_system() -> None:
    agent = make_agent("all-on", TINY)
    assert same_bits(rollout(agent, DigitalTwin(TINY, 3), 5), rollout(agent, PhysicalSystem(TINY, 3), 5))


class TestFleet:
    WORLDS = (4, 0, 31)

    @pytest.mark.parametrize("name", ["OLNPO", "LPWPO", "all-on"])
    def test_a_record_is_that_of_each_twin_alone(self, name) -> None:
        agent = make_agent(name, TINY)
        together = rollout(agent, PhysicalSystem(TINY, self.WORLDS), 12)
        assert [field.shape for field in together] == [(12, 3), (12, 3, 3), (12, 3, 3), (12, 3), (12, 3)]
        for twin, world in enumerate(self.WORLDS):
            alone = rollout(agent, PhysicalSystem(TINY, world), 12)
            for field, expected in zip(together, alone, strict=True):
                assert np.array_equal(field[:, twin], expected)
        assert together.income.sum() > 0

    def test_an_agent_for_one_state_at_a_time_is_refused(self) -> None:
        with pytest.raises(SettingError, match="agent = Witness is not allowed"):
            rollout(Witness(TINY), PhysicalSystem(TINY, self.WORLDS), 1)
