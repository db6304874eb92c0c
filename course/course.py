"""A class and its folder, as nbgrader is to see them, and the release of its assignments."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cells import ForgiveWarnings, HideTests, SetClass
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.apps.api import NbGraderAPI
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute, GetGrades
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from mecsim.experiments.store import ROOT

ASSIGNMENTS = ROOT / "notebooks" / "assignments"
SOURCE = ASSIGNMENTS / "source"
NAMES = tuple(sorted(path.name for path in SOURCE.iterdir() if path.is_dir()))
TIMEOUT_S = 120
"""Seconds that one cell of a submission may run."""


class CourseError(Exception):
    """Something that stops the whole command; the message is one sentence."""


@dataclass(frozen=True)
class Course:
    """Where the files of a class are, and how nbgrader is to treat them.

    Attributes:
        root: the folder with release/, autograded/, feedback/, gradebook.db and grades.csv.
        submitted: the folder with student/assignment/assignment.ipynb.
        class_seed: the seed that a release is built with.
        timeout_s: seconds that one cell of a submission may run.
    """

    root: Path = ASSIGNMENTS
    submitted: Path = ASSIGNMENTS / "submitted"
    class_seed: int = 1
    timeout_s: int = TIMEOUT_S

    @property
    def gradebook(self) -> Path:
        """nbgrader's database: the tests of the release, and all points."""
        return self.root / "gradebook.db"

    @cached_property
    def api(self) -> NbGraderAPI:
        """nbgrader, set up for this class."""
        beside = [str(Path(sys.executable).parent), os.environ["PATH"]]
        os.environ["PATH"] = os.pathsep.join(beside)  # nbgrader calls alembic by its name
        return NbGraderAPI(config=self._config())

    def _config(self) -> Config:
        config, directory = Config(), CourseDirectory()
        config.CourseDirectory.root = str(self.root)
        config.CourseDirectory.source_directory = str(SOURCE)
        config.CourseDirectory.submitted_directory = str(self.submitted)
        config.SetClass.class_seed = self.class_seed
        config.OverwriteCells.add_missing_cells = True
        config.Execute.timeout = self.timeout_s
        config.Execute.startup_timeout = TIMEOUT_S
        config.Execute.extra_arguments = [
            "--log-level=ERROR"
        ]  # no warning that the kernel is on the loopback
        release, graded = GenerateAssignment(directory), Autograde(directory)
        after = graded.autograde_preprocessors.index(Execute) + 1
        steps = [*graded.autograde_preprocessors[:after], ForgiveWarnings]
        config.GenerateAssignment.preprocessors = [SetClass, *release.preprocessors]
        config.Autograde.autograde_preprocessors = steps + graded.autograde_preprocessors[after:]
        config.GenerateFeedback.preprocessors = [GetGrades, HideTests, CSSHTMLHeaderPreprocessor]
        return config


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps quiet how nbgrader deals with its database: it tells a grader nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        yield


@quiet()
def release(course: Course) -> list[Path]:
    """Builds what students get, without solutions and hidden tests, and notes the tests in the gradebook.

    Raises:
        CourseError: nbgrader refuses a source notebook.
    """
    course.root.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        result = course.api.generate_assignment(name)
        if not result["success"]:
            raise CourseError(f"{name} cannot be released: {reason(result)}")
    return [course.root / "release" / name / f"{name}.ipynb" for name in NAMES]


def reason(result: dict) -> str:
    """The line of nbgrader's log that says what went wrong."""
    lines = [line.strip() for line in f"{result.get('log', '')}\n{result['error']}".splitlines()]
    told = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception"))]
    return next((line for line in told if "NbGraderException" not in line), told[-1] if told else lines[-1])
