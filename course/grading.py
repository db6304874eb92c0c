"""Grades the submissions of a class one by one, so that a broken one stops no other."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

import nbformat
from cells import name_of
from marks import Mark, enter_marks, read_marks
from nbformat import NotebookNode
from nbgrader.utils import is_grade, rmtree

from course import NAMES, Course, CourseError, Feedback, Grading, first_line, quiet, release

COLUMNS = ("student", "assignment", "points", "of", "to_mark", "tasks", "note")


@dataclass(frozen=True)
class Grade:
    """What one student has reached in one assignment.

    Attributes:
        points: in all, of `of`.
        to_mark: points that a person has yet to give.
        tasks: points of each task.
        note: what went wrong, in a sentence each; empty where nothing did.
    """

    student: str
    assignment: str
    points: float
    of: float
    to_mark: float = 0.0
    tasks: dict[str, float] = field(default_factory=dict)
    note: str = ""


class NotGraded(Exception):
    """Why a submission scores nothing, in one sentence."""


@quiet()
def grade(course: Course) -> tuple[list[Grade], list[str]]:
    """Grades every submission, writes the feedback and grades.csv; returns the points, and what is wrong in marks.csv.

    The latter is printed before anything runs. A class whose gradebook lacks an assignment gets its release first.

    Raises:
        CourseError: there is no submission, the seed is not the gradebook's, or grades.csv cannot be written.
    """
    students = find_students(course.submitted)
    released = course.released_seed()
    if released is not None:
        course.check_seed(released)
    if not course.is_released():
        release(course)
    table = course.root / "grades.csv"
    try:
        table.open("a").close()
    except OSError as error:
        raise CourseError(
            f"{table} cannot be written: close it where it is open ({error.strerror})."
        ) from None
    marks, problems = read_marks(course, students)
    print(*problems, sep="\n", end="\n" if problems else "", flush=True)
    with course.book() as book:
        of = {name: book.find_assignment(name).max_score for name in NAMES}
    grades = [
        grade_one(course, student, name, of[name], marks.get((student, name), {}))
        for student in students
        for name in NAMES
    ]
    write_csv(table, grades)
    return grades, problems


def find_students(submitted: Path) -> list[str]:
    """The folders of a class, but for those that systems and programs make.

    Raises:
        CourseError: there is none.
    """
    wanted = "it should hold student/assignment/assignment.ipynb."
    if not submitted.is_dir():
        raise CourseError(f"There is no folder {submitted}: {wanted}")
    folders = [path.name for path in submitted.iterdir() if path.is_dir()]
    students = sorted(name for name in folders if not name.startswith((".", "__")))
    if not students:
        raise CourseError(f"{submitted} holds no student: {wanted}")
    return students


def grade_one(course: Course, student: str, name: str, of: float, marks: dict[str, Mark]) -> Grade:
    """The points of one submission, none where it cannot be run, and its page of feedback."""
    feedback = course.root / "feedback" / student / name
    try:
        if feedback.exists():
            rmtree(feedback)
        note = autograde(course, student, name)
        with course.book() as book:
            enter_marks(book, name, student, marks)
        one = look_up(course, student, name, note)
    except Exception as error:  # whatever a student has made of it
        why = (
            str(error)
            if isinstance(error, NotGraded)
            else f"{name}.ipynb could not be run: {first_line(error)}"
        )
        lost = " Its marks in marks.csv do not count." if marks else ""
        one = Grade(student, name, 0.0, of, note=why + lost)
    else:
        try:
            course.convert(Feedback, name, student, note=note)
            return one
        except Exception as error:  # such as a picture that the notebook does not hold
            one = replace(one, note=f"{note} its feedback cannot be drawn: {first_line(error)}".strip())
    if (course.submitted / student / name).exists():
        feedback.mkdir(parents=True, exist_ok=True)
        told = f"{one.points:g} of {of:g} points: {escape(one.note)}"
        page = f"<!DOCTYPE html><meta charset=utf-8><title>{name}</title><p>{told}</p>"
        (feedback / f"{name}.html").write_text(page, encoding="utf-8")
    return one


def autograde(course: Course, student: str, name: str) -> str:
    """Runs one submission with all its tests; says what was odd, empty where nothing was.

    Raises:
        NotGraded: there is nothing to run.
    """
    path = course.submitted / student / name / f"{name}.ipynb"
    if not path.exists():
        others = sorted(other.name for other in path.parent.glob("*.ipynb"))
        raise NotGraded(
            f"{path.name} is missing; there is {', '.join(others)}." if others else "not handed in."
        )
    try:
        nbformat.validate(nbformat.read(path, as_version=4))
    except Exception as error:
        raise NotGraded(f"{path.name} cannot be read as a notebook ({type(error).__name__}).") from None
    course.convert(Grading, name, student)
    notebook = nbformat.read(course.root / "autograded" / student / name / path.name, as_version=4)
    return " ".join([*notebook.metadata.notes, *failures(notebook, course.timeout_s)])


def failures(notebook: NotebookNode, timeout_s: int) -> list[str]:
    """Which cells ran too long, and the first other one that failed and is no test."""
    slow, failed = [], []
    for cell in notebook.cells:
        errors = [one for one in cell.get("outputs", []) if one.output_type == "error"]
        names = {one.ename for one in errors}
        if "CellTimeoutError" in names:
            slow.append(name_of(cell))
        elif errors and not is_grade(cell) and "NotImplementedError" not in names:
            said = f"{errors[0].ename}: {errors[0].evalue}".splitlines()[0].rstrip(": .")
            failed.append(f"the cell {name_of(cell)} failed: {said}.")
    notes = [f"stopped after {timeout_s} s: {', '.join(slow)}."] if slow else []
    return notes + failed[:1]


def look_up(course: Course, student: str, name: str, note: str) -> Grade:
    """The points of one graded submission."""
    with course.book() as book:
        submission = book.find_submission(name, student)
        cells = sorted(
            (cell for one in submission.notebooks for cell in one.grades), key=lambda cell: cell.name
        )
        to_mark = sum(cell.max_score for cell in cells if cell.needs_manual_grade)
        tasks = {cell.name: cell.score for cell in cells}
        return Grade(student, name, submission.score, submission.max_score, to_mark, tasks, note)


def write_csv(path: Path, grades: Iterable[Grade]) -> None:
    """One line for every student and assignment; a mark in front tells Excel that it is UTF-8."""
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        for one in grades:
            tasks = " ".join(f"{task}={points:g}" for task, points in one.tasks.items())
            points = (f"{value:g}" for value in (one.points, one.of, one.to_mark))
            lines.writerow((one.student, one.assignment, *points, tasks, one.note))


def report(course: Course, grades: Iterable[Grade]) -> None:
    """Prints what was reached, and where the files are."""
    for one in grades:
        waiting = f", {one.to_mark:g} to be marked by a person" if one.to_mark else ""
        note = f"  ({one.note.rstrip('.')})" if one.note else ""
        print(f"{one.student:20s} {one.assignment:24s} {one.points:g} of {one.of:g}{waiting}{note}")
    print(
        f"{course.root / 'grades.csv'} has all points, {course.root / 'feedback'} a page for each submission."
    )
