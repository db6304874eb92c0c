"""The assignments' source notebooks, and what no student should find elsewhere."""

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from mecsim.experiments.store import ROOT

SOURCE = ROOT / "notebooks/assignments/source"
NAMES = tuple(sorted(path.name for path in SOURCE.glob("[!.]*/")))
MANUAL = "a4_7"


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def settings(cell: NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def source_of(name: str, **changed: str) -> NotebookNode:
    """The solution of an assignment, with other code in some cells."""
    notebook = read(SOURCE / name / f"{name}.ipynb")
    for cell in notebook.cells:
        cell.source = changed.pop(settings(cell).get("grade_id"), cell.source)
    assert not changed
    return notebook


def text_of(notebook: NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


def secret_lines(name: str) -> list[str]:
    """The lines of solutions and hidden tests, but for those that a student may see elsewhere in the notebook."""
    regions = re.compile(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END", flags=re.DOTALL)
    text = text_of(source_of(name))
    manual = [cell.source for cell in source_of(name).cells if settings(cell).get("grade_id") == MANUAL]
    shown = regions.sub("", text).replace("".join(manual), "") if manual else regions.sub("", text)
    lines = {line.strip() for region in [*regions.findall(text), *manual] for line in region.splitlines()}
    return sorted(line for line in lines if len(line) > 15 and line not in shown)
