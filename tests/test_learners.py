"""INTO and DDQN: what they share, then each one's update against plain PyTorch, and how each explores."""

import json
from copy import deepcopy
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from worlds import TINY, assert_same_bits, random_state, same_bits, stacked

from mecsim.agents import make_agent
from mecsim.agents.ddqn import DDQN, DDQNSettings
from mecsim.agents.into import INTOSettings
from mecsim.agents.learner import Learner
from mecsim.agents.replay import Batch
from mecsim.refinement import nearest_discrete, refine, refine_discrete
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.training import train
from mecsim.twin import DigitalTwin

BOTH = pytest.mark.parametrize("name", ["INTO", "DDQN"])
WORLD = Scenario(devices=(3, 2), initial_energy_j=0.05)
MEMORY = {"batch_size": 8, "replay_size": 40}
SMALL = {
    "INTO": INTOSettings(
        actor_hidden=(16, 8),
        critic_hidden=(16, 8),
        actor_learning_rate=0.01,
        critic_learning_rate=0.01,
        actor_update_rate=0.1,
        critic_update_rate=0.2,
        **MEMORY,
    ),
    "DDQN": DDQNSettings(hidden=(16, 8), learning_rate=0.01, update_rate=0.2, epsilon_slots=30, **MEMORY),
}


def small(name: str, seed: int = 0, scenario: Scenario = WORLD, **changes: object) -> Learner:
    """A learner with small networks."""
    return make_agent(name, scenario, seed, settings=SMALL[name].replace(**changes))


def experienced(name: str, slots: int = 30, **changes: object) -> Learner:
    """One that has seen some slots and learnt nothing yet, with its targets elsewhere than its networks."""
    agent, twin = small(name, **changes), DigitalTwin(WORLD, 0)
    for _ in range(slots):
        state = twin.state
        action = agent.explore(state)
        agent.remember(state, action, twin.step(action).income, twin.state)
    for part, network in agent.networks.items():
        for weight in network.parameters() if part.startswith("target") else ():
            weight.data.mul_(0.9)
    return agent


def flat(network: nn.Module) -> np.ndarray:
    return np.concatenate([weight.detach().numpy().ravel() for weight in network.parameters()])


def bits(agent: Learner) -> dict[str, bytes]:
    return {part: flat(network).tobytes() for part, network in agent.networks.items()}


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "values", "layers", "rates"),
        [
            (
                "INTO",  # Table II
                {
                    "critic_update_rate": 0.001,
                    "actor_update_rate": 0.001,
                    "stored_action": "executed",
                    "noise": 0.1,
                },
                {
                    "actor": [(999, 3000), (3000, 1000), (1000, 1155)],
                    "critic": [(2154, 1500), (1500, 600), (600, 1)],
                },
                {"actor": 0.0001, "critic": 0.0001},
            ),
            (
                "DDQN",  # section V-B, with one head per device (A15)
                {"update_rate": 0.001},
                {"q": [(999, 1000), (1000, 600), (600, 165 * 4)]},
                {"q": 0.001},
            ),
        ],
    )
    def test_without_settings_a_learner_has_those_of_the_paper(self, name, values, layers, rates) -> None:
        agent = make_agent(name, Scenario())
        values = {**values, "batch_size": 64, "replay_size": 3000, "gamma": 0.99}
        assert {field: getattr(agent.settings, field) for field in values} == values
        for part, network in agent.networks.items():
            found = [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]
            assert found == layers[part.removeprefix("target_")]
        assert {part: adam.param_groups[0]["lr"] for part, adam in agent.optimisers.items()} == rates
        assert agent.replay.capacity == 3000

    @pytest.mark.parametrize(
        ("settings", "field", "value"),
        [
            (INTOSettings, "actor_hidden", ()),
            (INTOSettings, "critic_hidden", (0,)),
            (INTOSettings, "actor_learning_rate", 0),
            (INTOSettings, "critic_learning_rate", -1.0),
            (INTOSettings, "actor_update_rate", 0),
            (INTOSettings, "critic_update_rate", 1.5),
            (INTOSettings, "batch_size", 0),
            (INTOSettings, "replay_size", 0),
            (INTOSettings, "gamma", 1.0),
            (INTOSettings, "noise", -0.1),
            (INTOSettings, "stored_action", "both"),
            (INTOSettings, "precision", "float16"),
            (INTOSettings, "inputs", "cut"),
            (INTOSettings, "target_every", 0),
            (INTOSettings, "sampling", "all"),
            (INTOSettings, "reward_slope", float("nan")),
            (INTOSettings, "reward_offset", float("inf")),
            (DDQNSettings, "hidden", ()),
            (DDQNSettings, "learning_rate", 0),
            (DDQNSettings, "update_rate", 2),
            (DDQNSettings, "first_epsilon", 1.1),
            (DDQNSettings, "epsilon_slots", 0),
            (DDQNSettings, "stored_action", "proto"),
        ],
    )
    def test_a_bad_setting_is_refused(self, settings, field, value) -> None:
        with pytest.raises(SettingError, match=rf"{settings.__name__}\.{field} = "):
            settings(**{field: value})

    @BOTH
    @pytest.mark.parametrize("device", ["abacus", "cuda:99"])
    def test_a_device_that_is_not_there_is_refused(self, name, device) -> None:
        with pytest.raises(SettingError, match=f"device = '{device}' is not allowed"):
            small(name, device=device)


