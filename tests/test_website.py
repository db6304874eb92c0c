"""The site: complete, its links whole, without solutions, and readable on a phone and a desktop without a network."""

import json
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
from pages import launchers
from playwright.sync_api import Locator, Page, expect

import mecsim
from mecsim.experiments.claims import CLAIMS, rule_on
from mecsim.experiments.panels import FIGURES
from mecsim.experiments.results import results, series
from mecsim.experiments.statistics import interval
from mecsim.experiments.store import ROOT

pytest.importorskip("myst_nb", reason="MyST-NB is not installed")
NOTEBOOKS = sorted(path.stem for path in ROOT.glob("notebooks/*.ipynb"))
LOOKED_AT = (
    "index",
    "notebooks/01_system_model",
    "notebooks/10_fig6",
    "GLOSSARY",
    "docs/api",
    "docs/results",
)
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
    written = (
        "index README CONTRIBUTING ASSUMPTIONS GLOSSARY CHANGELOG CLUSTER data/README docs/api docs/results"
    )
    made_by_sphinx = "notebooks/assignments/README genindex search py-modindex"
    expected = {*written.split(), *made_by_sphinx.split(), *(f"notebooks/{name}" for name in NOTEBOOKS)}
    assert {str(path.relative_to(site).with_suffix("")) for path in pages} == expected


def test_the_index_has_picture_notebooks_and_claims(site: Path, pages: Pages) -> None:
    index = pages[site / "index.html"]
    assert "physical network" in index.find("img", src=re.compile(r"network\.svg$"))["alt"]
    rows = [row.get_text(" ", strip=True) for row in index.find_all("tr")]
    for start in (*NOTEBOOKS, "C1 ", "C20 "):
        assert any(row.startswith(start) for row in rows), start


def test_results_and_course_are_a_click_away_and_results_come_first(site: Path, pages: Pages) -> None:
    index = pages[site / "index.html"]
    shown = [link["href"] for link in index.find("article").find_all("a", href=True)][:6]
    assert {"docs/results.html", "notebooks/assignments/README.html"} <= set(shown)
    contents = [link["href"] for link in index.find(class_="sidebar-tree").find_all("a", href=True)]
    assert contents[0] == "docs/results.html"


def test_without_scripts_the_results_are_the_stored_figures_and_the_verdicts(
    site: Path, pages: Pages
) -> None:
    page = pages[site / "docs/results.html"]
    images = [image["src"] for image in page.select(".stored img")]
    assert [Path(image).name for image in images] == [f"{figure}.svg" for figure in FIGURES]
    assert (site / "_images/fig3.svg").read_bytes() == (ROOT / "data/figures/fig3.svg").read_bytes()
    assert all(box.has_attr("hidden") for box in page.select(".interactive"))
    claims = [row.find("td").get_text(strip=True) for row in page.select("table.verdicts tbody tr")]
    assert claims == list(CLAIMS)


def test_the_interactive_figures_have_the_numbers_of_the_stored_ones(site: Path, pages: Pages) -> None:
    scripts = pages[site / "docs/results.html"].select(".interactive script")
    specs = [json.loads(script.string) for script in scripts]
    assert len(specs) == len(FIGURES) + 1  # and the bounds
    (rows,) = specs[list(FIGURES).index("fig4")]["datasets"].values()
    found = [
        (row["mean"], row["low"], row["high"], row["seeds"])
        for row in rows
        if (row["preset"], row["panel"], row["agent"], row["line"]) == ("printed", "fig4b", "INTO", "BS-2")
    ]
    stored = series(results("fig4b", preset="printed"), "offloading BS-2").T
    assert found == [pytest.approx(interval(values), rel=1e-5) for values in stored]


def test_links_that_run_a_notebook_are_there_where_an_address_is_given(site: Path, pages: Pages) -> None:
    assert "mybinder" not in str(
        pages[site / "notebooks/01_system_model.html"].find_all("a", string=re.compile("Run"))
    )
    binder, colab = launchers("07_fig3", "someone/mecsim")
    assert binder.endswith(
        "(https://mybinder.org/v2/gh/someone/mecsim/HEAD?labpath=notebooks%2F07_fig3.ipynb)"
    )
    assert "/github/someone/mecsim/blob/HEAD/notebooks/07_fig3.ipynb)" in colab


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


def figure(browser: Page, site: Path, name: str) -> Locator:
    """An interactive figure, drawn."""
    browser.goto((site / "docs/results.html").as_uri())
    box = browser.locator(f".interactive:has(#{name}-preset)")
    box.scroll_into_view_if_needed()
    expect(box.locator("svg.marks")).to_be_visible()
    return box


def lines(box: Locator) -> list[str]:
    """The paths of the lines that are drawn."""
    return box.locator(".mark-line path").evaluate_all("paths => paths.map(path => path.getAttribute('d'))")


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_a_reader_chooses_preset_panel_and_agents_and_is_told_of_a_mark(
    site: Path, browser: Page, width: int
) -> None:
    browser.set_viewport_size({"width": width, "height": 900})
    box = figure(browser, site, "fig6")
    assert box.page.locator(".stored:visible").count() == 0
    before = lines(box)
    assert len(before) == 6
    box.get_by_role("checkbox", name="untrained").uncheck()
    expect(box.locator(".mark-line path")).to_have_count(5)
    box.get_by_role("checkbox", name="thrifty").check()
    expect(box.locator(".mark-line path")).to_have_count(6)
    box.get_by_role("radio", name="printed").check()
    box.get_by_role("combobox", name="panel").select_option("fig6b")
    expect(box.locator("svg")).to_contain_text("CPU of each BS F (GHz)")
    assert not set(lines(box)) & set(before)
    box.locator(".mark-symbol path").last.click(force=True)
    told = browser.locator("#vg-tooltip-element")
    expect(told).to_be_visible()
    for words in (
        "thrifty",
        "GHz) = 8",
        "mean",
        "95 % interval",
        f"seeds{results('fig6b', preset='printed')['seed'].nunique()}",
        "; ".join(f"{claim} {rule_on(claim, 'printed').verdict}" for claim in ("C12", "C15")),
    ):
        expect(told).to_contain_text(words)
    place = told.bounding_box()
    assert place
    assert 0 <= place["x"] < place["x"] + place["width"] <= width


@pytest.mark.browser
def test_search_and_copying_work_without_a_server(site: Path, browser: Page) -> None:
    errors: list[str] = []
    browser.on("pageerror", lambda error: errors.append(str(error)))
    browser.goto((site / "search.html").as_uri() + "?q=interference")
    expect(browser.locator("#search-results li").first).to_be_visible()
    assert errors == []
    browser.goto((site / "notebooks/01_system_model.html").as_uri())
    buttons = browser.locator("button.copybtn")
    assert buttons.count() == browser.locator(".cell_input").count() > 5


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


@pytest.mark.browser
def test_a_phone_without_scripts_has_the_stored_figures_and_no_page_scrolls_sideways(
    site: Path, pages: Pages, browser: Page
) -> None:
    assert browser.context.browser is not None
    page = browser.context.browser.new_page(java_script_enabled=False, viewport={"width": 390, "height": 900})
    for path in pages:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.goto((site / "docs/results.html").as_uri())
    assert page.locator(".stored img:visible").count() == len(FIGURES)
    assert page.locator(".interactive:visible").count() == 0
    page.close()
