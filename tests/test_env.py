"""mecsim/CollaborativeMEC-v0, one twin and many: what Gymnasium expects, seeding, and true action masks."""

import copy
import pickle
import re
from dataclasses import replace
from unittest.mock import Mock

import gymnasium
import matplotlib.pyplot as plt
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import CloudpickleWrapper, batch_space
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from worlds import TINY, random_placement, scenarios, seeds

from mecsim.env import ID, CollaborativeMEC, CollaborativeMECVector
from mecsim.explore import drawing
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

    def test_seeds_are_of_any_integer_type_and_of_no_other(self, make) -> None:
        env = make(scenario=TINY)
        assert np.array_equal(env.reset(seed=np.int64(5))[0], env.reset(seed=5)[0])
        for seed in ("5", 1.5, True, -1):
            with pytest.raises(
                SettingError, match=f"seed = {seed!r} is not allowed: it should be a whole number"
            ):
                env.reset(seed=seed)

    def test_an_action_of_another_shape_is_refused(self, make) -> None:
        env = make(scenario=TINY)
        env.reset(seed=0)
        action = np.ones(env.action_space.shape, np.float32)
        for wrong in (action[None], action[..., :-1], np.append(action, 1), action[0], 1.0):
            with pytest.raises(SettingError, match=rf"{re.escape(str(action.shape))}\.$"):
                env.step(wrong)

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


class TestRendering:
    def test_a_picture_of_the_last_slot(self) -> None:
        env = gymnasium.make(f"mecsim.env:{ID}", scenario=TINY, render_mode="rgb_array")
        env.reset(seed=3)
        frames = [env.render()]
        for _ in range(2):
            env.step(env.action_space.sample())
            frames.append(env.render())
        assert {(frame.shape, frame.dtype.name) for frame in frames} == {((660, 560, 3), "uint8")}
        assert not np.array_equal(frames[0], frames[1])
        assert not np.array_equal(frames[1], frames[2])

    def test_each_twin_has_the_picture_that_it_has_alone(self) -> None:
        many, single = (
            made(2, scenario=TINY, render_mode="rgb_array"),
            one(scenario=TINY, render_mode="rgb_array"),
        )
        actions = many.reset(seed=3) and proposals(many, 0)
        single.reset(seed=4)
        many.step(actions)
        single.step(actions[1])
        assert np.array_equal(many.render()[1], single.render())
        many.reset(seed=4, options={"reset_mask": np.array([True, False])})
        single.reset(seed=4)
        assert np.array_equal(many.render()[0], single.render())

    @ONE_AND_MANY
    def test_without_a_mode_there_is_nothing_to_show(self, make) -> None:
        env = make(scenario=TINY)
        env.reset(seed=0)
        with pytest.warns(UserWarning, match="render_mode='rgb_array'"):
            assert env.render() is None

    def test_to_a_human_without_a_screen_nothing_is_shown(self) -> None:
        env = one(scenario=TINY, render_mode="human")
        env.reset(seed=0)
        env.step(env.action_space.sample())
        assert env.render() is None
        assert not plt.get_fignums()
        env.close()

    def test_to_a_human_in_a_notebook_one_picture_is_redrawn(self, monkeypatch) -> None:
        display = Mock()
        monkeypatch.setattr(drawing, "get_ipython", lambda: Mock(kernel="a kernel"))
        monkeypatch.setattr(drawing, "displayed", Mock(return_value=display))
        env = one(scenario=TINY, render_mode="human")
        env.reset(seed=0)
        env.step(env.action_space.sample())
        assert drawing.displayed.call_count == display.update.call_count == 1
        assert display.update.call_args.args[0].size == (560, 660)

    def test_to_a_human_with_a_screen_a_window_opens_and_is_closed(self, monkeypatch) -> None:
        monkeypatch.setattr(plt, "get_backend", lambda: "TkAgg")
        monkeypatch.setattr(plt, "pause", Mock())
        env = one(scenario=TINY, render_mode="human")
        env.reset(seed=0)
        env.step(env.action_space.sample())
        assert plt.get_figlabels() == ["mecsim"]
        assert plt.pause.call_count == 2
        env.close()
        assert not plt.get_figlabels()

    def test_an_unknown_mode_is_refused(self) -> None:
        with pytest.raises(
            SettingError, match=r"render_mode = 'ansi' is not allowed: .* None, 'rgb_array', 'human'"
        ):
            CollaborativeMEC(TINY, render_mode="ansi")


