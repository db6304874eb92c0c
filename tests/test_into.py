"""INTO: Table II, and one pass through Algorithm 2 against the same lines in plain PyTorch."""

import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from worlds import TINY, assert_same_bits, random_state, stacked

from mecsim.agents.into import INTO, INTOSettings
from mecsim.refinement import nearest_discrete, refine
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.training import train
from mecsim.twin import DigitalTwin

WORLD = Scenario(devices=(3, 2), initial_energy_j=0.05)
SMALL = INTOSettings(
    actor_hidden=(16, 8),
    critic_hidden=(16, 8),
    actor_learning_rate=0.01,
    critic_learning_rate=0.01,
    actor_update_rate=0.1,
    critic_update_rate=0.2,
    batch_size=8,
    replay_size=40,
)


def into(seed: int = 0, scenario: Scenario = WORLD, **changes: object) -> INTO:
    return INTO(scenario, seed, settings=SMALL.replace(**changes))


def experienced(slots: int = 30, seed: int = 0, **changes: object) -> INTO:
    """An agent that has seen some slots and learnt nothing yet."""
    agent, twin = into(seed, **changes), DigitalTwin(WORLD, seed)
    for _ in range(slots):
        state = twin.state
        action = agent.explore(state)
        agent.remember(state, action, twin.step(action).income, twin.state)
    return agent


def fixed_batch(agent: INTO, monkeypatch: pytest.MonkeyPatch):
    """Makes the agent learn from one and the same mini-batch."""
    batch = agent.replay.sample(agent.settings.batch_size)
    monkeypatch.setattr(agent.replay, "sample", lambda size: batch)
    return batch


def bits(network: nn.Module) -> bytes:
    return b"".join(weight.detach().numpy().tobytes() for weight in network.parameters())


def values(network: nn.Module) -> np.ndarray:
    return np.concatenate([weight.detach().numpy().ravel() for weight in network.parameters()])


class TestTableII:
    def test_settings(self) -> None:
        settings = INTOSettings()
        assert settings.critic_hidden == (1500, 600)
        assert settings.actor_hidden == (3000, 1000)
        assert settings.critic_learning_rate == settings.actor_learning_rate == 0.0001
        assert settings.critic_update_rate == settings.actor_update_rate == 0.001
        assert (settings.batch_size, settings.replay_size, settings.gamma) == (64, 3000, 0.99)
        assert (settings.noise, settings.stored_action) == (0.1, "executed")  # A12, A11

    def test_an_agent_made_without_settings_has_them(self) -> None:
        agent = INTO(Scenario())
        assert agent.settings == INTOSettings()

        def shapes(network: nn.Module) -> list[tuple[int, int]]:
            return [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]

        actor, critic = [(999, 3000), (3000, 1000), (1000, 1155)], [(2154, 1500), (1500, 600), (600, 1)]
        assert shapes(agent.actor) == shapes(agent.target_actor) == actor
        assert shapes(agent.critic) == shapes(agent.target_critic) == critic
        assert agent.replay.capacity == 3000
        for optimiser in agent.optimisers.values():
            assert isinstance(optimiser, torch.optim.Adam)
            assert [group["lr"] for group in optimiser.param_groups] == [0.0001]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("actor_hidden", ()),
            ("critic_hidden", (0,)),
            ("actor_learning_rate", 0),
            ("critic_learning_rate", -1.0),
            ("actor_update_rate", 0),
            ("critic_update_rate", 1.5),
            ("batch_size", 0),
            ("replay_size", 0),
            ("gamma", 1.0),
            ("noise", -0.1),
            ("stored_action", "both"),
            ("precision", "float16"),
        ],
    )
    def test_a_bad_setting_is_refused(self, field, value) -> None:
        with pytest.raises(SettingError, match=rf"INTOSettings\.{field} = "):
            INTOSettings(**{field: value})

    def test_a_device_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(SettingError, match="device = 'abacus' is not allowed"):
            into(device="abacus")

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
    def test_a_gpu_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(SettingError, match="device = 'cuda' is not allowed"):
            into(device="cuda")


