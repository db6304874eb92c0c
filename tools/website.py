"""Build the site: README, notebooks and what they link to as static pages that read offline, from the committed files.

    python tools/website.py build/site

Nothing is executed. The pages are found by following links from the README and the notebooks, so that no link leads
out of the site except to another host.
"""

import html
import re
import shutil
import sys
from os.path import relpath
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import nbformat
from bs4 import BeautifulSoup, Tag
from pages import copy_assets, markdown_body, notebook_body, source_body, title_of, write_page
from reproduce import NUMBERED

from mecsim.experiments.store import ROOT

START = "README.md"
BAR = {
    "mecsim": START,
    "Notebooks": f"{START}#the-notebooks",
    "Glossary": "GLOSSARY.md",
    "Assumptions": "ASSUMPTIONS.md",
    "Changes": "CHANGELOG.md",
}
IMAGES = (".png", ".svg")
RENDERED = (".md", ".ipynb")


class BrokenLink(ValueError):
    """A link to a file that is not in the repository."""


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def page_name(source: str) -> str:
    """Where the page of a file of the repository is in the site."""
    if source == START:
        return "index.html"
    path = PurePosixPath(source)
    return str(path.with_suffix(".html") if path.suffix in RENDERED else path.with_name(f"{path.name}.html"))


class Site:
    """The site of a repository.

    Args:
        repository: its folder.
        out: the folder to write to; what was there is removed.
    """

    def __init__(self, repository: Path, out: Path) -> None:
        self.repository, self.out = repository.resolve(), out
        self.notebooks = [
            path.relative_to(self.repository).as_posix()
            for path in sorted(self.repository.glob(f"notebooks/{NUMBERED}"))
        ]
        self._found = [START, *self.notebooks]

    def build(self) -> list[str]:
        """Writes all pages; returns the files that they show.

        Raises:
            BrokenLink: a page links to a file that is not there.
        """
        shutil.rmtree(self.out, ignore_errors=True)
        copy_assets(self.out)
        for source in self._found:  # grows as pages name others
            self._write(source)
        return self._found

    def _write(self, source: str) -> None:
        title, body = self._render(source)
        soup = BeautifulSoup(body, "html.parser")
        for heading in soup.find_all(re.compile("^h[1-6]$")):
            rename(heading)
        for link in soup.find_all("a", href=True):
            self._lead(link, source)
        for image in soup.find_all("img", src=True):
            self._show(image, source)
        for wide in soup.find_all("pre"):
            wide["tabindex"] = "0"  # so that the arrow keys scroll it
        steps, page = self._steps(source), page_name(source)
        root = "../" * page.count("/")
        write_page(self.out / page, title, f"{soup}{steps}", root, self._bar(source), self._foot(source))

    def _render(self, source: str) -> tuple[str, str]:
        path = self.repository / source
        if path.suffix == ".ipynb":
            title = self._title(source)
            return title, notebook_body(nbformat.read(path, as_version=4), title)
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".md":
            return text.partition("\n")[0].lstrip("# "), markdown_body(text)
        return source, source_body(text, source)

    def _title(self, notebook: str) -> str:
        path = self.repository / notebook
        return title_of(nbformat.read(path, as_version=4), path.stem)

    def _lead(self, link: Tag, source: str) -> None:
        """Turns a link to a file into one to its page, or into plain text where it is a folder without a page."""
        address = urlsplit(link["href"])
        if address.scheme or address.netloc:
            return
        fragment = f"#{slug(unquote(address.fragment))}" if address.fragment else ""
        if not address.path:
            link["href"] = fragment
            return
        target = self._target(address.path, source)
        if target is None:
            link.unwrap()
            return
        link["href"] = f"{self._address(target, source)}{fragment}"

    def _show(self, image: Tag, source: str) -> None:
        """Copies an image into the site; one of another host becomes its text, as the site reads offline."""
        address = urlsplit(image["src"])
        if address.scheme == "data":
            return
        if address.scheme or address.netloc:
            image.replace_with(image.get("alt") or "image")
            return
        image["src"] = self._address(self._target(address.path, source), source)

    def _target(self, address: str, source: str) -> str | None:
        """The file that a relative address names, seen from a file; None for a folder without a README."""
        path = (self.repository / source).parent.joinpath(unquote(address)).resolve()
        if not path.is_relative_to(self.repository) or not path.exists():
            raise BrokenLink(f"{source} links to {address}, which is not there.")
        if path.is_dir():
            path = path / "README.md"
        return path.relative_to(self.repository).as_posix() if path.exists() else None

    def _address(self, target: str, source: str) -> str:
        """Where a file's page, or the image itself, is as seen from a page; it is in the site from now on."""
        if target.endswith(IMAGES):
            copy = self.out / target
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.repository / target, copy)
            return relpath(target, Path(page_name(source)).parent)
        if target not in self._found:
            self._found.append(target)
        return relpath(page_name(target), Path(page_name(source)).parent)

    def _bar(self, source: str) -> str:
        """The links at the top of a page."""
        links = []
        for text, entry in BAR.items():
            target, _, fragment = entry.partition("#")
            address = self._address(target, source) + (f"#{fragment}" if fragment else "")
            links.append(f'<a href="{address}">{text}</a>')
        return "\n".join(links)

    def _foot(self, source: str) -> str:
        """The last line of a notebook's page: the notebook itself, to keep."""
        if not source.endswith(".ipynb"):
            return ""
        copy = self.out / source
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.repository / source, copy)
        return f'As committed. <a href="{copy.name}" download>The notebook itself</a>'

    def _steps(self, source: str) -> str:
        """Links to the notebooks before and after a notebook."""
        if source not in self.notebooks:
            return ""
        place, links = self.notebooks.index(source), []
        for step, rel, arrow in ((-1, "prev", "← {}"), (1, "next", "{} →")):
            if 0 <= place + step < len(self.notebooks):
                other = self.notebooks[place + step]
                text = html.escape(arrow.format(self._title(other)))
                links.append(f'<a rel="{rel}" href="{self._address(other, source)}">{text}</a>')
        return f'<nav class="steps" aria-label="Notebooks">{"".join(links)}</nav>'


def rename(heading: Tag) -> None:
    """Gives a heading GitHub's anchor in place of Jupyter's."""
    anchor = heading.find("a", class_="anchor-link")
    text = heading.get_text()
    if anchor:
        text = text.removesuffix(anchor.get_text())
        anchor["href"] = f"#{slug(text)}"
        anchor["aria-label"] = f"Link to {text.strip()}"
    heading["id"] = slug(text)


def main(arguments: list[str]) -> int:
    """Builds the site in the named folder."""
    out = Path(arguments[0] if arguments else "build/site").resolve()
    try:
        found = Site(ROOT, out).build()
    except BrokenLink as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(found)} pages. Open {out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
