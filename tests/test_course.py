"""The assignments score what the instructor's guide says, and a submission that cannot be graded stops no other."""

import copy
import csv
import json
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
import zipfile
from functools import cache
from html import escape
from pathlib import Path
from unicodedata import normalize

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

pytest.importorskip("nbgrader", reason="the extra `course` is not installed")

from assignments import main
from cells import Run
from grading import COLUMNS, Grade, grade, look_up
from hidden import MANUAL, read, secret_lines, settings, source_of, text_of
from marks import COLUMNS as MARK_COLUMNS
from marks import Mark, enter_marks, read_marks

from course import ASSIGNMENTS, NAMES, SOURCE, TIMEOUT_S, Course, CourseError, Feedback, release
from mecsim.experiments.store import ROOT

WRONG = tomllib.loads((ASSIGNMENTS / "wrong_answers.toml").read_text())["wrong"]
GUIDE = (ASSIGNMENTS / "README.md").read_text()
FIRST, LAST = NAMES[0], NAMES[3]
CLASS_SEED = 2
LOCAL = re.compile(r"(?<![\w.])(/work|/home|/root|/tmp|/Users|/var/folders)/|site-packages")
LOOP = "import time\n\nwhile True:\n    time.sleep(1)"
ODD = r"mecsim (1) + [b] $1 \d {x} 50%20off Übung"
KILL = "import os\n\nos._exit(1)"
STUBBORN = (
    "import time\n\nwhile True:\n    try:\n        time.sleep(1)\n    except BaseException:\n        pass"
)


def max_points(name: str) -> dict[str, int]:
    """Points of each task of an assignment."""
    cells = map(settings, source_of(name).cells)
    return {cell["grade_id"]: cell["points"] for cell in cells if cell.get("grade")}


def given_by_tests(name: str) -> dict[str, int]:
    """Points of each task that a test gives."""
    return {task: points for task, points in max_points(name).items() if task != MANUAL}


def with_wrong_answers(name: str) -> NotebookNode:
    """The solution with every wrong answer of the assignment in it: they are in different tasks."""
    return source_of(name, **{case["answer"]: case["code"] for case in WRONG if case["assignment"] == name})


