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
PHYSICS = [
    "physics",
    "scenario",
    "settings",
    "state",
    "outcome",
    "sources",
    "streams",
    "system",
    "twin",
    "fleet",
]
REFINING = ["contest", "removal", "refinement", "fleet_removal", "fleet_refinement"]
LIGHT = [
    *PHYSICS,
    *REFINING,
    "lookup",
    "optimum",
    "mdp",
    "deployment",
    "evaluation",
    "parameters",
    "literal",
    "memory",
]


def imported(path: Path) -> set[str]:
    """The modules of mecsim that a module imports when it is itself imported."""
    found = set()
    for node in ast.parse(path.read_text()).body:  # not inside functions, nor under `if TYPE_CHECKING`
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
    heavy = {"torch", "pandas", "matplotlib", "scipy", "gymnasium", "pydantic", "numpy"}
    assert not loaded_by("import mecsim") & heavy


@pytest.mark.parametrize("heavy", [{"torch"}])
def test_the_modules_of_the_system_load_no_torch(heavy) -> None:
    code = "import " + ", ".join(f"mecsim.{name}" for name in [*LIGHT, "env", "env_vector", "plotting"])
    assert not loaded_by(code) & heavy


def test_the_baselines_load_no_torch() -> None:
    code = "from mecsim.agents import make_agent\nfrom mecsim.scenario import Scenario\n" + "\n".join(
        f"make_agent({name!r}, Scenario())" for name in ("OLNPO", "LPWPO", "all-on", "greedy", "thrifty")
    )
    assert "torch" not in loaded_by(code)
    assert "torch" in loaded_by("from mecsim.agents import agent_class; agent_class('INTO')")


@pytest.mark.parametrize("name", [f"mecsim.{name}" for name in PHYSICS])
def test_physics_knows_nothing_of_learning_plots_or_experiments(name) -> None:
    above = (
        "mecsim.agents",
        "mecsim.experiments",
        "mecsim.experiments.figures",
        "mecsim.training",
        "mecsim.env",
    )
    assert not {other for other in reached(name) if other.startswith(above)}


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("mecsim.agents")])
def test_agents_know_nothing_of_plots_or_experiments_nor_of_the_plant(name) -> None:
    above = ("mecsim.experiments", "mecsim.experiments.figures", "mecsim.system", "mecsim.twin")
    assert not {other for other in reached(name) if other.startswith(above)}


def test_plots_know_nothing_of_agents_or_stored_runs() -> None:
    assert GRAPH["mecsim.experiments.plots"] == {"mecsim.experiments.statistics", "mecsim.physics"}


@pytest.mark.parametrize("name", ["figures", "notebooks", "claims"])
def test_what_reads_stored_runs_loads_no_torch(name) -> None:
    assert "torch" not in loaded_by(f"import mecsim.experiments.{name}")


def test_physics_alone_is_numpy_alone() -> None:
    assert GRAPH["mecsim.physics"] == set()
    assert not loaded_by("import mecsim.physics") & {"scipy", "pydantic", "pandas"}


def test_every_name_on_offer_is_there() -> None:
    for name in mecsim.__all__:
        assert getattr(mecsim, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Scenari'"):
        _ = mecsim.Scenari
