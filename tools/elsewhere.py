"""Write how to run the notebooks on Binder and Colab into README.md and the notebooks: `make badges`.

All of it follows from one setting, `Repository` under [project.urls] in pyproject.toml. Without it the text says what
to enter where; with it there are badges. `make badges REPOSITORY=https://...` sets it.
"""

import re
import sys
import tomllib
from pathlib import Path
from urllib.parse import quote, urlsplit

import nbformat

from mecsim.experiments.reproduce import NUMBERED
from mecsim.experiments.store import ROOT, write_atomically

LAB = "lab/tree/notebooks/{}.ipynb"
EXPLORER = "voila/render/notebooks/13_explore.ipynb"
GUIDE = "00_start_here"
BLOCK = re.compile(r"(?<=<!-- elsewhere -->\n).*?(?=\n<!-- /elsewhere -->)", flags=re.DOTALL)
LINE = re.compile(r"\n\n\*Elsewhere: .*\*$")
BADGE = "[![{0}](https://mybinder.org/badge_logo.svg)]({1})"
COLAB = """\
- **Colab** has Python 3.13, and mecsim is tested with 3.11 only, so take what it computes there with care. These lines
  as the first cell should do, though we have not run them there: `!git clone --depth 1 {0} mecsim`, `%cd mecsim`,
  `%pip install -q --ignore-requires-python -e .`"""
WITHOUT_ADDRESS = f"""\
- **Binder** (JupyterLab in the browser, nothing to install): this copy names no public address, so it has no badge yet.
  Enter the address of yours at [mybinder.org](https://mybinder.org), and as *URL* `{LAB.format(GUIDE)}`,
  or `{EXPLORER}` for the explorer alone. `make badges REPOSITORY=https://...` makes badges of this.
"""


def stored_address(project: str) -> str | None:
    """The address of the repository in the text of pyproject.toml, None where it has none."""
    return tomllib.loads(project)["project"].get("urls", {}).get("Repository")


def with_address(project: str, address: str) -> str:
    """The text of pyproject.toml with another address.

    Raises:
        SystemExit: it is not the https address of a repository.
    """
    parts = urlsplit(address)
    if parts.scheme != "https" or "." not in parts.netloc or parts.path.count("/") < 2:
        raise SystemExit(
            f"REPOSITORY = {address} is not allowed: it should look like https://github.com/you/mecsim."
        )
    line = f'Repository = "{address.removesuffix(".git").rstrip("/")}"\n'
    if "[project.urls]\n" in project:
        return re.sub(r"(?<=\[project\.urls\]\n)Repository = .*\n", line, project)
    return project.replace("[project.scripts]\n", f"[project.urls]\n{line}\n[project.scripts]\n")


def cited(citation: str, address: str | None) -> str:
    """The text of CITATION.cff with the address."""
    bare = re.sub(r"^repository-code: .*\n", "", citation, flags=re.MULTILINE)
    return bare.replace("license: ", f"repository-code: {address}\nlicense: ", 1) if address else bare


def binder(address: str, path: str) -> str:
    """A link that builds the repository on mybinder.org and opens a path of its Jupyter server."""
    return f"https://mybinder.org/v2/git/{quote(address, safe='')}/HEAD?urlpath={quote(path, safe='')}"


def colab(address: str, notebook: str) -> str | None:
    """A link that opens a notebook in Colab, which takes them from GitHub."""
    parts = urlsplit(address)
    if parts.netloc != "github.com":
        return None
    return f"https://colab.research.google.com/github{parts.path}/blob/HEAD/notebooks/{notebook}.ipynb"


def block(address: str | None) -> str:
    """What README.md and the first notebook say."""
    if address is None:
        return WITHOUT_ADDRESS + COLAB.format("ADDRESS")
    lab, explorer = binder(address, LAB.format(GUIDE)), binder(address, EXPLORER)
    return (
        f"- **Binder**, with nothing to install: {BADGE.format('JupyterLab on Binder', lab)} opens JupyterLab,\n"
        f"  {BADGE.format('The explorer on Binder', explorer)} the explorer alone.\n"
    ) + COLAB.format(address)


def line(address: str | None, notebook: str) -> str:
    """What the first cell of a notebook says."""
    guide = f"[{GUIDE}]({GUIDE}.ipynb#Elsewhere)"
    if address is None:
        return f"*Elsewhere: {guide} says how to run this on Binder or Colab.*"
    places = [f"[Binder]({binder(address, LAB.format(notebook))})"]
    if link := colab(address, notebook):
        places.append(f"[Colab]({link}), with the first cell that {guide} names")
    return f"*Elsewhere: on {' or '.join(places)}.*"


def write_text(path: Path, text: str) -> None:
    """Replaces a file if it changes."""
    if path.read_text(encoding="utf-8") != text:
        write_atomically(path, text.encode())


def write_notebook(path: Path, address: str | None) -> None:
    """Puts the line into the first cell of a notebook, and the block where it has its marks."""
    notebook = nbformat.read(path, as_version=4)
    first = notebook.cells[0]
    first.source = f"{LINE.sub('', first.source)}\n\n{line(address, path.stem)}"
    for cell in notebook.cells:
        cell.source = BLOCK.sub(lambda _: block(address), cell.source)
    write_text(path, f"{nbformat.writes(notebook)}\n")


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Sets the address if one is given, and writes all that follows from it."""
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    if arguments:
        project = with_address(project, arguments[0])
        write_text(root / "pyproject.toml", project)
    address = stored_address(project)
    citation, readme = root / "CITATION.cff", root / "README.md"
    write_text(citation, cited(citation.read_text(encoding="utf-8"), address))
    write_text(readme, BLOCK.sub(lambda _: block(address), readme.read_text(encoding="utf-8")))
    for path in sorted(root.glob(f"notebooks/{NUMBERED}")):
        write_notebook(path, address)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
