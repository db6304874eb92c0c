"""What `mecsim bench` says of the system: the peers do the same work, and the fit finds the growth that is there."""

from contextlib import nullcontext

import numpy as np
import pytest
from worlds import TINY

from benchmarks import fleets, system
from mecsim.experiments.runs import Run
from mecsim.system import Action


def test_a_slot_of_the_twin_against_the_same_slot_task_by_task() -> None:
    found = system.system_vs_literal(2, TINY)
    assert len(found.repeats) == 2
    assert found.low > 0
    assert set(found.figures) == {"twin_slot_ms", "literal_slot_ms"}


def test_peers_that_decide_differently_are_found_out(monkeypatch) -> None:
    def lazy(scenario, _state, placement) -> Action:
        return Action(np.full_like(placement, -1), np.zeros(scenario.n_devices))

    monkeypatch.setattr(system, "refine_discrete", lazy)
    with pytest.raises(AssertionError, match="decide differently"):
        system.system_vs_literal(1, TINY)


@pytest.mark.parametrize(("own", "random"), [(1.0, 0.5), (0.5, 2.0)])
def test_the_exponent_is_the_larger_of_the_two_that_are_there(own, random, monkeypatch) -> None:
    def slot_s(scenario, offered) -> float:
        size = scenario.n_devices
        return 1e-6 * (size * np.log(size)) ** (own if offered == "own" else random)

    monkeypatch.setattr(system, "_slot_s", slot_s)
    found = system.scaling_exponent(2, sizes=(20, 100, 500, 1000), n_bs=10)
    assert found.repeats == pytest.approx([max(own, random)] * 2)
    assert found.figures["own_bs_last_decade"] == pytest.approx(own)
    assert found.figures["random_bs_1000_devices_ms"] == pytest.approx(1e-3 * (1000 * np.log(1000)) ** random)


def test_what_costs_the_same_at_every_size_does_not_show_in_the_last_decade(monkeypatch) -> None:
    def slot_s(scenario, _offered) -> float:
        size = scenario.n_devices
        return 1e-3 + 1e-6 * size * np.log(size)

    monkeypatch.setattr(system, "_slot_s", slot_s)
    found = system.scaling_exponent(1, sizes=(10, 100, 1000, 10_000), n_bs=10)
    assert found.median < found.figures["own_bs_last_decade"] < 1


def test_a_slot_of_many_devices_is_timed() -> None:
    for offered in ("own", "random"):
        assert system._slot_s(system._spread(40, 4), offered) > 0


SMALL = Run(
    agent="INTO", changes={"devices": (2, 3)}, settings={"actor_hidden": (8,), "critic_hidden": (4,)}, slots=0
)


@pytest.mark.parametrize("setup", [fleets.Policies, fleets.Environments])
def test_a_fleet_and_a_twin_go_on_for_as_many_slots_as_asked(setup) -> None:
    work = setup(SMALL, 3)
    before = work._fleet.state.slot
    alone, many = work(4, 2)
    assert min(alone, many) > 0
    assert work._fleet.state.slot == before + 2


def test_the_smaller_of_the_two_ratios_counts(monkeypatch) -> None:
    times = {"policy": (8.0, 1.0), "environment": (3.0, 1.0)}
    monkeypatch.setattr(fleets, "Peer", lambda name, *_, **__: nullcontext(name))
    monkeypatch.setattr(fleets, "in_turn", lambda peers, repeats, *_: [[times[peers[0]]]] * repeats)
    found = fleets.batched_vs_single(2, SMALL, 3)
    assert found.repeats == [3.0, 3.0]
    assert (found.figures["policy_ratio"], found.figures["environment_ratio"]) == (8.0, 3.0)
