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


def run(folder: Path, most: str, **cells: str) -> tuple[int, str, dict[str, float]]:
    """Exit status, output and peaks in GB of nbval over notebooks of one cell each, with another limit."""
    conftest = (ROOT / "conftest.py").read_text()
    assert "MAX_BYTES = 1.5e9\n" in conftest
    (folder / "conftest.py").write_text(conftest.replace("MAX_BYTES = 1.5e9\n", f"MAX_BYTES = {most}\n"))
    for name, source in cells.items():
        nbformat.write(new_notebook(cells=[new_code_cell(source)]), folder / f"{name}.ipynb")
    options = ["--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *options,
        "-c",
        os.devnull,
        *(f"{name}.ipynb" for name in cells),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    peaks = re.findall(r"(\w+) ([\d.]+)", done.stdout.partition("in GB: ")[2])
    return done.returncode, done.stdout, {name: float(peak) for name, peak in peaks if name in cells}


def test_notebooks_within_the_limit_are_reported(tmp_path: Path) -> None:
    code, _, peaks = run(tmp_path, "1.5e9", small="1", large="held = b'x' * 300_000_000\ndel held")
    assert code == 0
    assert 0.25 < peaks["large"] - peaks["small"] < 0.35


def test_a_notebook_above_the_limit_fails(tmp_path: Path) -> None:
    code, said, _ = run(tmp_path, "1e7", one="1")
    assert code == 1
    assert "GB, more than 0.01 GB" in said
