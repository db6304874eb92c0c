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


def test_a_notebook_above_the_limit_fails_and_every_peak_is_reported(tmp_path: Path) -> None:
    conftest = (ROOT / "conftest.py").read_text(encoding="utf-8")
    assert "MAX_BYTES = 1.5e9\n" in conftest
    conftest = conftest.replace("MAX_BYTES = 1.5e9\n", "MAX_BYTES = 0.4e9\n").replace("0.8e9 if", "0.0 if")
    (tmp_path / "conftest.py").write_text(conftest, encoding="utf-8")
    for name, source in {"small": "1", "large": "held = b'x' * 400_000_000\ndel held"}.items():
        nbformat.write(new_notebook(cells=[new_code_cell(source)]), tmp_path / f"{name}.ipynb")
    options = ["--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    command = [sys.executable, "-m", "pytest", *options, "-c", os.devnull, "small.ipynb", "large.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "GB, more than 0.4 GB" in done.stdout
    assert "1 failed, 1 passed" in done.stdout
    peaks = dict(re.findall(r"(\w+) ([\d.]+)", done.stdout.partition("in GB: ")[2]))
    assert 0.35 < float(peaks["large"]) - float(peaks["small"]) < 0.45
