"""DDQN: section V-B, the double target by hand, and its exploration."""

import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from worlds import random_state

from mecsim.agents.ddqn import DDQN, DDQNSettings
from mecsim.agents.replay import Batch
from mecsim.refinement import refine_discrete
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.training import train
from mecsim.twin import DigitalTwin

WORLD = Scenario(devices=(1, 1), initial_energy_j=0.05)
SMALL = DDQNSettings(hidden=(16, 8), learning_rate=0.01, update_rate=0.2, batch_size=8, replay_size=40)


def ddqn(seed: int = 0, scenario: Scenario = WORLD, **changes: object) -> DDQN:
    return DDQN(scenario, seed, settings=SMALL.replace(**changes))


def experienced(slots: int = 30, seed: int = 0, **changes: object) -> DDQN:
    """An agent that has seen some slots and learnt nothing yet."""
    agent, twin = ddqn(seed, **changes), DigitalTwin(WORLD, seed)
    for _ in range(slots):
        state = twin.state
        action = agent.explore(state)
        agent.remember(state, action, twin.step(action).income, twin.state)
    return agent


def say_always(network: nn.Sequential, heads: list[list[float]]) -> None:
    """Makes a network say the same values in every state."""
    with torch.no_grad():
        network[-1].weight.zero_()
        network[-1].bias.copy_(torch.tensor(heads).ravel())


def bits(network: nn.Module) -> bytes:
    return b"".join(weight.detach().numpy().tobytes() for weight in network.parameters())


class TestSettings:
    def test_section_5b(self) -> None:
        settings = DDQNSettings()
        assert settings.hidden == (1000, 600)
        assert settings.learning_rate == settings.update_rate == 0.001
        assert (settings.batch_size, settings.replay_size, settings.gamma) == (64, 3000, 0.99)

    def test_an_agent_made_without_settings_has_them_and_one_head_a_device(self) -> None:
        agent = DDQN(Scenario())
        sizes = [(m.in_features, m.out_features) for m in agent.q.modules() if isinstance(m, nn.Linear)]
        assert sizes == [(999, 1000), (1000, 600), (600, 165 * 4)]
        assert bits(agent.target_q) == bits(agent.q)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("hidden", ()),
            ("learning_rate", 0),
            ("update_rate", 2),
            ("first_epsilon", 1.1),
            ("epsilon_slots", 0),
        ],
    )
    def test_a_bad_setting_is_refused(self, field, value) -> None:
        with pytest.raises(SettingError, match=rf"DDQNSettings\.{field} = "):
            DDQNSettings(**{field: value})


class TestActing:
    def test_takes_the_best_of_every_head(self) -> None:
        agent, state = ddqn(), random_state(WORLD.replace(cpu_hz=1e12, initial_energy_j=10.0), 1)
        say_always(agent.q, [[0.0, 1.0, 5.0], [3.0, 1.0, 2.0]])  # device 0 to BS-2, device 1 discarded
        expected = refine_discrete(WORLD, state, np.array([1, -1]))
        assert agent.act(state).placement.tolist() == expected.placement.tolist() == [1, -1]

    def test_epsilon_falls_linearly_and_stays_a25(self) -> None:
        agent = ddqn(first_epsilon=0.9, last_epsilon=0.1, epsilon_slots=4)
        state, seen = random_state(WORLD, 1), []
        for _ in range(7):
            seen.append(agent.epsilon)
            agent.explore(state)
        assert seen == pytest.approx([0.9, 0.7, 0.5, 0.3, 0.1, 0.1, 0.1])

    def test_a_random_choice_is_uniform_over_discard_and_every_bs(self) -> None:
        scenario = WORLD.replace(initial_energy_j=100.0, cpu_hz=1e15, mean_gain=100.0, interference=0.0)
        agent = ddqn(scenario=scenario, first_epsilon=1.0, last_epsilon=1.0)
        state = random_state(scenario, 1)
        placements = np.array([agent.explore(state).placement for _ in range(3000)])
        for device in range(2):
            counts = np.bincount(placements[:, device] + 1, minlength=3)
            assert stats.chisquare(counts).pvalue > 1e-3
        assert abs(np.corrcoef(placements.T)[0, 1]) < 5 / np.sqrt(3000)

    def test_without_epsilon_exploring_is_acting(self) -> None:
        agent = ddqn(first_epsilon=0.0, last_epsilon=0.0)
        for seed in range(5):
            state = random_state(WORLD, seed)
            assert agent.explore(state).placement.tolist() == agent.act(state).placement.tolist()


