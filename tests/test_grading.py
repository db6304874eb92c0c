"""A submission that cannot be graded says why in one sentence, and stops no other."""

import csv
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

pytest.importorskip("nbgrader", reason="the extra `course` is not installed")

from assignments import main
from grading import COLUMNS, Grade, give_marks, grade

from course import NAMES, SOURCE, Course, CourseError, release

FIRST = NAMES[0]
TIMEOUT_S = 20
LOOP = "while True:\n    pass"
KILL = "import os\n\nos._exit(1)"


def solution(**changed: str) -> NotebookNode:
    """The solution of the first assignment, with other code in some cells."""
    notebook = nbformat.read(SOURCE / FIRST / f"{FIRST}.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = changed.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    return notebook


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    root = tmp_path_factory.mktemp("class")
    course = Course(root, root / "submitted", timeout_s=TIMEOUT_S)
    release(course)
    hand_in = {
        "fine": solution(),
        "loop": solution(a1_1=LOOP),
        "killer": solution(a1_1=KILL),
        "cheat": solution(
            t1_1="pass",
            class_seed="class_seed = 0",
            a1_1="rate_alone_bps = rate_together_bps = delay_s = energy_j = 1.0",
        ),
        "warned": solution(a1_5=noisy()),
    }
    for student, notebook in hand_in.items():
        write(course, student, nbformat.writes(notebook))
    write(course, "torn", nbformat.writes(solution())[:2000])
    write(course, "other", "{}")
    write(course, "renamed", nbformat.writes(solution()), file="my_copy.ipynb")
    write(course, "two[1]", nbformat.writes(solution()))
    (course.submitted / "nobody").mkdir()
    return course


def noisy() -> str:
    """The solution of task 1.5 with a warning on the way."""
    (cell,) = (cell for cell in solution().cells if cell.get("id") == "a1-5")
    return cell.source.replace('with np.errstate(divide="ignore"):', "if True:")


def write(course: Course, student: str, text: str, file: str = f"{FIRST}.ipynb") -> None:
    path = course.submitted / student / FIRST / file
    path.parent.mkdir(parents=True)
    path.write_text(text)


@pytest.fixture(scope="module")
def grades(course: Course) -> dict[str, Grade]:
    return {one.student: one for one in grade(course) if one.assignment == FIRST}


def test_a_good_submission_is_graded_among_bad_ones(grades: dict[str, Grade]) -> None:
    assert (grades["fine"].points, grades["fine"].note) == (grades["fine"].of, "")


@pytest.mark.parametrize(
    ("student", "note"),
    [
        ("nobody", "not handed in."),
        ("renamed", f"{FIRST}.ipynb is missing; there is my_copy.ipynb."),
        ("torn", f"{FIRST}.ipynb cannot be read as a notebook (NotJSONError)."),
        ("other", f"{FIRST}.ipynb cannot be read as a notebook (ValidationError)."),
        ("two[1]", "the folder 'two[1]' has one of *?[] in its name: rename it."),
        ("killer", f"{FIRST}.ipynb could not be run: nbclient.exceptions.DeadKernelError: Kernel died"),
    ],
)
def test_what_cannot_be_graded_says_why_and_scores_nothing(
    grades: dict[str, Grade], student: str, note: str
) -> None:
    assert (grades[student].note, grades[student].points, grades[student].tasks) == (note, 0, {})


def test_an_endless_loop_costs_its_own_task_only(grades: dict[str, Grade]) -> None:
    one = grades["loop"]
    assert one.note == f"1 cell(s) ran for more than {TIMEOUT_S} s and were stopped."
    assert {task for task, points in one.tasks.items() if points == 0} == {"t1_1"}


def test_changed_tests_are_put_back(grades: dict[str, Grade]) -> None:
    assert grades["cheat"].tasks["t1_1"] == 0
    assert grades["cheat"].points == grades["cheat"].of - 2


def test_a_warning_costs_nothing(grades: dict[str, Grade]) -> None:
    assert grades["warned"].points == grades["warned"].of


def test_the_table_has_a_line_for_everybody(course: Course, grades: dict[str, Grade]) -> None:
    with (course.root / "grades.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(NAMES) * len(grades)
    fine = next(row for row in rows if (row["student"], row["assignment"]) == ("fine", FIRST))
    assert (fine["points"], fine["of"], fine["to_mark"]) == ("15", "15", "0")
    assert fine["tasks"].startswith("t1_1=2 t1_2=3")
    pages = {path.parent.parent.name for path in (course.root / "feedback").rglob("*.html")}
    assert pages == {"fine", "loop", "cheat", "warned"}


def test_marks_that_are_no_use_are_named(course: Course, grades: dict[str, Grade]) -> None:
    rows = ("fine,{0},t1_1,1,half", "fine,{0},t1_1,9,", "ghost,{0},t1_1,1,", "fine,{0},t1_2,many,", "fine")
    text = "\n".join(("student,assignment,task,points,comment", *rows)).format(FIRST)
    (course.root / "marks.csv").write_text(text)
    told = list(give_marks(course))
    use = "it should name student, assignment, task, points, comment of a submission."
    assert told == [
        "marks.csv, line 3: 9 points are not allowed: 0 to 2 are.",
        *(f"marks.csv, line {line}: {use}" for line in (4, 5, 6)),
    ]


def test_no_folder_and_an_empty_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(tmp_path / "none"), "--course", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"There is no folder {tmp_path / 'none'}: it should hold ")
    with pytest.raises(CourseError, match="holds no student"):
        grade(Course(tmp_path, tmp_path))


def test_a_bad_seed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["release", "--class-seed", "-3"])
    assert "'-3' is not allowed" in capsys.readouterr().err


def test_jupyterlab_is_left_as_it_is() -> None:
    """What `make` set up has no nbgrader in everybody's Lab; another environment is its owner's."""
    prefix = Path(sys.prefix)
    if not (prefix / ".installed").exists():
        pytest.skip("this environment was not set up by make")
    added = ("@jupyter/nbgrader", "@jupyter-notebook")
    assert [name for name in added if (prefix / "share/jupyter/labextensions" / name).exists()] == []
    servers = {path.stem for path in (prefix / "etc/jupyter/jupyter_server_config.d").iterdir()}
    assert not servers & {"nbgrader", "notebook"}
