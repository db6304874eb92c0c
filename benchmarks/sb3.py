"""A slot of INTO against a slot of what a user would pick instead: Stable-Baselines3's DDPG."""

from __future__ import annotations

from statistics import median
from time import perf_counter

from benchmarks.result import Result
from benchmarks.training import TABLE_II, IntoSlots, Load
from benchmarks.turns import Peer, cores, in_turn


class Sb3Slots:
    """The training that Stable-Baselines3's DDPG makes of INTO's run, in the Gymnasium environment.

    Networks, mini-batch, rates and noise are INTO's; so is the one update a slot, and that slots wait for the first
    mini-batch.
    """

    def __init__(self, load: Load) -> None:
        import gymnasium
        import numpy as np
        from stable_baselines3 import DDPG
        from stable_baselines3.common.noise import NormalActionNoise

        from mecsim.env import ID

        env, settings = gymnasium.make(ID, scenario=load.run.scenario()), load.settings
        actions = env.action_space.shape
        self.model = DDPG(
            "MlpPolicy",
            env,
            learning_rate=settings.actor_learning_rate,
            buffer_size=settings.replay_size,
            learning_starts=settings.batch_size,
            batch_size=settings.batch_size,
            tau=settings.actor_update_rate,
            gamma=settings.gamma,
            train_freq=1,
            gradient_steps=1,
            action_noise=NormalActionNoise(np.zeros(actions), np.full(actions, settings.noise)),
            policy_kwargs={
                "net_arch": {"pi": list(settings.actor_hidden), "qf": list(settings.critic_hidden)}
            },
            seed=load.run.seed,
            device=settings.device,
        )
        self(load.warm_up)

    def __call__(self, slots: int) -> float:
        """Trains on; returns the seconds a slot."""
        start = perf_counter()
        self.model.learn(slots, reset_num_timesteps=False)
        return (perf_counter() - start) / slots


def train_vs_sb3(repeats: int, load: Load = TABLE_II) -> Result:
    """What a slot of INTO costs as a share of a slot of Stable-Baselines3's DDPG, in float32 with a thread a core."""
    with (
        Peer("INTO", IntoSlots, load, threads=cores()) as into,
        Peer("Stable-Baselines3", Sb3Slots, load, threads=cores()) as sb3,
    ):
        slots_s = list(in_turn([into, sb3], repeats, load.chunk))
    ours, theirs = (1e3 * median(column) for column in zip(*slots_s, strict=True))
    return Result([one / other for one, other in slots_s], {"into_slot_ms": ours, "sb3_slot_ms": theirs})