class TestLearning:
    def test_the_executed_choices_are_stored(self) -> None:
        agent, twin = ddqn(), DigitalTwin(WORLD, 0)
        state = twin.state
        action = agent.explore(state)
        income = twin.step(action).income
        agent.remember(state, action, income, twin.state)
        batch = agent.replay.sample(1)
        assert batch.action[0].tolist() == (action.placement + 1).tolist()
        assert batch.reward.item() == pytest.approx(income / 4)  # 2 devices with a mean award of 2
        assert batch.state[0].tolist() == agent.encoder.encode(state).tolist()
        assert batch.next_state[0].tolist() == agent.encoder.encode(twin.state).tolist()

    def test_the_double_target_by_hand(self, monkeypatch) -> None:
        agent = ddqn(gamma=0.9)
        say_always(agent.q, [[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
        say_always(agent.target_q, [[10.0, 20.0, 30.0], [7.0, 100.0, 9.0]])
        states = torch.zeros(8, agent.encoder.state_size)
        batch = Batch(states, torch.tensor([[2, 2]] * 8), torch.full((8,), 0.5), states)
        monkeypatch.setattr(agent.replay, "sample", lambda size: batch)
        monkeypatch.setattr(type(agent.replay), "__len__", lambda replay: 8)
        agent.learn()
        # Q picks choice 1 of device 0 and choice 0 of device 1; Q' values them at 20 + 7, not at its own best, 130.
        # rho = 0.5 + 0.9 x 27 = 24.8; Q(s, a) = 2 + 3 = 5; the gradient of (5 - 24.8)^2 on each chosen head is -39.6.
        gradient = agent.q[-1].bias.grad.view(2, 3)
        assert gradient.numpy() == pytest.approx(np.array([[0, 0, -39.6], [0, 0, -39.6]]), rel=1e-5)

    def test_one_pass_in_plain_pytorch(self, monkeypatch) -> None:
        agent = experienced()
        batch = agent.replay.sample(8)
        monkeypatch.setattr(agent.replay, "sample", lambda size: batch)
        with torch.no_grad():
            for weight in agent.target_q.parameters():
                weight.mul_(0.9)
        q, target_q = deepcopy(agent.q), deepcopy(agent.target_q)
        agent.learn()

        adam, loss = torch.optim.Adam(q.parameters(), lr=0.01), 0.0
        for s, a, r, following in zip(*batch, strict=True):  # tuple by tuple, device by device
            value, rho = 0.0, r
            for device in range(2):
                head = slice(3 * device, 3 * device + 3)
                best = q(following)[head].argmax()
                rho = rho + 0.99 * target_q(following)[head][best].detach()
                value = value + q(s)[head][a[device]]
            loss = loss + (rho - value) ** 2 / 8
        adam.zero_grad()
        loss.backward()
        adam.step()
        moved = [
            (mine.detach(), theirs.detach())
            for mine, theirs in zip(agent.q.parameters(), q.parameters(), strict=True)
        ]
        for mine, theirs in moved:
            assert mine.numpy() == pytest.approx(theirs.numpy(), rel=1e-3, abs=1e-6)
        for mine, source, old in zip(
            agent.target_q.parameters(), agent.q.parameters(), target_q.parameters(), strict=True
        ):
            expected = (0.2 * source + 0.8 * old).detach()
            assert mine.numpy() == pytest.approx(expected.numpy(), rel=1e-5, abs=1e-7)

    def test_the_loss_on_a_fixed_batch_falls(self, monkeypatch) -> None:
        agent = experienced(gamma=0.0)
        batch = agent.replay.sample(8)
        monkeypatch.setattr(agent.replay, "sample", lambda size: batch)

        def loss() -> float:
            with torch.no_grad():
                chosen = (
                    agent.q(batch.state).view(8, 2, 3).gather(2, batch.action.unsqueeze(2)).sum(dim=(1, 2))
                )
                return nn.functional.mse_loss(chosen, batch.reward).item()

        first = loss()
        for _ in range(100):
            agent.learn()
        assert loss() < 0.1 * first

    def test_learning_waits_for_one_batch_a24(self) -> None:
        agent = experienced(slots=7)
        before, position = bits(agent.q), json.dumps(agent.position())
        agent.learn()
        assert (bits(agent.q), json.dumps(agent.position())) == (before, position)


class TestSeeds:
    def test_the_same_seed_trains_to_the_same_bits(self) -> None:
        trained = []
        for seed in (3, 3, 4):
            agent = ddqn(seed)
            incomes = train(agent, DigitalTwin(WORLD, 7), 25, progress=False)
            trained.append((incomes.tobytes(), bits(agent.q), bits(agent.target_q)))
        assert trained[0] == trained[1]
        assert trained[0][1] != trained[2][1]

    def test_a_learner_comes_back_from_its_tensors_bit_for_bit(self) -> None:
        twin, agent = DigitalTwin(WORLD, 7), ddqn(3, epsilon_slots=30)
        train(agent, twin, 20, progress=False)
        tensors = {name: value.clone() for name, value in agent.tensors().items()}
        position, world = json.loads(json.dumps(agent.position())), json.loads(json.dumps(twin.snapshot()))
        restored, ahead = ddqn(3, epsilon_slots=30), DigitalTwin(WORLD, 7)
        restored.restore(tensors, position)
        ahead.restore(world)
        assert restored.epsilon == agent.epsilon
        one = train(agent, twin, 20, progress=False)
        other = train(restored, ahead, 20, progress=False)
        assert one.tobytes() == other.tobytes()
        assert bits(agent.q) == bits(restored.q)
        assert bits(agent.target_q) == bits(restored.target_q)
