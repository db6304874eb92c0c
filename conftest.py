"""Holds every notebook that nbval runs to the memory that Binder leaves a kernel, and says how much each one took."""

from __future__ import annotations

import re
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

MAX_BYTES = 1.5e9
"""mybinder.org gives about 2 GB to the server and its kernels together."""
CUDA_BYTES = 0.8e9 if find_spec("nvidia") else 0.0
"""What the libraries of PyTorch's CUDA build take, which Binder does not have."""
PEAK = "peak memory"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """After each cell, looks at the most memory that the notebook's kernel has taken so far."""
    result = yield
    kernel = getattr(item.parent, "kernel", None)
    peak = peak_bytes(kernel.km.provisioner.pid) if kernel is not None else None
    if peak is not None:
        item.user_properties.append((PEAK, peak))
        most = MAX_BYTES + CUDA_BYTES
        assert peak < most, f"the kernel took {peak / 1e9:.2f} GB, more than {most / 1e9} GB"
    return result


def peak_bytes(process: int) -> int | None:
    """The most memory that a process has had resident, in bytes; None where the system does not tell."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, flags=re.MULTILINE)
    return 1024 * int(found[1]) if found else None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints the peak of each notebook."""
    peaks: dict[str, int] = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        name = Path(report.nodeid.partition("::")[0]).stem
        for _, peak in filter(lambda found: found[0] == PEAK, report.user_properties):
            peaks[name] = max(peak, peaks.get(name, 0))
    if peaks:
        listed = ", ".join(f"{name} {peak / 1e9:.2f}" for name, peak in sorted(peaks.items()))
        terminalreporter.write_line(f"{PEAK} of the kernels in GB: {listed}")
