"""The look-up of the nearest feasible actions, against trying every action of the paper's set one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from worlds import as_placement, one_hot, random_placement, random_proto, random_state, scenarios, seeds

from mecsim.reference import literal, lookup
from mecsim.refinement import ProtoAction, refine
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import SystemState, feasible, outcome

tiny = scenarios(most_bs=3, most_devices=2).filter(lambda one: (one.n_bs + 1) ** one.n_devices <= 256)
few = hypothesis_settings(max_examples=40)


def in_quarters(proto: ProtoAction) -> ProtoAction:
    """Multiples of 1/4, which floating-point arithmetic handles exactly: ties are ties."""
    return ProtoAction(*(np.round(4 * values) / 4 for values in proto[:3]))


def literally_feasible(scenario: Scenario, state: SystemState, proto: ProtoAction) -> list[tuple]:
    """Every feasible action as (distance, placement, f, income), nearest first, by the paper's sums."""
    slot = literal.Slot.of(scenario, state)
    target = literal.flat(proto.offload.tolist(), proto.peer.tolist())
    found = []
    for x, y in literal.valid_actions(scenario.n_devices, scenario.n_bs):
        least = [literal.least_cpu(slot, x, y, j) for j in slot.tasks]
        f = [[least[j] if placed else 0.0 for placed in y[j]] for j in slot.tasks]
        if not literal.broken(slot, x, y, f):
            paid = literal.income(slot, x, y, f, rounding=1e-9)
            found.append((literal.euclid(literal.flat(x, y), target), as_placement(y), least, paid))
    return sorted(found, key=lambda action: action[0])


@few
@given(tiny, seeds, st.booleans())
def test_is_what_trying_every_action_finds(scenario, seed, ties) -> None:
    state, proto = random_state(scenario, seed), random_proto(scenario, seed)
    proto = in_quarters(proto) if ties else proto
    every = literally_feasible(scenario, state, proto)
    earned = []
    for kappa in (1, 2, 10, 256):
        nearest = every[:kappa]
        placements = [placement for _, placement, *_ in nearest]
        assert lookup.nearest_feasible(scenario, state, proto, kappa).tolist() == placements
        _, placement, least, paid = max(nearest, key=lambda action: action[-1])
        found = lookup.lookup(scenario, state, proto, kappa)
        assert found.placement.tolist() == placement
        assert found.cpu_hz.tolist() == pytest.approx(least, rel=1e-9)
        earned.append(float(outcome(scenario, state, found).income))
        assert earned[-1] == pytest.approx(paid, rel=1e-12)
    assert earned == sorted(earned)  # a larger kappa never earns less, and the largest is the optimum
    assert earned[-1] >= float(outcome(scenario, state, refine(scenario, state, proto)).income) - 1e-12


def test_such_states_have_feasible_actions_and_others() -> None:
    """The test above compares more than the discarding of everything, and refuses something."""
    scenario = Scenario(devices=(2, 1, 1), cpu_hz=(5e8,))
    state = random_state(scenario, 3)
    assert 10 < len(literally_feasible(scenario, state, random_proto(scenario, 3))) < 4**4 - 10


@few
@given(tiny, seeds, st.booleans())
def test_where_everything_is_feasible_the_nearest_is_that_of_eq_15(scenario, seed, ties) -> None:
    rich = scenario.replace(cpu_hz=1e15, noise_w_per_hz=1e-15, interference=0.0, links="all", link_bps=1e12)
    plenty = np.full(rich.n_devices, np.inf)
    state = replace(random_state(rich, seed), energy_j=plenty, gain=np.ones(rich.n_devices))
    proto = in_quarters(random_proto(rich, seed)) if ties else random_proto(rich, seed)
    _, y = literal.nearest(proto.offload.tolist(), proto.peer.tolist())
    found = lookup.lookup(rich, state, proto)
    assert found.placement.tolist() == as_placement(y)
    assert found.placement.tolist() == refine(rich, state, proto).placement.tolist()
    assert lookup.nearer(rich, proto, found.placement) == 0


@few
@given(scenarios(), seeds)
def test_what_algorithm_1_returns_is_feasible(scenario, seed) -> None:
    state = random_state(scenario, seed)
    placement = refine(scenario, state, random_proto(scenario, seed)).placement
    assert feasible(scenario, state, placement)


