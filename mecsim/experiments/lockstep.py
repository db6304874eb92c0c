"""Trainings at once: what is missing in stacks, as large as a device holds, with several stacks side by side."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from mecsim.experiments import parallel
from mecsim.experiments.parallel import noted
from mecsim.experiments.runs import Run, measure_many, missing_runs, run_job
from mecsim.experiments.store import Store, provenance, table_bytes
from mecsim.refinement import ensure_compiled
from mecsim.settings import SettingError

GPU_PROCESSES = 4
"""Processes that share a GPU by default: while one works out actions on its core, the others keep the GPU busy."""
LEAST_AT_ONCE = 16
"""Members up to which a stack costs a GPU hardly more than one alone."""
FILLED = 0.9
"""Share of a GPU's free memory that is planned with."""
CONTEXT_BYTES = 1 << 30
"""What a process takes of a GPU's memory for itself."""
GPU_SPEED = 40.0
"""Trainings that one of these processes does while a CPU's core does one, about, for the time left."""
ON_THE_WAY = 1.6
"""A member takes this much more than what it keeps: new gradients beside the old, and a mini-batch on its way.

On an H200 it was 1.14 with 16 members and 1.46 with 48."""


class Task(NamedTuple):
    """Runs to be measured at once, and where."""

    store: Store
    runs: Sequence[Run]
    device: str


def compute_stacks(
    store: Store, runs: Sequence[Run], device: str, at_once: int | None, workers: int | None, label: str
) -> None:
    """Trains and evaluates runs in stacks and stores them, but for those that diverge.

    Args:
        store: where the files go, see `Store.write_manifest`.
        runs: trainings.
        device: where the networks live, such as "cuda".
        at_once: runs in a stack at most; by default as many as the device's memory holds.
        workers: stacks side by side; by default `GPU_PROCESSES`, or on a CPU one a core.
        label: what the progress bar is called.

    Raises:
        SettingError: there is no such device, or `at_once` is missing for a CPU.
        WorkersLost: workers were killed again and again.
    """
    if not runs:
        return
    from mecsim.agents.learner import torch_device

    on_gpu = torch_device(device).type != "cpu"
    side_by_side = workers or min(parallel.default_workers(), GPU_PROCESSES if on_gpu else sys.maxsize)
    ensure_compiled()
    tasks = [Task(store, stack, device) for stack in stacks(runs, device, at_once, side_by_side)]
    costs_s = [sum(run.about_s for run in task.runs) / (GPU_SPEED if on_gpu else 1.0) for task in tasks]
    parallel.run_tasks(compute_stack, tasks, costs_s, side_by_side, label)


def stacks(runs: Sequence[Run], device: str, at_once: int | None, side_by_side: int) -> list[list[Run]]:
    """Runs in stacks of at most `at_once`; by default of as many as fit the device's memory, so many side by side.

    The earlier runs come first, so that a stop leaves what a list begins with.

    Raises:
        SettingError: see `fitting`.
    """
    place = {run.key: number for number, run in enumerate(runs)}
    found = [
        stack
        for group in grouped(runs)
        for stack in divided(group, at_once or fitting(group[0], device, side_by_side), side_by_side)
    ]
    return [sorted(stack, key=_rates) for stack in sorted(found, key=lambda stack: place[stack[0].key])]


def grouped(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that can be measured at once, in their order."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.stackable(), []).append(run)
    return list(groups.values())


def _rates(run: Run) -> list[float]:
    """The rates that it departs to; members of equal rates take one step of Adam together."""
    return [value for name, value in sorted(run.settings.items()) if name.endswith("learning_rate")]


def divided(group: list[Run], most: int, side_by_side: int) -> list[list[Run]]:
    """A group in stacks of about the same size, as many as work side by side where they stay large enough for that."""
    count = max(math.ceil(len(group) / most), min(side_by_side, len(group) // LEAST_AT_ONCE))
    edges = [len(group) * number // count for number in range(count + 1)]
    return [group[first:last] for first, last in pairwise(edges)]


def fitting(run: Run, device: str, side_by_side: int) -> int:
    """How many runs like this one a stack may hold, so that so many stacks side by side fit a device's memory.

    Raises:
        SettingError: the device tells no size of its memory, or not even one run fits.
    """
    import torch

    from mecsim.agents.learner import torch_device

    if torch_device(device).type != "cuda":
        raise SettingError(f"at_once is missing: it should be given where device = {device!r}.")
    free, _ = torch.cuda.mem_get_info(device)
    most = int((FILLED * free / side_by_side - CONTEXT_BYTES) / member_bytes(run))
    if most < 1:
        raise SettingError(
            f"device = {device!r} has {free / 1e9:.1f} GB free, too little for workers = {side_by_side}: try fewer."
        )
    return most


def member_bytes(run: Run) -> float:
    """Memory that a member of a stack takes: networks, replay memory, two moments and a gradient of each weight."""
    learner: Any = run.make_agent()
    kept = sum(value.nbytes for value in learner.tensors().values())
    trained = sum(
        weight.nbytes
        for optimiser in learner.optimisers.values()
        for group in optimiser.param_groups
        for weight in group["params"]
    )
    return ON_THE_WAY * (kept + 3 * trained)


def compute_stack(task: Task) -> None:
    """Measures the runs of a stack that are not stored yet, and stores them."""
    for run, content in contents(missing_runs(task.runs, task.store.folder), task.device):
        task.store.write(run_job(run), content)


def contents(runs: Sequence[Run], device: str) -> Iterator[tuple[Run, bytes]]:
    """The content of the result file of each run of a stack; in halves where memory runs out.

    A run that diverges is told of, and has none.
    """
    import torch

    if not runs:
        return
    where = {"device": device, "model": device_model(device), "at_once": len(runs)}
    made_by = [{**provenance(run.model_dump(mode="json")), "computed_on": where} for run in runs]
    try:
        with noted(f"This happened in a stack of {len(runs)} runs like {runs[0].key}."):
            found = measure_many(runs, device)
    except torch.OutOfMemoryError:
        if len(runs) == 1:
            raise
        found = None
    torch.cuda.empty_cache()  # blocks of this stack fit no stack of another size
    if found is None:
        middle = len(runs) // 2
        yield from contents(runs[:middle], device)
        yield from contents(runs[middle:], device)
        return
    for number, table in found.tables.items():
        yield runs[number], table_bytes(table, made_by[number])
    for number, slot in found.diverged.items():
        print(f"{runs[number].key} diverged in slot {slot} and is set aside.", file=sys.stderr, flush=True)


def device_model(device: str) -> str:
    """What a device is called by those who sell it."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()
