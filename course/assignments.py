"""The assignments of a class: `make assignments` builds their release, `make grade` grades what was handed in.

    python course/assignments.py release --class-seed 7
    python course/assignments.py grade downloads/submitted

notebooks/assignments/README.md says how a class works with it.
"""

import argparse
import sys
from pathlib import Path

from grading import grade, report

from course import ASSIGNMENTS, TIMEOUT_S, Course, CourseError, release


def main(arguments: list[str] | None = None) -> int:
    """Releases or grades; 1 where some of marks.csv does not count, 2 where that cannot begin."""
    given = parse(arguments)
    root = given.course.resolve()
    try:
        if given.command == "release":
            course = Course(root, class_seed=given.class_seed)
            print(*release(course), sep="\n")
            print(
                f"Hand these out, and keep {course.gradebook}: it has the tests, for seed {course.released_seed()}."
            )
        else:
            submitted = (given.submitted or root / "submitted").resolve()
            course = Course(root, submitted, given.class_seed, given.timeout)
            grades, problems = grade(course)
            report(course, grades)
            if problems:
                print("Not all of marks.csv counts, as said at the start.", file=sys.stderr)
                return 1
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("release", "grade"):
        command = commands.add_parser(name)
        command.add_argument("--course", type=Path, default=ASSIGNMENTS, help="folder of the class")
        command.add_argument(
            "--class-seed", type=seed, help="gives a class its own numbers (1, or the gradebook's)"
        )
    command.add_argument("submitted", type=Path, nargs="?", help="folder of the submissions")
    command.add_argument("--timeout", type=int, default=TIMEOUT_S, help="seconds that a cell may run")
    return parser.parse_args(arguments)


def seed(text: str) -> int:
    """The seed of a class."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: it should be a whole number, 0 or more.")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
