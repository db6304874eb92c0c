"""codespell, as `make lint` runs it, sees the text of notebooks and passes over their figures."""

import json
import subprocess
import sys
from pathlib import Path

from mecsim.experiments.store import ROOT

MISSPELT = "rec" + "ieve"  # in one piece, codespell would find it here


def test_text_is_checked_and_figures_are_not(tmp_path: Path) -> None:
    for name, text in {"text": f"a {MISSPELT}d task", "figure": ""}.items():
        cell = {"source": text, "image/png": f"/{MISSPELT}d/"}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(cell, indent=1))
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    (found,) = done.stdout.splitlines()
    assert found.startswith("./text.ipynb:2:")
    assert done.returncode == 65, done.stderr
