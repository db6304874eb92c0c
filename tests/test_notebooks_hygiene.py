"""What a reader may rely on in every committed notebook; `make notebooks` sees to most of it."""

import ast
import re
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from PIL import Image

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
MAX_BYTES = 1_500_000
MAX_CELLS = 40
MAX_LINES = 20
USUAL_LINES = 15
LONG_CELLS = 2  # a notebook may have this many cells of more than the usual length
SECTIONS = ("Summary", "Where we differ from the paper", "Exercises")
LOCAL = re.compile(r"(?<![\w.])(/work|/home|/root|/tmp|/Users|/var/folders)/|site-packages|[A-Z]:\\\\")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
NO_PROSE = re.compile(
    r"`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|!?\[(?:[^\[\]]|\[[^\]]*\])*\]\([^)]*\)|^(?:#|\*Figure)[^\n]*$",
    re.S | re.M,
)
MENTION = re.compile(r"\b[Nn]otebooks? \d\d|(?<!-)\bA[1-9]\d?\b")
"""Of a notebook or an assumption; links, captions, headings, code and mathematics are no prose."""


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def notebook(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    for cell in code_cells(notebook):
        yield from cell.outputs


def output_texts(notebook: NotebookNode) -> Iterator[str]:
    for output in outputs(notebook):
        yield output.get("text", "")
        yield from (value for mime, value in output.get("data", {}).items() if mime.startswith("text/"))


def markdown(notebook: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def lines(cell: NotebookNode) -> int:
    """Lines of a cell; an import of many names counts as none."""
    return len(re.sub(r"^from \S+ import \([^)]*\)\n", "", cell.source, flags=re.MULTILINE).splitlines())


def test_format_and_size(path: Path, notebook: NotebookNode) -> None:
    nbformat.validate(notebook)
    assert path.stat().st_size < MAX_BYTES
    assert len(notebook.cells) <= MAX_CELLS


def test_metadata_is_what_make_notebooks_writes(notebook: NotebookNode) -> None:
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert "version" not in notebook.metadata.language_info
    assert all(set(cell.metadata) <= {"tags", "jupyter"} for cell in notebook.cells)


def test_committed_as_run_in_order(notebook: NotebookNode) -> None:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), "run make notebooks"


def test_outputs_hold_no_error_warning_or_widget(notebook: NotebookNode) -> None:
    assert [output.ename for output in outputs(notebook) if output.output_type == "error"] == []
    assert [output.text for output in outputs(notebook) if output.get("name") == "stderr"] == []
    assert not [output for output in outputs(notebook) if "widget-view" in str(list(output.get("data", {})))]


def test_every_cell_is_plain_python_that_a_script_can_hold(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        ast.parse(cell.source)


def test_figures_have_twice_the_points_of_the_page(notebook: NotebookNode) -> None:
    for output in outputs(notebook):
        if "image/png" in output.get("data", {}):
            width = Image.open(BytesIO(b64decode(output.data["image/png"]))).width
            assert width == pytest.approx(2 * output.metadata["image/png"]["width"], abs=2)


def test_nothing_of_this_machine(notebook: NotebookNode) -> None:
    texts = [cell.source for cell in notebook.cells] + list(output_texts(notebook))
    assert [text for text in texts if LOCAL.search(text)] == []
    assert [text for text in output_texts(notebook) if ADDRESS.search(text)] == []


def test_one_parameters_cell_in_a_numbered_notebook(path: Path, notebook: NotebookNode) -> None:
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1 or not path.stem[0].isdigit()
    assert all(cell.cell_type == "code" for cell in tagged)


def test_cells_are_short(notebook: NotebookNode) -> None:
    assert [cell.source for cell in code_cells(notebook) if lines(cell) > MAX_LINES] == []
    assert sum(lines(cell) > USUAL_LINES for cell in code_cells(notebook)) <= LONG_CELLS


def test_opens_with_a_title_and_ends_with_the_usual_sections(path: Path, notebook: NotebookNode) -> None:
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    headings = re.findall(r"^#{2,} +(.*?) *$", markdown(notebook), flags=re.MULTILINE)
    expected = [section for section in SECTIONS if section != SECTIONS[1] or path.stem != "00_start_here"]
    assert [heading for heading in headings if heading in expected] == expected


def title(notebook: NotebookNode) -> str:
    return notebook.cells[0].source.splitlines()[0].removeprefix("# ")


def test_both_ends_link_to_the_notebooks_before_and_after(path: Path, notebook: NotebookNode) -> None:
    place, links = NOTEBOOKS.index(path), []
    for word, near in (("Previous", NOTEBOOKS[:place][-1:]), ("Next", NOTEBOOKS[place + 1 :][:1])):
        links += [f"{word}: [{title(nbformat.read(one, as_version=4))}]({one.name})" for one in near]
    start, line = notebook.cells[0].source, " · ".join(links)
    assert f"*\n\n{line}\n\n" in start
    assert notebook.cells[-1].source.endswith(f"\n\n{line}")
    assert "Before: " in start


def test_every_mention_of_a_notebook_or_an_assumption_is_a_link(path: Path, notebook: NotebookNode) -> None:
    own = f"otebook {path.stem.partition('_')[0]}"
    plain = MENTION.findall(NO_PROSE.sub("", markdown(notebook)))
    assert [one for one in plain if not one.endswith(own)] == []
