"""codespell, as `make lint` runs it, sees the text of notebooks and passes over their figures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mecsim.experiments.store import ROOT

MISSPELT = "rec" + "ieve"  # in one piece, codespell would find it here


@pytest.mark.parametrize(("in_text", "found"), [(True, 1), (False, 0)])
def test_text_is_checked_and_figures_are_not(tmp_path: Path, in_text: bool, found: int) -> None:
    cell = {"source": f"a {MISSPELT}d task" if in_text else "", "image/png": f"/{MISSPELT}d/"}
    (tmp_path / "x.ipynb").write_text(json.dumps(cell, indent=1))
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml"), "x.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.count(MISSPELT) == found, done.stdout + done.stderr
    assert done.returncode == (65 if found else 0)
