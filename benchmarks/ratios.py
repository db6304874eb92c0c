"""The ratios of `mecsim bench`: what a slot of INTO's training costs, and what a slot of the system costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers import Peer, in_turn, peak_rss_bytes, together
from mecsim.agents.base import make_agent
from mecsim.agents.into import INTOSettings
from mecsim.experiments.checkpoints import save_checkpoint
from mecsim.experiments.lockstep import GPU_PROCESSES, fitting
from mecsim.experiments.parallel import usable_cores
from mecsim.experiments.runs import Run
from mecsim.physics import Array, Ints
from mecsim.reference import literal
from mecsim.refinement import refine_discrete
from mecsim.scenario import Scenario
from mecsim.system import PhysicalSystem, SystemState
from mecsim.training import rollout, train
from mecsim.twin import DigitalTwin


@dataclass(frozen=True)
class Result:
    """A ratio that was measured several times.

    Attributes:
        repeats: the ratio in each repeat.
        figures: absolute figures by a name that carries the unit, medians over the repeats.
    """

    repeats: list[float]
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The ratio that counts."""
        return median(self.repeats)


@dataclass(frozen=True)
class Measure:
    """One line of the table.

    Attributes:
        key: its name.
        run: measures it; takes the number of repeats.
        against: what over what the ratio is.
        target: what is asked of it.
        needs: an optional package that it imports.
        on_gpu: does it need a GPU?
    """

    key: str
    run: Callable[[int], Result]
    against: str
    target: str
    needs: str = ""
    on_gpu: bool = False


MEASURES: list[Measure] = []
"""Every measure, in the order of the table."""


def measure(
    against: str, target: str, needs: str = "", on_gpu: bool = False
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Enters a function in `MEASURES` under its name; see `Measure`."""

    def enter(run: Callable[..., Result]) -> Callable[..., Result]:
        MEASURES.append(Measure(run.__name__, run, against, target, needs, on_gpu))
        return run

    return enter


def seconds(work: Callable[..., object], *args: Any) -> float:
    """How long a call takes."""
    start = perf_counter()
    work(*args)
    return perf_counter() - start


# A slot of INTO's training. ---------------------------------------------------------------------------------------


TABLE_II = Run(agent="INTO")
"""What is trained: INTO at Table II's sizes under `calibrated`."""
CHUNK = 100
"""Slots of a training in a repeat, and before the first one: more than the wait for the first mini-batch."""


class IntoSlots:
    """A training of INTO that goes on for as many slots as asked, and says how many seconds each took.

    A slot is everything: acting with Algorithm 1, the twin's step, remembering, and one update of both networks and
    both targets.
    """

    def __init__(self, run: Run, warm_up: int) -> None:
        self.learner: Any = run.make_agent()
        self.twin = DigitalTwin(run.scenario(), run.seed)
        self.incomes: list[Any] = []
        self(warm_up)

    def __call__(self, slots: int) -> float:
        """Trains on; returns the seconds a slot."""
        done = len(self.incomes) + slots
        return seconds(train, self.learner, self.twin, done, self.incomes, False) / slots


class StackSlots(IntoSlots):
    """So many trainings of INTO at once, as one stack on a device; a slot is one of each."""

    def __init__(self, run: Run, members: int, device: str, warm_up: int) -> None:
        seeds, settings = list(range(members)), {**run.settings, "device": device}
        self.learner = make_agent(run.agent, run.scenario(), seeds, settings=settings)
        self.twin = DigitalTwin(run.scenario(), seeds)
        self.incomes = []
        self(warm_up)


class Sb3Slots:
    """The training that Stable-Baselines3's DDPG makes of INTO's run, in the Gymnasium environment.

    Networks, mini-batch, rates and noise are INTO's; so is the one update a slot, and that slots wait for the first
    mini-batch.
    """

    def __init__(self, run: Run, warm_up: int) -> None:
        import gymnasium
        from stable_baselines3 import DDPG
        from stable_baselines3.common.noise import NormalActionNoise

        from mecsim.env import ID

        env, settings = gymnasium.make(ID, scenario=run.scenario()), INTOSettings(**run.settings)
        actions: Any = env.action_space.shape
        networks = {"pi": list(settings.actor_hidden), "qf": list(settings.critic_hidden)}
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
            policy_kwargs={"net_arch": networks},
            seed=run.seed,
            device=settings.device,
        )
        self(warm_up)

    def __call__(self, slots: int) -> float:
        """Trains on; returns the seconds a slot."""
        return seconds(lambda: self.model.learn(slots, reset_num_timesteps=False)) / slots


