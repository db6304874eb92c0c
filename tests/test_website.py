"""The site: complete, its links whole, and readable at a phone's and a desktop's width without a network."""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from lab import chromium, find_chromium
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pages import describe_figures
from playwright.sync_api import Page
from website import BrokenLink, Site, page_name, slug

from mecsim.experiments.store import ROOT

WIDTHS = {"phone": 390, "desktop": 1280}
LOOKED_AT = ("index.html", "notebooks/01_system_model.html", "notebooks/10_fig6.html", "GLOSSARY.html")
TYPESET = "!window.MathJax || (MathJax.isReady && MathJax.Hub.queue.pending === 0)"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    Site(ROOT, out).build()
    return out


def pages(folder: Path) -> dict[Path, BeautifulSoup]:
    found = [path for path in folder.rglob("*.html") if "mathjax" not in path.parts]
    return {path: BeautifulSoup(path.read_text(), "html.parser") for path in found}


def faults(folder: Path) -> Iterator[str]:
    """Every address on a page of the folder that leads nowhere."""
    found = pages(folder)
    for path, page in found.items():
        for tag, name in (("a", "href"), ("img", "src"), ("link", "href"), ("script", "src")):
            for element in page.find_all(tag, {name: True}):
                address = element[name]
                if not leads_somewhere(address, path, folder, found, external=tag == "a"):
                    yield f"{path.relative_to(folder)}: {address}"


def leads_somewhere(
    address: str, path: Path, folder: Path, found: dict[Path, BeautifulSoup], external: bool
) -> bool:
    parts = urlsplit(address)
    if parts.scheme == "data":
        return True
    if parts.scheme or parts.netloc:
        return external and bool(re.fullmatch(r"https?://[\w-]+(\.[\w-]+)+(/[^\s<>\"{}|\\^`]*)?", address))
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file() or not target.is_relative_to(folder):
        return False
    return not parts.fragment or found[target].find(id=unquote(parts.fragment)) is not None


def repository(folder: Path, **files: str) -> Path:
    """A repository that holds the pages of every site, and some files (a name's __ is a dot, its ___ a slash)."""
    known = dict.fromkeys(("GLOSSARY__md", "ASSUMPTIONS__md", "CHANGELOG__md"), "# Page\n")
    for name, text in (known | {"README__md": "# Home\n\n## The notebooks\n"} | files).items():
        path = folder / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_every_notebook_has_its_page_and_a_copy(site: Path) -> None:
    for notebook in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        assert (site / "notebooks" / f"{notebook.stem}.html").is_file()
        assert (site / "notebooks" / notebook.name).read_bytes() == notebook.read_bytes()


def test_the_index_has_story_picture_notebooks_claims_and_pages(site: Path) -> None:
    index = BeautifulSoup((site / "index.html").read_text(), "html.parser")
    assert index.find("h1") is not None
    assert index.find("img", alt=True)["src"] == "data/figures/fig3.png"
    rows = [row.get_text(" ", strip=True) for row in index.find_all("tr")]
    assert any(row.startswith("01_system_model") for row in rows)
    assert any(row.startswith("C20") for row in rows)
    linked = {link["href"] for link in index.find_all("a", href=True)}
    assert {"ASSUMPTIONS.html", "CHANGELOG.html", "CITATION.cff.html", "GLOSSARY.html"} <= linked


def test_all_links_lead_somewhere(site: Path) -> None:
    assert list(faults(site)) == []


def test_the_check_of_links_sees_each_kind_of_fault(tmp_path: Path) -> None:
    (tmp_path / "there.html").write_text("<h2 id='a'>A</h2>")
    good = ["there.html", "there.html#a", "https://mybinder.org/v2?x=1", "http://a.bc"]
    bad = ["gone.html", "there.html#b", "#c", "https://a b.org", "htp://a.bc", "https://nodot", "../out.html"]
    links = "".join(f"<a href='{address}'>x</a>" for address in good + bad)
    (tmp_path / "index.html").write_text(f"{links}<img src='https://a.bc/x.png'>")
    expected = [*(f"index.html: {address}" for address in bad), "index.html: https://a.bc/x.png"]
    assert list(faults(tmp_path)) == expected


def test_figures_have_alternative_texts(site: Path) -> None:
    for path, page in pages(site).items():
        assert [image for image in page.find_all("img") if not image.get("alt", "").strip()] == [], path


