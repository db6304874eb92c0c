import re
import subprocess
import sys
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path

import execute
import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from reproduce import NOTEBOOKS, NUMBERED, NotebookRun, page_of, reproduce
from typer.testing import CliRunner

from mecsim.experiments import calibration, panels, runner, sensitivity, studies
from mecsim.experiments.cli import app
from mecsim.experiments.store import ROOT

PLOT = "import matplotlib.pyplot as plt\n\nplt.plot([1, 2]);"
SHARP = f"from mecsim.experiments.plots import use_style\n\nuse_style()\n{PLOT}"


def write_notebook(path: Path, title: str, *sources: str) -> None:
    cells = [new_markdown_cell(f"# {title}"), *map(new_code_cell, sources)]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3 (ipykernel)"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


@pytest.fixture
def notebooks(tmp_path: Path) -> Path:
    folder = tmp_path / r"mecsim (1) + [b] $1 \d {x} 50%20off Übung"
    folder.mkdir()
    failure = "raise ValueError('gamma = 2: too large')"
    write_notebook(folder / "00_fails.ipynb", "One that <fails>", PLOT, failure)
    write_notebook(folder / "01_works.ipynb", "One that works", SHARP)
    write_notebook(folder / "draft.ipynb", "Not numbered", "print('draft')")
    return folder


def test_every_notebook_is_run_and_listed_in_the_readme_and_at_the_start() -> None:
    names = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
    assert sorted(path.name for path in NOTEBOOKS.glob(NUMBERED)) == names
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[.*\]\(notebooks/(.*?)\)", readme, flags=re.MULTILINE) == names
    start = nbformat.read(NOTEBOOKS / names[0], as_version=4).cells
    listed = re.findall(r"^\| \[.*?\]\((.*?)\)", "\n".join(cell.source for cell in start), flags=re.MULTILINE)
    assert listed == names[1:]


def test_a_failure_is_reported_and_does_not_stop_the_rest(notebooks: Path, tmp_path: Path) -> None:
    out = notebooks / "build"
    fails, works = reproduce(out=out, notebooks=notebooks)
    assert (fails.error, works.error) == ("ValueError: gamma = 2: too large", None)
    assert (fails.title, works.title) == ("One that <fails>", "One that works")
    for name in ("00_fails", "01_works"):
        page = BeautifulSoup((out / "html" / f"{name}.html").read_text(), "html.parser")
        assert page.find("a", href="../index.html") is not None
        assert [image["alt"] for image in page.find_all("img")] == [f"Figure 1 of {page.title.get_text()}"]
        scripts = [script["src"].partition("?")[0] for script in page.find_all("script", src=True)]
        assert scripts == ["../mathjax/MathJax.js"]
        assert (out / "html" / scripts[0]).exists()
        assert (out / "executed" / f"{name}.ipynb").exists()
        assert (out / "figures" / name / "01.png").read_bytes().startswith(b"\x89PNG")
    # A figure has its size on the page, as sharp as twice that; on a phone the height follows from the width.
    shown, stored = page.find("img"), BytesIO((out / "figures/01_works/01.png").read_bytes())
    assert int(shown["width"]) == Image.open(stored).width // 2
    assert "height" not in shown.attrs
    index = (out / "index.html").read_text()
    assert "1 of 2 notebooks ran through, 1 failed" in index
    assert "One that &lt;fails&gt;" in index
    assert "gamma = 2: too large" in index
    assert "draft" not in index


def test_a_drawn_picture_is_in_the_page() -> None:
    text = "# One\n\n![In words](pictures/slot.svg)"
    page = page_of(new_notebook(cells=[new_markdown_cell(text)]), "One", ROOT / "notebooks")
    image = BeautifulSoup(page, "html.parser").find("img")
    picture = (ROOT / "notebooks/pictures/slot.svg").read_bytes()
    assert image.attrs["alt"] == "In words"
    assert image.attrs["src"] == f"data:image/svg+xml;base64,{b64encode(picture).decode()}"


