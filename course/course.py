"""A class and its folder, as nbgrader is to see them, and the release of its assignments."""

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cells import SEED, Explain, ForgiveWarnings, Restore, Run, SetClass
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbformat.warnings import DuplicateCellId, MissingIDFieldWarning
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, BaseConverter, GenerateAssignment, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import DeduplicateIds, Execute, GetGrades
from nbgrader.utils import rmtree
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, SAWarning
from traitlets import Bool, List, default
from traitlets.config import Config

from mecsim.experiments.store import ROOT

ASSIGNMENTS = ROOT / "notebooks" / "assignments"
SOURCE = ASSIGNMENTS / "source"
NAMES = tuple(sorted(path.name for path in SOURCE.glob("[!.]*/")))
TIMEOUT_S = 120
"""Seconds that one cell of a submission may run."""
OUTPUT_S = 60
"""Seconds that the output of a cell may come after its end, on a busy machine."""
LISTED = re.compile(r'(<a href="#[at](\d+)_(\d+)_?(\w*)">)(?:Test cell|Written response)</a>')
"""A graded cell in the feedback's list: task 3.4 is judged by t3_4_valid and others, 4.7 by a person in a4_7."""


class CourseError(Exception):
    """Something that stops the whole command; the message is one sentence."""


class Folders(CourseDirectory):
    """The folders of a class; any of them may have what means something in a pattern in its name."""

    @default("db_url")
    def _db_url_default(self) -> str:
        return URL.create("sqlite", database=os.path.join(self.root, "gradebook.db")).render_as_string()

    def format_path(
        self, nbgrader_step: str, student_id: str, assignment_id: str, escape: bool = False
    ) -> str:
        """The folder of a student's assignment in a step; escaped, a pattern for it."""
        if not escape:
            return super().format_path(nbgrader_step, student_id, assignment_id)
        step = re.escape(os.path.join(self.root, nbgrader_step))
        return re.escape(os.sep).join((step, student_id, assignment_id))


class OneNotebook(BaseConverter):
    """Converts the notebook that has the assignment's name, and lets through what goes wrong.

    nbgrader would look for notebooks with patterns, which the name of a folder may upset, and log the error.
    """

    force = Bool(True)

    def init_notebooks(self) -> None:
        """Which notebook it is."""
        name = self.coursedir.assignment_id
        self.notebooks = [os.path.join(self._format_source(name, self.coursedir.student_id), f"{name}.ipynb")]

    def convert_notebooks(self) -> None:
        """Leaves nothing in the destination where something goes wrong."""
        which = self.coursedir.assignment_id, self.coursedir.student_id
        self.init_destination(*which)
        try:
            self.init_assignment(*which)
            self.convert_single_notebook(*self.notebooks)
            self.set_permissions(*which)
        except Exception:
            if os.path.exists(self._format_dest(*which)):
                rmtree(self._format_dest(*which))
            raise


class Release(OneNotebook, GenerateAssignment):
    """From source/ to release/."""

    preprocessors = List([SetClass, *GenerateAssignment.preprocessors.default()])


class Grading(OneNotebook, Autograde):
    """From the submissions to autograded/."""

    sanitize_preprocessors = List(
        [Restore if step is DeduplicateIds else step for step in Autograde.sanitize_preprocessors.default()]
    )
    autograde_preprocessors = List(
        [
            one
            for step in Autograde.autograde_preprocessors.default()
            for one in ((Run, ForgiveWarnings) if step is Execute else (step,))
        ]
    )


class Feedback(OneNotebook, GenerateFeedback):
    """From autograded/ to feedback/."""

    preprocessors = List([GetGrades, Explain, CSSHTMLHeaderPreprocessor])

    def write_single_notebook(self, output: str, resources: dict[str, Any]) -> None:
        """Names each task in the list of points: nbgrader calls all of them test cells."""
        super().write_single_notebook(LISTED.sub(r"\1Task \2.\3 \4</a>", output), resources)


