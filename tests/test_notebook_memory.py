"""conftest.py at the root measures the memory of the kernels that nbval runs, and fails a notebook that takes more."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from mecsim.experiments.store import ROOT

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this system")


def peak_bytes(folder: Path, most: str, source: str) -> tuple[int, str, list[float]]:
    """Exit status, output and peaks in GB of nbval over a notebook of one cell, with another limit."""
    conftest = (ROOT / "conftest.py").read_text()
    assert "MAX_BYTES = 1.5e9\n" in conftest
    (folder / "conftest.py").write_text(conftest.replace("MAX_BYTES = 1.5e9\n", f"MAX_BYTES = {most}\n"))
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), folder / "one.ipynb")
    options = ["--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    command = [sys.executable, "-m", "pytest", *options, "-c", os.devnull, "one.ipynb"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return (
        done.returncode,
        done.stdout,
        [float(peak) for peak in re.findall(r"in GB: one ([\d.]+)", done.stdout)],
    )


def test_a_notebook_within_the_limit_is_reported(tmp_path: Path) -> None:
    small, _, (before,) = peak_bytes(tmp_path, "1.5e9", "1")
    large, _, (after,) = peak_bytes(tmp_path, "1.5e9", "held = b'x' * 300_000_000\ndel held")
    assert (small, large) == (0, 0)
    assert 0.25 < after - before < 0.35


def test_a_notebook_above_the_limit_fails(tmp_path: Path) -> None:
    failed, said, _ = peak_bytes(tmp_path, "1e7", "1")
    assert failed == 1
    assert "GB, more than 0.01 GB" in said
