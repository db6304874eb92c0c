"""environment.yml and constraints.txt are in step with pyproject.toml, and Binder builds from the first of them."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"pytorch-cpu": "torch"}
PYTHONS = ["3.11.0", "3.11.9", "3.12.0", "3.13.0", "3.14.0"]
CUDA = ("nvidia-", "cuda-", "triton")
GROUPS = {"runtime": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}


def declared(requirements: list[str]) -> dict[str, SpecifierSet]:
    """Bounds by canonical name of a list of pip requirements."""
    parsed = map(Requirement, requirements)
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in parsed}


def conda_dependencies() -> list[str | dict[str, list[str]]]:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]


def constraints() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pins(python: str, platform: str = "linux") -> dict[str, SpecifierSet]:
    """The pin of each package, by canonical name, on one Python and platform."""
    major_minor = ".".join(python.split(".")[:2])
    there = {"python_full_version": python, "python_version": major_minor, "sys_platform": platform}
    hold = [pin for pin in constraints() if pin.marker is None or pin.marker.evaluate(there)]
    found = {canonicalize_name(pin.name): pin.specifier for pin in hold}
    assert len(found) == len(hold), "two pins of one package hold at once"
    return found


def test_conda_has_what_the_notebooks_and_voila_need_with_the_same_bounds() -> None:
    found = {}
    for line in conda_dependencies():
        if isinstance(line, str) and line != "pip":
            name, bounds = re.fullmatch(r"([A-Za-z0-9_.-]+?)([<>=!~].*)", line).groups()
            found[canonicalize_name(CONDA_NAMES.get(name, name))] = SpecifierSet(bounds)
    assert list(found.pop("python").filter(["3.10.9", *PYTHONS, "3.15.0"])) == PYTHONS
    assert found == declared(PROJECT["dependencies"] + GROUPS["explore"])
    assert {"pip": ["-e ."]} in conda_dependencies()
    assert list(SpecifierSet(PROJECT["requires-python"]).filter(["3.10.9", *PYTHONS])) == PYTHONS


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("group", GROUPS)
def test_constraints_satisfy_the_bounds(group: str, python: str) -> None:
    pinned = pins(python)
    for name, bounds in declared(GROUPS[group]).items():
        assert name in pinned, f"constraints.txt lacks {name}: run make lock"
        (pin,) = pinned[name]
        assert pin.version in bounds, f"constraints.txt has {name}{pin}, pyproject.toml wants {name}{bounds}"


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("python", PYTHONS)
def test_whatever_is_installed_has_a_pin_on_every_python(python: str, platform: str) -> None:
    """From what the packages that are installed here say they need there; not what a CUDA build of torch brings."""
    there = {
        **default_environment(),
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": platform,
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[platform],
        "os_name": "nt" if platform == "win32" else "posix",
    }
    installed = {canonicalize_name(one.metadata["Name"]): one for one in distributions()}
    needed, left = set(), [("mecsim", extra) for extra in ("", *PROJECT["optional-dependencies"])]
    while left:
        name, extra = left.pop()
        if (name, extra) in needed or name not in installed:
            continue
        needed.add((name, extra))
        for requirement in map(Requirement, installed[name].requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({**there, "extra": extra}):
                left += [(canonicalize_name(requirement.name), one) for one in ("", *requirement.extras)]
    names = {name for name, _ in needed if not name.startswith(CUDA)} - {"mecsim"}
    assert names - pins(python, platform).keys() == set()
    refused = {
        name: installed[name].metadata.get("Requires-Python")
        for name in names
        if installed[name].version in pins(python, platform)[name]
        and python not in SpecifierSet(installed[name].metadata.get("Requires-Python") or "")
    }
    assert refused == {}


def test_constraints_are_exact_and_portable() -> None:
    for pin in constraints():
        assert pin.url is None
        assert [specifier.operator for specifier in pin.specifier] == ["=="]
        assert "+" not in str(pin.specifier), f"{pin} names a build that other platforms lack"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Has make say with which Python it would set up, on a machine with these."""
    if shutil.which("make") is None:
        pytest.skip("there is no make on the PATH")
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("constraints.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "sort", "head", "cut", "test", "touch", "mv", "rm"):
        (tools / name).symlink_to(shutil.which(name))

    def run(*arguments: str, **pythons: tuple[int, bool]) -> subprocess.CompletedProcess[str]:
        for name, (minor, venv) in pythons.items():
            path = tools / name.replace("_", ".")
            path.write_text(
                FAKE_PYTHON.format(python=sys.executable, minor=minor, venv=venv), encoding="utf-8"
            )
            path.chmod(0o755)
        command = [shutil.which("make"), *arguments, ".venv/.installed"]
        environment = {"PATH": str(tools)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


FAKE_PYTHON = """#!{python}
import importlib.util, sys

if "venv" in sys.argv:
    sys.exit(f"chosen: {{sys.argv[0]}}")
sys.version_info = (3, {minor}, 0)
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: find_spec(name) if {venv} else None
if not {venv}:
    sys.modules["ensurepip"] = None
exec(sys.argv[2])
"""


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": (11, True)}, "python3"),
        ({"python3": (11, True), "python3_13": (13, True), "python3_12": (12, True)}, "python3.13"),
        ({"python3": (14, True), "python3_14": (14, True)}, "python3"),
        ({"python3": (9, True), "python3_12": (12, True)}, "python3.12"),
        ({"python3": (15, True), "python3_12": (12, True)}, "python3.12"),
        ({"python3": (13, False), "python3_12": (12, True)}, "python3.12"),
    ],
)
def test_make_takes_the_newest_python_that_can_make_an_environment(make, pythons, chosen) -> None:
    assert make(**pythons).stderr.splitlines()[0].endswith(f"/{chosen}")


def test_make_says_which_python_is_missing(make) -> None:
    message = (
        "mecsim needs Python 3.11 to 3.14: install one, or say where it is with make PYTHON=/path/to/python3"
    )
    assert make(python3=(10, True)).stderr.splitlines()[0] == message
    assert make("PYTHON=./none").stderr.splitlines()[0] == message
    lacking = "python3 lacks its module venv: install it, on Debian and Ubuntu with apt install python3-venv"
    assert make(python3=(12, False)).stderr.splitlines()[0] == lacking


def test_binder_builds_from_the_conda_environment(tmp_path: Path) -> None:
    pytest.importorskip("repo2docker", reason="jupyter-repo2docker is not installed")
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    dockerfile = done.stdout + done.stderr
    assert '--file "environment.yml"' in dockerfile
    steering = "binder .binder Dockerfile requirements.txt runtime.txt install.R default.nix"
    assert [name for name in steering.split() if (ROOT / name).exists()] == []
