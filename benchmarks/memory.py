"""The memory that one training takes."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.result import Result
from benchmarks.training import TABLE_II, IntoSlots, Load
from benchmarks.turns import Peer, cores
from mecsim.experiments.checkpoints import save_checkpoint


class FullTraining:
    """A training of INTO whose replay memory is full and which saves a checkpoint on its way."""

    def __init__(self, load: Load) -> None:
        self.into = into = IntoSlots(load)
        state = into.twin.state
        action = into.learner.explore(state)
        income = into.twin.step(action).income
        for _ in range(load.settings.replay_size):
            into.learner.remember(state, action, income, into.twin.state)

    def __call__(self, slots: int, checkpoint: Path) -> int:
        """Trains, saves and trains on; returns the peak resident size of the process so far, in bytes."""
        into = self.into
        into(slots)
        save_checkpoint(checkpoint, into.learner, into.twin, into.incomes, "bench")
        into(slots)
        return peak_rss_bytes()


def train_rss_gb(repeats: int, load: Load = TABLE_II) -> Result:
    """Peak resident size of one training, in GB of 10^9 bytes, with a new process for every repeat.

    It covers the whole process from its start: the interpreter and its libraries, building the networks, filling the
    replay memory, training with a thread a core, saving one checkpoint, and training on.
    """
    peaks = []
    for _ in range(repeats):
        with TemporaryDirectory() as folder, Peer("INTO", FullTraining, load, threads=cores()) as into:
            peaks.append(into.ask(load.chunk, Path(folder) / "bench.safetensors") / 1e9)
    return Result(peaks)


def peak_rss_bytes() -> int:
    """Peak resident size of this process since its program started."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's ru_maxrss starts from the peak of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