def same_future(
    env: gymnasium.Env | VectorEnv, other: gymnasium.Env | VectorEnv, seed: int | None = None
) -> bool:
    """Do both go on with the same bits, from where they are or from a seed?"""
    slots = []
    for each in (env, other):
        if seed is not None:
            each.reset(seed=seed)
        taken = (each.step(proposals(each, slot))[:2] for slot in range(3))
        slots.append([(seen.tobytes(), np.asarray(reward).tobytes()) for seen, reward in taken])
        slots[-1].append(each.reset()[0].tobytes())
    return slots[0] == slots[1]


class TestCopies:
    @pytest.mark.parametrize("settings", [{}, {"scenario": TINY, "refinement": Refinement(cpu="actor")}])
    @pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
    def test_a_spec_goes_through_json_and_pickle(self, make, settings) -> None:
        settings = {"scenario": {"devices": [2, 3]}, "max_episode_steps": 2, **settings}
        env = make(ID, **settings)
        for spec in (EnvSpec.from_json(env.spec.to_json()), pickle.loads(pickle.dumps(env.spec))):
            again = make(spec)
            assert again.unwrapped.scenario == env.unwrapped.scenario
            assert again.unwrapped.refinement == env.unwrapped.refinement
            assert again.spec == env.spec
            assert same_future(env, again, seed=1)

    @ONE_AND_MANY
    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
    def test_a_copy_goes_on_with_the_same_bits(self, make, copied) -> None:
        env = make(scenario=TINY)
        assert same_future(env, copied(env), seed=1)
        assert same_future(env, copied(env))

    def test_other_processes_take_it(self) -> None:
        """As `AsyncVectorEnv` and `SubprocVecEnv` send it; a process of its own is left out, which takes seconds."""
        sent = pickle.dumps(CloudpickleWrapper(lambda: CollaborativeMEC(TINY)))
        assert same_future(CollaborativeMEC(TINY), pickle.loads(sent).fn(), seed=1)


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

    def test_wrappers_take_it(self) -> None:
        wrappers = gymnasium.wrappers.vector
        env = wrappers.NormalizeReward(
            wrappers.NormalizeObservation(made(3, scenario=TINY, max_episode_steps=4))
        )
        env = wrappers.RecordEpisodeStatistics(env)
        env.reset(seed=1)
        for slot in range(4):
            observations, rewards, _, _, infos = env.step(proposals(env, slot))
            assert observations.shape == (3, env.unwrapped.encoder.state_size)
            assert rewards.shape == (3,)
        assert infos["episode"]["l"].tolist() == [4, 4, 4]
        env.close()

    @pytest.mark.parametrize("mask", [[True], [False] * 3, [1, 0, 1], None])
    def test_a_mask_that_names_no_twins_is_refused(self, mask) -> None:
        with pytest.raises(SettingError, match=r"reset_mask = .* is not allowed: it should hold 3 booleans"):
            made(3, scenario=TINY).reset(options={"reset_mask": mask})

    def test_an_action_of_another_shape_is_refused_where_a_twin_starts_anew_as_well(self) -> None:
        env = made(2, scenario=TINY, max_episode_steps=2)
        env.reset(seed=0)
        env.step(proposals(env, 0))
        env.reset(options={"reset_mask": np.array([True, False])})
        env.step(proposals(env, 1))
        with pytest.raises(SettingError, match="action of shape"):
            env.step(proposals(env, 2)[0])

    def test_no_limit(self) -> None:
        env = made(2, scenario=TINY, max_episode_steps=-1)
        env.reset(seed=0)
        assert not env.step(proposals(env, 0))[3].any()

    def test_without_autoreset_an_episode_that_has_ended_waits_for_a_reset(self) -> None:
        env = made(2, scenario=TINY, max_episode_steps=1, autoreset_mode="Disabled")
        env.reset(seed=0)
        env.step(proposals(env, 0))
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset_mask"):
            env.step(proposals(env, 1))

    @pytest.mark.parametrize("seed", [[1, 2], [1, 2, 3, 4]])
    def test_there_is_one_seed_for_each_twin(self, seed) -> None:
        with pytest.raises(ValueError, match="it should be one number, or one for each of the 3 twins"):
            made(3, scenario=TINY).reset(seed=seed)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"num_envs": 0}, "num_envs = 0 is not allowed: it should be a whole number, 1 or more"),
            ({"max_episode_steps": 0}, "max_episode_steps = 0 is not allowed"),
            ({"render_mode": "human"}, "render_mode = 'human' is not allowed: .* one of None, 'rgb_array'"),
            (
                {"autoreset_mode": "never"},
                "autoreset_mode = 'never' is not allowed: .* one of 'NextStep', 'SameStep'",
            ),
            ({"scenario": 5}, "Scenario = 5 is not allowed"),
        ],
    )
    def test_settings_that_are_refused(self, settings, message) -> None:
        with pytest.raises(SettingError, match=message):
            CollaborativeMECVector(**{"scenario": TINY, **settings})


