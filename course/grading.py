"""Grades the submissions of a class one by one, so that a broken one stops no other."""

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat.reader import NotJSONError
from nbgrader.api import Gradebook, MissingEntry

from course import NAMES, Course, CourseError, quiet, reason, release

COLUMNS = ("student", "assignment", "points", "of", "to_mark", "tasks", "note")
MARKS = ("student", "assignment", "task", "points", "comment")


@dataclass(frozen=True)
class Grade:
    """What one student has reached in one assignment.

    Attributes:
        points: in all, of `of`.
        to_mark: points that a person has yet to give.
        tasks: points of each task.
        note: what went wrong, in one sentence; empty where nothing did.
    """

    student: str
    assignment: str
    points: float
    of: float
    to_mark: float = 0.0
    tasks: dict[str, float] = field(default_factory=dict)
    note: str = ""


@quiet()
def grade(course: Course) -> list[Grade]:
    """Grades every submission, writes the feedback and grades.csv.

    A class that has no gradebook yet gets its release first.

    Raises:
        CourseError: there is no folder of submissions, or no student in it.
    """
    if not course.submitted.is_dir():
        raise CourseError(
            f"There is no folder {course.submitted}: it should hold student/assignment/*.ipynb."
        )
    students = sorted(path.name for path in course.submitted.iterdir() if path.is_dir())
    if not students:
        raise CourseError(f"{course.submitted} holds no student: it should hold student/assignment/*.ipynb.")
    if not course.gradebook.exists():
        release(course)
    notes = {(student, name): autograde(course, student, name) for student in students for name in NAMES}
    for problem in give_marks(course):
        print(problem)
    grades = [look_up(course, *key, note) for key, note in notes.items()]
    for one in grades:
        if one.tasks:
            course.api.generate_feedback(one.assignment, one.student)
    write_csv(course.root / "grades.csv", grades)
    return grades


def autograde(course: Course, student: str, name: str) -> str:
    """Runs one submission with all its tests; says in one sentence what went wrong, if anything did."""
    if re.search(r"[*?\[\]]", student):
        return f"the folder {student!r} has one of *?[] in its name: rename it."
    path = course.submitted / student / name / f"{name}.ipynb"
    if not path.exists():
        others = sorted(other.name for other in path.parent.glob("*.ipynb"))
        return f"{path.name} is missing; there is {', '.join(others)}." if others else "not handed in."
    try:
        nbformat.validate(nbformat.read(path, as_version=4))
    except (NotJSONError, ValueError, AttributeError, nbformat.ValidationError, OSError) as error:
        return f"{path.name} cannot be read as a notebook ({type(error).__name__})."
    result = course.api.autograde(name, student)
    if not result["success"]:
        return f"{path.name} could not be run: {reason(result)}"
    slow = timeouts(course.root / "autograded" / student / name / path.name)
    return f"{slow} cell(s) ran for more than {course.timeout_s} s and were stopped." if slow else ""


def timeouts(path: Path) -> int:
    """How many cells of an autograded notebook were stopped."""
    outputs = (output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", []))
    return sum(output.get("ename") == "CellTimeoutError" for output in outputs)


def look_up(course: Course, student: str, name: str, note: str) -> Grade:
    """The points of one submission; none where it was not run."""
    with Gradebook(course.api.coursedir.db_url) as book:
        of = book.find_assignment(name).max_score
        if note and "were stopped" not in note:
            return Grade(student, name, 0.0, of, note=note)
        submission = book.find_submission(name, student)
        cells = [cell for notebook in submission.notebooks for cell in notebook.grades]
        to_mark = sum(cell.max_score for cell in cells if cell.needs_manual_grade)
        tasks = {cell.name: cell.score for cell in cells}
        return Grade(student, name, submission.score, of, to_mark, dict(sorted(tasks.items())), note)


def give_marks(course: Course) -> Iterator[str]:
    """Enters the points of marks.csv in the gradebook; yields one sentence for each line that is no use."""
    path = course.root / "marks.csv"
    if not path.exists():
        return
    with Gradebook(course.api.coursedir.db_url) as book, path.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                cell = book.find_grade(row["task"], row["assignment"], row["assignment"], row["student"])
                points = float(row["points"])
            except (MissingEntry, KeyError, TypeError, ValueError):
                yield f"marks.csv, line {number}: it should name {', '.join(MARKS)} of a submission."
                continue
            if not 0 <= points <= cell.max_score:
                yield f"marks.csv, line {number}: {points:g} points are not allowed: 0 to {cell.max_score:g} are."
                continue
            cell.manual_score, cell.needs_manual_grade = points, False
            with suppress(MissingEntry):  # there is room for a comment at an answer, not at a test
                remark = book.find_comment(row["task"], row["assignment"], row["assignment"], row["student"])
                remark.manual_comment = row.get("comment") or None
        book.db.commit()


def write_csv(path: Path, grades: Iterable[Grade]) -> None:
    """One line for every student and assignment."""
    with path.open("w", newline="") as file:
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
