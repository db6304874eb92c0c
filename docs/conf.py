"""Sphinx's configuration of the site (`make site`): README, notebooks as committed and public names, to read offline.

The files of the repository are the sources, as they stand; `prepare` adapts what GitHub and Jupyter show otherwise.
"""

import inspect
import re
import shutil
import sys
from pathlib import Path

import nbformat
from docutils import nodes
from nbformat.v4 import new_markdown_cell
from sphinx.application import Sphinx

import mecsim
from mecsim.experiments.panels import PRESETS

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.with_name("tools")))

import charts  # noqa: E402 (found by the line above)
from pages import MATHJAX, MATHJAX_JS, describe_figures, launchers, strip_widgets  # noqa: E402

project, author, release = "mecsim", "The mecsim authors", mecsim.__version__
project_copyright = f"{author}. Code: MIT; text and figures: CC BY 4.0"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
]
root_doc, course = "README", "notebooks/assignments/README"
around = [
    "CONTRIBUTING",
    "ASSUMPTIONS",
    "GLOSSARY",
    "CHANGELOG",
    "CLUSTER",
    "data/README",
    "docs/api",
    "docs/results",
]
include_patterns = [*(f"{page}.md" for page in (root_doc, course, *around)), "notebooks/*.ipynb"]
exclude_patterns = [".*", "build", "data/[!R]*"]

html_theme, html_title = "furo", "mecsim"
html_copy_source = False
html_show_search_summary = False  # a page in a folder may not read the others
html_static_path, html_css_files = ["static", *map(str, MATHJAX)], ["site.css"]
copybutton_selector = "div:not(.output) > div.highlight pre"  # what can be run, not what came of it
copybutton_exclude = ".linenos, .gp"
mathjax_path = MATHJAX_JS
default_role = "code"
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4
myst_update_mathjax = False  # which is for MathJax 3 and later
nb_execution_mode = "off"
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "description"
autodoc_type_aliases = {name: name for name in ("Array", "Ints", "Bools", "Numbers")}
napoleon_use_ivar = True  # a field that a docstring lists is not described twice

WAYS_IN = (
    "**On this site:** [the results, interactive](docs/results.md) · [the notebooks](notebooks/00_start_here.ipynb) · "
    f"[the guide to the assignments]({course}.md) · [the public names](docs/api.md)"
)
MARK = re.compile(r"^<!-- (\w+) -->$", flags=re.MULTILINE)
FRAGMENT = re.compile(r"(\]\([^)#\s]*#)([^)\s]+)\)")
SOLUTION = re.compile(
    r"\[([^]]*)\]\(source/[^)]*\)|^## Wrong answers.*?(?=^## )", flags=re.DOTALL | re.MULTILINE
)


def prepare(app: Sphinx, page: str, source: list[str]) -> None:
    """Turns the text of a file into what Sphinx is to lay out."""
    text = source[0]
    if page == root_doc:
        title, rest = text.split("\n", 1)
        text = f"{title}\n\n{WAYS_IN}\n{rest}" + (HERE / "contents.md").read_text(encoding="utf-8")
    elif page == course:
        text = SOLUTION.sub(r"\1", text)  # whoever is to solve it reads this site too
    elif page == "docs/api":
        text += reference()
    elif page == "docs/results":
        text = MARK.sub(lambda found: drawn(found[1]), text)
        text += '\n```{raw} html\n<script src="../_static/charts.js"></script>\n```\n'
    elif page.startswith("notebooks/"):
        text = prepared(text, Path(page).name, app.config.repository)
    # Jupyter's anchors have capitals, MyST's and GitHub's have none.
    source[0] = FRAGMENT.sub(lambda link: f"{link[1]}{link[2].lower()})", text)


def prepared(text: str, name: str, repository: str) -> str:
    """A notebook with an alternative text for each figure, without widgets, and with links to keep or to run it."""
    notebook = nbformat.reads(text, as_version=4)
    strip_widgets(notebook)
    describe_figures(notebook, name)
    links = [f"{{download}}`Keep this notebook <{name}.ipynb>`", *launchers(name, repository)]
    notebook.cells.insert(1, new_markdown_cell(" · ".join(links)))
    return nbformat.writes(notebook)


def drawn(figure: str) -> str:
    """What stands in place of a mark on the page of results."""
    return charts.section(figure) if figure in charts.INTERACTIVE else charts.verdicts_table(None)


def reference() -> str:
    """A directive for each public name, but for the tables that docs/api.md names."""
    kinds = {"module": inspect.ismodule, "class": inspect.isclass, "function": inspect.isfunction}
    named = [
        f".. auto{kind}:: mecsim.{name}\n"
        for kind, fits in kinds.items()
        for name in mecsim.__all__
        if fits(getattr(mecsim, name))
    ]
    return "\n".join(("```{eval-rst}", *named, "```\n"))


def keep_equations(app: Sphinx, document: nodes.document) -> None:
    """Has equations of several lines written as they are: Sphinx would wrap them, and then none can bear its number."""
    for equation in document.findall(nodes.math_block):
        equation["classes"].append("amsmath")


def mark_verdicts(app: Sphinx, document: nodes.document) -> None:
    """Gives tables of verdicts their class, by which a narrow screen shows a claim as a block."""
    for table in document.findall(nodes.table):
        header = [cell.astext() for cell in table.findall(nodes.entry)][: 1 + len(PRESETS)]
        if header == ["claim", *PRESETS]:
            table["classes"].append("verdicts")


def keep_colons(app: Sphinx, kind: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Has the docstring of a field or constant stay whole: what stands before a colon would be taken for its type."""
    if kind in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]


def finish(app: Sphinx, failure: Exception | None) -> None:
    """Adds what moves the figures, and shows the README where a reader, or a server, looks first."""
    if failure is None:
        start = (HERE / "charts.js").read_text(encoding="utf-8")
        (Path(app.outdir) / "_static/charts.js").write_text(charts.script(start), encoding="utf-8")
        shutil.copyfile(app.outdir / "README.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_config_value(
        "repository", "", "env", str
    )  # owner/name on GitHub, for links that run the notebooks
    app.connect("source-read", prepare)
    app.connect("doctree-read", keep_equations)
    app.connect("doctree-read", mark_verdicts)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon
    app.connect("build-finished", finish)
