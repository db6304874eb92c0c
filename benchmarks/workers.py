"""How well a sweep uses the cores: trainings side by side, each with one thread."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median

from benchmarks.result import Result
from benchmarks.training import TABLE_II, IntoSlots, Load
from benchmarks.turns import Peer, cores, together


def worker_efficiency(repeats: int, load: Load = TABLE_II, workers: int | None = None) -> Result:
    """Runs an hour of n one-thread workers over n times those of one alone; n is the number of cores by default.

    The slowest of the n counts, so a worker that is held up holds up the sum.
    """
    count = workers or cores()
    with ExitStack() as stack:
        peers = [
            stack.enter_context(Peer(f"worker {number}", IntoSlots, load, threads=1))
            for number in range(1, count + 1)
        ]
        slots_s = []
        for _ in range(repeats):
            (alone,) = together(peers[:1], load.chunk)
            slots_s.append((alone, max(together(peers, load.chunk))))
    alone, beside = (median(column) for column in zip(*slots_s, strict=True))
    figures = {
        "workers": count,
        "alone_slot_ms": 1e3 * alone,
        "together_slot_ms": 1e3 * beside,
        "trainings_per_hour": count * 3600.0 / (load.run.slots * beside),
    }
    return Result([one / slowest for one, slowest in slots_s], figures)
