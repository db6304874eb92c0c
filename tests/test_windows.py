"""What only Unix has is missed neither by any module, nor by a notebook with stored runs, nor by a training."""

import os
import subprocess
import sys

from mecsim.experiments.store import ROOT

WITHOUT_UNIX = """
import os, pkgutil, signal, sys
from importlib import import_module

for name in "IPython gymnasium ipykernel.kernelspec ipywidgets joblib jupyter_client.manager matplotlib.pyplot numba \\
        pandas psutil pyarrow.parquet safetensors.torch scipy.optimize scipy.stats seaborn torch tqdm.notebook \\
        typer".split():
    import_module(name)  # others go by the platform, which stays

def kill(*_):
    raise AssertionError("on Windows, os.kill(pid, 0) ends the process")

os.kill = kill
for module, names in {
    os: "WNOHANG fork forkpty getegid geteuid getgid getloadavg getpgid getuid killpg mkfifo nice pread "
        "sched_getaffinity setsid sysconf uname wait4",
    signal: "SIGALRM SIGHUP SIGKILL SIGUSR1 SIG_BLOCK SIG_SETMASK alarm pthread_kill pthread_sigmask setitimer",
}.items():
    for name in names.split():
        delattr(module, name)
for name in "fcntl grp posix pwd readline resource syslog termios".split():
    sys.modules[name] = None

import mecsim

for module in pkgutil.walk_packages(mecsim.__path__, "mecsim."):
    import_module(module.name)
"""
USE = """
import json
from pathlib import Path
from mecsim.experiments import checks, parallel, register, store

parallel.default_workers()
register.register()
print(checks.faults_of(checks.stores()[1]))
store.remove_abandoned(Path(sys.argv[2]))
with parallel.without_interrupts():
    store.write_atomically(Path(sys.argv[2], "file"), b"whole")
notebook = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
for cell in [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][:5]:
    exec("".join(cell["source"]))

from mecsim import DigitalTwin, Scenario, make_agent, train

scenario = Scenario(devices=(2, 2, 2))
print(len(train(make_agent("INTO", scenario), DigitalTwin(scenario, 0), 3, progress=False)))
"""


def test_every_module_notebook_10_and_a_training_do_without_what_only_unix_has(tmp_path) -> None:
    """Warnings count, too: text is read and written as UTF-8, whatever the locale says."""
    partial = tmp_path / ".a.1.part"
    partial.touch()
    notebook = ROOT / "notebooks" / "10_fig6.ipynb"
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", WITHOUT_UNIX + USE, notebook, tmp_path],
        env=os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    faults, *_, slots = done.stdout.splitlines()
    assert (faults, slots) == ("[]", "3")
    assert not [line for line in done.stderr.splitlines() if "mecsim" in line and "EncodingWarning" in line]