def hand_in(course: Course, student: str, name: str, notebook: NotebookNode | str, file: str = "") -> None:
    path = course.submitted / student / name / (file or f"{name}.ipynb")
    path.parent.mkdir(parents=True)
    text = notebook if isinstance(notebook, str) else json.dumps(notebook)
    path.write_text(text.replace("class_seed = 1 ", f"class_seed = {CLASS_SEED} "))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A class before anything is handed in, of a checkout in a folder with an odd name."""
    root = tmp_path_factory.mktemp("released") / ODD
    course = Course(root, root / "submitted", CLASS_SEED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("course.SOURCE", shutil.copytree(SOURCE, root / "source"))
        assert release(course) == [root / "release" / name / f"{name}.ipynb" for name in NAMES]
    return course


# What the assignments score. --------------------------------------------------------------------------------------


def scores(notebook: NotebookNode, class_seed: int) -> tuple[dict[str, int], list[str]]:
    """The points of each test, as nbgrader gives them, without a kernel, and what the failed ones said."""
    variables, points, told = {"__name__": "__main__"}, {}, []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            code = re.sub(r"^class_seed = \d+ ", f"class_seed = {class_seed} ", cell.source)
            error = None
            try:
                with warnings.catch_warnings(action="ignore"):
                    exec(compile(code, cell.id, "exec"), variables)
            except Exception as raised:
                error = str(raised)
            if settings(cell).get("grade"):
                points[settings(cell)["grade_id"]] = (error is None) * settings(cell)["points"]
            told += [] if error is None else [error]
    assert variables["class_seed"] == class_seed
    return points, told


@pytest.mark.parametrize(
    ("name", "class_seed"),
    [
        *((name, seed) for name in NAMES[:2] for seed in (0, 3, 2027)),
        *((name, CLASS_SEED) for name in NAMES[2:]),
    ],
)
def test_the_solution_scores_full_marks_in_every_class(name: str, class_seed: int) -> None:
    """The numbers by hand depend on the class; assignments 3 and 4 were tried with nine classes when they were made."""
    assert scores(source_of(name), class_seed) == (given_by_tests(name), [])


@pytest.mark.parametrize("name", NAMES)
def test_the_unsolved_release_scores_nothing(released: Course, name: str) -> None:
    found, _ = scores(read(released.root / "release" / name / f"{name}.ipynb"), CLASS_SEED)
    assert found == dict.fromkeys(given_by_tests(name), 0)


@cache
def scores_of_wrong_answers(name: str) -> tuple[dict[str, int], list[str]]:
    return scores(with_wrong_answers(name), CLASS_SEED)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_answers_score_what_the_guide_says_and_are_told_in_a_sentence(name: str) -> None:
    cases = [case for case in WRONG if case["assignment"] == name]
    assert len(cases) >= 3
    wanted = given_by_tests(name)
    for case in cases:
        assert set(case["points"]) <= set(wanted)
        wanted |= case["points"]
    points, told = scores_of_wrong_answers(name)
    assert points == wanted
    assert len(told) == list(wanted.values()).count(0)
    assert [sentence for sentence in told if not sentence.endswith((".", "?")) or "\n" in sentence] == []


CROWD = """
class Mine(Agent):
    def act(self, state):
        needs = physics.required_cpu_hz(state.cycles, state.deadline_s - state.size_bits / state.rate_bps)
        best_first, options = np.argsort(-{0}, kind="stable"), []
        for share in (1.0, 0.7, 0.5, 0.35, 0.25, 0.15):
            placement = np.full(len(needs), -1)
            offered = best_first[: int(share * len(needs))]
            placement[offered] = self.scenario.cell[offered]
            options.append(refine_discrete(self.scenario, state, placement, self.refinement))
        return max(options, key=lambda action: outcome(self.scenario, state, action).income)
