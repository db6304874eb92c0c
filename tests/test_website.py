"""The site: complete, its links whole, without solutions, and readable on a phone and a desktop without a network."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from hidden import NAMES, read, secret_lines, text_of
from lab import chromium, find_chromium
from playwright.sync_api import Page

import mecsim
from mecsim.experiments.store import ROOT

pytest.importorskip("myst_nb", reason="MyST-NB is not installed")
NOTEBOOKS = sorted(path.stem for path in ROOT.glob("notebooks/*.ipynb"))
LOOKED_AT = ("index", "notebooks/01_system_model", "notebooks/10_fig6", "GLOSSARY", "docs/api")
TYPESET = "!window.MathJax || (MathJax.isReady && MathJax.Hub.queue.pending === 0)"
EXTERNAL = re.compile(r"https?://[\w-]+(\.[\w-]+)+(/[^\s<>\"{}|\\^`]*)?")
Pages = dict[Path, BeautifulSoup]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built as `make site` does: a warning of Sphinx is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = f"-m sphinx -q -W -c docs -d {folder}/doctrees . {folder}/site".split()
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> Pages:
    """Every page, by its path."""
    found = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in found}


def faults(folder: Path, pages: Pages) -> Iterator[str]:
    """Every address on a page that leads nowhere, or that a reader without a network would miss."""
    places = {path: {element["id"] for element in page.find_all(id=True)} for path, page in pages.items()}
    for path, page in pages.items():
        for tag, name in (("a", "href"), ("img", "src"), ("link", "href"), ("script", "src")):
            for element in page.find_all(tag, {name: True}):
                parts = urlsplit(element[name])
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                if parts.scheme or parts.netloc:
                    good = parts.scheme == "data" or (tag == "a" and EXTERNAL.fullmatch(element[name]))
                elif parts.fragment:
                    good = unquote(parts.fragment) in places.get(target, ())
                else:
                    good = target.is_file() and target.is_relative_to(folder)
                if not good:
                    yield f"{path.relative_to(folder)}: {element[name]}"


def test_every_page_is_there(site: Path, pages: Pages) -> None:
    written = "index README CONTRIBUTING ASSUMPTIONS GLOSSARY CHANGELOG CLUSTER data/README docs/api"
    made_by_sphinx = "notebooks/assignments/README genindex search py-modindex"
    expected = {*written.split(), *made_by_sphinx.split(), *(f"notebooks/{name}" for name in NOTEBOOKS)}
    assert {str(path.relative_to(site).with_suffix("")) for path in pages} == expected


def test_the_index_has_picture_notebooks_and_claims(site: Path, pages: Pages) -> None:
    index = pages[site / "index.html"]
    assert "physical network" in index.find("img", src=re.compile(r"network\.svg$"))["alt"]
    rows = [row.get_text(" ", strip=True) for row in index.find_all("tr")]
    for start in (*NOTEBOOKS, "C1 ", "C20 "):
        assert any(row.startswith(start) for row in rows), start


def test_the_reference_has_every_public_name(site: Path, pages: Pages) -> None:
    entries = pages[site / "docs/api.html"].find_all(id=re.compile("mecsim"))
    described = {str(entry["id"]).rpartition(".")[2] for entry in entries}
    assert set(mecsim.__all__) - described == set()
    assert "outcome" in described


def test_all_links_lead_somewhere_and_nothing_comes_from_the_network(site: Path, pages: Pages) -> None:
    assert list(faults(site, pages)) == []


def test_a_notebook_can_be_kept_as_it_was_committed(site: Path) -> None:
    for name in NOTEBOOKS:
        (copy,) = site.glob(f"_downloads/*/{name}.ipynb")
        assert copy.read_bytes() == (ROOT / "notebooks" / copy.name).read_bytes()


def test_no_solution_is_on_the_site(site: Path, pages: Pages) -> None:
    kinds = (".html", ".ipynb", ".txt", ".toml", ".js", ".md")
    texts = [path for path in site.rglob("*") if path.suffix in kinds]
    assert len(texts) > 100
    assert [
        path for path in texts if re.search("(BEGIN|END) (SOLUTION|HIDDEN)", path.read_text(encoding="utf-8"))
    ] == []
    assert [path for path in texts if re.match(r"a\d_|wrong_answers", path.name)] == []
    shown = {path: page.get_text() for path, page in pages.items()}
    shown |= {
        path: path.read_text() for path in texts if path.suffix != ".html" and "_static" not in path.parts
    }
    known = "\n".join(text_of(read(path)) for path in ROOT.glob("notebooks/*.ipynb"))
    secret = {line for name in NAMES for line in secret_lines(name) if line not in known}
    assert len(secret) > 250
    assert [(path.name, line) for path, text in shown.items() for line in secret if line in text] == []
    guide = shown[site / "notebooks/assignments/README.html"]
    assert "Wrong answers" not in guide
    assert "How hidden the hidden tests are" in guide


def test_figures_have_alternative_texts(site: Path, pages: Pages) -> None:
    for path, page in pages.items():
        assert [image for image in page.find_all("img") if not image.get("alt", "").strip()] == [], path
    images = pages[site / "notebooks/10_fig6.html"].find_all("img", width=True)
    assert images  # have the size that they were drawn for, and a phone shrinks them as a whole
    assert not any(image.has_attr("height") for image in images)
    texts = [image["alt"] for image in images]
    assert any(text.startswith("INTO's lead over LPWPO, OLNPO and DDQN in per cent") for text in texts)


def test_the_drawn_pictures_are_on_the_site(site: Path) -> None:
    drawn = {path.name: path.read_bytes() for path in ROOT.glob("notebooks/pictures/*.svg")}
    assert drawn.items() <= {path.name: path.read_bytes() for path in site.glob("_images/*.svg")}.items()


def test_equations_need_no_network(site: Path, pages: Pages) -> None:
    page = pages[site / "notebooks/01_system_model.html"]
    equations = [equation.get_text() for equation in page.find_all("div", class_="math")]
    assert any(r"\begin{cases}" in text and r"\tag{7}" in text for text in equations)
    assert not any("split" in text for text in equations)  # no number may stand in one
    (script,) = page.find_all("script", src=re.compile("MathJax"))
    assert script["src"].startswith("../_static/MathJax.js?config=")
    for config in script["src"].partition("=")[2].split(","):
        assert (site / "_static/config" / f"{config}.js").is_file()


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    if find_chromium() is None:
        pytest.skip("no Chromium on this machine")
    with chromium() as page:
        yield page


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_read_well_in_a_browser(site: Path, browser: Page, width: int) -> None:
    problems: list[str] = []
    browser.on("requestfailed", lambda request: problems.append(request.url))
    browser.on("request", lambda request: problems.extend([request.url] * request.url.startswith("http")))
    browser.on("console", lambda message: problems.extend([message.text] * (message.type == "error")))
    browser.set_viewport_size({"width": width, "height": 900})
    for name in LOOKED_AT:
        browser.goto((site / f"{name}.html").as_uri())
        browser.wait_for_function(TYPESET, timeout=120_000)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width, name
        assert browser.locator("h1").first.is_visible()
        assert browser.locator("img").evaluate_all("images => images.every(image => image.naturalWidth > 0)")
        assert browser.locator(".MathJax_Error, merror").count() == 0
        assert (browser.locator(".MathJax_Display").count() > 3) == (name == LOOKED_AT[1])
        assert problems == []