@BOTH
class TestEither:
    def test_targets_start_as_copies_line_2(self, name) -> None:
        agent = small(name)
        for part in agent.optimisers:
            network, target = agent.networks[part], agent.networks[f"target_{part}"]
            assert target is not network
            assert np.array_equal(flat(target), flat(network))

    def test_acting_draws_nothing_and_is_exploring_without_chance(self, name) -> None:
        without = {"noise": 0.0} if name == "INTO" else {"first_epsilon": 0.0, "last_epsilon": 0.0}
        agent = small(name, **without)
        before = json.dumps(agent.position())
        decided = [agent.act(random_state(WORLD, seed)) for seed in range(4)]
        assert json.dumps(agent.position()) == before
        assert all(same_bits(agent.explore(random_state(WORLD, i)), one) for i, one in enumerate(decided))

    def test_what_was_executed_is_stored_a11(self, name) -> None:
        agent, twin = small(name), DigitalTwin(WORLD, 0)
        state = twin.state
        action = agent.explore(state)
        income = twin.step(action).income
        assert income > 0
        agent.remember(state, action, income, twin.state)
        batch = agent.replay.sample(1)
        executed = agent.encoder.executed(action, state.cpu_hz) if name == "INTO" else action.placement + 1
        assert batch.action[0].tolist() == executed.tolist()
        assert batch.reward.item() == pytest.approx(income / 10)  # 5 devices with a mean award of 2
        assert batch.state[0].tolist() == agent.encoder.encode(state).tolist()
        assert batch.next_state[0].tolist() == agent.encoder.encode(twin.state).tolist()

    @pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.0, 0.5), (1.0, -1.0), (2.0, 0.25)])
    def test_the_memory_holds_the_reward_retold_and_the_income_is_the_twin_s(
        self, name, slope, offset
    ) -> None:
        agent = small(name, reward_slope=slope, reward_offset=offset)
        incomes = train(agent, DigitalTwin(WORLD, 0), 6, progress=False)
        expected = slope * incomes * agent.encoder.reward_scale + offset
        assert incomes.sum() > 0
        assert agent.replay.tensors()["rewards"][:6].tolist() == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("members", [None, [0, 1]])
    def test_what_a_changed_world_puts_outside_the_range_may_be_clipped_a38(self, name, members) -> None:
        twin = DigitalTwin(WORLD.replace(award_scale=(3.0, 1.0)), 0 if members is None else members)
        state = twin.state
        for inputs, largest in (("as they come", 7.0), ("clipped", 1.0)):
            agent = make_agent(name, WORLD, members or 0, settings=SMALL[name].replace(inputs=inputs))
            plain = agent.encoder.encode(state)
            expected = plain if inputs == "as they come" else plain.clip(-1, 1)
            assert 4.0 < plain.max() <= 7.0
            assert expected.max() <= largest
            assert np.array_equal(agent.inputs(state).numpy().reshape(expected.shape), expected)
            agent.remember(state, agent.explore(state), twin.step(agent.act(twin.state)).income, state)
            batch = agent.replay.sample(1)
            for stored in (batch.state, batch.next_state):
                assert np.array_equal(stored.numpy().reshape(expected.shape), expected)

    def test_targets_follow_in_every_slot_or_every_so_many_a34(self, name) -> None:
        agent = experienced(name, target_every=3)
        targets, moved = [part for part in agent.networks if part.startswith("target")], []
        for slot in range(7):
            before = bits(agent)
            agent.learn()
            moved.append([bits(agent)[part] != before[part] for part in targets])
            assert all(bits(agent)[part] != before[part] for part in agent.optimisers)
            if slot == 3:  # one that was cut off goes on in step
                fresh = small(name, target_every=3)
                fresh.restore(agent.tensors(), json.loads(json.dumps(agent.position())))
                agent = fresh
        assert moved == [[slot in (2, 5)] * len(targets) for slot in range(7)]

    def test_a_checkpoint_of_before_a34_can_be_read(self, name) -> None:
        agent, again = experienced(name), small(name)
        agent.learn()
        position = agent.position()
        del position["updates"]
        again.restore(agent.tensors(), position)
        for one in (agent, again):
            one.learn()
        assert bits(again) == bits(agent)

    @pytest.mark.parametrize("sampling", ["with replacement", "without replacement"])
    def test_a_mini_batch_may_hold_a_tuple_once_alone_a36(self, name, sampling, monkeypatch) -> None:
        agent, seen = experienced(name, slots=9, sampling=sampling), []
        monkeypatch.setattr(agent, "update", lambda batch: seen.append(len(np.unique(batch.state, axis=0))))
        for _ in range(20):
            agent.learn()
        assert (set(seen) == {8}) == (sampling == "without replacement")

    def test_learning_waits_for_one_batch_a24(self, name) -> None:
        waiting, ready = experienced(name, slots=7), experienced(name, slots=8)
        before = bits(waiting), json.dumps(waiting.position())
        waiting.learn()
        assert (bits(waiting), json.dumps(waiting.position())) == before
        before = bits(ready)
        ready.learn()
        assert all(before[part] != now for part, now in bits(ready).items())

    def test_bfloat16_products_change_the_step_a_little_and_keep_float32_weights(self, name) -> None:
        moved = []
        for precision in ("float32", "bfloat16"):
            agent = experienced(name, precision=precision)
            network = agent.networks["critic" if name == "INTO" else "q"]
            before = flat(network)
            agent.learn()
            moved.append(flat(network) - before)
            assert {weight.dtype for weight in network.parameters()} == {torch.float32}
        assert not np.array_equal(*moved)
        assert np.corrcoef(*moved)[0, 1] > 0.9

    def test_the_same_seed_trains_to_the_same_bits(self, name) -> None:
        trained = []
        for seed in (3, 3, 4):
            agent = small(name, seed)
            trained.append((train(agent, DigitalTwin(WORLD, 7), 25, progress=False).tobytes(), bits(agent)))
        assert trained[0] == trained[1]
        assert trained[0][0] != trained[2][0]
        assert all(trained[2][1][part] != found for part, found in trained[0][1].items())

    def test_exploration_and_batches_have_streams_of_their_own(self, name) -> None:
        agent = experienced(name)
        before = agent.position()
        agent.learn()
        after = agent.position()
        assert after["exploration"] == before["exploration"]
        assert after["replay"]["draws"] != before["replay"]["draws"]
        agent.explore(random_state(WORLD, 0))
        assert agent.position()["exploration"] != after["exploration"]
        assert agent.position()["replay"] == after["replay"]

    def test_torch_s_global_stream_is_neither_used_nor_moved(self, name) -> None:
        torch.manual_seed(1)
        one = small(name)
        expected = torch.rand(2)
        torch.manual_seed(1)
        train(small(name), DigitalTwin(WORLD, 7), 12, progress=False)
        assert torch.equal(torch.rand(2), expected)
        assert bits(small(name)) == bits(one)
        assert bits(small(name, 1)) != bits(one)

    def test_on_a_machine_of_many_gpus_their_streams_are_left_alone(self, name, monkeypatch) -> None:
        expected = bits(small(name))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "manual_seed_all", Mock(side_effect=AssertionError))
        assert bits(small(name)) == expected

    def test_torch_s_and_numpy_s_global_settings_change_no_bit(self, name) -> None:
        def trained() -> tuple:
            agent = small(name)
            return train(agent, DigitalTwin(WORLD, 7), 12, progress=False).tobytes(), bits(agent)

        expected = trained()
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        try:
            with np.errstate(all="raise"):
                assert trained() == expected
        finally:
            torch.set_default_dtype(torch.float32)
            torch.set_default_device(None)
            torch.set_grad_enabled(True)


