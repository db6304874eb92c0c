"""environment.yml and constraints.txt are in step with pyproject.toml, and Binder builds from the first of them."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"pytorch-cpu": "torch"}
GROUPS = {"runtime": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}


def declared(requirements: list[str]) -> dict[str, SpecifierSet]:
    """Bounds by canonical name of a list of pip requirements."""
    parsed = map(Requirement, requirements)
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in parsed}


def conda_dependencies() -> list[str | dict[str, list[str]]]:
    return yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def constraints() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def test_conda_has_what_the_notebooks_and_voila_need_with_the_same_bounds() -> None:
    found = {}
    assert "python=3.11" in conda_dependencies()
    for line in conda_dependencies():
        if isinstance(line, str) and line not in ("python=3.11", "pip"):
            name, bounds = re.fullmatch(r"([A-Za-z0-9_.-]+?)([<>=!~].*)", line).groups()
            found[canonicalize_name(CONDA_NAMES.get(name, name))] = SpecifierSet(bounds)
    assert found == declared(PROJECT["dependencies"] + GROUPS["explore"])
    assert {"pip": ["-e ."]} in conda_dependencies()
    assert "3.11.0" in SpecifierSet(PROJECT["requires-python"])
    assert str(found["torch"]).startswith("==")  # another version rounds differently


@pytest.mark.parametrize("group", GROUPS)
def test_constraints_satisfy_the_bounds(group: str) -> None:
    pins = constraints()
    for name, bounds in declared(GROUPS[group]).items():
        assert name in pins, f"constraints.txt lacks {name}: run make lock"
        (pin,) = pins[name].specifier
        assert pin.version in bounds, f"constraints.txt has {pins[name]}, pyproject.toml wants {name}{bounds}"


def test_constraints_are_exact_and_portable() -> None:
    for pin in constraints().values():
        assert pin.url is None
        assert [specifier.operator for specifier in pin.specifier] == ["=="]
        assert "+" not in str(pin.specifier), f"{pin} names a build that other platforms lack"


def test_binder_builds_from_the_conda_environment(tmp_path: Path) -> None:
    pytest.importorskip("repo2docker", reason="jupyter-repo2docker is not installed")
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    dockerfile = done.stdout + done.stderr
    assert "Building conda environment for python=3.11" in dockerfile
    assert '--file "environment.yml"' in dockerfile
    steering = "binder .binder Dockerfile requirements.txt runtime.txt install.R default.nix"
    assert [name for name in steering.split() if (ROOT / name).exists()] == []
