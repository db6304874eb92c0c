"""What nbgrader does not do by itself, as steps that it runs over the cells of a notebook."""

import re
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade
from traitlets import Integer

HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS$.*?^### END HIDDEN TESTS$", flags=re.DOTALL | re.MULTILINE)
UNSHOWN = "# ... and tests that are not shown"
SEED = re.compile(r"^class_seed = \d+", flags=re.MULTILINE)

Step = tuple[NotebookNode, dict[str, Any]]


class SetClass(NbGraderPreprocessor):
    """Writes the seed of a class into the parameters of a release, and with it the numbers of its tasks."""

    class_seed = Integer(1).tag(config=True)

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> Step:
        """One cell; only that tagged `parameters` changes."""
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = SEED.sub(f"class_seed = {self.class_seed}", cell.source)
        return cell, resources


class ForgiveWarnings(NbGraderPreprocessor):
    """Drops what a test wrote to stderr: nbgrader gives no points for it, and a warning is no wrong answer."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> Step:
        """One executed cell."""
        if is_grade(cell) and cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        return cell, resources


class HideTests(NbGraderPreprocessor):
    """Leaves of a hidden test, in the feedback, the one sentence that it ended with."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> Step:
        """One graded cell."""
        if is_grade(cell) and cell.cell_type == "code":
            cell.source = HIDDEN.sub(UNSHOWN, cell.source)
            for output in cell.outputs:
                if output.output_type == "error":
                    output.traceback = [f"{output.ename}: {output.evalue}".rstrip(": ")]
        return cell, resources
