"""Every way in: a copy without git in an odd folder, one that cannot be written, a wheel, a script without a guard."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mecsim.experiments.store import ROOT

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs a checkout")
FILES = ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT", "ASSUMPTIONS.md")
NO_HOME = str(Path(os.devnull, "home"))
"""A home that cannot be written, nor made, by root either."""
QUICK = """
from dataclasses import replace
from mecsim.experiments import checks, claims, panels, runner, store

panels.PROFILES["quick"] = replace(panels.PROFILES["quick"], seeds=1, evaluation_slots=1)

def run(seeds=1):
    return len(runner.run_experiments(["twin-harvest-noise"], seeds=seeds, workers=1))
"""
"""A script of a reader's own, with six runs of a slot each."""
READ_ONLY = """
import os, sys

def refuse(event, args):
    writes = {"os.mkdir": 0, "os.remove": 0, "os.rename": 1, "shutil.rmtree": 0}
    if event == "open" and (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        path = args[0]
    elif event in writes:
        path = args[writes[event]]
    else:
        return
    if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(os.environ["READ_ONLY"]):
        raise OSError(30, "Read-only file system", os.fspath(path))

sys.addaudithook(refuse)  # which stops root, too
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """What a zip unpacks to: a checkout without git, in a folder with an odd name."""
    folder = tmp_path_factory.mktemp("zip") / "mecsim (1) + [ü] $x"
    for name in ("mecsim", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def site(copy, tmp_path_factory) -> Path:
    """The package as a wheel installs it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--no-index", "--wheel-dir", folder, copy], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site-packages")
    return folder / "site-packages"


def python(*words: str, package: Path, cwd: Path, said: str = "", **variables: str) -> tuple[int, str]:
    """Runs Python with a copy of the package: the exit status, and what it printed or else complained of."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MECSIM_")}
    done = subprocess.run(
        [sys.executable, *words],
        env=inherited | {"PYTHONPATH": str(package), "NUMBA_DISABLE_JIT": "1", "HOME": NO_HOME} | variables,
        cwd=cwd,
        input=said,
        capture_output=True,
        encoding="utf-8",
    )
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr


def contents(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def computed(copy) -> tuple[int, str]:
    """What a script from standard input, which is no file, says in the copy."""
    verdict = "claims.rule_on('C4').verdict, checks.faults_of(checks.stores()[4])"
    script = QUICK + f"print(run(), {verdict}, store.provenance({{}})['revision'])"
    return python("-", package=copy, cwd=copy.parent, said=script)


def test_a_copy_without_git_in_an_odd_folder_computes_reads_and_checks(copy, computed) -> None:
    assert computed == (0, "6 reproduced [] unknown\n")
    assert len(list((copy / "build" / "runs").glob("*.parquet"))) == 6


def test_what_cannot_be_written_is_read_all_the_same_and_else_said_first(copy, computed, tmp_path) -> None:
    before = contents(copy)
    script = READ_ONLY + QUICK + "print(run(), claims.rule_on('C4').verdict)\nrun(seeds=2)"
    code, complaint = python("-", package=copy, cwd=tmp_path, said=script, READ_ONLY=str(copy))
    assert code == 1
    assert (
        "build/runs cannot be written (Read-only file system): make room or take"
        in complaint.splitlines()[-1]
    )
    assert complaint.splitlines()[0] == "Traceback (most recent call last):"  # no progress: nothing was begun
    assert contents(copy) == before


def test_a_wheel_says_first_that_it_knows_no_place_for_results(site, tmp_path) -> None:
    commands = ("claims", "bounds", "figures", "check", "policies", "run fig6a", "study bounds", "calibrate")
    script = f"""
from mecsim.experiments import cli
from mecsim.settings import SettingError
for command in {commands}:
    try:
        cli.app(command.split(), standalone_mode=False)
    except SettingError as error:
        print(error)
"""
    before = contents(site)
    code, said = python("-c", script, package=site, cwd=tmp_path)
    assert code == 0
    sentence = (
        "This mecsim is installed outside a checkout and has no stored results: start it in a checkout, or name a "
        "folder for them with `mecsim --data FOLDER` or the environment variable MECSIM_DATA."
    )
    assert said.splitlines() == [sentence] * len(commands)
    assert contents(site) == before
    assert not contents(tmp_path)


def test_a_wheel_takes_the_results_that_it_is_told_of(site, copy, tmp_path) -> None:
    where = "from mecsim.experiments.store import BUILD, DATA; print(DATA, BUILD, sep='\\n')"
    (copy / "notebooks").mkdir(exist_ok=True)
    found = python("-c", where, package=site, cwd=copy / "notebooks")
    assert found == (0, f"{copy / 'data'}\n{copy / 'build'}\n")  # of the checkout that one stands in
    found = python("-c", where, package=site, cwd=copy, MECSIM_DATA=str(tmp_path))
    assert found == (0, f"{tmp_path}\n{tmp_path / 'build'}\n")
    assert not contents(tmp_path)
    code, complaint = python("-m", "mecsim", "--data", "nowhere", "claims", package=site, cwd=tmp_path)
    assert (code, complaint.count("\n")) == (2, 1)
    assert "nowhere' is not allowed: it should be a folder that exists" in complaint
    code, complaint = python("-m", "mecsim", "claims", package=site, cwd=tmp_path, MECSIM_DATA=str(tmp_path))
    assert (code, complaint.count("\n")) == (2, 1)
    assert complaint.startswith(f"{tmp_path / 'runs'} holds no runs: take data/ of a checkout")


def test_a_copy_in_another_repository_does_not_take_that_ones_commit(copy, tmp_path) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(copy.parent)]
    told = "from mecsim.experiments.store import provenance; print(provenance({})['revision'])"
    if shutil.which("git") is None:
        pytest.skip("needs git")
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "not ours"], check=True)
    assert python("-c", told, package=copy, cwd=copy) == (0, "unknown\n")
    ours = subprocess.run([*git[:-1], str(ROOT), "rev-parse", "HEAD"], capture_output=True, encoding="utf-8")
    if ours.returncode == 0:  # from a zip it is unknown, too
        code, revision = python("-c", told, package=ROOT, cwd=tmp_path, GIT_DIR=str(copy.parent / ".git"))
        assert (code, revision[:12]) == (0, ours.stdout[:12])
    assert python("-c", told, package=copy, cwd=copy, MECSIM_REVISION="abc") == (0, "abc\n")
    own = tmp_path / "own"
    shutil.copytree(copy / "mecsim", own / "mecsim", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(copy / "pyproject.toml", own)
    for words in (["init"], ["add", "."], ["commit", "--message", "ours"]):
        subprocess.run([*git[:-1], str(own), *words], check=True, capture_output=True)
    assert "dirty" not in python("-c", told, package=own, cwd=own)[1]
    with (own / "mecsim/__init__.py").open("a", encoding="utf-8") as file:
        file.write("\n")
    assert python("-c", told, package=own, cwd=own)[1].endswith("-dirty\n")


def test_a_script_without_the_guard_is_told_of_it(copy, tmp_path) -> None:
    starts = (
        "from mecsim.experiments.parallel import run_tasks\nrun_tasks(print, [1, 2], [1.0, 1.0], workers=2)"
    )
    (tmp_path / "script.py").write_text(starts)
    code, complaint = python("script.py", package=copy, cwd=tmp_path)
    assert code == 1
    assert complaint.count("Traceback") == 1
    assert "No worker could start: in a script, what computes must stand below `if __name__ ==" in complaint