@dataclass(frozen=True)
class Course:
    """Where the files of a class are, and how nbgrader is to treat them.

    Attributes:
        root: the folder with release/, autograded/, feedback/, gradebook.db and grades.csv.
        submitted: the folder with student/assignment/assignment.ipynb.
        class_seed: the seed that a release is built with; None takes that of the gradebook, or 1.
        timeout_s: seconds that one cell of a submission may run.
    """

    root: Path = ASSIGNMENTS
    submitted: Path = ASSIGNMENTS / "submitted"
    class_seed: int | None = None
    timeout_s: int = TIMEOUT_S

    @property
    def gradebook(self) -> Path:
        """nbgrader's database: the tests of the release, and all points."""
        return self.root / "gradebook.db"

    @contextmanager
    def book(self) -> Iterator[Gradebook]:
        """The gradebook, opened.

        Raises:
            CourseError: the file is none.
        """
        try:
            with Gradebook(Folders(root=str(self.root)).db_url) as book:
                yield book
        except DatabaseError as error:
            wanted = "it should be a database of nbgrader's, in a folder that can be written."
            raise CourseError(f"{self.gradebook} cannot be used ({error.orig}): {wanted}") from None

    def released_seed(self) -> int | None:
        """The seed that the tests in the gradebook were made with; None before the release."""
        if not self.gradebook.exists():
            return None
        with self.book() as book:
            for name in NAMES:
                with suppress(MissingEntry):
                    return int(SEED.search(book.find_source_cell("class_seed", name, name).source)[1])
        return None

    def is_released(self) -> bool:
        """Does the gradebook have all assignments?"""
        if not self.gradebook.exists():
            return False
        with self.book() as book:
            return set(NAMES) <= {one.name for one in book.assignments}

    def check_seed(self, released: int) -> None:
        """Stops where another seed is asked for than the gradebook's.

        Raises:
            CourseError: it is another one.
        """
        if self.class_seed not in (None, released):
            advice = "leave --class-seed out, or give another folder with --course."
            raise CourseError(
                f"Class seed {self.class_seed} is not allowed: {self.gradebook} is for seed {released}; {advice}"
            )

    def convert(
        self, kind: type[OneNotebook], name: str, student: str = "*", class_seed: int = 1, note: str = ""
    ) -> None:
        """Has nbgrader convert one notebook; a release needs the seed, a feedback the note."""
        beside = str(Path(sys.executable).parent)
        if not os.environ["PATH"].startswith(
            beside
        ):  # where nbgrader finds its alembic, which it calls by its name
            os.environ["PATH"] = os.pathsep.join((beside, os.environ["PATH"]))
        folders = Folders(root=str(self.root), assignment_id=name, student_id=student)
        folders.source_directory, folders.submitted_directory = str(SOURCE), str(self.submitted)
        stopped = f"the cell ran for more than {self.timeout_s} s and was stopped."
        error = {
            "ename": "CellTimeoutError",
            "evalue": stopped,
            "traceback": [f"CellTimeoutError: {stopped}"],
        }
        config = Config(
            Execute={
                "timeout": self.timeout_s,
                "startup_timeout": TIMEOUT_S,
                "iopub_timeout": OUTPUT_S,
                "error_on_timeout": error,
            },
            SetClass={"class_seed": class_seed},
            Explain={"note": note},
        )
        kind(coursedir=folders, config=config).start()


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps quiet how nbgrader deals with its database and with time, and that cells were copied: no grader asked."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "datetime.datetime.utcnow", DeprecationWarning)  # from 3.12 on
        for kind in (SAWarning, DuplicateCellId, MissingIDFieldWarning):
            warnings.simplefilter("ignore", kind)
        yield


@quiet()
def release(course: Course) -> list[Path]:
    """Builds what students get, without solutions and hidden tests, and notes the tests in the gradebook.

    Raises:
        CourseError: work was graded with another seed, or nbgrader refuses a source notebook.
    """
    released = course.released_seed()
    if released is not None:
        with course.book() as book:
            graded = any(one.submissions for one in book.assignments)
        if graded:
            course.check_seed(released)
    seed = next(one for one in (course.class_seed, released, 1) if one is not None)
    for name in NAMES:
        try:
            course.root.mkdir(parents=True, exist_ok=True)
            course.convert(Release, name, class_seed=seed)
        except Exception as error:
            raise CourseError(f"{name} cannot be released: {first_line(error)}") from error
    return [course.root / "release" / name / f"{name}.ipynb" for name in NAMES]


def first_line(error: Exception) -> str:
    """An error in one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