def test_a_figure_is_described_by_the_caption_below_it() -> None:
    figure = new_output("display_data", {"image/png": PIXEL})
    cells = [
        new_code_cell(outputs=[figure]),
        new_code_cell("1"),
        new_markdown_cell("*Figure:* the `income` of $n$ *policies*.\n\nMore."),
        new_code_cell(outputs=[deepcopy(figure)]),
        new_markdown_cell("No caption."),
    ]
    notebook = new_notebook(cells=cells)
    describe_figures(notebook, "Title")
    texts = [cell.outputs[0].metadata["image/png"].alt for cell in cells if cell.get("outputs")]
    assert texts == ["the income of n policies.", "Figure 2 of Title"]


def test_links_lead_to_pages_and_anchors_are_those_of_github(tmp_path: Path) -> None:
    notebook = new_notebook(
        cells=[new_markdown_cell("# One\n\n[up](../README.md#two-words) [a](#A-b)\n\n## A b")]
    )
    text = (
        "# Home\n\n## Two words\n\n## The notebooks\n\n[n](notebooks/01_one.ipynb#A-b) [c](code.py) "
        "[d](data) [e](empty) [w](https://a.bc) ![badge](https://a.bc/badge.svg)"
    )
    files = {"code__py": "x = 1\n", "data___README__md": "# Data\n", "empty___x__txt": "x"}
    folder = repository(tmp_path / "repository", README__md=text, **files)
    (folder / "notebooks").mkdir()
    nbformat.write(notebook, folder / "notebooks/01_one.ipynb")
    Site(folder, tmp_path / "site").build()
    found = pages(tmp_path / "site")
    index = found[tmp_path / "site/index.html"].main
    assert {link.get_text(): link["href"] for link in index.find_all("a", class_=False)} == {
        "n": "notebooks/01_one.html#a-b",
        "c": "code.py.html",
        "d": "data/README.html",
        "w": "https://a.bc",
    }
    assert "badge" in index.get_text()
    one = found[tmp_path / "site/notebooks/01_one.html"].main
    assert [link["href"] for link in one.find_all("a", class_=False)] == ["../index.html#two-words", "#a-b"]
    assert list(faults(tmp_path / "site")) == []


@pytest.mark.parametrize("address", ["gone.md", "../outside.md"])
def test_a_link_to_nothing_stops_the_build(tmp_path: Path, address: str) -> None:
    (tmp_path / "outside.md").write_text("# Outside")
    folder = repository(tmp_path / "repository", README__md=f"# Home\n\n[x]({address})\n")
    with pytest.raises(BrokenLink, match=re.escape(f"README.md links to {address}")):
        Site(folder, tmp_path / "site").build()


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [("The calibration of A1, A2 and A3", "the-calibration-of-a1-a2-and-a3"), ("C++ & `x_1`", "c--x_1")],
)
def test_anchors(heading: str, anchor: str) -> None:
    assert slug(heading.replace("`", "")) == anchor


def test_names_of_pages() -> None:
    assert [page_name(name) for name in ("README.md", "data/README.md", "a/b.ipynb", "c.py", "LICENSE")] == [
        "index.html",
        "data/README.html",
        "a/b.html",
        "c.py.html",
        "LICENSE.html",
    ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    if find_chromium() is None:
        pytest.skip("no Chromium on this machine")
    with chromium() as page:
        yield page


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("name", LOOKED_AT)
def test_reads_at_any_width_without_errors(site: Path, browser: Page, name: str, width: int) -> None:
    errors: list[str] = []
    browser.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    browser.on("pageerror", lambda error: errors.append(str(error)))
    browser.on("requestfailed", lambda request: errors.append(request.url))
    browser.set_viewport_size({"width": width, "height": 900})
    browser.goto((site / name).as_uri())
    browser.wait_for_function(TYPESET, timeout=120_000)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.locator("h1").first.is_visible()
    assert browser.locator("img").evaluate_all("images => images.every(image => image.naturalWidth > 0)")
    assert browser.locator(".MathJax_Error, merror").count() == 0
    assert errors == []


@pytest.mark.browser
def test_equations_are_typeset_and_the_next_notebook_is_a_click_away(site: Path, browser: Page) -> None:
    browser.goto((site / "notebooks/01_system_model.html").as_uri())
    browser.wait_for_function(TYPESET, timeout=120_000)
    assert browser.locator(".MathJax_Display").count() > 3
    browser.locator("a[rel=next]").click()
    assert browser.url.endswith("notebooks/02_digital_twin.html")
    browser.locator("a[rel=prev]").click()
    assert browser.url.endswith("notebooks/01_system_model.html")
