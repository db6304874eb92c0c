"""The vector form of the environment: Gymnasium's interface, and what SyncVectorEnv makes of single environments."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from worlds import TINY

from mecsim.env import ID, CollaborativeMEC, CollaborativeMECVector
from mecsim.refinement import Refinement
from mecsim.scenario import PRESETS, Scenario
from mecsim.settings import SettingError


def made(num_envs: int = 4, **settings: object) -> VectorEnv:
    return gymnasium.make_vec(ID, num_envs=num_envs, vectorization_mode="vector_entry_point", **settings)


def proposals(env: VectorEnv, slot: int) -> np.ndarray:
    return np.random.default_rng(slot).random(env.action_space.shape, dtype=np.float32)


class TestInterface:
    def test_it_is_what_make_vec_makes(self) -> None:
        env = made(5, scenario=TINY)
        assert isinstance(env, CollaborativeMECVector)
        assert (env.num_envs, env.spec.id) == (5, ID)
        assert env.scenario == TINY

    @pytest.mark.parametrize("preset", PRESETS)
    def test_spaces(self, preset) -> None:
        env, single = made(3, scenario=preset), CollaborativeMEC(preset)
        assert env.single_observation_space == single.observation_space
        assert env.single_action_space == single.action_space
        assert env.observation_space == batch_space(single.observation_space, 3)
        assert env.action_space == batch_space(single.action_space, 3)

    def test_what_reset_and_step_return(self) -> None:
        env = made(4, scenario=TINY)
        observations, info = env.reset(seed=0)
        assert env.observation_space.contains(observations)
        assert info == {}
        for slot in range(5):
            observations, rewards, terminations, truncations, info = env.step(proposals(env, slot))
            assert env.observation_space.contains(observations)
            assert (rewards.shape, rewards.dtype) == ((4,), np.float64)
            for ends in (terminations, truncations):
                assert (ends.dtype, ends.tolist()) == (bool, [False] * 4)
            assert info["executed"].shape == env.action_space.shape
            assert info["completed"].shape == (4,)

    def test_nothing_ends_so_that_nothing_is_reset_automatically(self) -> None:
        assert made(2, scenario=TINY).metadata["autoreset_mode"] is AutoresetMode.DISABLED

    def test_wrappers_take_it(self) -> None:
        env = gymnasium.wrappers.vector.RecordEpisodeStatistics(made(3, scenario=TINY))
        env.reset(seed=1)
        _, rewards, *_ = env.step(proposals(env, 0))
        assert rewards.shape == (3,)
        env.close()

    def test_reset_comes_first(self) -> None:
        env = made(2, scenario=TINY)
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
            env.step(proposals(env, 0))

    def test_a_nan_is_refused(self) -> None:
        env = made(2, scenario=TINY)
        env.reset(seed=0)
        actions = proposals(env, 0)
        actions[1, 5] = np.nan
        with pytest.raises(ValueError, match="proto-action offload holds a NaN"):
            env.step(actions)

    def test_a_reset_of_some_twins_is_refused(self) -> None:
        env = made(2, scenario=TINY)
        with pytest.raises(SettingError, match="reset_mask is not allowed"):
            env.reset(options={"reset_mask": np.array([True, False])})

    def test_a_preset_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(SettingError, match="preset = 'papers' is not allowed"):
            made(2, scenario="papers")


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

    @pytest.mark.parametrize("cpu", ["pro rata", "actor"])
    @pytest.mark.parametrize("reading", ["reassess", "one-shot"])
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


class TestSeeding:
    def test_the_same_seed_is_the_same_world(self) -> None:
        one, other = made(3, scenario=TINY), made(3, scenario=TINY)
        assert np.array_equal(one.reset(seed=5)[0], other.reset(seed=5)[0])
        assert not np.array_equal(one.reset(seed=5)[0], other.reset(seed=6)[0])

    def test_unseeded_worlds_differ(self) -> None:
        worlds = np.concatenate([made(3, scenario=TINY).reset()[0] for _ in range(2)])
        assert len(np.unique(worlds, axis=0)) == 6

    @pytest.mark.parametrize("seed", [[1, 2], [1, 2, 3, 4]])
    def test_there_is_one_seed_for_each_twin(self, seed) -> None:
        with pytest.raises(ValueError, match="it should be one number, or one for each of the 3 twins"):
            made(3, scenario=TINY).reset(seed=seed)
