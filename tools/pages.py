"""What a page needs that shows a notebook to readers without a kernel or a network: the site's, and those of a run."""

import re
from pathlib import Path

import jupyter_server_mathjax
from nbformat import NotebookNode

from mecsim.experiments.store import ROOT

MATHJAX = (Path(jupyter_server_mathjax.__file__).with_name("static"), ROOT / "docs" / "mathjax")
"""Folders that make up a MathJax together: what is installed, and its settings for a reader without a network."""
MATHJAX_JS = "MathJax.js?config=TeX-AMS-MML_HTMLorMML-full,local/offline"
"""MathJax's address in that folder."""
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CAPTION = re.compile(r"\*Figure:?\*?:? *")


def title_of(notebook: NotebookNode, default: str) -> str:
    """The first level-one heading."""
    texts = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.search(r"^# (.*)", texts, flags=re.MULTILINE)
    return found[1].strip() if found else default


def strip_widgets(notebook: NotebookNode) -> None:
    """Removes the widgets, which show nothing without a kernel, from the outputs and the metadata.

    Of one that brings a picture, the picture stays.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                output
                for output in cell.outputs
                if not output.get("data", {}).pop(WIDGET_VIEW, None) or "image/png" in output.data
            ]


def describe_figures(notebook: NotebookNode, title: str) -> None:
    """Gives each figure its alternative text: the caption that starts the next cell of text, or its number."""
    number = 0
    for place, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                number += 1
                after = (later for later in notebook.cells[place + 1 :] if later.cell_type == "markdown")
                text = caption(next(after, None)) or f"Figure {number} of {title}"
                size = output.metadata.setdefault("image/png", {})
                size.pop("height", None)  # it follows from the width, on a phone too
                size["alt"] = text  # nbconvert looks for it here,
                cell.metadata["mystnb"] = {"image": {"alt": text}}  # and MyST-NB here


def caption(cell: NotebookNode | None) -> str | None:
    """The caption of a figure in plain text, where the cell starts with one."""
    if cell is None or not CAPTION.match(cell.source):
        return None
    paragraph = CAPTION.sub("", cell.source.split("\n\n")[0], count=1)
    return re.sub(r"[*`$]|\\(?=hat)", "", paragraph).strip()
