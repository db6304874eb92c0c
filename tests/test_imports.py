"""What imports what: physics knows nothing of learning, plots nothing of either, and no module goes in circles."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mecsim

PACKAGE = Path(mecsim.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
PHYSICS = ["settings", "scenario", "physics", "system", "twin"]
LIGHT = [
    *PHYSICS,
    "kernel",
    "refinement",
    "mdp",
    "env",
    "training",
    "reference",
    "bounds",
    "experiments.figures",
]
"""What runs without PyTorch."""


def imported(path: Path) -> set[str]:
    """The modules of mecsim that a module imports when it is itself imported, and those it names in types alone."""
    found, tree = set(), ast.parse(path.read_text(encoding="utf-8"))
    for node in [
        *tree.body,
        *(one for block in tree.body if isinstance(block, ast.If) for one in block.body),
    ]:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path.name} has a relative import"
            whole = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name for name in whole if name in MODULES} or {node.module}
    return {name for name in found if name in MODULES}


GRAPH = {name: imported(path) for name, path in MODULES.items()}


def reached(name: str) -> set[str]:
    """Everything that an import of a module brings along."""
    todo, found = [name], set()
    while todo:
        new = GRAPH[todo.pop()] - found
        found |= new
        todo += new
    return found


def loaded_by(code: str) -> set[str]:
    """The top-level modules in a fresh interpreter after some code."""
    show = f"{code}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_no_module_goes_in_circles() -> None:
    order = list(TopologicalSorter(GRAPH).static_order())  # raises CycleError, naming the circle
    assert set(order) == set(MODULES)


def test_importing_mecsim_loads_no_heavy_package() -> None:
    heavy = {"torch", "numba", "pandas", "matplotlib", "scipy", "gymnasium", "pydantic", "numpy"}
    assert not loaded_by("import mecsim") & heavy


def test_the_modules_of_the_system_load_no_torch() -> None:
    assert "torch" not in loaded_by("import " + ", ".join(f"mecsim.{name}" for name in LIGHT))


def test_numba_is_loaded_when_algorithm_1_is_first_run() -> None:
    code = (
        "from mecsim import PhysicalSystem, Scenario, make_agent, refine_discrete, rollout\ns = Scenario()\n"
    )
    assert "numba" not in loaded_by(code + "PhysicalSystem(s)")
    assert "numba" in loaded_by(code + "rollout(make_agent('OLNPO', s), PhysicalSystem(s), 1)")


class TestThePublicNames:
    def test_dir_lists_them_and_nothing_else(self) -> None:
        assert dir(mecsim) == sorted(mecsim.__all__)
        assert {"Scenario", "PhysicalSystem", "INTO", "rollout", "physics"} <= set(mecsim.__all__)

    def test_each_is_there_and_has_a_docstring_of_its_own(self) -> None:
        for name in mecsim.__all__:
            value = getattr(mecsim, name)
            assert isinstance(value, dict) or value.__doc__, name

    def test_the_list_that_type_checkers_read_is_the_one_that_is_loaded(self) -> None:
        stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
        names = {one.name for node in stub.body if isinstance(node, ast.ImportFrom) for one in node.names}
        assert names == set(mecsim.__all__)
        assert (PACKAGE / "py.typed").exists()

    def test_a_name_that_is_not_there(self) -> None:
        with pytest.raises(AttributeError, match="Fleet"):
            mecsim.Fleet  # noqa: B018


def test_the_baselines_load_no_torch() -> None:
    code = "from mecsim.agents import make_agent\nfrom mecsim.scenario import Scenario\n" + "\n".join(
        f"make_agent({name!r}, Scenario())"
        for name in ("OLNPO", "LPWPO", "all-on", "greedy", "thrifty", "planner")
    )
    assert "torch" not in loaded_by(code)
    assert "torch" in loaded_by("from mecsim.agents import agent_class; agent_class('INTO')")


@pytest.mark.parametrize("name", [f"mecsim.{name}" for name in PHYSICS])
def test_physics_knows_nothing_of_learning_plots_or_experiments(name) -> None:
    above = (
        "agents",
        "experiments",
        "training",
        "env",
        "bounds",
        "explore",
        "reference",
        "refinement",
        "mdp",
    )
    assert not {other for other in reached(name) if other.startswith(tuple(f"mecsim.{one}" for one in above))}


@pytest.mark.parametrize(
    "name", [name for name in MODULES if name.startswith(("mecsim.agents", "mecsim.bounds"))]
)
def test_agents_and_bounds_know_nothing_of_plots_or_experiments(name) -> None:
    above = ("mecsim.experiments", "mecsim.explore", "mecsim.reference")
    assert not {other for other in reached(name) if other.startswith(above)}


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("mecsim.agents")])
def test_agents_do_not_make_a_plant_or_a_twin(name) -> None:
    tree = ast.walk(ast.parse(MODULES[name].read_text()))
    called = {ast.unparse(node.func).split(".")[-1] for node in tree if isinstance(node, ast.Call)}
    assert not called & {"PhysicalSystem", "DigitalTwin"}


def test_plots_know_nothing_of_agents_or_stored_runs() -> None:
    assert GRAPH["mecsim.experiments.plots"] == {"mecsim.experiments.statistics", "mecsim.physics"}


@pytest.mark.parametrize("name", ["figures", "notebooks", "claims"])
def test_what_reads_stored_runs_loads_no_torch(name) -> None:
    assert "torch" not in loaded_by(f"import mecsim.experiments.{name}")


def test_physics_alone_is_numpy_alone() -> None:
    assert GRAPH["mecsim.physics"] == set()
    assert not loaded_by("import mecsim.physics") & {"scipy", "pydantic", "pandas"}
