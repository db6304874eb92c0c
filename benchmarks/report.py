"""The report of `mecsim bench`: a table for readers, the same as data for programs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.ratios import MEASURES, Measure, Result
from mecsim.experiments.parallel import usable_cores
from mecsim.settings import SettingError

PACKAGES = ("torch", "numpy", "numba", "stable-baselines3")
HEADER = ("measure", "median", "lowest", "highest", "target", "measured against")


Measured = Sequence[tuple[Measure, Result]]


def chosen(keys: Sequence[str] = ()) -> list[Measure]:
    """The measures of some keys, in the order of the table; all without any.

    Raises:
        SettingError: no measure has that key, or a package or the GPU that one needs is not there. Without keys what
            needs a GPU is left out, with a word on standard error.
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
    if not torch.cuda.is_available():
        for left_out in (measure.key for measure in measures if measure.on_gpu):
            if keys:
                raise SettingError(f"{left_out} needs a GPU that PyTorch can use: there is none here.")
            print(f"{left_out} is left out: there is no GPU here that PyTorch can use.", file=sys.stderr)
        measures = [measure for measure in measures if not measure.on_gpu]
    return measures


def machine() -> dict[str, Any]:
    """What the ratios were measured on, and how busy it was: more than the cores' load spoils them."""
    return {
        "cpu": cpu_model(),
        **({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}),
        "cores": usable_cores(),
        "load_before": round(psutil.getloadavg()[0], 2),
        "system": platform.system(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, from Linux's list of processors where there is one."""
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def as_data(measured: Measured, where: dict[str, Any]) -> dict[str, Any]:
    """The medians by key, the machine, and the details of every measure, ready for JSON."""
    details = {
        measure.key: {
            "repeats": result.repeats,
            "low": min(result.repeats),
            "high": max(result.repeats),
            "against": measure.against,
            "target": measure.target,
            **result.figures,
        }
        for measure, result in measured
    }
    medians = {measure.key: result.median for measure, result in measured}
    return {**medians, "machine": where, "details": details}


def as_text(measured: Measured, where: dict[str, Any]) -> str:
    """The table, the absolute figures and the machine."""
    rows: list[tuple[str, ...]] = [HEADER]
    for measure, result in measured:
        numbers = (f"{value:.3g}" for value in (result.median, min(result.repeats), max(result.repeats)))
        rows.append((measure.key, *numbers, measure.target, measure.against))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for measure, result in measured:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in result.figures.items())
        lines += [f"{measure.key}: {figures}"] if figures else []
    versions = ", ".join(f"{name} {value}" for name, value in where["versions"].items())
    lines.append(
        f"{', '.join(where[part] for part in ('cpu', 'gpu') if part in where)}, {where['cores']} cores, "
        f"load {where['load_before']} before; {where['system']}, {versions}"
    )
    return "\n".join(lines)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
