"""What nbgrader does not do by itself, as steps that it runs over the cells of a notebook."""

import re
from typing import Any

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook, Notebook
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from nbgrader.utils import is_grade, is_locked
from traitlets import Integer, Unicode

from mecsim.experiments.kernels import OwnKernel

HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS$.*?^### END HIDDEN TESTS$", flags=re.DOTALL | re.MULTILINE)
UNSHOWN = "# ... and tests that are not shown"
SEED = re.compile(r"^class_seed *= *(\d+)", flags=re.MULTILINE)

Step = tuple[NotebookNode, dict[str, Any]]


def name_of(cell: NotebookNode) -> str:
    """What a message calls a cell: its name in the assignment, or how it starts if it is the student's own."""
    return cell.metadata.get("nbgrader", {}).get("grade_id", repr(cell.source.partition("\n")[0]))


class SetClass(NbGraderPreprocessor):
    """Writes the seed of a class into the parameters of a release, and with it the numbers of its tasks."""

    class_seed = Integer(1).tag(config=True)

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> Step:
        """One cell; only that tagged `parameters` changes."""
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = SEED.sub(f"class_seed = {self.class_seed}", cell.source)
        return cell, resources


class Restore(NbGraderPreprocessor):
    """Has each cell of the assignment stand in a submission once, under its name, and notes what was otherwise.

    Of copies the last counts, and a test or a locked cell of code that is missing comes back. All other cells, those of
    another assignment too, are the student's own.
    """

    def preprocess(self, notebook: NotebookNode, resources: dict[str, Any]) -> Step:
        """A whole submission; the notes go to its metadata."""
        given = resources["nbgrader"]
        with Gradebook(given["db_url"]) as book:
            known = cells_of(book.find_notebook(given["notebook"], given["assignment"]))
        found, copied = {}, []
        for cell in reversed(notebook.cells):
            mark = cell.metadata.pop("nbgrader", None)
            name = str(mark.get("grade_id")) if isinstance(mark, dict) else ""
            if name in found:
                copied.insert(0, name)
            elif name in known:
                found[name] = cell
                cell.metadata.nbgrader = known[name].metadata.nbgrader
        notes = [
            f"{name} is there more than once, and the last one counts." for name in dict.fromkeys(copied)
        ]
        if "class_seed" in found:
            seeds = [SEED.search(cells["class_seed"].source) for cells in (found, known)]
            theirs, ours = (seed and seed[1] for seed in seeds)
            if theirs != ours:
                notes.append(
                    f"its class seed is {theirs} and not {ours}: numbers worked out by hand do not fit."
                )
        missing, place = [], 0
        for name, cell in known.items():
            if name in found:
                place = next(at for at, one in enumerate(notebook.cells) if one is found[name]) + 1
            elif is_grade(cell) or (is_locked(cell) and cell.cell_type == "code"):
                notebook.cells.insert(place, cell)
                missing, place = [*missing, name], place + 1
        if missing:
            notes.append(f"put back what was missing: {', '.join(missing)}.")
        notebook.metadata.notes = notes
        return notebook, resources


def cells_of(notebook: Notebook) -> dict[str, NotebookNode]:
    """The cells of a released assignment by their names, in order, as the gradebook has them."""
    points = {cell.name: cell.max_score for cell in notebook.grade_cells}
    answers = {cell.name for cell in notebook.solution_cells}
    make = {"code": new_code_cell, "markdown": new_markdown_cell}
    cells = {}
    for cell in notebook.source_cells:
        mark = {"grade_id": cell.name, "schema_version": 3, "task": False, "locked": cell.locked}
        mark |= {"grade": cell.name in points, "solution": cell.name in answers, "checksum": cell.checksum}
        mark |= {"points": points[cell.name]} if cell.name in points else {}
        cells[cell.name] = make[cell.cell_type](cell.source, metadata={"nbgrader": mark})
    return cells


class Run(Execute):
    """Runs a submission in a kernel of this Python, and says which cell ended it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"kernel_manager_class": OwnKernel})

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> Step:
        """One cell."""
        try:
            return super().preprocess_cell(cell, resources, index)
        except DeadKernelError:
            where = f"Python ended in the cell {name_of(cell)} or just before it"
            raise DeadKernelError(f"{where}, for want of memory or because of exit().") from None
        except CellTimeoutError:
            raise RuntimeError(f"the cell {name_of(cell)} ran too long and could not be stopped.") from None


class ForgiveWarnings(NbGraderPreprocessor):
    """Drops what a test wrote to stderr: nbgrader gives no points for it, and a warning is no wrong answer."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> Step:
        """One executed cell."""
        if is_grade(cell) and cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        return cell, resources


class Explain(NbGraderPreprocessor):
    """Opens the feedback with the note, and leaves of a hidden test the one sentence that it ended with."""

    note = Unicode().tag(config=True)

    def preprocess(self, notebook: NotebookNode, resources: dict[str, Any]) -> Step:
        """A graded submission."""
        notebook, resources = super().preprocess(notebook, resources)
        if self.note:
            notebook.cells.insert(0, new_code_cell(f"# {self.note}"))
        return notebook, resources

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> Step:
        """One cell of a graded submission; one that prints the hidden tests loses its output."""
        if is_grade(cell) and cell.cell_type == "code":
            cell.source = HIDDEN.sub(UNSHOWN, cell.source)
            for output in cell.outputs:
                if output.output_type == "error":
                    output.traceback = [f"{output.ename}: {output.evalue}".rstrip(": ")]
        elif "HIDDEN TESTS" in str(cell.get("outputs")):
            cell.outputs = []
        return cell, resources
