"""Everything public in mecsim says what it is."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import mecsim

MODULES = ["mecsim", *(found.name for found in pkgutil.walk_packages(mecsim.__path__, "mecsim."))]


def public(module: Any) -> Iterator[tuple[str, Any]]:
    """The public functions and classes that a module defines itself, with the public methods of its classes."""
    for name, member in vars(module).items():
        own = getattr(member, "__module__", None) == module.__name__
        if name.startswith("_") or not own or not (inspect.isclass(member) or inspect.isfunction(member)):
            continue
        yield name, member
        if inspect.isclass(member):
            for inner, method in vars(member).items():
                if not inner.startswith("_") and isinstance(method, METHODS):
                    yield f"{name}.{inner}", getattr(member, inner)


METHODS = (property, classmethod, staticmethod, type(public))


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_has_a_docstring_that_starts_with_a_sentence(name) -> None:
    module = importlib.import_module(name)
    assert inspect.getdoc(module), f"{name} has no docstring"
    firsts = {member: (inspect.getdoc(value) or "").split("\n\n")[0] for member, value in public(module)}
    assert [member for member, first in firsts.items() if not first.endswith((".", "?", ":"))] == []


def test_the_equations_name_themselves() -> None:
    from mecsim import physics

    named = " ".join(inspect.getdoc(value) for _, value in public(physics))
    for number in (2, 3, 4, 5, 6, 8, 9, 10, 11, 18):
        assert f"({number})" in named
