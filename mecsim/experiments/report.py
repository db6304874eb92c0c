"""What `mecsim reproduce` leaves behind: a page of each notebook, its figures and an index of them all."""

import base64
import html
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from string import Template

from nbformat import NotebookNode

from mecsim.experiments.pages import notebook_body, template, write_page
from mecsim.experiments.store import write_atomically

ENTRY = Template("""\
<article class="$state">
  <header>
    <h2><a href="html/$name.html">$title</a></h2>
    <p class="facts"><strong>$result</strong> in $duration &middot; <a href="executed/$name.ipynb">notebook</a></p>
  </header>
  $error
  <div class="figures">$figures</div>
</article>""")


@dataclass(frozen=True)
class NotebookRun:
    """One executed notebook: how long it took, its figures and, if it failed, the last line of the error."""

    name: str
    title: str
    duration_s: float
    error: str | None
    figures: tuple[Path, ...]


def write_html(notebook: NotebookNode, title: str, path: Path) -> None:
    """Writes the page of a notebook, in a folder beside the index."""
    bar = '<a href="../index.html">All notebooks of this run</a>'
    write_page(path, title, notebook_body(notebook, title), root="../", bar=bar)


def extract_figures(notebook: NotebookNode, folder: Path) -> tuple[Path, ...]:
    """Writes the PNG outputs to 01.png, 02.png, ... in the folder, in place of those of an earlier run."""
    shutil.rmtree(folder, ignore_errors=True)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    images = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    paths = tuple(folder / f"{number:02d}.png" for number in range(1, len(images) + 1))
    for path, image in zip(paths, images, strict=True):
        write_atomically(path, base64.b64decode(image))
    return paths


def write_index(out: Path, profile: str, runs: Sequence[NotebookRun], planned: int) -> None:
    """Writes index.html: each notebook with its result, its duration and its figures."""
    failed = sum(run.error is not None for run in runs)
    facts = {
        "state": "failed" if failed else "ok",
        "done": f"{len(runs) - failed} of {planned} notebooks ran through"
        + (f", {failed} failed" if failed else ""),
        "duration": format_duration(sum(run.duration_s for run in runs)),
        "profile": profile,
        "entries": "\n".join(render_entry(run, out) for run in runs),
    }
    body = Template(template("index.html")).substitute(facts)
    versions = ", ".join(f"{name} {version(name)}" for name in ("mecsim", "torch", "numpy"))
    title = "mecsim: what this run reproduced"
    write_page(out / "index.html", title, body, root="", bar=f"<span>{title}</span>", foot=versions)


def render_entry(run: NotebookRun, out: Path) -> str:
    """One notebook's part of the index."""
    title = html.escape(run.title)
    figure = '<a href="{0}"><img src="{0}" alt="Figure {1} of {2}" loading="lazy"></a>'
    links = [path.relative_to(out).as_posix() for path in run.figures]
    return ENTRY.substitute(
        name=run.name,
        title=title,
        state="failed" if run.error else "ok",
        result="failed" if run.error else "ok",
        duration=format_duration(run.duration_s),
        error=f"<pre>{html.escape(run.error)}</pre>" if run.error else "",
        figures="".join(figure.format(link, number, title) for number, link in enumerate(links, start=1)),
    )


def format_duration(seconds: float) -> str:
    """A duration as a reader says it: 12 s, 3 min 05 s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
