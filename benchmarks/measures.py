"""What `mecsim bench` measures, and what is asked of each measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.fleets import batched_vs_single
from benchmarks.memory import train_rss_gb
from benchmarks.products import gemm_fraction
from benchmarks.result import Result
from benchmarks.sb3 import train_vs_sb3
from benchmarks.system import scaling_exponent, system_vs_literal
from benchmarks.workers import worker_efficiency
from mecsim.settings import SettingError


@dataclass(frozen=True)
class Measure:
    """One line of the table.

    Attributes:
        key: its name.
        against: what over what the ratio is.
        target: what is asked of it.
        run: measures it; takes the number of repeats.
        needs: an optional package that it imports.
    """

    key: str
    against: str
    target: str
    run: Callable[[int], Result]
    needs: str = ""


MEASURES = (
    Measure(
        "train_vs_sb3",
        "a training slot of INTO over one of Stable-Baselines3's DDPG",
        "at most 0.40",
        train_vs_sb3,
        needs="stable_baselines3",
    ),
    Measure(
        "gemm_fraction",
        "GFLOP/s of a training slot over those of torch.mm at batch 64",
        "at least 0.65",
        gemm_fraction,
    ),
    Measure(
        "system_vs_literal",
        "a slot task by task in plain Python over a slot of the twin with Algorithm 1",
        "at least 100",
        system_vs_literal,
    ),
    Measure(
        "batched_vs_single",
        "slots a second of a fleet of twins over those of one twin at a time",
        "at least 10",
        batched_vs_single,
    ),
    Measure(
        "worker_efficiency",
        "runs an hour of one worker a core over as many times those of one worker",
        "at least 0.9",
        worker_efficiency,
    ),
    Measure("train_rss_gb", "peak resident size of one training, in GB", "at most 1.2", train_rss_gb),
    Measure(
        "scaling_exponent",
        "the power of U log U with which a slot's time grows, up to U = 100,000 devices on 100 BSs",
        "at most 1",
        scaling_exponent,
    ),
)
"""Every measure, in the order of the table."""


def chosen(keys: Sequence[str] = ()) -> list[Measure]:
    """The measures of some keys, in the order of the table; all without any.

    Raises:
        SettingError: no measure has that key, or a package that one needs is not installed.
    """
    known = [measure.key for measure in MEASURES]
    for key in keys:
        if key not in known:
            raise SettingError(f"only = {key!r} is not allowed: it should be one of {', '.join(known)}.")
    measures = [measure for measure in MEASURES if not keys or measure.key in keys]
    for measure in measures:
        if measure.needs and find_spec(measure.needs) is None:
            package = measure.needs.replace("_", "-")
            raise SettingError(f"{measure.key} needs {package}: install it by `pip install -e '.[bench]'`.")
    return measures