@BOTH
def test_one_seed_takes_the_steps_that_it_took_before_there_were_stacks(name) -> None:
    """Bit for bit, with a mini-batch of which a mean is rounded."""
    agent = experienced(name, batch_size=7)
    batch, known = agent.replay.sample(7), deepcopy(agent)
    agent.update(batch)

    def step(loss: torch.Tensor, part: str, rate: float) -> None:
        network, target = known.networks[part], known.networks[f"target_{part}"]
        weights = list(network.parameters())
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.grad = gradient
        torch.optim.Adam(weights, lr=0.01, fused=True).step()
        torch._foreach_lerp_(list(target.parameters()), weights, rate)

    with torch.no_grad():
        if name == "INTO":
            following = known.target_critic(batch.next_state, known.target_actor(batch.next_state))
        else:
            best = known.q(batch.next_state).view(7, -1, 3).argmax(dim=2)[..., None]
            following = known.target_q(batch.next_state).view(7, -1, 3).gather(2, best).sum(dim=(1, 2))
        rho = batch.reward + 0.99 * following
    if name == "INTO":
        step(nn.functional.mse_loss(known.critic(batch.state, batch.action), rho), "critic", 0.2)
        step(-known.critic(batch.state, known.actor(batch.state)).mean(), "actor", 0.1)
    else:
        heads = known.q(batch.state).view(7, -1, 3)
        value = heads.gather(2, batch.action[..., None]).sum(dim=(1, 2))
        step(nn.functional.mse_loss(value, rho), "q", 0.2)
    assert bits(agent) == bits(known)


