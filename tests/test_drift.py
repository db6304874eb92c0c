"""The study of INTO's drift: its slopes and truths against slow and hand-made ones, and a training left alone."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from worlds import TINY, random_proto, random_state

from mecsim.agents.into import INTO, INTOSettings
from mecsim.agents.networks import to_tensor
from mecsim.experiments.studies.drift import SIZES, VARIANTS, measure_drift
from mecsim.experiments.studies.probes import probe, probe_replay, slopes, truth
from mecsim.refinement import Refinement, refine
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import outcome
from mecsim.training import Callback, train
from mecsim.twin import DigitalTwin

WORLD = TINY.replace(initial_energy_j=0.05, cpu_hz=3e8)
CROWDED = Scenario(devices=(12, 9), interference=1.0, mean_gain=0.1, initial_energy_j=0.02, cpu_hz=1e9)
LITTLE = {"actor_hidden": (16, 8), "critic_hidden": (16, 8), "batch_size": 8}


def into(scenario: Scenario = WORLD, seed: int = 0, **changes: object) -> INTO:
    return INTO(scenario, seed, settings=INTOSettings(**{**LITTLE, **changes}))


def trained(slots: int = 20, **changes: object) -> tuple[INTO, DigitalTwin]:
    agent, twin = into(**changes), DigitalTwin(WORLD, 0)
    train(agent, twin, slots, progress=False)
    return agent, twin


def states_of(scenario: Scenario, number: int = 3):
    return [random_state(scenario, seed) for seed in range(number)]


def chosen(*names: str) -> dict[str, dict[str, object]]:
    return {name: SIZES["variants"][name] for name in names}


class After(Callback):
    """Calls a function after each slot."""

    def __init__(self, then) -> None:
        self.after_slot = then


class LinearCritic(nn.Module):
    """Q(s, a) = w a + the sum of s."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(np.asarray(weights, np.float32)))

    def forward(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return action @ self.weights + state.sum(dim=1)


def with_critic(scenario: Scenario, of_x: np.ndarray, of_y: float = 0.0, of_f: float = 0.0) -> INTO:
    """An agent whose critic's slopes are known, in units of income."""
    agent, n = into(scenario), scenario.n_devices
    rest = np.repeat([of_y, of_f], n * scenario.n_bs)
    agent.critic = LinearCritic(np.concatenate((of_x, rest)) * agent.encoder.reward_scale)
    return agent


class TestSlopes:
    def test_are_the_finite_differences_of_the_critic(self):
        agent, twin = trained()
        agent.critic.double()
        state = to_tensor(agent.encoder.encode(twin.state), agent.device).double()
        action = torch.rand(1, agent.encoder.action_size, dtype=torch.float64)
        found = slopes(agent, state, action)
        step = 1e-6
        wiggled = action + step * torch.eye(action.shape[1], dtype=torch.float64)
        with torch.no_grad():
            value = agent.critic(state, action)
            higher = agent.critic(state.expand(len(wiggled), -1), wiggled)
        expected = ((higher - value) / step).numpy() / agent.encoder.reward_scale
        every = np.concatenate((found.offload[0], found.peer[0], found.cpu_share[0]))
        assert np.abs(expected).max() > 0.01
        assert every == pytest.approx(expected, abs=1e-5)
        assert found.value[0] == pytest.approx(value.item() / agent.encoder.reward_scale)


class TestTruth:
    @pytest.mark.parametrize("refinement", [None, Refinement(reading="one-shot", cpu="actor")])
    @pytest.mark.parametrize("seed", range(4))
    def test_is_two_slots_refined_one_by_one(self, seed, refinement):
        state, proto = random_state(CROWDED, seed), random_proto(CROWDED, seed)
        found = truth(CROWDED, state, proto, refinement)
        for device in range(CROWDED.n_devices):
            earned = []
            for x in (1.0, 0.0):
                offload = proto.offload.copy()
                offload[device] = x
                action = refine(CROWDED, state, proto._replace(offload=offload), refinement)
                earned.append(outcome(CROWDED, state, action).income)
                if x == 1.0:
                    assert found.kept[device] == action.offload[device]
            assert found.effect[device] == earned[0] - earned[1]


class TestProbe:
    def test_of_a_critic_that_knows_the_truth(self):
        """One state, and a critic whose slope in each x is the true effect of the offer."""
        (state,) = states_of(CROWDED, 1)
        known = truth(CROWDED, state, into(CROWDED).proto_action(state))
        agent = with_critic(CROWDED, known.effect)
        found = probe(agent, [state])
        assert known.effect.any()
        assert found["same sign"] == 1.0
        assert found["rank correlation"] == pytest.approx(1.0)
        assert found["dQ/dx"] == pytest.approx(found["effect"], rel=1e-5)
        assert found["dQ/dx, kept"] == pytest.approx(known.effect[known.kept].mean(), rel=1e-5)
        assert found["dQ/dx > 0"] == found["effect > 0"] == (known.effect > 0).mean()
        liar = probe(with_critic(CROWDED, -known.effect), [state])
        assert liar["same sign"] == 0.0
        assert liar["rank correlation"] == pytest.approx(-1.0)

    @pytest.mark.parametrize("refinement", [Refinement(), Refinement(energy="off")])
    def test_effects_are_those_of_every_state_under_the_agent_s_refinement(self, refinement):
        agent = INTO(CROWDED, 0, refinement, INTOSettings(**LITTLE))
        states = states_of(CROWDED, 4)
        known = [truth(CROWDED, state, agent.proto_action(state), refinement) for state in states]
        found = probe(agent, states)
        assert found["effect"] == pytest.approx(np.mean([one.effect for one in known]))
        assert found["kept"] == pytest.approx(np.mean([one.kept for one in known]))

    def test_shares_and_groups_add_up(self):
        agent = with_critic(CROWDED, np.linspace(-1.0, 2.0, 21), of_y=-1.0, of_f=2.0)
        found = probe(agent, states_of(CROWDED, 5))
        assert 0 < found["kept"] < 1
        for name in ("dQ/dx", "dQ/dx > 0", "effect", "effect > 0", "effect < 0"):
            group, _, sign = name.partition(" ")
            kept, discarded = (found[f"{group}, {one} {sign}".strip()] for one in ("kept", "discarded"))
            whole = found["kept"] * kept + (1 - found["kept"]) * discarded
            assert found[name] == pytest.approx(whole), name
        assert (found["dQ/dy > 0"], found["dQ/df > 0"]) == (0.0, 1.0)
        assert found["effect > 0"] + found["effect < 0"] <= 1
        assert found["effect, kept"] > found["effect, discarded"]

    def test_of_the_actor_is_what_it_puts_out(self):
        agent, states = into(CROWDED, seed=3), states_of(CROWDED, 4)
        found, protos = probe(agent, states), [agent.proto_action(state) for state in states]
        x = np.concatenate([proto.offload for proto in protos])
        y = np.concatenate([proto.peer.max(axis=1) for proto in protos])
        assert found["x"] == pytest.approx(x.mean())
        assert found["x > 1/2"] == pytest.approx((x > 0.5).mean())
        assert found["largest y"] == pytest.approx(y.mean())
        assert found["f"] == pytest.approx(np.mean([proto.cpu_share for proto in protos]))
        assert found["offered"] == pytest.approx((x + y > 1).mean())
        vectors = torch.from_numpy(np.stack([agent.encoder.encode(state) for state in states]))
        with torch.no_grad():
            value = agent.critic(vectors, agent.actor(vectors)).mean().item()
        assert found["Q"] == pytest.approx(value / agent.encoder.reward_scale, rel=1e-5)

    def test_a_group_with_nobody_in_it_is_left_out(self):
        scenario = WORLD.replace(initial_energy_j=0.0)
        found = probe(into(scenario), [DigitalTwin(scenario, 0).state])
        assert found["kept"] == found["effect"] == 0.0
        assert not {"dQ/dx, kept", "effect, kept", "same sign", "rank correlation"} & found.keys()


class TestProbeReplay:
    def test_slopes_are_those_at_the_latest_stored_actions(self):
        agent, _ = trained(12)
        memory = agent.replay.tensors()
        expected = slopes(agent, memory["states"][8:12], memory["actions"][8:12]).offload
        found = probe_replay(agent, 4)
        assert found["dQ/dx, stored"] == pytest.approx(expected.mean())
        assert found["dQ/dx, stored > 0"] == pytest.approx((expected > 0).mean())

    def test_of_a_memory_that_has_gone_round(self):
        agent, _ = trained(26, replay_size=9)
        memory, n = agent.replay.tensors(), WORLD.n_devices
        head = agent.replay.position()["head"]
        kept = np.delete(np.arange(10), head)  # nothing was stored yet where the next tuple begins
        ones = memory["actions"][kept, :n].sum(dim=1).numpy()
        expected = np.corrcoef(ones, memory["rewards"][kept].numpy())[0, 1]
        assert probe_replay(agent, 4)["x and reward"] == pytest.approx(expected)

    def test_what_the_state_explains_is_taken_out(self):
        """Ones follow the mean Q and so does the reward; beyond that the reward falls with the ones."""
        agent, rng, n = into(), np.random.default_rng(0), WORLD.n_devices
        for _ in range(200):
            state = rng.uniform(-1, 1, agent.encoder.state_size).astype(np.float32)
            energy = state[5 * n : 6 * n] = rng.uniform(-1, 1) + rng.normal(0, 0.1, n)
            level = 6 + 4 * energy.mean()
            ones = int(np.clip(round(level + rng.normal(0, 0.5)), 0, n))
            action = np.zeros(agent.encoder.action_size, np.float32)
            action[rng.choice(n, ones, replace=False)] = 1
            agent.replay.store(state, action, 2 * level - 0.5 * ones + rng.normal(0, 0.1), state)
        found = probe_replay(agent, 4)
        assert found["x and reward"] > 0.9
        assert found["x and reward, given the state"] < -0.9
        memory = {name: value.numpy()[:200].astype(float) for name, value in agent.replay.tensors().items()}
        means = memory["states"][:, : 6 * n].reshape(200, 6, n).mean(axis=2)
        known = np.column_stack((np.ones(200), means))
        ones_and_rewards = np.column_stack((memory["actions"][:, :n].sum(axis=1), memory["rewards"]))
        left = ones_and_rewards - known @ np.linalg.pinv(known) @ ones_and_rewards
        assert found["x and reward, given the state"] == pytest.approx(np.corrcoef(left.T)[0, 1])

    def test_a_reward_that_never_varies_goes_with_nothing(self):
        agent, _ = trained(12, reward_slope=0.0, reward_offset=0.5)
        assert set(probe_replay(agent, 4)) == {"dQ/dx, stored", "dQ/dx, stored > 0"}


class TestTrainingIsLeftAlone:
    def test_every_tensor_and_stream_is_as_without_probing(self):
        learnt = []
        for look in (True, False):
            agent, twin = into(stored_action="proto"), DigitalTwin(WORLD, 5)

            def watch(incomes, look=look, agent=agent, twin=twin):
                if look:
                    probe(agent, [twin.state])
                    probe_replay(agent, 4)

            incomes = train(agent, twin, 30, progress=False, callback=After(watch))
            bits = {name: value.numpy().tobytes() for name, value in agent.tensors().items()}
            assert all(weight.requires_grad for weight in agent.critic.parameters())
            learnt.append((incomes.tobytes(), bits, agent.position(), twin.snapshot()))
        assert learnt[0] == learnt[1]

    @pytest.mark.parametrize(("preset", "variant"), [("calibrated", "executed"), ("printed", "proto")])
    def test_the_incomes_are_those_of_train(self, preset, variant):
        scenario = Scenario.preset(preset)
        agent = INTO(scenario, 2, settings=INTOSettings(**LITTLE, stored_action=variant))
        expected = train(agent, DigitalTwin(scenario, 2), 12, progress=False)
        torch.manual_seed(1)
        stream = torch.random.get_rng_state()
        rows = pd.DataFrame(measure_drift(preset, 2, 12, 1, 2, chosen(variant), LITTLE))
        assert torch.equal(torch.random.get_rng_state(), stream)
        found = rows[rows["metric"] == "income"]
        assert found["slot"].tolist() == list(range(1, 13))
        assert found["value"].tolist() == expected.tolist()


class TestStudy:
    def test_rows_tell_variant_slot_and_metric(self):
        rows = pd.DataFrame(measure_drift("calibrated", 1, 9, 3, 2, chosen(*VARIANTS), LITTLE))
        assert rows.columns.tolist() == ["variant", "slot", "metric", "value"]
        assert rows["variant"].drop_duplicates().tolist() == list(VARIANTS)
        assert sorted(rows["slot"].unique()) == [3, 6, 9]
        assert not rows.duplicated(["variant", "slot", "metric"]).any()
        assert np.isfinite(rows["value"]).all()
        last = rows[rows["slot"] == 9].groupby("variant")["metric"].agg(set)
        assert last["executed"] >= {"income", "x", "dQ/dx", "effect", "dQ/dx, stored", "x and reward"}

    def test_at_the_paper_s_size_it_is_table_ii_and_ready_for_json(self):
        assert json.loads(json.dumps(SIZES)) == SIZES
        assert (SIZES["slots"], SIZES["settings"]) == (2000, {})
        assert SIZES["variants"]["proto"] == {"stored_action": "proto", "scale": 1.0, "offset": 0.0}

    def test_a_look_takes_the_latest_states_and_tuples(self):
        agent = INTO(Scenario(), 1, settings=INTOSettings(**LITTLE))
        twin, met, found = DigitalTwin(Scenario(), 1), [], {}

        def watch(incomes):
            met.append(twin.state)
            if len(incomes) in (4, 8):
                found[len(incomes)] = {**probe(agent, met[-3:]), **probe_replay(agent, 3)}

        train(agent, twin, 8, progress=False, callback=After(watch))
        rows = measure_drift("calibrated", 1, 8, 4, 3, chosen("executed"), LITTLE)
        seen = {(row["slot"], row["metric"]): row["value"] for row in rows if row["metric"] != "income"}
        assert seen == {(slot, name): value for slot, look in found.items() for name, value in look.items()}

    def test_the_income_is_the_mean_since_the_last_look(self):
        every, each = (
            [row["value"] for row in rows if row["metric"] == "income"]
            for rows in (
                measure_drift("calibrated", 1, 6, every, 2, chosen("executed"), LITTLE) for every in (3, 1)
            )
        )
        assert every == pytest.approx(np.reshape(each, (2, 3)).mean(axis=1))

    def test_the_same_seed_gives_the_same_numbers_and_another_one_others(self):
        one, same, other = (
            measure_drift("printed", seed, 9, 9, 2, chosen("proto"), LITTLE) for seed in (1, 1, 2)
        )
        assert one == same
        assert one != other

    def test_variants_differ_in_what_is_learnt_alone(self):
        """Until the first mini-batch all of them do the same in the same world; then they part."""
        settings = {**LITTLE, "actor_learning_rate": 0.05}
        rows = measure_drift("calibrated", 0, 12, 4, 1, chosen(*VARIANTS), settings)
        x = {
            slot: {row["value"] for row in rows if row["metric"] == "x" and row["slot"] == slot}
            for slot in (4, 12)
        }
        assert [len(values) for values in x.values()] == [1, len(VARIANTS)]

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            (
                {"variants": {"wish": {"stored_action": "wish"}}},
                r"Variant\.stored_action = 'wish' is not allowed",
            ),
            ({"preset": "lunar"}, "preset = 'lunar' is not allowed"),
            ({"settings": {"noise": -1.0}}, r"INTOSettings\.noise = -1\.0 is not allowed"),
        ],
    )
    def test_refuses(self, changed, message):
        words = {"preset": "calibrated", "variants": chosen("executed"), "settings": LITTLE, **changed}
        with pytest.raises(SettingError, match=message):
            measure_drift(seed=0, slots=2, every=1, states=1, **words)
