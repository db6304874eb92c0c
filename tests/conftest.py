"""Set-up that every test shares."""

import json
import os
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors: threads only wait for each other

import matplotlib as mpl
import pytest
from hypothesis import settings

mpl.use("Agg")

import matplotlib.pyplot as plt

# The same examples in every run, and no limit on the time of one: a slow machine is no failure.
settings.register_profile("mecsim", deadline=None, derandomize=True, database=None, print_blob=False)
settings.load_profile("mecsim")


@pytest.fixture(autouse=True)
def _figures_closed() -> Iterator[None]:
    """Every test starts without open figures, whichever ran before it."""
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def foreign_kernels(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A JUPYTER_PATH with a kernel of another environment that has the name of ours; it does not start."""
    root = tmp_path_factory.mktemp("foreign")
    folder = root / "kernels/python3"
    folder.mkdir(parents=True)
    spec = {"argv": ["no-such-python", "{connection_file}"], "display_name": "Other", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    return str(root)
