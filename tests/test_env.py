"""mecsim/CollaborativeMEC-v0: what Gymnasium and Stable-Baselines3 expect, seeding, and action masks that are true."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from worlds import TINY, random_placement, scenarios, seeds

import mecsim.env
from mecsim.env import ID, CollaborativeMEC
from mecsim.refinement import Refinement, fit_capacity, keep_affordable, refine, refine_discrete
from mecsim.scenario import PRESETS, Scenario
from mecsim.settings import SettingError
from mecsim.twin import DigitalTwin


def episode(env: gymnasium.Env, seed: int | None, slots: int = 6) -> list:
    """Observations and rewards of a few slots under actions that do not depend on anything."""
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=seed)
    seen = [observation.tolist()]
    for _ in range(slots):
        action = rng.random(env.action_space.shape).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        assert not terminated
        assert not truncated
        seen += [observation.tolist(), reward]
    return seen


class TestCheckers:
    @pytest.mark.parametrize("scenario", [TINY, *PRESETS], ids=["small", *PRESETS])
    def test_gymnasium(self, scenario) -> None:
        env = gymnasium.make(ID, scenario=scenario)
        check_env(env.unwrapped)
        episode(env, seed=1)

    def test_stable_baselines3(self) -> None:
        """It would rather have [-1, 1] for actions; the paper's x, y and f are in [0, 1]."""
        checker = pytest.importorskip("stable_baselines3.common.env_checker")
        with pytest.warns(UserWarning, match="symmetric and normalized Box action space") as caught:
            checker.check_env(CollaborativeMEC(TINY))
        assert len(caught) == 1

    def test_registered_under_its_name(self) -> None:
        assert mecsim.env.ID in gymnasium.registry
        assert isinstance(gymnasium.make(ID).unwrapped, CollaborativeMEC)

    def test_an_episode_ends_where_gymnasium_is_told_so(self) -> None:
        env = gymnasium.make(ID, scenario=TINY, max_episode_steps=3)
        env.reset(seed=0)
        ends = [env.step(env.action_space.sample())[2:4] for _ in range(3)]
        assert ends == [(False, False), (False, False), (False, True)]


class TestSpaces:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_shapes_and_bounds(self, preset) -> None:
        env = CollaborativeMEC(preset)
        assert env.observation_space == gymnasium.spaces.Box(-1.0, 1.0, (999,), np.float32)
        assert env.action_space == gymnasium.spaces.Box(0.0, 1.0, (1155,), np.float32)
        observation, info = env.reset(seed=0)
        assert env.observation_space.contains(observation)
        assert info == {}

    def test_a_preset_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(SettingError, match="preset = 'papers' is not allowed"):
            CollaborativeMEC("papers")


class TestStep:
    def test_is_algorithm_1_and_a_step_of_the_twin(self) -> None:
        settings = Refinement(reading="one-shot", cpu="pro rata")
        env, twin = CollaborativeMEC(TINY, settings), DigitalTwin(TINY, 7)
        rng, paid = np.random.default_rng(0), 0
        observation, _ = env.reset(seed=7)
        for _ in range(8):
            assert observation.tolist() == env.encoder.encode(twin.state).tolist()
            vector = rng.random(env.encoder.action_size).astype(np.float32)
            valid = refine(TINY, twin.state, env.encoder.proto(vector), settings)
            executed = env.encoder.executed(valid, twin.state.cpu_hz)
            result = twin.step(valid)
            observation, reward, _, _, info = env.step(vector)
            assert reward == result.income
            assert info["completed"] == result.completed.sum()
            assert info["executed"].tolist() == executed.tolist()
            paid += reward
        assert paid > 0

    def test_a_nan_is_refused(self) -> None:
        env = CollaborativeMEC(TINY)
        env.reset(seed=0)
        action = np.full(env.action_space.shape, 0.5, np.float32)
        action[0] = np.nan
        with pytest.raises(ValueError, match="proto-action offload holds a NaN"):
            env.step(action)

    @pytest.mark.parametrize("call", ["step", "action_masks"])
    def test_reset_comes_first(self, call) -> None:
        env = CollaborativeMEC(TINY)
        arguments = (env.action_space.sample(),) if call == "step" else ()
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
            getattr(env, call)(*arguments)


class TestSeeding:
    def test_the_same_seed_is_the_same_world(self) -> None:
        one, other = CollaborativeMEC(TINY), CollaborativeMEC(TINY)
        assert episode(one, 5) == episode(other, 5)
        assert episode(one, 5) == episode(other, 5)
        assert episode(one, 5) != episode(one, 6)

    def test_without_a_seed_the_worlds_go_on_from_the_last_one(self) -> None:
        one, other = CollaborativeMEC(TINY), CollaborativeMEC(TINY)
        worlds = [[episode(env, 5), episode(env, None), episode(env, None)] for env in (one, other)]
        assert worlds[0] == worlds[1]
        assert worlds[0][0] != worlds[0][1] != worlds[0][2]

    def test_unseeded_worlds_differ(self) -> None:
        assert episode(CollaborativeMEC(TINY), None) != episode(CollaborativeMEC(TINY), None)


class TestActionMasks:
    @staticmethod
    def world(scenario: Scenario, seed: int) -> tuple[CollaborativeMEC, np.ndarray]:
        env = CollaborativeMEC(scenario)
        env.reset(seed=seed % 2**31)
        idle = np.zeros(env.action_space.shape, np.float32)
        for _ in range(seed % 4):
            env.step(idle)
        return env, env.action_masks()

    @given(scenarios(), seeds)
    def test_a_choice_is_masked_where_it_fails_even_alone(self, scenario, seed) -> None:
        """With more CPU than anyone needs, an offer made alone is kept exactly where the mask is True."""
        env, masks = self.world(scenario, seed)
        state = env.twin.state
        boundless = scenario.replace(cpu_hz=1e18)
        plenty = DigitalTwin(boundless, 0)
        plenty.update(state)
        known = plenty.state
        known = type(known)(**{**vars(known), "cpu_hz": boundless.per_bs("cpu_hz")})
        assert masks.shape == (scenario.n_devices, 1 + scenario.n_bs)
        assert masks[:, 0].all()
        for device in range(scenario.n_devices):
            for bs in range(scenario.n_bs):
                alone = np.full(scenario.n_devices, -1)
                alone[device] = bs
                kept = fit_capacity(boundless, known, keep_affordable(boundless, known, alone))
                assert kept.offload[device] == masks[device, 1 + bs]

    @given(scenarios(), seeds)
    def test_nothing_that_is_ever_kept_was_masked(self, scenario, seed) -> None:
        env, masks = self.world(scenario, seed)
        action = refine_discrete(scenario, env.twin.state, random_placement(scenario, seed))
        for device in np.flatnonzero(action.offload):
            assert masks[device, 1 + action.placement[device]]

    def test_no_energy_no_choice_but_the_discard(self) -> None:
        _, masks = self.world(TINY, 0)
        assert not masks[:, 1:].any()

    def test_no_link_no_peer(self) -> None:
        _, masks = self.world(TINY.replace(links=(), initial_energy_j=1.0), 0)
        home = masks[np.arange(TINY.n_devices), 1 + TINY.cell]
        assert home.any()
        assert masks[:, 1:].sum() == home.sum()