"""


@pytest.mark.parametrize(
    ("ranked_by", "lost"), [("state.award", {}), ("state.award / needs", {"t3_4_rules": 0})]
)
def test_who_follows_the_hint_of_task_3_4_has_full_marks(ranked_by: str, lost: dict) -> None:
    points, told = scores(source_of(NAMES[2], a3_4=CROWD.format(ranked_by)), CLASS_SEED)
    assert points == given_by_tests(NAMES[2]) | lost
    assert [sentence for sentence in told if "does not surely earn more than Choosy" not in sentence] == []


Grades = dict[tuple[str, str], Grade]
Odd = dict[str, Grade]


@pytest.fixture(scope="module")
def course(released: Course, tmp_path_factory: pytest.TempPathFactory) -> Course:
    root = shutil.copytree(released.root, tmp_path_factory.mktemp("class") / "a")
    course = Course(root, root / "submitted", CLASS_SEED)
    hand_in(course, "wrong", LAST, with_wrong_answers(LAST))
    hand_in(course, "unsolved", LAST, read(root / "release" / LAST / f"{LAST}.ipynb"))
    marks = f"student,assignment,task,points,comment\nwrong,{LAST},{MANUAL},5,Well argued.\n"
    (root / "marks.csv").write_text(marks)
    return course


@pytest.fixture(scope="module")
def grades(course: Course) -> Grades:
    found, problems = grade(course)
    assert problems == []
    return {(one.student, one.assignment): one for one in found}


def test_what_a_person_marks_counts_and_an_unsolved_answer_waits_for_nobody(grades: Grades) -> None:
    marked, unsolved = grades["wrong", LAST], grades["unsolved", LAST]
    by_tests, _ = scores_of_wrong_answers(LAST)
    assert marked.tasks == by_tests | {MANUAL: max_points(LAST)[MANUAL]}
    assert (marked.to_mark, marked.note) == (0, "")
    assert marked.points == sum(marked.tasks.values())
    assert unsolved.tasks == dict.fromkeys(max_points(LAST), 0)
    assert (unsolved.points, unsolved.to_mark, unsolved.note) == (0, 0, "")


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case["answer"])
def test_the_guide_has_each_wrong_answer(case: dict) -> None:
    of = max_points(case["assignment"])
    points = f"{sum(case['points'].values())} of {sum(of[task] for task in case['points'])}"
    task = case["answer"].removeprefix("a").replace("_", ".")
    assert f"| {task} | {case['what']} | {points} |" in GUIDE


@pytest.mark.parametrize("name", NAMES)
def test_no_solution_or_hidden_test_in_the_release(released: Course, name: str) -> None:
    text = text_of(read(released.root / "release" / name / f"{name}.ipynb"))
    assert not re.search(r"(BEGIN|END) (SOLUTION|HIDDEN)", text)
    lines = secret_lines(name)
    assert len(lines) > 20
    assert [line for line in lines if line in text] == []
    assert text.count(f"class_seed = {CLASS_SEED} ") == 1  # another class has other numbers


def test_the_wheel_is_the_package_alone(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    copied = tmp_path / "checkout"
    for name in ("mecsim", "course", "notebooks/assignments/source", "tools"):
        shutil.copytree(ROOT / name, copied / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, copied)
    build = [
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
        "-w",
    ]
    subprocess.run([sys.executable, *build, tmp_path, copied], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"mecsim"}
    assert [name for name in names if name.endswith((".ipynb", ".toml"))] == []


def test_the_feedback_tells_what_is_wrong_and_shows_no_hidden_test(course: Course, grades: Grades) -> None:
    page = (course.root / "feedback" / "wrong" / LAST / f"{LAST}.html").read_text()
    text = re.sub(r"<[^>]+>", "", page)
    assert "tests that are not shown" in text
    assert "HIDDEN TESTS" not in text
    _, told = scores_of_wrong_answers(LAST)
    assert len(told) >= 3
    assert [sentence for sentence in told if escape(sentence, quote=False) not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_source_is_tidy_and_says_what_it_is_for(name: str) -> None:
    notebook = source_of(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), "commit it without outputs"
    assert [cell.source for cell in notebook.cells if LOCAL.search(cell.source)] == []
    first, total = notebook.cells[0].source, sum(max_points(name).values())
    assert first.startswith("# ")
    told = ("After this assignment you can", "**Time:**", f"**Points:** {total}", "**Before:**", "**Paper:**")
    assert [part for part in told if part not in first] == []
    assert re.search(rf"^\| \[{name}\].*\| {total} \|$", GUIDE, flags=re.MULTILINE)
    text = text_of(notebook)
    assert text.count("<details>") == text.count("</details>") >= 4


# What cannot be graded. -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd_course(released: Course, tmp_path_factory: pytest.TempPathFactory) -> Course:
    """Submissions that are not as they should be, in a folder whose name is not as it should be either."""
    root = tmp_path_factory.mktemp("class") / ODD
    shutil.copytree(released.root, root)
    course = Course(root, root / "sub (1)[x]", timeout_s=TIMEOUT_S)
    answer, test = (
        cell for cell in source_of(FIRST).cells if settings(cell).get("grade_id") in ("a1_5", "t1_5")
    )
    noisy = answer.source.replace('with np.errstate(divide="ignore"):', "if True:")
    assert noisy != answer.source
    fine = source_of(FIRST, a1_5=noisy)
    fine.cells.append(new_code_cell('print(*In, sep="\\n")'))
    hand_in(course, "fine", FIRST, fine)
    picture = source_of(FIRST)
    picture.cells.append(new_markdown_cell("![image.png](attachment:image.png)"))
    hand_in(course, "picture", FIRST, picture)
    hand_in(course, "stubborn", FIRST, source_of(FIRST, a1_1=STUBBORN))
    cheat = {
        "t1_1": "pass",
        "class_seed": "class_seed = 0",
        "a1_1": "rate_alone_bps = rate_together_bps = delay_s = energy_j = 1.0",
    }
    hand_in(course, "cheat", FIRST, source_of(FIRST, **cheat, a1_6=LOOP))
    copies = source_of(FIRST)
    copies.cells = [
        cell for cell in copies.cells if settings(cell).get("grade_id") not in ("setup", "a1_6", "t1_6")
    ]
    foreign = source_of(LAST).cells[-1]
    copies.cells += [copy.deepcopy(test), foreign, new_code_cell("import no_such_package")]
    hand_in(course, "two[1]", FIRST, copies)
    hand_in(course, "killer", FIRST, source_of(FIRST, a1_1=KILL))
    hand_in(course, "torn", FIRST, nbformat.writes(source_of(FIRST))[:2000])
    hand_in(course, "other", FIRST, "{}")
    hand_in(course, "renamed", FIRST, source_of(FIRST), "my_copy.ipynb")
    for name in ("nobody", "__MACOSX", ".ipynb_checkpoints"):
        (course.submitted / name).mkdir()
    (course.submitted / ".DS_Store").touch()
    return course


@pytest.fixture(scope="module")
def odd(odd_course: Course, foreign_kernels: str) -> Odd:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", foreign_kernels)
        # An honest cell has all its time, on a slow machine too; an endless one need not have it.
        endless = (LOOP, STUBBORN)
        patch.setattr(Run, "timeout_func", lambda _, cell: 2 if cell.source in endless else TIMEOUT_S)
        patch.setattr("course.OUTPUT_S", 10)
        found, problems = grade(odd_course)
    assert problems == []
    return {one.student: one for one in found if one.assignment == FIRST}


def test_a_good_submission_is_graded_among_bad_ones_in_spite_of_a_warning(odd: Odd) -> None:
    assert (odd["fine"].points, odd["fine"].note) == (odd["fine"].of, "")


def test_points_stay_where_the_feedback_cannot_be_drawn_and_printed_tests_stay_hidden(
    odd_course: Course, odd: Odd
) -> None:
    one, feedback = odd["picture"], odd_course.root / "feedback"
    assert (one.points, one.note) == (one.of, "its feedback cannot be drawn: missing attachment: image.png")
    assert f"{one.of:g} of {one.of:g} points" in (feedback / "picture" / FIRST / f"{FIRST}.html").read_text()
    assert "HIDDEN TESTS" not in (feedback / "fine" / FIRST / f"{FIRST}.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("student", "note"),
    [
        ("nobody", "not handed in."),
        ("renamed", f"{FIRST}.ipynb is missing; there is my_copy.ipynb."),
        ("torn", f"{FIRST}.ipynb cannot be read as a notebook (NotJSONError)."),
        ("other", f"{FIRST}.ipynb cannot be read as a notebook (ValidationError)."),
        (
            "killer",
            f"{FIRST}.ipynb could not be run: Python ended in the cell a1_1 or just before it, for want of memory or"
            " because of exit().",
        ),
        (
            "stubborn",
            f"{FIRST}.ipynb could not be run: the cell a1_1 ran too long and could not be stopped.",
        ),
    ],
)
def test_what_cannot_be_graded_says_why_and_scores_nothing(
    odd_course: Course, odd: Odd, student: str, note: str
) -> None:
    assert (odd[student].note, odd[student].points, odd[student].tasks) == (note, 0, {})
    page = odd_course.root / "feedback" / student / FIRST / f"{FIRST}.html"
    assert page.exists() == (student != "nobody")
    assert student == "nobody" or escape(note) in page.read_text("utf-8")


def test_changed_tests_are_put_back_and_an_endless_loop_costs_its_own_task_only(odd: Odd) -> None:
    one = odd["cheat"]
    assert one.note == (
        f"its class seed is 0 and not {CLASS_SEED}: numbers worked out by hand do not fit. "
        f"stopped after {TIMEOUT_S} s: a1_6."
    )
    assert {task for task, points in one.tasks.items() if points == 0} == {"t1_1", "t1_6"}
    assert one.points == one.of - sum(max_points(FIRST)[task] for task in ("t1_1", "t1_6"))


def test_cells_that_are_copied_foreign_or_missing_cost_no_more_than_their_task(odd: Odd) -> None:
    one = odd["two[1]"]
    assert one.note == (
        "t1_5 is there more than once, and the last one counts. put back what was missing: setup, t1_6. "
        "the cell 'import no_such_package' failed: ModuleNotFoundError: No module named 'no_such_package'."
    )
    assert {task for task, points in one.tasks.items() if points == 0} == {"t1_6"}


def test_every_lost_point_has_a_reason_in_the_feedback(odd_course: Course, odd: Odd) -> None:
    for student in ("cheat", "two[1]"):
        path = odd_course.root / "feedback" / student / FIRST / f"{FIRST}.html"
        page = BeautifulSoup(path.read_text("utf-8"), "html.parser")
        listed = sorted(one.get_text().strip() for one in page.select("#toc a"))
        assert listed == [f"Task 1.{n}" for n in range(1, 7)]
        assert odd[student].note in page.get_text()
        lost = [task for task, points in odd[student].tasks.items() if points == 0]
        for task in lost:
            cell = page.find("a", attrs={"name": task}).find_parent(class_="cell")
            assert re.search(r"\w+Error: \w", cell.get_text()), task


def test_the_table_has_a_line_for_everybody_and_no_system_folder(odd_course: Course, odd: Odd) -> None:
    content = (odd_course.root / "grades.csv").read_text("utf-8")
    assert content.startswith("\ufeff")  # Excel takes it for the local code page otherwise
    rows = list(csv.DictReader(content[1:].splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert {row["student"] for row in rows} == set(odd)
    ended = {"killer", "stubborn", "torn", "other", "renamed", "nobody"}
    assert set(odd) == {"fine", "picture", "cheat", "two[1]", *ended}
    assert len(rows) == len(NAMES) * len(odd)
    fine = next(row for row in rows if (row["student"], row["assignment"]) == ("fine", FIRST))
    assert (fine["points"], fine["of"], fine["to_mark"]) == ("15", "15", "0")
    assert fine["tasks"].startswith("t1_1=2 t1_2=3")


# What a person gives. ---------------------------------------------------------------------------------------------

MARKS = "Student; assignment;task; points;comment\nJürgen ;{0};t1_1;0,5;für die Mühe\n;;;;\n"


@pytest.mark.parametrize(
    "content",
    [
        MARKS.encode("utf-8-sig"),
        MARKS.replace("\n", "\r\n").encode("cp1252"),
        ("sep=;\n" + MARKS).encode(),
        MARKS.replace(";", "\t").encode("utf-16"),
        MARKS.replace("0,5", '"0,5"').replace(";", ",").encode(),
    ],
)
def test_marks_are_read_as_a_spreadsheet_saves_them(released: Course, tmp_path: Path, content: bytes) -> None:
    shutil.copy(released.gradebook, tmp_path)
    (tmp_path / "marks.csv").write_bytes(
        content.replace(b"{0}", FIRST.encode()).replace("{0}".encode("utf-16-le"), FIRST.encode("utf-16-le"))
    )
    folder = normalize("NFD", "Jürgen")  # as macOS writes it
    marks, problems = read_marks(Course(tmp_path), [folder])
    assert problems == []
    assert marks == {(folder, FIRST): {"t1_1": Mark(0.5, "für die Mühe")}}


def test_marks_that_are_no_use_are_named(released: Course, tmp_path: Path) -> None:
    shutil.copy(released.gradebook, tmp_path)
    rows = ["fine,{0},t1_1,1,half", "fine,{0},t1_2,9,", "ghost,{0},t1_1,1,", "fine,{0},t1_3,many,", "fine"]
    rows += ["fine,{0},t1_1,2,", "fine,{0},t1_4,1,well, nearly"]
    (tmp_path / "marks.csv").write_text("\n".join((",".join(MARK_COLUMNS), *rows)).format(FIRST))
    marks, problems = read_marks(Course(tmp_path), ["fine"])
    assert marks["fine", FIRST] == {"t1_1": Mark(1, "half")}
    assert problems == [
        f"marks.csv, line {line}, does not count: {why}."
        for line, why in (
            (3, "points = '9' is not allowed, 0 to 3 is"),
            (4, "'ghost' is no student who handed something in"),
            (5, "points = 'many' is not allowed, 0 to 2 is"),
            (6, "there is no task '' in ''"),
            (7, "t1_1 of fine has a mark already"),
            (8, "it has more columns than the first line, 'nearly'; quote a text with separators"),
        )
    ]
    for content, lacking in (("name,points\n", ""), ("sep=;\n", ", points"), ("", ", points")):
        (tmp_path / "marks.csv").write_text(content)
        why = f"its first line lacks student, assignment, task{lacking}"
        said = [f"marks.csv cannot be read, and none of it counts: {why}."]
        assert read_marks(Course(tmp_path), ["fine"]) == ({}, said)


def test_a_mark_is_told_in_the_feedback_and_withdrawn_with_its_line(course: Course, grades: Grades) -> None:
    def page() -> str:
        return (course.root / "feedback" / "wrong" / LAST / f"{LAST}.html").read_text("utf-8")

    assert "a4_7: 5 of 5 points by hand. Well argued." in page()
    with course.book() as book:
        enter_marks(book, LAST, "wrong", {"t4_1": Mark(1, "")})
    one = look_up(course, "wrong", LAST, "")
    by_tests, _ = scores_of_wrong_answers(LAST)
    assert one.tasks == by_tests | {"t4_1": 1, MANUAL: 0}
    assert one.to_mark == max_points(LAST)[MANUAL]
    course.convert(Feedback, LAST, "wrong")
    assert "a4_7: not marked yet." in page()
    assert "t4_1: 1 of 2 points by hand." in page()
    assert "Well argued" not in page()


# What stops a class. ----------------------------------------------------------------------------------------------


def test_no_folder_and_an_empty_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(tmp_path / "none"), "--course", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"There is no folder {tmp_path / 'none'}: it should hold ")
    with pytest.raises(CourseError, match="holds no student"):
        grade(Course(tmp_path, tmp_path))


def test_a_seed_that_is_none_or_not_the_classes_is_refused(
    course: Course, grades: Grades, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["release", "--class-seed", "-3"])
    assert "'-3' is not allowed" in capsys.readouterr().err
    for command in ("release", "grade"):  # work was graded with the gradebook's own
        assert main([command, "--course", str(course.root), "--class-seed", "7"]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"Class seed 7 is not allowed: {course.gradebook} is for seed {CLASS_SEED}; ")
    assert Course(course.root).released_seed() == CLASS_SEED


def test_a_class_keeps_its_seed_when_an_assignment_is_added(
    released: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Course(released.root)
    assert own.is_released()
    monkeypatch.setattr("course.NAMES", ("a0_own", *NAMES))
    assert (own.released_seed(), own.is_released()) == (CLASS_SEED, False)


def test_a_gradebook_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gradebook.db").write_text("torn" * 1000)
    (tmp_path / "submitted/fine").mkdir(parents=True)
    assert main(["grade", "--course", str(tmp_path)]) == 2
    assert f"{tmp_path / 'gradebook.db'} cannot be used (file is not a database)" in capsys.readouterr().err


def test_jupyterlab_is_left_as_it_is() -> None:
    """What `make` set up has no nbgrader in everybody's Lab; another environment is its owner's."""
    prefix = Path(sys.prefix)
    if not (prefix / ".installed").exists():
        pytest.skip("this environment was not set up by make")
    added = ("@jupyter/nbgrader", "@jupyter-notebook")
    assert [name for name in added if (prefix / "share/jupyter/labextensions" / name).exists()] == []
    servers = {path.stem for path in (prefix / "etc/jupyter/jupyter_server_config.d").iterdir()}
    assert not servers & {"nbgrader", "notebook"}