def assert_same_infos(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            assert_same_infos(value, other[name])
        else:
            assert value.dtype == other[name].dtype
            pairs = zip(value, other[name], strict=True)
            assert all(np.array_equal(mine, its) for mine, its in pairs), name


class TestEqualsSingleEnvironments:
    """Observations, rewards and infos of SyncVectorEnv, bit for bit."""

    @staticmethod
    def pair(
        scenario: Scenario,
        num_envs: int,
        refinement: Refinement | None = None,
        max_episode_steps: int = 100,
        mode: AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> tuple[VectorEnv, SyncVectorEnv]:
        def single() -> gymnasium.Env:
            return TimeLimit(CollaborativeMEC(scenario, refinement), max_episode_steps)

        settings = {"refinement": refinement, "max_episode_steps": max_episode_steps, "autoreset_mode": mode}
        slow = SyncVectorEnv([single] * num_envs, autoreset_mode=mode)
        return made(num_envs, scenario=scenario, **settings), slow

    @staticmethod
    def check_slots(fast: VectorEnv, slow: SyncVectorEnv, slots: int = 6) -> float:
        earned = 0.0
        for slot in range(slots):
            actions = proposals(fast, slot)
            ones, others = fast.step(actions), slow.step(actions)
            for one, other in zip(ones[:4], others[:4], strict=True):
                assert one.dtype == other.dtype
                assert np.array_equal(one, other)
            assert_same_infos(ones[4], others[4])
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

    @pytest.mark.parametrize("mode", AutoresetMode)
    @pytest.mark.parametrize(
        "changes", [{}, {"fading": "ar1"}, {"fading": "path_loss", "power_drawn": "each slot"}]
    )
    def test_episodes_that_end_together_or_each_in_its_turn(self, mode, changes) -> None:
        fast, slow = self.pair(TINY.replace(**changes), 3, max_episode_steps=4, mode=mode)
        fast.reset(seed=3)
        slow.reset(seed=3)
        if mode is not AutoresetMode.DISABLED:
            self.check_slots(fast, slow, slots=7)
        self.check_slots(fast, slow, slots=2)
        some = np.array([True, False, True])
        for seed in (None, [5, 6, 7]):
            fast_seen, slow_seen = (
                env.reset(seed=seed, options={"reset_mask": some}) for env in (fast, slow)
            )
            assert np.array_equal(fast_seen[0], slow_seen[0])
            self.check_slots(fast, slow, slots=1)
        if mode is not AutoresetMode.DISABLED:
            assert self.check_slots(fast, slow, slots=9) > 0


LEARNERS = {
    "PPO": {"n_steps": 100, "batch_size": 50, "n_epochs": 1},
    "SAC": {"learning_starts": 100, "batch_size": 16, "train_freq": 4},
    "DDPG": {"learning_starts": 100, "batch_size": 16, "train_freq": 4},
}


class TestStableBaselines3:
    @pytest.mark.parametrize("name", LEARNERS)
    def test_its_learners_train(self, name) -> None:
        library = pytest.importorskip("stable_baselines3", reason="it comes with the extra `bench`")
        env = gymnasium.make(ID, scenario=Scenario(devices=(2, 2)), max_episode_steps=50)
        learner = getattr(library, name)(
            "MlpPolicy", env, policy_kwargs={"net_arch": [16]}, seed=0, device="cpu", **LEARNERS[name]
        )
        learner.learn(200)
        assert [episode["l"] for episode in learner.ep_info_buffer] == [50] * 4
