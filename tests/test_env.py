"""mecsim/CollaborativeMEC-v0, one twin and many: what Gymnasium expects, seeding, and true action masks."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from worlds import TINY, random_placement, scenarios, seeds

from mecsim.env import ID, CollaborativeMEC, CollaborativeMECVector
from mecsim.refinement import Refinement, fit_capacity, keep_affordable, refine, refine_discrete
from mecsim.scenario import PRESETS, Scenario
from mecsim.settings import SettingError
from mecsim.twin import DigitalTwin


def episode(env: gymnasium.Env | VectorEnv, seed: int | None, slots: int = 6) -> list:
    """Observations and rewards of a few slots under actions that do not depend on anything."""
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=seed)
    seen = [observation.tolist()]
    for _ in range(slots):
        action = rng.random(env.action_space.shape).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        assert not np.any(terminated)
        assert not np.any(truncated)
        seen += [observation.tolist(), np.asarray(reward).tolist()]
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

    def test_an_episode_ends_where_gymnasium_is_told_so(self) -> None:
        env = gymnasium.make(ID, scenario=TINY, max_episode_steps=3)
        env.reset(seed=0)
        ends = [env.step(env.action_space.sample())[2:4] for _ in range(3)]
        assert ends == [(False, False), (False, False), (False, True)]


def made(num_envs: int = 4, **settings: object) -> VectorEnv:
    return gymnasium.make_vec(ID, num_envs=num_envs, vectorization_mode="vector_entry_point", **settings)


def one(**settings: object) -> gymnasium.Env:
    return gymnasium.make(ID, **settings).unwrapped


ONE_AND_MANY = pytest.mark.parametrize("make", [one, made])


@ONE_AND_MANY
class TestOneAndMany:
    def test_reset_comes_first(self, make) -> None:
        env = make(scenario=TINY)
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
            env.step(env.action_space.sample())

    def test_a_nan_is_refused(self, make) -> None:
        env = make(scenario=TINY)
        env.reset(seed=0)
        actions = env.action_space.sample()
        actions[..., 0] = np.nan
        with pytest.raises(ValueError, match="proto-action offload holds a NaN"):
            env.step(actions)

    def test_a_preset_that_does_not_exist_is_refused(self, make) -> None:
        with pytest.raises(SettingError, match="preset = 'papers' is not allowed"):
            make(scenario="papers")

    def test_the_same_seed_is_the_same_world_and_without_one_the_worlds_go_on_from_the_last(
        self, make
    ) -> None:
        first, second = make(scenario=TINY), make(scenario=TINY)
        worlds = [[episode(env, seed) for seed in (5, None, None, 5, 6)] for env in (first, second)]
        assert worlds[0] == worlds[1]
        start, following, then, again, other = worlds[0]
        assert start == again
        assert all(start != world for world in (following, then, other))
        assert following != then

    def test_unseeded_worlds_differ(self, make) -> None:
        assert episode(make(scenario=TINY), None) != episode(make(scenario=TINY), None)


class TestSpaces:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_shapes_and_bounds(self, preset) -> None:
        env, many = CollaborativeMEC(preset), made(3, scenario=preset)
        assert env.observation_space == gymnasium.spaces.Box(-1.0, 1.0, (999,), np.float32)
        assert env.action_space == gymnasium.spaces.Box(0.0, 1.0, (1155,), np.float32)
        observation, info = env.reset(seed=0)
        assert env.observation_space.contains(observation)
        assert info == {}
        assert many.single_observation_space == env.observation_space
        assert many.single_action_space == env.action_space
        assert many.observation_space == batch_space(env.observation_space, 3)
        assert many.action_space == batch_space(env.action_space, 3)


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
    @hypothesis_settings(max_examples=50)
    def test_a_choice_is_masked_where_it_fails_even_alone(self, scenario, seed) -> None:
        """With more CPU than anyone needs, an offer made alone is kept exactly where the mask is True."""
        env, masks = self.world(scenario, seed)
        state = env.twin.state
        boundless = scenario.replace(cpu_hz=1e18)
        known = replace(state, cpu_hz=boundless.per_bs("cpu_hz"))
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

    def test_reset_comes_first(self) -> None:
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
            CollaborativeMEC(TINY).action_masks()


def proposals(env: VectorEnv, slot: int) -> np.ndarray:
    return np.random.default_rng(slot).random(env.action_space.shape, dtype=np.float32)


class TestVectorInterface:
    def test_it_is_what_make_vec_makes(self) -> None:
        env = made(5, scenario=TINY)
        assert isinstance(env, CollaborativeMECVector)
        assert (env.num_envs, env.spec.id, env.scenario) == (5, ID, TINY)

    def test_nothing_ends_so_that_nothing_is_reset_automatically(self) -> None:
        assert made(2, scenario=TINY).metadata["autoreset_mode"] is AutoresetMode.DISABLED

    def test_wrappers_take_it(self) -> None:
        env = gymnasium.wrappers.vector.RecordEpisodeStatistics(made(3, scenario=TINY))
        env.reset(seed=1)
        _, rewards, *_ = env.step(proposals(env, 0))
        assert rewards.shape == (3,)
        env.close()

    def test_a_reset_of_some_twins_is_refused(self) -> None:
        with pytest.raises(SettingError, match="reset_mask is not allowed"):
            made(2, scenario=TINY).reset(options={"reset_mask": np.array([True, False])})

    @pytest.mark.parametrize("seed", [[1, 2], [1, 2, 3, 4]])
    def test_there_is_one_seed_for_each_twin(self, seed) -> None:
        with pytest.raises(ValueError, match="it should be one number, or one for each of the 3 twins"):
            made(3, scenario=TINY).reset(seed=seed)


class TestEqualsSingleEnvironments:
    """Observations, rewards and infos of SyncVectorEnv, bit for bit."""

    @staticmethod
    def pair(
        scenario: Scenario, num_envs: int, refinement: Refinement | None = None
    ) -> tuple[VectorEnv, SyncVectorEnv]:
        singles = [lambda: CollaborativeMEC(scenario, refinement) for _ in range(num_envs)]
        return made(num_envs, scenario=scenario, refinement=refinement), SyncVectorEnv(singles)

    @staticmethod
    def check_slots(fast: VectorEnv, slow: SyncVectorEnv, slots: int = 6) -> float:
        earned = 0.0
        for slot in range(slots):
            actions = proposals(fast, slot)
            ones, others = fast.step(actions), slow.step(actions)
            for one, other in zip(ones[:4], others[:4], strict=True):
                assert one.dtype == other.dtype
                assert np.array_equal(one, other)
            assert ones[4].keys() == others[4].keys()
            assert all(np.array_equal(ones[4][key], others[4][key]) for key in ones[4])
            earned += ones[1].sum()
        return earned

    @pytest.mark.parametrize("preset", PRESETS)
    def test_at_the_paper_s_size(self, preset) -> None:
        fast, slow = self.pair(Scenario.preset(preset), 3)
        assert np.array_equal(fast.reset(seed=7)[0], slow.reset(seed=7)[0])
        assert self.check_slots(fast, slow, slots=4) > 0

    @pytest.mark.parametrize(("reading", "cpu"), [("reassess", "actor"), ("one-shot", "pro rata")])
    def test_in_other_settings(self, reading, cpu) -> None:
        fast, slow = self.pair(TINY, 4, Refinement(reading=reading, cpu=cpu))
        assert np.array_equal(fast.reset(seed=2)[0], slow.reset(seed=2)[0])
        assert self.check_slots(fast, slow) > 0

    @pytest.mark.parametrize("seed", [3, [8, 1, 5, 8], [4, None, 2, 9]])
    def test_seeds_and_the_worlds_that_follow_them(self, seed) -> None:
        fast, slow = self.pair(TINY, 4)
        fast.reset(seed=11)
        slow.reset(seed=11)
        for again in (seed, None, None):
            assert np.array_equal(fast.reset(seed=again)[0], slow.reset(seed=again)[0])
            self.check_slots(fast, slow, slots=2)