class TestINTO:
    def test_the_actor_s_output_is_in_the_unit_box_and_refined(self) -> None:
        agent, state = small("INTO"), random_state(WORLD, 1)
        proto = agent.proto_action(state)
        for part in (proto.offload, proto.peer, proto.cpu_share):
            assert (part > 0).all()
            assert (part < 1).all()
        assert same_bits(agent.act(state), refine(WORLD, state, proto))
        assert same_bits(agent.act(state), refine(WORLD, state, proto._replace(order=None)))

    def test_a_saturated_actor_still_prefers_the_bs_of_its_largest_y(self) -> None:
        agent, state = small("INTO"), random_state(WORLD, 1)
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

    def test_exploration_adds_normal_noise_of_constant_width_a12(self) -> None:
        agent, state, proto = small("INTO", noise=0.25), random_state(WORLD, 1), []
        calm = agent.proto_action(state)
        for _ in range(200):
            agent.explore(state)
            proto.append(agent.explored())
        for part in ("offload", "peer", "cpu_share"):
            noise = np.array([getattr(one, part) for one in proto]) - getattr(calm, part)
            assert stats.kstest(noise.ravel() / 0.25, stats.norm.cdf).pvalue > 1e-3
            assert noise[:100].std() == pytest.approx(noise[100:].std(), rel=0.1)

    def test_the_proto_action_is_stored_where_asked_for_a11(self) -> None:
        agent, twin = small("INTO", noise=0.5, stored_action="proto"), DigitalTwin(WORLD, 0)
        action = agent.explore(twin.state)
        agent.remember(twin.state, action, 1.0, twin.state)
        stored = agent.encoder.proto(agent.replay.sample(1).action[0].numpy())
        for found, expected in zip(stored[:3], agent.explored()[:3], strict=True):
            assert found.tolist() == expected.tolist()

    def test_one_pass_is_lines_10_to_13(self) -> None:
        agent = experienced("INTO")
        batch, mine = agent.replay.sample(8), agent.networks
        actor, critic = deepcopy(agent.actor), deepcopy(agent.critic)
        target_actor, target_critic = deepcopy(agent.target_actor), deepcopy(agent.target_critic)
        agent.update(batch)

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
        adam.step()  # line 12, (20) upwards, along the new critic

        assert flat(mine["critic"]) == pytest.approx(flat(critic), rel=1e-3, abs=1e-6)
        assert flat(mine["actor"]) == pytest.approx(flat(actor), rel=1e-3, abs=1e-6)
        for part, target, rate in (("critic", target_critic, 0.2), ("actor", target_actor, 0.1)):
            moved = rate * flat(mine[part]) + (1 - rate) * flat(target)  # line 13, (21) and (22)
            assert flat(mine[f"target_{part}"]) == pytest.approx(moved, rel=1e-5, abs=1e-7)

    def test_training_raises_the_income_on_a_system_where_there_is_something_to_learn(self) -> None:
        """One BS has no CPU to speak of: an actor at its start sends half of the tasks there."""
        scenario = TINY.replace(cpu_hz=(1e6, 1e10, 1e6), initial_energy_j=100.0, interference=0.0)
        agent = small("INTO", 0, scenario, replay_size=1000, batch_size=32, actor_learning_rate=1e-3)
        incomes = train(agent, DigitalTwin(scenario, 0), 400, progress=False)
        assert incomes[-100:].mean() > 1.2 * incomes[:50].mean()

    def test_without_peer_offloading_every_task_stays_at_its_own_bs(self) -> None:
        scenario = WORLD.replace(initial_energy_j=1.0, interference=0.0)
        free, bound = (small("INTO", 1, scenario, peer_offloading=peers) for peers in (True, False))
        for agent in (free, bound):
            agent.actor[-2].bias.data.fill_(2.0)
        states = [random_state(scenario, seed) for seed in range(4)]
        for state in states:
            for action in (bound.act(state), bound.explore(state)):
                assert (action.placement[action.offload] == scenario.cell[action.offload]).all()
            assert bound.act(state).offload.any()
            strangers = free.act(state).placement != scenario.cell
            assert strangers[free.act(state).offload].any()
            proto = bound.proto_action(state)
            own = proto.peer[np.arange(scenario.n_devices), scenario.cell]
            nearest = np.where(own > 1.0 - proto.offload, scenario.cell, -1)
            assert nearest_discrete(proto.offload, proto.peer).tolist() == nearest.tolist()
        assert_same_bits(bound.act(stacked(states)), [bound.act(state) for state in states])