@measure("a training slot of INTO over one of Stable-Baselines3's DDPG", "at most 0.40", "stable_baselines3")
def train_vs_sb3(repeats: int, run: Run = TABLE_II, chunk: int = CHUNK) -> Result:
    """What a slot of INTO costs as a share of a slot of Stable-Baselines3's DDPG, in float32 with a thread a core."""
    with (
        Peer("INTO", IntoSlots, run, chunk, threads=usable_cores()) as into,
        Peer("Stable-Baselines3", Sb3Slots, run, chunk, threads=usable_cores()) as sb3,
    ):
        slots_s = list(in_turn([into, sb3], repeats, chunk))
    ours, theirs = (1e3 * median(column) for column in zip(*slots_s, strict=True))
    return Result([one / other for one, other in slots_s], {"into_slot_ms": ours, "sb3_slot_ms": theirs})


CALLS = 30
"""Calls that the rate of a product is taken over."""

Product = Callable[[Tensor, Tensor], Tensor]


def mm(x: Tensor, weight: Tensor) -> Tensor:
    """x W^T, as PyTorch has it."""
    return torch.mm(x, weight.t())


def onednn(x: Tensor, weight: Tensor) -> Tensor:
    """x W^T, as the networks multiply; see `mecsim.agents.networks`."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


def onednn_transposed(x: Tensor, weight: Tensor) -> Tensor:
    """W x^T, as the networks multiply."""
    return onednn(weight, x)


def slots_and_products(run: Run, warm_up: int) -> Callable[[int], dict[str, float]]:
    """A training of INTO with the bare products of its layers in the same process; gives the GFLOP/s of both.

    That of a product is taken on the layer where it is fastest.
    """
    into, batch = IntoSlots(run, warm_up), INTOSettings(**run.settings).batch_size
    networks = (into.learner.actor, into.learner.critic)
    weights = [[one for one in network.parameters() if one.dim() == 2] for network in networks]
    actor, critic = ([layers[0].shape[1], *(one.shape[0] for one in layers)] for layers in weights)
    gflop = slot_flops(actor, critic, batch) / 1e9
    operands = [(torch.rand(batch, one.shape[1]), torch.rand(one.shape)) for one in chain(*weights)]

    def best(*products: Product) -> float:
        return max(product_gflops(product, *pair) for product in products for pair in operands)

    def work(slots: int) -> dict[str, float]:
        rates = {"slot_gflop": gflop, "slot_gflop_per_s": gflop / into(slots), "mm_gflop_per_s": best(mm)}
        if torch.backends.mkldnn.is_available():
            rates["onednn_gflop_per_s"] = best(onednn, onednn_transposed)
        return rates

    return work


def slot_flops(actor: Sequence[int], critic: Sequence[int], batch: int) -> int:
    """Floating-point operations of the matrix products that a training slot of INTO needs (Algorithm 2).

    An addition and a multiplication count as two. Biases, activations, optimisers and the steps towards the target
    networks count nothing.

    Args:
        actor: sizes of the actor's layers, from the state to the action.
        critic: sizes of the critic's layers, from state and action to 1.
        batch: tuples in a mini-batch.
    """
    phi, q = (sum(inputs * outputs for inputs, outputs in pairwise(sizes)) for sizes in (actor, critic))
    phi_inner, q_inner = phi - actor[0] * actor[1], q - critic[0] * critic[1]  # without the first layer
    target = phi + q  # line 10
    critic_step = q + q + q_inner  # line 11: forward, the weights' gradients, and those on the way to them
    to_action = actor[-1] * critic[1]
    actor_step = (
        phi + (q + q_inner + to_action) + (phi + phi_inner)
    )  # line 12: through Q to the action, and back
    return 2 * batch * (target + critic_step + actor_step) + 2 * phi  # and line 5 for one state


def product_gflops(product: Product, x: Tensor, weight: Tensor) -> float:
    """GFLOP/s of x W^T."""
    for _ in range(3):  # the first calls choose a kernel
        product(x, weight)
    taken = seconds(lambda: [product(x, weight) for _ in range(CALLS)])
    return 2 * x.shape[0] * weight.numel() * CALLS / taken / 1e9


@measure("GFLOP/s of a training slot over those of torch.mm at batch 64", "at least 0.65")
def gemm_fraction(repeats: int, run: Run = TABLE_II, chunk: int = CHUNK) -> Result:
    """GFLOP/s of a training slot over what torch.mm reaches in the same process on the best layer of the networks.

    The slot counts only the products that it needs (see `slot_flops`), but takes the time of all it does: acting,
    Algorithm 1, the twin, the optimisers and the targets. It may exceed 1, because the networks multiply through
    oneDNN; the figure `onednn_fraction` has oneDNN's best rate in place of torch.mm's.
    """
    with Peer("INTO", slots_and_products, run, chunk, threads=usable_cores()) as peer:
        rates: list[dict[str, float]] = [answer for (answer,) in in_turn([peer], repeats, chunk)]
    figures = {name: median(one[name] for one in rates) for name in rates[0]}
    if "onednn_gflop_per_s" in figures:
        figures["onednn_fraction"] = median(
            one["slot_gflop_per_s"] / one["onednn_gflop_per_s"] for one in rates
        )
    return Result([one["slot_gflop_per_s"] / one["mm_gflop_per_s"] for one in rates], figures)


@measure("runs an hour of one worker a core over as many times those of one worker", "at least 0.9")
def worker_efficiency(repeats: int, run: Run = TABLE_II, chunk: int = CHUNK) -> Result:
    """Runs an hour of one one-thread worker a core over as many times those of one alone.

    The slowest of them counts, so a worker that is held up holds up the sum.
    """
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Peer(f"worker {number}", IntoSlots, run, chunk, threads=1))
            for number in range(1, usable_cores() + 1)
        ]
        slots_s = []
        for _ in range(repeats):
            (alone,) = together(workers[:1], chunk)
            slots_s.append((alone, max(together(workers, chunk))))
    alone, beside = (median(column) for column in zip(*slots_s, strict=True))
    figures = {
        "workers": len(workers),
        "alone_slot_ms": 1e3 * alone,
        "together_slot_ms": 1e3 * beside,
        "trainings_per_hour": len(workers) * 3600.0 / (run.slots * beside),
    }
    return Result([one / slowest for one, slowest in slots_s], figures)


def full_training(run: Run, warm_up: int) -> Callable[[int, Path], int]:
    """A training of INTO with a full replay memory that saves a checkpoint on its way; gives its peak in bytes."""
    into = IntoSlots(run, warm_up)
    state = into.twin.state
    action = into.learner.explore(state)
    income = into.twin.step(action).income
    for _ in range(INTOSettings(**run.settings).replay_size):
        into.learner.remember(state, action, income, into.twin.state)

    def work(slots: int, checkpoint: Path) -> int:
        into(slots)
        save_checkpoint(checkpoint, into.learner, into.twin, into.incomes, "bench")
        into(slots)
        return peak_rss_bytes()

    return work


@measure("peak resident size of one training, in GB", "at most 1.2")
def train_rss_gb(repeats: int, run: Run = TABLE_II, chunk: int = CHUNK) -> Result:
    """Peak resident size of one training, in GB of 10^9 bytes, with a new process for every repeat.

    It covers the whole process from its start: the interpreter and its libraries, building the networks, filling the
    replay memory, training with a thread a core, saving one checkpoint, and training on.
    """
    peaks = []
    for _ in range(repeats):
        with (
            TemporaryDirectory() as folder,
            Peer("INTO", full_training, run, chunk, threads=usable_cores()) as into,
        ):
            peaks.append(into.ask(chunk, Path(folder) / "bench.safetensors") / 1e9)
    return Result(peaks)


@measure(
    "a training slot on one CPU thread over one of a seed in stacks on a GPU", "at least 300", on_gpu=True
)
def lockstep(
    repeats: int, run: Run = TABLE_II, chunk: int = CHUNK, device: str = "cuda", members: int | None = None
) -> Result:
    """Milliseconds of a training slot on one CPU thread over those of a seed and slot of `mecsim run` on a GPU.

    It runs `GPU_PROCESSES` stacks side by side, of as many members as fit the memory; the slowest stack counts. The CPU
    thread is measured between, while the GPU rests.
    """
    members = members or fitting(run, device, GPU_PROCESSES)
    with ExitStack() as peers:
        alone = peers.enter_context(Peer("one CPU thread", IntoSlots, run, chunk, threads=1))
        stacks = [
            peers.enter_context(Peer(f"stack {number}", StackSlots, run, members, device, chunk, threads=1))
            for number in range(1, GPU_PROCESSES + 1)
        ]
        slots_s = [(*together([alone], chunk), max(together(stacks, chunk))) for _ in range(repeats)]
    trainings = members * GPU_PROCESSES
    cpu_s, stack_s = (median(column) for column in zip(*slots_s, strict=True))
    figures = {
        "cpu_slot_ms": 1e3 * cpu_s,
        "stack_slot_ms": 1e3 * stack_s,
        "seed_slot_ms": 1e3 * stack_s / trainings,
        "at_once": members,
        "stacks": GPU_PROCESSES,
    }
    return Result([one * trainings / slowest for one, slowest in slots_s], figures)


# A slot of the system. --------------------------------------------------------------------------------------------

DEFAULT = Scenario()
WORLDS = 512
SLOTS, SLOTS_TOGETHER, SLOTS_LITERAL = 100, 4, 5
"""Slots in a repeat: of one world, of many at once, and task by task, where each takes about 0.2 s."""
WARM_UP = 50
"""Slots before the first repeat, in which the energy queues fill."""
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
"""Devices of the systems whose slots are timed, spread evenly over `STATIONS` BSs."""
STATIONS = 100
OFFERED = ("own", "random")
"""Every task is offered to its own BS, or to one drawn at random."""
BEFORE = {"own": 257.0, "random": 211.0}
"""`algorithm_1_vs_literal` before Algorithm 1 was compiled, measured in the same way in one run (commit cea676f)."""


def slot_times(repeats: int, scenario: Scenario, name: str) -> Array:
    """CPU times in ms of a twin and of `mecsim.reference.literal` in the same slots, (4, repeats), each a median.

    Lines 2 to 8 of Algorithm 1, and all with the step; then both of the literal ones. The literal slot decides, pays
    and moves the energy queues; that of the twin also draws the next one.

    Raises:
        AssertionError: the two decide differently.
    """
    twin, draws, found = DigitalTwin(scenario), np.random.default_rng(0), []
    for _ in range(repeats + 1):
        ours, met = [], []
        for placement in offered(name, scenario, draws, SLOTS):
            state, start = twin.state, process_time()
            action = refine_discrete(scenario, state, placement)
            decided = process_time()
            twin.step(action)
            ours.append((decided - start, process_time() - start))
            met.append((state, placement, action.placement))
        theirs = [literal_times(scenario, *one) for one in met[-SLOTS_LITERAL:]]
        found.append([*np.median(ours, axis=0), *np.median(theirs, axis=0)])
    return 1e3 * np.array(found[1:]).T  # in the first one the energy queues fill


def literal_times(
    scenario: Scenario, state: SystemState, placement: Ints, expected: Ints
) -> tuple[float, float]:
    """Seconds that lines 2 to 8 of Algorithm 1, and the whole slot, take task by task."""
    slot = literal.Slot.of(scenario, state)
    offload = (placement >= 0).astype(int).tolist()
    peer = (placement[:, None] == np.arange(scenario.n_bs)).astype(int).tolist()
    start = process_time()
    x, y, f = literal.fit_capacity(slot, *literal.with_energy(slot, offload, peer))
    decided = process_time()
    literal.income(slot, x, y, f, rounding=1e-9)
    for j in slot.tasks:
        literal.next_energy(slot, x, j)
    end = process_time()
    if not np.array_equal(y, expected[:, None] == np.arange(scenario.n_bs)):
        raise AssertionError("mecsim.reference.literal and mecsim.refinement decide differently.")
    return decided - start, end - start


def offered(name: str, scenario: Scenario, draws: np.random.Generator, times: int) -> Ints:
    """The BS that each task is offered to, (times, n_devices); see `OFFERED`."""
    shape = (times, scenario.n_devices)
    return np.tile(scenario.cell, (times, 1)) if name == "own" else draws.integers(scenario.n_bs, size=shape)


@measure("lines 2 to 8 of Algorithm 1 task by task in plain Python over the compiled ones", "at least 500")
def algorithm_1_vs_literal(repeats: int, scenario: Scenario = DEFAULT, worlds: int = WORLDS) -> Result:
    """How many times as fast as `mecsim.reference.literal` the compiled lines 2 to 8 of Algorithm 1 decide for a state.

    Measured with every task offered to its own BS, and to one drawn at random; the smaller ratio counts. The figures
    have the times, also per state where those of many worlds are decided at once, and each ratio over that `BEFORE`.
    """
    ratios, figures = [], {}
    for name in OFFERED:
        ours, _, theirs, _ = slot_times(repeats, scenario, name)
        ratios.append((theirs / ours).tolist())
        many, together = PhysicalSystem(scenario, range(worlds)), []
        placement = offered(name, scenario, np.random.default_rng(0), worlds)
        for _ in range(WARM_UP):
            together.append(seconds(refine_discrete, scenario, many.state, placement))
            many.step(refine_discrete(scenario, many.state, placement))
        figures |= {
            f"{name}_bs_ms": median(ours),
            f"{name}_bs_together_ms": 1e3 * median(together[-SLOTS_TOGETHER:]) / worlds,
            f"{name}_bs_literal_ms": median(theirs),
            f"{name}_bs_over_before": median(ratios[-1]) / BEFORE[name],
        }
    return Result(min(ratios, key=median), figures)


@measure("a slot task by task in plain Python over a slot of the twin with Algorithm 1", "at least 300")
def system_vs_literal(repeats: int, scenario: Scenario = DEFAULT) -> Result:
    """How many times as fast as `mecsim.reference.literal` a twin's slot is, Algorithm 1 with `reassess` included.

    Every device asks for a BS drawn at random.
    """
    _, ours, _, theirs = slot_times(repeats, scenario, "random")
    figures = {"twin_slot_ms": median(ours), "literal_slot_ms": median(theirs)}
    return Result((theirs / ours).tolist(), figures)


def one_and_many(agent: str, worlds: int) -> Callable[[int, int], tuple[float, float]]:
    """An agent that decides, without learning; gives the seconds a slot of a world takes, alone and among many."""
    decides = make_agent(agent, DEFAULT)
    one, many = PhysicalSystem(DEFAULT, 0), PhysicalSystem(DEFAULT, range(worlds))

    def work(slots: int, slots_together: int) -> tuple[float, float]:
        alone = seconds(rollout, decides, one, slots) / slots
        return alone, seconds(rollout, decides, many, slots_together) / (slots_together * worlds)

    work(SLOTS, 2)
    return work


@measure("slots a second of many worlds at once over those of one at a time", "at least 2")
def batched_vs_single(repeats: int, worlds: int = WORLDS) -> Result:
    """How many times as many slots a second many worlds at once are evaluated as one at a time, in one thread.

    Measured for a frozen INTO with Table II's networks, and for the rule that offers every task, which leaves
    Algorithm 1 and the system's step. The smaller counts; both are among the figures.
    """
    ratios, figures = [], {"worlds": float(worlds)}
    for agent in ("INTO", "all-on"):
        with Peer(agent, one_and_many, agent, worlds, threads=1) as peer:
            times = [answer for (answer,) in in_turn([peer], repeats, SLOTS, SLOTS_TOGETHER)]
        ratios.append([alone / many for alone, many in times])
        alone, many = (1e6 * median(column) for column in zip(*times, strict=True))
        figures |= {
            f"{agent}_alone_us": alone,
            f"{agent}_together_us": many,
            f"{agent}_ratio": median(ratios[-1]),
        }
    return Result(min(ratios, key=median), figures)


@measure(
    "the power of U log U with which a slot's time grows, up to U = 100,000 devices on 100 BSs", "at most 1"
)
def scaling_exponent(repeats: int, sizes: Sequence[int] = SIZES, n_bs: int = STATIONS) -> Result:
    """The p of "a slot of U devices takes a time that grows as (U log U)^p", fitted over the sizes above.

    Measured with every task offered to its own BS, and with every task offered to one drawn at random; the larger p
    counts. The figures hold both curves, and the p of their last decade, where what a BS costs however few its tasks
    no longer shows.
    """
    exponents, figures = [], {}
    for name in OFFERED:
        first_slot_s(spread(min(sizes), n_bs), name)  # compiles
        curve = np.array([[first_slot_s(spread(size, n_bs), name) for size in sizes] for _ in range(repeats)])
        exponents.append(growth(sizes, curve))
        late = [place for place, size in enumerate(sizes) if 10 * size >= max(sizes)]
        figures[f"{name}_bs_last_decade"] = median(growth(np.array(sizes)[late], curve[:, late]))
        for size, times in zip(sizes, curve.T.tolist(), strict=True):
            figures[f"{name}_bs_{size}_devices_ms"] = 1e3 * median(times)
    return Result(max(exponents, key=median), figures)


def spread(n_devices: int, n_bs: int) -> Scenario:
    """A system with its devices spread evenly, and with charged batteries so that none has to stay silent."""
    return Scenario(devices=(n_devices // n_bs,) * n_bs, initial_energy_j=1.0)


def growth(sizes: Sequence[int] | Ints, curve: Array) -> list[float]:
    """The exponent of each repeat, from its times (repeats, sizes)."""
    steps = np.log(np.array(sizes) * np.log(sizes))
    return np.polyfit(steps, np.log(curve).T, 1)[0].tolist()


def first_slot_s(scenario: Scenario, name: str) -> float:
    """Seconds of a twin's first slot."""
    twin, (placement,) = DigitalTwin(scenario), offered(name, scenario, np.random.default_rng(0), 1)
    return seconds(lambda: twin.step(refine_discrete(scenario, twin.state, placement)))