class TestActing:
    def test_the_actor_s_output_is_in_the_unit_box_and_refined(self) -> None:
        agent, state = into(), random_state(WORLD, 1)
        proto = agent.proto_action(state)
        for part in (proto.offload, proto.peer, proto.cpu_share):
            assert (part > 0).all()
            assert (part < 1).all()
        assert agent.act(state).placement.tolist() == refine(WORLD, state, proto).placement.tolist()
        assert (
            agent.act(state).placement.tolist()
            == refine(WORLD, state, proto._replace(order=None)).placement.tolist()
        )

    def test_a_saturated_actor_still_prefers_the_bs_of_its_largest_y(self) -> None:
        agent, state = into(), random_state(WORLD, 1)
        before_sigmoid = np.full(agent.encoder.action_size, 40.0, np.float32)
        peer = before_sigmoid[WORLD.n_devices : WORLD.n_devices * (1 + WORLD.n_bs)].reshape(-1, WORLD.n_bs)
        favourite = np.arange(WORLD.n_devices) % WORLD.n_bs
        peer[np.arange(WORLD.n_devices), favourite] += 1.0  # a sigmoid of 40 and of 41 are both 1 in float32
        with torch.no_grad():
            agent.actor[-2].weight.zero_()
            agent.actor[-2].bias.copy_(torch.from_numpy(before_sigmoid))
        proto = agent.proto_action(state)
        assert (proto.peer == 1.0).all()
        assert nearest_discrete(proto.offload, proto.peer, proto.order).tolist() == favourite.tolist()
        assert set(nearest_discrete(proto.offload, proto.peer).tolist()) == {0}

    def test_exploration_adds_normal_noise_of_constant_width(self) -> None:
        agent, state = into(noise=0.25), random_state(WORLD, 1)
        noise = []
        for _ in range(400):
            agent.explore(state)
            noise.append(agent._proto - agent._actor_output(state)[0])
        noise = np.array(noise)
        assert abs(noise.mean()) < 5 * 0.25 / np.sqrt(noise.size)
        assert noise.std() == pytest.approx(0.25, rel=0.05)
        assert noise[:200].std() == pytest.approx(noise[200:].std(), rel=0.05)

    def test_without_noise_exploring_is_acting(self) -> None:
        agent, state = into(noise=0.0), random_state(WORLD, 1)
        one, other = agent.explore(state), agent.act(state)
        assert one.placement.tolist() == other.placement.tolist()
        assert one.cpu_hz.tolist() == other.cpu_hz.tolist()

    def test_acting_draws_nothing(self) -> None:
        agent = into()
        before = json.dumps(agent.position())
        agent.act(random_state(WORLD, 1))
        assert json.dumps(agent.position()) == before


class TestRemembering:
    def test_the_executed_action_is_stored(self) -> None:
        agent, twin = into(noise=0.5), DigitalTwin(WORLD, 0)
        state = twin.state
        action = agent.explore(state)
        income = twin.step(action).income
        agent.remember(state, action, income, twin.state)
        batch = agent.replay.sample(1)
        assert batch.state[0].tolist() == agent.encoder.encode(state).tolist()
        assert batch.action[0].tolist() == agent.encoder.executed(action, state.cpu_hz).tolist()
        assert batch.reward.item() == pytest.approx(income / 10)  # 5 devices with a mean award of 2
        assert batch.next_state[0].tolist() == agent.encoder.encode(twin.state).tolist()
        assert income > 0

    def test_or_the_proto_action_where_asked_for(self) -> None:
        agent, twin = into(noise=0.5, stored_action="proto"), DigitalTwin(WORLD, 0)
        action = agent.explore(twin.state)
        agent.remember(twin.state, action, 1.0, twin.state)
        stored = agent.replay.sample(1).action[0].numpy()
        assert stored.tolist() == agent._proto.tolist()
        executed = agent.encoder.executed(action, twin.state.cpu_hz)
        assert not np.array_equal(stored, executed)


