"""HTML pages in one look: notebooks, Markdown and source text, readable offline, equations included."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import jupyter_server_mathjax
from jinja2 import Environment, FileSystemLoader
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound

from mecsim.experiments.store import write_atomically

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CAPTION = re.compile(r"\*Figure:?\*?:? *")
LIGHT, DARK = "default", "github-dark"
"""Pygments' styles for code."""
FOLDER = Path(__file__).with_name("templates")
TEMPLATES = Environment(
    loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def title_of(notebook: NotebookNode, default: str) -> str:
    """The first level-one heading."""
    lines = (
        line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()
    )
    return next((line[2:].strip() for line in lines if line.startswith("# ")), default)


def strip_widgets(notebook: NotebookNode) -> None:
    """Removes the widgets, which show nothing without a kernel, from the outputs and the metadata."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET_VIEW not in output.get("data", {})]


def describe_figures(notebook: NotebookNode, title: str) -> None:
    """Gives each figure its alternative text: the caption that starts the next cell of text, or its number."""
    number = 0
    for place, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                number += 1
                after = (later for later in notebook.cells[place + 1 :] if later.cell_type == "markdown")
                text = caption(next(after, None)) or f"Figure {number} of {title}"
                output.metadata["image/png"] = {"alt": text}


def caption(cell: NotebookNode | None) -> str | None:
    """The caption of a figure in plain text, where the cell starts with one."""
    if cell is None or not CAPTION.match(cell.source):
        return None
    paragraph = CAPTION.sub("", cell.source.split("\n\n")[0], count=1)
    return re.sub(r"[*`$]|\\(?=hat)", "", paragraph).strip()


def notebook_body(notebook: NotebookNode, title: str) -> str:
    """The cells of a notebook with their stored outputs."""
    strip_widgets(notebook)
    describe_figures(notebook, title)
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body = exporter.from_notebook_node(notebook)[0]
    return body.replace("<table", '<div class="wide" tabindex="0"><table').replace(
        "</table>", "</table></div>"
    )


def markdown_body(text: str) -> str:
    """A Markdown text, rendered as in a notebook."""
    return notebook_body(new_notebook(cells=[new_markdown_cell(text)]), "")


def source_body(text: str, name: str) -> str:
    """A source file with its syntax in colour."""
    try:
        lexer = get_lexer_for_filename(name)
    except ClassNotFound:
        lexer = TextLexer()
    return f"<h1>{html.escape(name)}</h1>\n{highlight(text, lexer, HtmlFormatter())}"


def write_page(path: Path, title: str, body: str, root: str, bar: str, foot: str = "") -> None:
    """Writes a page around a body.

    Args:
        path: where to.
        title: shown by the browser.
        body: what stands in it, as HTML.
        root: how the page reaches the folder that `copy_assets` has filled: "" or "../", as often as needed.
        bar: links at the top, as HTML.
        foot: the last line, as HTML.
    """
    page = TEMPLATES.get_template("page.html").render(title=title, body=body, root=root, bar=bar, foot=foot)
    write_atomically(path, page.encode())


def copy_assets(out: Path) -> None:
    """Puts the style and MathJax beside the pages, and has MathJax use the fonts that it comes with."""
    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in (LIGHT, DARK))
    style = (
        f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{(FOLDER / 'style.css').read_text()}"
    )
    write_atomically(out / "style.css", style.encode())
    source = Path(jupyter_server_mathjax.__file__).parent / "static"
    shutil.copytree(source, out / "mathjax", dirs_exist_ok=True)
    write_atomically(out / "mathjax/config/local/fonts.js", (FOLDER / "mathjax-fonts.js").read_bytes())
