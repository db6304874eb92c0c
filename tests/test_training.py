"""`train` is the loop of Algorithm 2, `rollout` what a frozen agent does; both write down what happens."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest
from worlds import TINY, place, random_placement, same_bits

from mecsim.agents import Agent, make_agent
from mecsim.refinement import refine_discrete
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, PhysicalSystem, SystemState
from mecsim.training import Callback, keep_freed_memory, rollout, states_met, train
from mecsim.twin import Deviation, DigitalTwin


class Recorder(Agent):
    """A learner that writes down what it is asked to do."""

    scenario, worlds = TINY, ()

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def explore(self, state):
        self.calls.append(("explore", state.slot))
        return refine_discrete(TINY, state, random_placement(TINY, state.slot))

    act = explore

    def remember(self, state, action, income, next_state) -> None:
        self.calls.append(("remember", state.slot, action.placement.tolist(), income, next_state.slot))

    def learn(self) -> None:
        self.calls.append(("learn",))


def test_every_slot_is_lines_5_to_13_in_order() -> None:
    recorder, twin, mirror = Recorder(), DigitalTwin(TINY, 1), DigitalTwin(TINY, 1)
    incomes = train(recorder, twin, 4, progress=False)
    expected = []
    for slot in range(4):
        action = refine_discrete(TINY, mirror.state, random_placement(TINY, slot))
        income = mirror.step(action).income
        expected += [
            ("explore", slot),
            ("remember", slot, action.placement.tolist(), income, slot + 1),
            ("learn",),
        ]
    assert recorder.calls == expected
    assert incomes.tolist() == [call[3] for call in recorder.calls if call[0] == "remember"]
    assert incomes.sum() > 0


def test_a_resumed_training_does_the_slots_that_are_left() -> None:
    whole = train(Recorder(), DigitalTwin(TINY, 1), 6, progress=False)
    twin, first = DigitalTwin(TINY, 1), []
    train(Recorder(), twin, 4, incomes=first, progress=False)
    rest = train(Recorder(), twin, 6, incomes=first, progress=False)
    assert rest.tolist() == whole.tolist()
    again = Recorder()
    assert train(again, twin, 6, incomes=first, progress=False).tolist() == whole.tolist()
    assert again.calls == []


def test_a_callback_looks_on() -> None:
    class Onlooker(Callback):
        def __init__(self) -> None:
            self.seen: list[tuple] = []

        def after_action(self, learner, state, action) -> None:
            assert learner is recorder
            self.seen.append(("action", state.slot, action.placement.tolist()))

        def after_slot(self, incomes: list[float]) -> None:
            self.seen.append(("slot", len(incomes), incomes[-1]))

    recorder, onlooker = Recorder(), Onlooker()
    incomes = train(recorder, DigitalTwin(TINY, 1), 3, progress=False, callback=onlooker)
    remembered = [call for call in recorder.calls if call[0] == "remember"]
    assert onlooker.seen[::2] == [("action", call[1], call[2]) for call in remembered]
    assert onlooker.seen[1::2] == [("slot", slot + 1, incomes[slot]) for slot in range(3)]


def test_a_bar_shows_the_running_income(capsys) -> None:
    incomes = train(Recorder(), DigitalTwin(TINY, 1), 3)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert f"income={incomes.mean():.1f}" in shown


def test_partners_are_of_the_same_devices_and_may_differ_in_numbers() -> None:
    agent, other = make_agent("OLNPO", Scenario(devices=(3, 4))), Scenario(devices=(4, 3))
    message = (
        r"agent of devices = \(3, 4\) is not allowed: it should be one of the devices of the {}, \(4, 3\)"
    )
    for call, partner in (
        (lambda: rollout(agent, PhysicalSystem(other), 1), "system"),
        (lambda: rollout(agent, PhysicalSystem(agent.scenario), 1, DigitalTwin(other)), "twin"),
        (lambda: next(states_met(agent, DigitalTwin(other))), "twin"),
        (lambda: train(agent, DigitalTwin(other), 1), "twin"),
    ):
        with pytest.raises(SettingError, match=message.format(partner)):
            call()
    assert len(rollout(agent, PhysicalSystem(agent.scenario.replace(cpu_hz=1e9, links=())), 2).income) == 2


@pytest.mark.parametrize("slots", [-1, 1.5, "3", None])
def test_slots_are_a_whole_number(slots) -> None:
    with pytest.raises(
        SettingError, match=r"slots = .* is not allowed: it should be a whole number, 0 or more"
    ):
        train(Recorder(), DigitalTwin(TINY), slots)
    for bad in (slots, 0):
        with pytest.raises(
            SettingError, match=r"slots = .* is not allowed: it should be a whole number, 1 or more"
        ):
            rollout(make_agent("OLNPO", TINY), PhysicalSystem(TINY), bad)


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


@pytest.mark.parametrize(
    "deviation", [Deviation(gain_bias=2.0), Deviation(update_every=3, harvest_bias=0.5)], ids=repr
)
def test_through_a_twin_the_agent_sees_what_the_twin_believes(deviation) -> None:
    """A twin that is updated every few slots goes on by itself in between."""
    witness, plant = Witness(TINY), PhysicalSystem(TINY, 3)
    record = rollout(witness, plant, 5, DigitalTwin(TINY, 9, deviation))
    mirror, believed = PhysicalSystem(TINY, 3), DigitalTwin(TINY, 9, deviation)
    for t, action in enumerate(witness.done):
        believed.update(mirror.state)
        assert same_bits(witness.seen[t], believed.state)
        believed.step(action)
        assert record.income[t] == mirror.step(action).income
    assert same_bits(mirror.state, plant.state)


def test_other_allocators_are_left_alone(monkeypatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    keep_freed_memory()
