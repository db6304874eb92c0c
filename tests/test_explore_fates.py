"""Why a task is discarded: by the steps of Algorithm 1, to the same action as `refine`."""

import numpy as np
import pytest
from fleets import EVERY_SETTING

from mecsim.agents import AGENTS, Agent, make_agent
from mecsim.agents.base import Offer
from mecsim.experiments.studies.guarantees import KINDS, proto_action
from mecsim.experiments.studies.lookup import warm_states
from mecsim.explore.fates import FATES, fates, trace, traced
from mecsim.explore.stepping import look
from mecsim.physics import affordable
from mecsim.reference import literal
from mecsim.refinement import Refinement, line_1, refine
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, uplink

PRESETS = ("calibrated", "printed")
READINGS = ("reassess", "one-shot")


def random_offers(scenario: Scenario, seed: int):
    """A warm state with a proto-action of each kind."""
    rng = np.random.default_rng(seed)
    for state in warm_states(scenario, seed, 2):
        for kind in KINDS:
            yield state, proto_action(kind, scenario, rng)


def same(one: Action, other: Action) -> bool:
    return np.array_equal(one.placement, other.placement) and np.array_equal(one.cpu_hz, other.cpu_hz)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("settings", EVERY_SETTING, ids=str)
def test_the_removals_end_in_the_action_of_refine(preset, settings) -> None:
    scenario = Scenario.preset(preset)
    for state, proto in random_offers(scenario, seed=3):
        found = trace(scenario, state, Offer(line_1(proto), proto.cpu_share), settings)
        assert same(found.action, refine(scenario, state, proto, settings))
        assert np.array_equal(found.placement_after(len(found.removals)), found.action.placement)
        assert np.array_equal(found.placement_after(0), line_1(proto))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("reading", READINGS)
def test_each_removal_is_the_one_that_the_letter_of_the_paper_makes(preset, reading) -> None:
    """Line 6 in plain Python: the lowest key of all tasks on the BS, while (10) does not hold or one is hopeless."""
    scenario, settings = Scenario.preset(preset), Refinement(reading=reading)
    hopeless = full = 0
    for state, proto in random_offers(scenario, seed=5):
        offer = Offer(line_1(proto), proto.cpu_share)
        found = trace(scenario, state, offer, settings)
        first = sum(removal.line == 2 for removal in found.removals)
        for count, removal in enumerate(found.removals[first:], start=first):
            seen = look(scenario, state, offer, found, count, settings)
            on_bs = np.flatnonzero(seen.placement == removal.bs)
            assert removal.task == on_bs[np.argmin(seen.key[on_bs])]
            assert removal.key == pytest.approx(seen.key[removal.task], rel=1e-9)
            assert seen.hopeless[removal.bs] or seen.used_hz[removal.bs] > state.cpu_hz[removal.bs]
            assert removal.why == ("BS full" if seen.key[removal.task] > 0 else "hopeless")
            hopeless, full = hopeless + (removal.why == "hopeless"), full + (removal.why == "BS full")
        end = look(scenario, state, offer, found, len(found.removals), settings)
        assert not end.hopeless.any()
        assert (end.used_hz <= state.cpu_hz).all()
    assert full > 30
    assert hopeless > (30 if preset == "printed" else 0)


def test_every_removal_names_a_task_and_a_bs_once() -> None:
    scenario = Scenario.preset("printed")
    for state, proto in random_offers(scenario, seed=7):
        found = trace(scenario, state, Offer(line_1(proto)))
        tasks = [removal.task for removal in found.removals]
        assert len(set(tasks)) == len(tasks)
        assert all(found.offered[removal.task] == removal.bs for removal in found.removals)
        lines = [removal.line for removal in found.removals]
        assert lines == sorted(lines)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_energy_is_what_line_2_finds(preset) -> None:
    scenario = Scenario.preset(preset)
    found = 0
    for state in warm_states(scenario, 1, 3):
        offered = scenario.cell
        needed = uplink(scenario, state, offered >= 0).energy_j
        told = fates(scenario, state, [trace(scenario, state, Offer(offered))])
        lacking = ~affordable(needed, state.energy_j)
        assert np.array_equal([fate == "no energy" for fate in told], lacking)
        found += lacking.sum()
    assert found > 10


@pytest.mark.parametrize("reading", READINGS)
def test_the_literal_algorithm_agrees(reading) -> None:
    scenario, settings = Scenario.preset("printed"), Refinement(reading=reading)
    state, proto = next(random_offers(scenario, seed=11))
    slot = literal.Slot.of(scenario, state)
    _, y, _ = literal.algorithm_1(slot, proto.offload.tolist(), proto.peer.tolist(), reading)
    placement = np.where(np.any(y, axis=1), np.argmax(y, axis=1), -1)
    found = trace(scenario, state, Offer(line_1(proto)), settings)
    assert np.array_equal(found.action.placement, placement)


class TestAgents:
    @pytest.mark.parametrize("preset", PRESETS)
    @pytest.mark.parametrize("name", AGENTS)
    def test_the_last_round_of_its_offers_is_what_it_does(self, name, preset, small_learners) -> None:
        scenario = Scenario.preset(preset)
        agent = make_agent(name, scenario, **small_learners.get(name, {}))
        for state in warm_states(scenario, 2, 3):
            rounds = traced(scenario, state, agent.offers(state), agent.refinement)
            action = agent.act(state)
            assert same(rounds[-1].action, action)
            told = fates(scenario, state, rounds)
            executed = [fate in FATES[:2] for fate in told]
            assert np.array_equal(executed, action.offload)
            at_home = action.placement == scenario.cell
            assert np.array_equal([fate == "at home" for fate in told], at_home)

    def test_lpwpo_deals_guests_where_a_bs_is_free(self) -> None:
        scenario = Scenario(devices=(2, 60, 60), cpu_hz=(20e9, 4e9, 4e9))
        agent = make_agent("LPWPO", scenario)
        state = next(warm_states(scenario, 0, 1))
        home, shared = traced(scenario, state, agent.offers(state))
        told = fates(scenario, state, [home, shared])
        assert "at a peer" in told
        assert np.array_equal(shared.action.placement, agent.act(state).placement)
        lacking = [removal.task for removal in home.removals if removal.why == "no energy"]
        assert {told[task] for task in lacking} <= {"no energy"}

    def test_an_agent_that_does_not_tell_its_offers_is_refused_in_one_sentence(self) -> None:
        class Silent(Agent):
            def act(self, state):
                raise NotImplementedError

        with pytest.raises(SettingError, match="agent = Silent is not allowed: why its tasks are discarded"):
            Silent(Scenario()).offers(None)


@pytest.fixture
def small_learners() -> dict:
    from mecsim.agents.ddqn import DDQNSettings
    from mecsim.agents.into import INTOSettings

    into = {"settings": INTOSettings(actor_hidden=(16,), critic_hidden=(8,))}
    return {"INTO": into, "untrained": into, "DDQN": {"settings": DDQNSettings(hidden=(16,))}}


def test_no_round_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one round"):
        fates(Scenario(), next(warm_states(Scenario(), 0, 1)), [])
