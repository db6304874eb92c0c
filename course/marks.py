"""The points that a person gives: marks.csv, as whichever spreadsheet saved it."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from unicodedata import normalize

from nbgrader.api import Gradebook, MissingEntry

from course import Course

COLUMNS = ("student", "assignment", "task", "points", "comment")


@dataclass(frozen=True)
class Mark:
    """Points for one task, and what was said about them."""

    points: float
    comment: str


Marks = dict[tuple[str, str], dict[str, Mark]]
"""By student and assignment, then by task."""


def read_marks(course: Course, students: list[str]) -> tuple[Marks, list[str]]:
    """The marks for these students, and one sentence for each line that does not count."""
    path, marks, problems = course.root / "marks.csv", {}, []
    if not path.exists():
        return marks, problems
    try:
        rows = list(read_rows(decode(path.read_bytes())))
    except (OSError, csv.Error, ValueError) as error:
        return marks, [f"marks.csv cannot be read, and none of it counts: {error}."]
    known = {normalize("NFC", student): student for student in students}
    with course.book() as book:
        for line, row in rows:
            try:
                student = known.get(normalize("NFC", row["student"]))
                if student is None:
                    raise ValueError(f"{row['student']!r} is no student who handed something in")
                ours = marks.setdefault((student, row["assignment"]), {})
                if row["task"] in ours:
                    raise ValueError(f"{row['task']} of {student} has a mark already")
                ours[row["task"]] = mark_of(row, book)
            except ValueError as error:
                problems.append(f"marks.csv, line {line}, does not count: {error}.")
    return marks, problems


def decode(content: bytes) -> str:
    """The text of a file: in UTF-8 or UTF-16, as its first bytes say, else in the code page of Western Windows."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def read_rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row that is not empty, with its line, in whichever separator the first line has.

    Raises:
        ValueError: a column is missing.
    """
    told = re.match(r"sep=(.)\s*\n", text)  # as Excel may write it
    body = text[told.end() :] if told else text
    file, first = io.StringIO(body, newline=None), next(iter(body.splitlines()), "")
    separator = told[1] if told else max(",;\t", key=first.count)
    table = csv.reader(file, delimiter=separator, skipinitialspace=True)
    header = [name.strip().lower() for name in next(table, [])]
    missing = [name for name in COLUMNS[:-1] if name not in header]
    if missing:
        raise ValueError(f"its first line lacks {', '.join(missing)}")
    for row in table:
        values = [value.strip() for value in row]
        if any(values):
            cells = dict.fromkeys(COLUMNS, "") | dict(zip(header, values, strict=False))
            if len(values) > len(header):
                cells["more"] = separator.join(values[len(header) :])
            yield table.line_num + bool(told), cells


def mark_of(row: dict[str, str], book: Gradebook) -> Mark:
    """What a row says.

    Raises:
        ValueError: why it does not count.
    """
    if row.get("more"):
        raise ValueError(
            f"it has more columns than the first line, {row['more']!r}; quote a text with separators"
        )
    try:
        of = book.find_graded_cell(row["task"], row["assignment"], row["assignment"]).max_score
    except MissingEntry:
        raise ValueError(f"there is no task {row['task']!r} in {row['assignment']!r}") from None
    try:
        points = float(row["points"].replace(",", "."))
    except ValueError:
        points = -1.0
    if not 0 <= points <= of:
        raise ValueError(f"points = {row['points']!r} is not allowed, 0 to {of:g} is")
    return Mark(points, row["comment"])


def enter_marks(book: Gradebook, name: str, student: str, marks: dict[str, Mark]) -> None:
    """Has the marks, and no others, count in a graded submission; each is told at the answer that it judges."""
    (notebook,) = book.find_submission(name, student).notebooks
    comments = {comment.name: comment for comment in notebook.comments}
    for comment in comments.values():
        comment.manual_comment = None
    for cell in notebook.grades:
        mark = marks.get(cell.name)
        cell.manual_score = mark and mark.points
        cell.needs_manual_grade = mark is None and cell.auto_score is None
        if mark:
            told = (
                f"{cell.name}: {mark.points:g} of {cell.max_score:g} points by hand. {mark.comment}".strip()
            )
        elif cell.needs_manual_grade:
            told = f"{cell.name}: not marked yet."
        else:
            continue
        comment = comments.get(re.sub(r"^t(\d+_\d+).*", r"a\1", cell.name))
        if comment:
            comment.manual_comment = "\n\n".join(filter(None, (comment.manual_comment, told)))
    book.db.commit()