@few
@given(scenarios(most_bs=3), seeds)
def test_feasible_is_to_break_no_constraint(scenario, seed) -> None:
    state = random_state(scenario, seed)
    placements = np.stack([random_placement(scenario, seed + number) for number in range(20)])
    slot, found = literal.Slot.of(scenario, state), []
    for placement in placements:
        x, y = one_hot(scenario, placement)
        least = [literal.least_cpu(slot, x, y, j) for j in slot.tasks]
        f = [[least[j] if placed else 0.0 for placed in y[j]] for j in slot.tasks]
        found.append(not literal.broken(slot, x, y, f))
    assert feasible(scenario, state, placements).tolist() == found


def test_placements_are_numbered_like_the_valid_actions_of_the_paper(monkeypatch) -> None:
    monkeypatch.setattr(lookup, "CHUNK", 4)
    for devices in ((1,), (3, 1), (2, 1, 1)):
        scenario = Scenario(devices=devices)
        parts = list(lookup.every_placement(scenario))
        assert max(map(len, parts)) <= 4
        expected = [as_placement(y) for _, y in literal.valid_actions(scenario.n_devices, scenario.n_bs)]
        assert np.concatenate(parts).tolist() == expected


@pytest.mark.parametrize("kappa", [1, 2, 10])
def test_the_size_of_the_parts_changes_nothing(kappa, monkeypatch) -> None:
    scenario = Scenario(devices=(2, 2, 1), cpu_hz=(5e8,))
    state, proto = random_state(scenario, 1), in_quarters(random_proto(scenario, 1))
    whole = lookup.nearest_feasible(scenario, state, proto, kappa)
    for chunk in (1, 7, 100):
        monkeypatch.setattr(lookup, "CHUNK", chunk)
        assert np.array_equal(lookup.nearest_feasible(scenario, state, proto, kappa), whole)


@few
@given(tiny, seeds)
def test_nearer_counts_the_actions_that_are_nearer(scenario, seed) -> None:
    proto, placement = in_quarters(random_proto(scenario, seed)), random_placement(scenario, seed)
    target = literal.flat(proto.offload.tolist(), proto.peer.tolist())
    limit = literal.euclid(literal.flat(*one_hot(scenario, placement)), target)
    actions = literal.valid_actions(scenario.n_devices, scenario.n_bs)
    expected = sum(literal.euclid(literal.flat(*action), target) < limit for action in actions)
    assert lookup.nearer(scenario, proto, placement) == expected


def test_refuses_more_placements_than_can_be_tried() -> None:
    scenario = Scenario()
    state, proto = random_state(scenario, 0), random_proto(scenario, 0)
    with pytest.raises(SettingError, match=r"at most 16777216 .* have 4\^165, about 10\^99\.$"):
        lookup.lookup(scenario, state, proto)
    with pytest.raises(SettingError, match=r"devices = \(30, 55, 80\) is not allowed"):
        lookup.nearer(scenario, proto, random_placement(scenario, 0))


@pytest.mark.parametrize("kappa", [0, -1, 1.5, "all"])
def test_refuses_a_kappa_below_one_or_no_whole_number(kappa) -> None:
    scenario = Scenario(devices=(1, 1))
    with pytest.raises(SettingError, match=rf"kappa = {kappa!r} is not allowed: it should be a whole"):
        lookup.lookup(scenario, random_state(scenario, 0), random_proto(scenario, 0), kappa)


@pytest.mark.parametrize("bad", [np.array([0.5, np.nan]), np.array([np.inf, 0.5]), np.full(3, 0.5)])
def test_refuses_a_proto_action_that_is_not_one_finite_number_a_device(bad) -> None:
    scenario = Scenario(devices=(1, 1))
    state, proto = random_state(scenario, 0), random_proto(scenario, 0)
    with pytest.raises(SettingError, match=r"proto-action offload of shape .* should be \(2,\) finite"):
        lookup.lookup(scenario, state, proto._replace(offload=bad))
    peer = np.broadcast_to(bad[:, None], (len(bad), 2))
    with pytest.raises(SettingError, match=r"proto-action peer of shape .* should be \(2, 2\) finite"):
        lookup.lookup(scenario, state, proto._replace(peer=peer))
