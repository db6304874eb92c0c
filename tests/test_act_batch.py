"""Agents that decide for many twins at once: the decisions of each alone."""

import numpy as np
import pytest
from fleets import assert_same_bits, stacked
from hypothesis import given
from worlds import TINY, random_state, scenarios, seeds

from mecsim.agents import AGENTS, Agent, agent_class, make_agent
from mecsim.agents.ddqn import DDQN
from mecsim.agents.into import INTO
from mecsim.refinement import Refinement, refine
from mecsim.scenario import PRESETS, Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, SystemState

RULES = ("OLNPO", "LPWPO", "all-on")


def check(agent: Agent, states: list[SystemState]) -> Action:
    batch = agent.act(stacked(states))
    assert_same_bits(batch, [agent.act(state) for state in states])
    return batch


class TestRules:
    @pytest.mark.parametrize("name", RULES)
    @given(scenarios(), seeds)
    def test_in_any_system(self, name, scenario, seed) -> None:
        check(make_agent(name, scenario), [random_state(scenario, seed + i) for i in range(4)])

    @pytest.mark.parametrize("cpu", ["least", "pro rata"])
    @pytest.mark.parametrize("reading", ["reassess", "one-shot"])
    @pytest.mark.parametrize("preset", PRESETS)
    @pytest.mark.parametrize("name", RULES)
    def test_at_the_paper_s_size(self, name, preset, reading, cpu) -> None:
        scenario = Scenario.preset(preset)
        agent = make_agent(name, scenario, refinement=Refinement(reading=reading, cpu=cpu))
        batch = check(agent, [random_state(scenario, i) for i in range(3)])
        assert batch.offload.any()


class TestINTO:
    @staticmethod
    def agent(scenario: Scenario, **settings: object) -> INTO:
        sizes = INTO.Settings(actor_hidden=(16, 8), critic_hidden=(4,))
        return INTO(scenario, 3, Refinement(**settings), sizes)

    @pytest.mark.parametrize("cpu", ["least", "actor"])
    def test_one_pass_gives_the_proto_action_of_each_state_but_for_rounding(self, cpu) -> None:
        agent, states = self.agent(TINY, cpu=cpu), [random_state(TINY, i) for i in range(5)]
        proto, batch = agent.proto_action(stacked(states)), agent.act(stacked(states))
        for twin, state in enumerate(states):
            alone = agent.proto_action(state)
            own = type(alone)(*(values[twin] for values in proto))
            for values, expected in zip(own, alone, strict=True):
                assert values == pytest.approx(expected, abs=1e-6)
            action = refine(TINY, state, own, agent.refinement)
            assert batch.placement[twin].tolist() == action.placement.tolist()
            assert batch.cpu_hz[twin].tolist() == action.cpu_hz.tolist()

    def test_different_states_get_different_actions(self) -> None:
        agent = self.agent(TINY.replace(initial_energy_j=1.0))
        proto = agent.proto_action(stacked([random_state(TINY, i) for i in range(5)]))
        assert len(np.unique(proto.offload, axis=0)) == 5


def test_ddqn_chooses_for_each_state_as_alone() -> None:
    agent = DDQN(TINY, 3, settings=DDQN.Settings(hidden=(16, 8)))
    batch = check(agent, [random_state(TINY, i) for i in range(5)])
    assert len(np.unique(batch.placement, axis=0)) > 1


def test_an_agent_that_decides_for_one_state_at_a_time_says_so() -> None:
    class Idle(Agent):
        def act(self, state: SystemState) -> Action:
            return Action(np.full(self.scenario.n_devices, -1), np.zeros(self.scenario.n_devices))

    with pytest.raises(
        SettingError, match="agent = Idle is not allowed: a fleet should have an agent with act_batch"
    ):
        Idle(TINY).act(stacked([random_state(TINY, 0)]))


def test_who_decides_for_a_fleet() -> None:
    alone = [name for name in AGENTS if agent_class(name).act_batch is Agent.act_batch]
    assert alone == ["greedy", "thrifty"]