class TestDDQN:
    PAIR = Scenario(devices=(1, 1), initial_energy_j=10.0)

    @staticmethod
    def say_always(network: nn.Sequential, heads: list[list[float]]) -> None:
        """Makes a network say the same values in every state."""
        with torch.no_grad():
            network[-1].weight.zero_()
            network[-1].bias.copy_(torch.tensor(heads).ravel())

    def test_takes_the_best_of_every_head(self) -> None:
        agent, state = small("DDQN", 0, self.PAIR), random_state(self.PAIR.replace(cpu_hz=1e12), 1)
        self.say_always(agent.q, [[0.0, 1.0, 5.0], [3.0, 1.0, 2.0]])  # device 0 to BS-2, device 1 discarded
        expected = refine_discrete(self.PAIR, state, np.array([1, -1]))
        assert agent.act(state).placement.tolist() == expected.placement.tolist() == [1, -1]

    @pytest.mark.parametrize("members", [None, [0, 1]])
    def test_the_choice_that_algorithm_1_had_not_changed_is_stored_where_asked_for_a37(self, members) -> None:
        twin, stored = DigitalTwin(self.PAIR.replace(initial_energy_j=0.0), members or 0), {}
        state = twin.state  # no device has the energy to send
        for name in ("executed", "chosen"):
            known = SMALL["DDQN"].replace(stored_action=name, first_epsilon=0.0, last_epsilon=0.0)
            agent = make_agent("DDQN", self.PAIR, members or 0, settings=known)
            with torch.no_grad():
                agent.q[-1].weight.zero_()
                agent.q[-1].bias.copy_(torch.tensor([0.0, 1.0, 5.0, 3.0, 4.0, 2.0]))
            agent.remember(state, agent.explore(state), 0.0, state)
            stored[name] = agent.replay.sample(1).action.reshape(-1, 2).tolist()
        worlds = len(members or [0])
        assert stored == {"executed": [[0, 0]] * worlds, "chosen": [[2, 1]] * worlds}

    def test_epsilon_falls_linearly_and_stays_a25(self) -> None:
        agent = small("DDQN", first_epsilon=0.9, last_epsilon=0.1, epsilon_slots=4)
        state, seen = random_state(WORLD, 1), []
        for _ in range(7):
            seen.append(agent.epsilon)
            agent.remember(state, agent.explore(state), 0.0, state)
        agent.explore(state)  # without remembering, as when it is deployed (A40)
        seen.append(agent.epsilon)
        assert seen == pytest.approx([0.9, 0.7, 0.5, 0.3, 0.1, 0.1, 0.1, 0.1])

    def test_a_random_choice_is_made_with_epsilon_and_uniform_over_discard_and_every_bs(self) -> None:
        scenario = self.PAIR.replace(
            devices=(50, 50), cpu_hz=1e15, mean_gain=100.0, interference=0.0, initial_energy_j=100.0
        )
        agent = small("DDQN", 0, scenario, first_epsilon=0.6, last_epsilon=0.6)
        self.say_always(agent.q, [[0.0, 1.0, 5.0]] * 100)
        state = random_state(scenario, 1)
        choices = np.array([agent.explore(state).placement for _ in range(30)]) + 1
        assert stats.chisquare(np.bincount(choices.ravel()), np.array([600, 600, 1800])).pvalue > 1e-3
        assert len(np.unique(choices, axis=0)) == 30  # no two slots alike
        assert len(np.unique(choices, axis=1).T) > 90  # nor two devices

    def test_the_double_target_by_hand(self) -> None:
        agent = DDQN(self.PAIR, settings=SMALL["DDQN"].replace(gamma=0.9))
        self.say_always(agent.q, [[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
        self.say_always(agent.target_q, [[10.0, 20.0, 30.0], [7.0, 100.0, 9.0]])
        states = torch.zeros(8, agent.encoder.state_size)
        agent.update(Batch(states, torch.tensor([[2, 2]] * 8), torch.full((8,), 0.5), states))
        # Q picks choice 1 of device 0 and choice 0 of device 1; Q' values them at 20 + 7, not at its own best, 130.
        # rho = 0.5 + 0.9 x 27 = 24.8; Q(s, a) = 2 + 3 = 5; the gradient of (5 - 24.8)^2 on each chosen head is -39.6.
        gradient = agent.q[-1].bias.grad.view(2, 3)
        assert gradient.numpy() == pytest.approx(np.array([[0, 0, -39.6], [0, 0, -39.6]]), rel=1e-5)

    def test_one_pass_in_plain_pytorch(self) -> None:
        agent = experienced("DDQN")
        batch, q, target_q = agent.replay.sample(8), deepcopy(agent.q), deepcopy(agent.target_q)
        agent.update(batch)
        adam, loss = torch.optim.Adam(q.parameters(), lr=0.01), 0.0
        for s, a, r, following in zip(*batch, strict=True):  # tuple by tuple, device by device
            value, rho = 0.0, r
            for device in range(WORLD.n_devices):
                head = slice(3 * device, 3 * device + 3)
                best = q(following)[head].argmax()
                rho = rho + 0.99 * target_q(following)[head][best].detach()
                value = value + q(s)[head][a[device]]
            loss = loss + (rho - value) ** 2 / 8
        adam.zero_grad()
        loss.backward()
        adam.step()
        assert flat(agent.q) == pytest.approx(flat(q), rel=1e-3, abs=1e-6)
        moved = 0.2 * flat(agent.q) + 0.8 * flat(target_q)
        assert flat(agent.target_q) == pytest.approx(moved, rel=1e-5, abs=1e-7)
