"""Binder and Colab: what README and notebooks say follows from one address, and Binder's build reads what is here."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from elsewhere import BLOCK, GUIDE, LINE, binder, block, cited, line, main, stored_address, with_address

from mecsim.experiments.reproduce import NUMBERED
from mecsim.experiments.store import ROOT

ADDRESS = "https://github.com/you/mecsim"
FILES = ("pyproject.toml", "CITATION.cff", "README.md", f"notebooks/{GUIDE}.ipynb", "notebooks/10_fig6.ipynb")
STORED = stored_address((ROOT / "pyproject.toml").read_text())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "notebooks").mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def texts(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in FILES}


def first_cell(path: Path) -> str:
    return nbformat.read(path, as_version=4).cells[0].source


def test_readme_and_guide_say_what_follows_from_the_address() -> None:
    assert BLOCK.search((ROOT / "README.md").read_text())[0] == block(STORED)
    guide = nbformat.read(ROOT / f"notebooks/{GUIDE}.ipynb", as_version=4)
    assert [found[0] for cell in guide.cells if (found := BLOCK.search(cell.source))] == [block(STORED)]
    assert first_cell(ROOT / f"notebooks/{GUIDE}.ipynb").endswith(f"\n\n{line(STORED, GUIDE)}")


@pytest.mark.parametrize("path", sorted(ROOT.glob(f"notebooks/{NUMBERED}")), ids=lambda path: path.stem)
def test_no_notebook_says_something_else(path: Path) -> None:
    said = LINE.search(first_cell(path))
    assert said is None or said[0].strip() == line(STORED, path.stem), "run make badges"


def test_citation_names_the_address() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text()).get("repository-code") == STORED


def test_an_address_makes_badges_everywhere(copy: Path) -> None:
    main([f"{ADDRESS}.git"], copy)
    assert stored_address((copy / "pyproject.toml").read_text()) == ADDRESS
    assert yaml.safe_load((copy / "CITATION.cff").read_text())["repository-code"] == ADDRESS
    readme = (copy / "README.md").read_text()
    assert (
        "[![JupyterLab on Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/git/"
        in readme
    )
    assert "urlpath=voila%2Frender%2Fnotebooks%2F13_explore.ipynb" in readme
    assert f"`!git clone --depth 1 {ADDRESS} mecsim`" in readme
    opening = first_cell(copy / "notebooks/10_fig6.ipynb")
    assert "https://colab.research.google.com/github/you/mecsim/blob/HEAD/notebooks/10_fig6.ipynb" in opening
    assert "urlpath=lab%2Ftree%2Fnotebooks%2F10_fig6.ipynb" in opening
    nbformat.validate(nbformat.read(copy / "notebooks/10_fig6.ipynb", as_version=4))


def test_writing_twice_changes_nothing_and_another_address_leaves_no_trace(copy: Path) -> None:
    main([ADDRESS], copy)
    once = texts(copy)
    main([], copy)
    assert texts(copy) == once
    main(["https://codeberg.org/they/other"], copy)
    assert not [name for name, text in texts(copy).items() if "you" in text and "you/mecsim" in text]
    assert "colab.research" not in first_cell(copy / "notebooks/10_fig6.ipynb")


def test_without_an_address_nothing_pretends_to_be_a_link(copy: Path) -> None:
    said = block(None) + line(None, "10_fig6")
    assert "mybinder.org/v2" not in said
    assert "badge_logo" not in said
    assert "repository-code" not in cited(f"repository-code: {ADDRESS}\nlicense: MIT\n", None)


@pytest.mark.parametrize("address", ["http://github.com/you/x", "github.com/you/x", "https://github.com/you"])
def test_a_bad_address_is_refused_in_one_sentence(address: str) -> None:
    with pytest.raises(SystemExit, match=f"REPOSITORY = {address} is not allowed: it should look like"):
        with_address("[project]\n", address)


def test_binder_links_are_those_of_its_git_provider() -> None:
    assert binder("https://a.bc/d/e", "lab/tree/x.ipynb") == (
        "https://mybinder.org/v2/git/https%3A%2F%2Fa.bc%2Fd%2Fe/HEAD?urlpath=lab%2Ftree%2Fx.ipynb"
    )


def test_repo2docker_builds_from_the_conda_environment(tmp_path: Path) -> None:
    pytest.importorskip("repo2docker", reason="jupyter-repo2docker is not installed")
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    dockerfile = done.stdout + done.stderr
    assert "Building conda environment for python=3.11" in dockerfile
    assert '--file "environment.yml"' in dockerfile


def test_nothing_else_steers_the_build() -> None:
    others = (
        "binder",
        ".binder",
        "Dockerfile",
        "requirements.txt",
        "runtime.txt",
        "install.R",
        "default.nix",
    )
    assert [name for name in others if (ROOT / name).exists()] == []