def test_the_kernel_is_of_this_python(tmp_path: Path, monkeypatch, foreign_kernels: str) -> None:
    monkeypatch.setenv("JUPYTER_PATH", foreign_kernels)
    write_notebook(tmp_path / "01_python.ipynb", "One", "import sys\n\nsys.executable")
    (run,) = reproduce(out=tmp_path / "build", notebooks=tmp_path)
    assert run.error is None
    assert sys.executable in (tmp_path / "build/html/01_python.html").read_text()
    execute.execute(tmp_path / "01_python.ipynb")
    assert sys.executable in (tmp_path / "01_python.ipynb").read_text()


def test_a_second_run_replaces_the_first(notebooks: Path, tmp_path: Path) -> None:
    (notebooks / "00_fails.ipynb").unlink()
    for number in (5, 7):
        write_notebook(
            notebooks / "01_works.ipynb", "One", f"print('slots:', {number})", *[PLOT] * (8 - number)
        )
        (run,) = reproduce(out=tmp_path, notebooks=notebooks)
        assert run.error is None
        assert f"slots: {number}" in (tmp_path / "html/01_works.html").read_text()
    assert [path.name for path in (tmp_path / "figures/01_works").iterdir()] == ["01.png"]
    assert not list(tmp_path.glob("**/*.part"))


def test_the_paper_profile_computes_everything_first(tmp_path: Path, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(calibration, "calibrate", lambda: asked.append("map"))
    monkeypatch.setattr(runner, "run_experiments", lambda names, _, preset: asked.append((preset, *names)))
    monkeypatch.setattr(studies, "run_studies", lambda names, preset: asked.append((preset, *names)))
    monkeypatch.setattr(sensitivity, "measure_sensitivity", lambda: asked.append("sensitivity"))
    assert reproduce("paper", tmp_path / "build", tmp_path / "none") == []
    shown = [name for name, one in panels.EXPERIMENTS.items() if "printed" in one.presets]
    runs = [("calibrated", *panels.EXPERIMENTS), ("calibrated", *studies.STUDIES)]
    runs += [("printed", *shown), ("printed", *studies.STUDIES)]
    assert asked == ["map", *runs, "sensitivity"]


@pytest.mark.parametrize(("error", "code"), [(None, 0), ("ValueError: no", 1)])
def test_the_exit_code_says_whether_all_ran_through(error, code, tmp_path, monkeypatch) -> None:
    asked = []
    run = NotebookRun("01_works", "One", 1.0, error, ())
    monkeypatch.setattr("reproduce.reproduce", lambda *given: asked.append(given) or [run])
    done = CliRunner().invoke(app, ["reproduce", "--profile", "paper", "--out", str(tmp_path)])
    assert (done.exit_code, asked) == (code, [("paper", tmp_path)])


def test_torch_is_left_to_the_kernels() -> None:
    subprocess.run(
        [sys.executable, "-c", "import sys, reproduce; sys.exit('torch' in sys.modules)"],
        cwd=ROOT / "tools",
        check=True,
    )


def test_a_stored_figure_keeps_the_colours_of_its_lines_areas_and_small_marks_exactly() -> None:
    # More than a palette holds, and one mark of a single point.
    shades = np.random.default_rng(0).integers(100, 256, (20, 40, 3), dtype=np.uint8)
    shades[..., 1:] = shades[..., :1] + shades[..., 1:] % 3
    shades[5:15] = pink = (204, 121, 167)
    shades[2, 3] = vermilion = (213, 94, 0)
    content = BytesIO()
    Image.fromarray(shades).save(content, "PNG")
    small = Image.open(BytesIO(b64decode(execute.shrunk(b64encode(content.getvalue()).decode()))))
    assert small.mode == "P"
    kept = np.asarray(small.convert("RGB"))
    assert (kept[5:15] == pink).all()
    assert tuple(kept[2, 3]) == vermilion
    assert np.abs(kept.astype(int) - shades).max() < 40
