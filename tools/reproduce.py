"""Run the numbered notebooks in order through papermill and lay them out as pages: what `mecsim reproduce` does."""

import base64
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import nbformat
import papermill
from jinja2 import Template
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pages import MATHJAX, MATHJAX_JS, describe_figures, strip_widgets, title_of
from papermill.exceptions import PapermillExecutionError

from mecsim.experiments.kernels import OwnKernel
from mecsim.experiments.store import ROOT, ensure_writable, write_atomically

NOTEBOOKS = ROOT / "notebooks"
NUMBERED = "[0-9][0-9]*.ipynb"
INDEX = Template(
    Path(__file__).with_name("index.html.j2").read_text(encoding="utf-8"), autoescape=True, trim_blocks=True
)
PAGE = """{% extends 'classic/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block body_header %}{{ super() }}<p><a href="../index.html">All notebooks of this run</a></p>{% endblock %}"""


@dataclass(frozen=True)
class NotebookRun:
    """One executed notebook: its duration, the addresses of its figures and, if it failed, the error's last line."""

    name: str
    title: str
    duration_s: float
    error: str | None
    figures: tuple[str, ...]


def reproduce(
    profile: str = "quick", out: Path = Path("build"), notebooks: Path = NOTEBOOKS
) -> list[NotebookRun]:
    """Runs the numbered notebooks of a folder in order and writes them, their HTML and figures and an index page.

    A notebook that fails says so in its entry and does not stop the others; what it produced is kept.

    Args:
        profile: "quick", or "paper" to first compute the paper-scale runs that are not stored yet.
        out: the folder to write to.
        notebooks: where the notebooks are.

    Raises:
        CannotWrite: nothing can be written into `out`.
    """
    ensure_writable(out)
    if profile == "paper":
        compute_missing_runs()
    out, paths = out.resolve(), sorted(notebooks.glob(NUMBERED))
    for folder in MATHJAX:
        shutil.copytree(folder, out / "mathjax", dirs_exist_ok=True)
    runs: list[NotebookRun] = []
    for number, path in enumerate(paths, start=1):
        print(f"[{number}/{len(paths)}] {path.stem}", flush=True)
        runs.append(run_notebook(path, out))
        if runs[-1].error:
            print(f"{path.stem} failed: {runs[-1].error}", flush=True)
        write_index(out, profile, runs, planned=len(paths))
    print(f"Open {out / 'index.html'}", flush=True)
    return runs


def compute_missing_runs() -> None:
    """Computes what is not stored yet: calibration, experiments, studies, sensitivity, small agents."""
    from mecsim.experiments.calibration import calibrate  # all of these are needed by this profile alone
    from mecsim.experiments.panels import EXPERIMENTS, PRESETS
    from mecsim.experiments.policies import make_policies
    from mecsim.experiments.runner import run_experiments
    from mecsim.experiments.sensitivity import measure_sensitivity
    from mecsim.experiments.studies import STUDIES, run_studies

    calibrate()
    for preset in PRESETS:
        names = [name for name, experiment in EXPERIMENTS.items() if preset in experiment.presets]
        run_experiments(names, "paper", preset)
        run_studies(STUDIES, preset)
    measure_sensitivity()
    make_policies()


def run_notebook(path: Path, out: Path) -> NotebookRun:
    """Executes one notebook in a kernel of its own and lays out what it produced, up to an error if there is one."""
    executed = out / "executed" / path.name
    executed.parent.mkdir(parents=True, exist_ok=True)
    executed.unlink(missing_ok=True)
    error, start = None, time.perf_counter()
    try:
        papermill.execute_notebook(
            *map(literal, (path, executed)),
            kernel_name="python3",
            cwd=path.parent,
            kernel_manager_class=OwnKernel,
        )
    except PapermillExecutionError as failure:
        error = f"{failure.ename}: {failure.evalue}"
    except Exception as failure:  # a kernel that died, say: whatever it was, the next notebook has its turn
        error = f"{type(failure).__name__}: {failure}"
    if error:
        error = error.strip().splitlines()[-1]  # where Python puts what went wrong
    duration_s = time.perf_counter() - start
    notebook = nbformat.read(executed if executed.exists() else path, as_version=4)
    title = title_of(notebook, default=path.stem)
    figures = extract_figures(notebook, out, path.stem)
    write_atomically(out / "html" / f"{path.stem}.html", page_of(notebook, title, path.parent).encode())
    return NotebookRun(path.stem, title, duration_s, error, figures)


def literal(path: Path) -> str:
    """A path as it stands, for papermill, which takes braces in it for parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


def page_of(notebook: NotebookNode, title: str, folder: Path) -> str:
    """A notebook of a folder as an HTML page beside MathJax's folder, with its pictures in the page."""
    strip_widgets(notebook)
    describe_figures(notebook, title)
    exporter = HTMLExporter(
        template_name="classic",
        raw_template=PAGE,
        mathjax_url=f"../mathjax/{MATHJAX_JS}",
        embed_images=True,
    )
    return exporter.from_notebook_node(notebook, {"metadata": {"name": title, "path": str(folder)}})[0]


def extract_figures(notebook: NotebookNode, out: Path, name: str) -> tuple[str, ...]:
    """Writes the PNG outputs to figures/name/01.png, 02.png, ... in place of those of an earlier run."""
    shutil.rmtree(out / "figures" / name, ignore_errors=True)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    images = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    addresses = tuple(f"figures/{name}/{number:02d}.png" for number in range(1, len(images) + 1))
    for address, image in zip(addresses, images, strict=True):
        write_atomically(out / address, base64.b64decode(image))
    return addresses


def write_index(out: Path, profile: str, runs: Sequence[NotebookRun], planned: int) -> None:
    """Writes index.html: each notebook with its result, its duration and its figures."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("mecsim", "torch", "numpy"))
    page = INDEX.render(
        runs=runs, planned=planned, profile=profile, versions=versions, duration=format_duration
    )
    write_atomically(out / "index.html", page.encode())


def format_duration(seconds: float) -> str:
    """A duration as a reader says it: 12 s, 3 min 05 s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