class TestLearning:
    def test_targets_start_as_copies_line_2(self) -> None:
        agent = into()
        assert bits(agent.target_actor) == bits(agent.actor)
        assert bits(agent.target_critic) == bits(agent.critic)
        assert agent.target_actor is not agent.actor

    def test_learning_waits_for_one_batch_a24(self) -> None:
        agent = experienced(slots=7)
        before, position = bits(agent.critic), json.dumps(agent.position())
        agent.learn()
        assert bits(agent.critic) == before
        assert json.dumps(agent.position()) == position
        agent = experienced(slots=8)
        before = bits(agent.critic)
        agent.learn()
        assert bits(agent.critic) != before

    def test_bfloat16_products_change_the_step_a_little_and_keep_float32_weights(self) -> None:
        moved = {}
        for precision in ("float32", "bfloat16"):
            agent = experienced(precision=precision)
            before = values(agent.critic)
            agent.learn()
            moved[precision] = values(agent.critic) - before
            assert {weight.dtype for weight in agent.critic.parameters()} == {torch.float32}
        assert not np.array_equal(moved["float32"], moved["bfloat16"])
        assert np.corrcoef(moved["float32"], moved["bfloat16"])[0, 1] > 0.9

    def test_one_pass_is_lines_9_to_13(self, monkeypatch) -> None:
        agent = experienced()
        batch = fixed_batch(agent, monkeypatch)
        actor, critic = deepcopy(agent.actor), deepcopy(agent.critic)
        target_actor, target_critic = deepcopy(agent.target_actor), deepcopy(agent.target_critic)
        with torch.no_grad():  # the target networks are elsewhere than the networks, as after some slots
            for weight in (*agent.target_actor.parameters(), *agent.target_critic.parameters()):
                weight.mul_(0.9)
            for weight in (*target_actor.parameters(), *target_critic.parameters()):
                weight.mul_(0.9)
        agent.learn()

        adam = torch.optim.Adam(critic.parameters(), lr=0.01)
        following = target_actor(batch.next_state)
        rho = batch.reward + 0.99 * target_critic(batch.next_state, following)  # line 10
        loss = ((rho.detach() - critic(batch.state, batch.action)) ** 2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()  # line 11, (19) downwards (A14)

        adam = torch.optim.Adam(actor.parameters(), lr=0.01)
        adam.zero_grad()
        (-critic(batch.state, actor(batch.state)).mean()).backward()
        adam.step()  # line 12, (20) upwards

        assert values(agent.critic) == pytest.approx(values(critic), rel=1e-3, abs=1e-6)
        assert values(agent.actor) == pytest.approx(values(actor), rel=1e-3, abs=1e-6)
        for mine, source, target, rate in (
            (agent.target_critic, agent.critic, target_critic, 0.2),
            (agent.target_actor, agent.actor, target_actor, 0.1),
        ):
            moved = rate * values(source) + (1 - rate) * values(target)  # line 13, (21) and (22)
            assert values(mine) == pytest.approx(moved, rel=1e-5, abs=1e-7)

    def test_the_critic_s_loss_on_a_fixed_batch_falls(self, monkeypatch) -> None:
        agent = experienced(critic_update_rate=1e-6, actor_update_rate=1e-6)
        batch = fixed_batch(agent, monkeypatch)

        def loss() -> float:
            with torch.no_grad():
                rho = batch.reward + 0.99 * agent.target_critic(
                    batch.next_state, agent.target_actor(batch.next_state)
                )
                return nn.functional.mse_loss(agent.critic(batch.state, batch.action), rho).item()

        first = loss()
        for _ in range(100):
            agent.learn()
        assert loss() < 0.1 * first

    def test_a_step_of_the_actor_raises_q_on_the_batch(self, monkeypatch) -> None:
        agent = experienced(actor_learning_rate=1e-3)
        batch = fixed_batch(agent, monkeypatch)
        before = deepcopy(agent.actor)
        agent.learn()
        with torch.no_grad():  # line 12 comes after line 11: the critic is the new one
            old = agent.critic(batch.state, before(batch.state)).mean()
            new = agent.critic(batch.state, agent.actor(batch.state)).mean()
        assert new > old

    def test_no_gradient_reaches_the_targets_and_none_of_the_actor_s_reaches_the_critic(
        self, monkeypatch
    ) -> None:
        agent = experienced()
        fixed_batch(agent, monkeypatch)
        agent.learn()
        for network in (agent.target_actor, agent.target_critic):
            assert all(weight.grad is None for weight in network.parameters())
        steps = {name: opt.state_dict()["state"][0]["step"].item() for name, opt in agent.optimisers.items()}
        assert steps == {"actor": 1.0, "critic": 1.0}


class TestSeeds:
    def test_the_same_seed_trains_to_the_same_bits(self) -> None:
        trained = []
        for seed in (3, 3, 4):
            agent = into(seed)
            incomes = train(agent, DigitalTwin(WORLD, 7), 25, progress=False)
            trained.append((incomes.tobytes(), bits(agent.actor), bits(agent.target_critic)))
        assert trained[0] == trained[1]
        for one, other in zip(trained[0], trained[2], strict=True):
            assert one != other

    def test_noise_and_batches_have_streams_of_their_own(self) -> None:
        agent = experienced()
        before = agent.position()
        agent.learn()
        after = agent.position()
        assert after["exploration"] == before["exploration"]
        assert after["replay"]["draws"] != before["replay"]["draws"]
        agent.explore(random_state(WORLD, 0))
        assert agent.position()["exploration"] != after["exploration"]
        assert agent.position()["replay"] == after["replay"]

    def test_torch_s_global_stream_is_neither_used_nor_moved(self) -> None:
        torch.manual_seed(1)
        one = into()
        expected = torch.rand(2)
        torch.manual_seed(1)
        train(into(), DigitalTwin(WORLD, 7), 12, progress=False)
        assert torch.equal(torch.rand(2), expected)
        torch.manual_seed(2)
        assert bits(into().actor) == bits(one.actor)

    def test_another_seed_is_another_network(self) -> None:
        assert bits(into(0).actor) != bits(into(1).actor)


def test_a_learner_comes_back_from_its_tensors_bit_for_bit() -> None:
    twin, agent = DigitalTwin(WORLD, 7), into(3)
    train(agent, twin, 20, progress=False)
    tensors = {name: value.clone() for name, value in agent.tensors().items()}
    position, world = json.loads(json.dumps(agent.position())), json.loads(json.dumps(twin.snapshot()))

    restored, ahead = into(3), DigitalTwin(WORLD, 7)
    restored.restore(tensors, position)
    ahead.restore(world)
    one = train(agent, twin, 20, progress=False)
    other = train(restored, ahead, 20, progress=False)
    assert one.tobytes() == other.tobytes()
    for name, network in agent.networks.items():
        assert bits(network) == bits(restored.networks[name]), name


def test_training_raises_the_income_on_a_system_where_there_is_something_to_learn() -> None:
    """One BS has no CPU to speak of: an actor at its start sends half of the tasks there."""
    scenario = TINY.replace(cpu_hz=(1e6, 1e10, 1e6), initial_energy_j=100.0, interference=0.0)
    agent = INTO(
        scenario, 0, settings=SMALL.replace(replay_size=1000, batch_size=32, actor_learning_rate=1e-3)
    )
    incomes = train(agent, DigitalTwin(scenario, 0), 600, progress=False)
    assert incomes[-100:].mean() > 1.2 * incomes[:50].mean()


class TestWithoutPeerOffloading:
    @pytest.mark.parametrize("seed", range(5))
    def test_every_task_stays_at_its_own_bs(self, seed):
        scenario = WORLD.replace(initial_energy_j=1.0, interference=0.0)
        state = random_state(scenario, seed)
        free, bound = into(seed, scenario), into(seed, scenario, peer_offloading=False)
        free.actor[-2].bias.data.fill_(2.0)
        bound.actor.load_state_dict(free.actor.state_dict())
        for action in (bound.act(state), bound.explore(state)):
            assert (action.placement[action.offload] == scenario.cell[action.offload]).all()
        assert bound.act(state).offload.any()
        assert (
            free.act(state).placement[free.act(state).offload] != scenario.cell[free.act(state).offload]
        ).any()

    def test_the_choice_is_the_nearest_among_those_left(self):
        agent, state = into(3, peer_offloading=False), random_state(WORLD, 3)
        proto = agent.proto_action(state)
        own = proto.peer[np.arange(WORLD.n_devices), WORLD.cell]
        expected = np.where(own > 1.0 - proto.offload, WORLD.cell, -1)
        assert nearest_discrete(proto.offload, proto.peer).tolist() == expected.tolist()

    def test_the_whole_fleet_is_bound_like_one(self):
        agent, states = into(1, peer_offloading=False), [random_state(WORLD, seed) for seed in range(4)]
        assert_same_bits(agent.act(stacked(states)), [agent.act(state) for state in states])
