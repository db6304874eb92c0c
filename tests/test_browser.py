"""The notebooks in a real JupyterLab, as a reader opens them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import ERRORS, chromium, find_chromium, jupyterlab, open_notebook, run_all
from playwright.sync_api import Page, expect
from reproduce import NOTEBOOKS, NUMBERED

PATHS = sorted(NOTEBOOKS.glob(NUMBERED))

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not PATHS, reason="notebooks/ holds no notebook yet"),
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, str]]:
    folder = tmp_path_factory.mktemp("notebooks")
    for path in PATHS:
        shutil.copy(path, folder)
    with jupyterlab(folder) as address, chromium() as page:
        yield page, address


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_opens_with_its_title_and_figures(lab: tuple[Page, str], path: Path) -> None:
    page, address = lab
    panel = open_notebook(page, address, path.name)
    expect(panel.locator("h1").first).to_be_visible()
    expect(panel.locator(".jp-OutputArea-output img").first).to_be_visible()
    expect(panel.locator(ERRORS)).to_have_count(0)
    expect(panel.locator(".jp-RenderedMarkdown merror, .jp-RenderedMarkdown mjx-merror")).to_have_count(0)


def test_the_first_notebook_runs_through(lab: tuple[Page, str]) -> None:
    page, address = lab
    panel = open_notebook(page, address, PATHS[0].name)
    assert run_all(page, timeout_s=120) == []
    expect(panel.locator(".jp-OutputArea-output img").first).to_be_visible()
