"""Notebook 13 as a reader uses it: all its controls, with the keyboard, in JupyterLab and under Voilà."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboard import KERNEL_S, voila
from lab import ERRORS, chromium, find_chromium, jupyterlab, open_notebook, run_all
from playwright.sync_api import Locator, Page, expect
from reproduce import NOTEBOOKS

NAME = "13_explore.ipynb"
SHELLS = {"slot": 0, "step": 1, "what if": 2, "compare": 3, "replay": 4}
SHELL, STATUS, PICTURE, WORDS = ".mecsim-explorer", ".mecsim-status", "img", ".mecsim-words"
PATIENCE_MS = 120_000
TRACEBACK = "Traceback (most recent call last)"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("notebooks")
    shutil.copy(NOTEBOOKS / NAME, found)
    return found


@pytest.fixture(scope="module", params=["JupyterLab", "Voilà"])
def explorer(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[Page, Locator]]:
    """The page, and the part of it that holds the notebook, run through."""
    if request.param == "JupyterLab":
        with jupyterlab(folder) as address, chromium() as page:
            panel = open_notebook(page, address, NAME)
            assert run_all(page, timeout_s=KERNEL_S) == []
            yield page, panel
    else:
        with voila(folder / NAME) as address, chromium() as page:
            page.goto(address, timeout=1000 * KERNEL_S)
            yield page, page.locator("body")


def shell_of(panel: Locator, name: str) -> Locator:
    """One shell, with its first picture."""
    shell = panel.locator(SHELL).nth(SHELLS[name])
    expect(shell.locator(PICTURE)).to_be_visible(timeout=1000 * KERNEL_S)
    shell.scroll_into_view_if_needed()
    return shell


def shown(shell: Locator) -> tuple[str, str]:
    return shell.locator(PICTURE).get_attribute("src"), shell.locator(WORDS).inner_text()


def expect_change(page: Page, shell: Locator, before: tuple[str, str], what: str) -> None:
    """Another picture with other words or another look, and no complaint."""
    page.wait_for_function(
        "([shell, picture, before]) => shell.querySelector(picture).src !== before",
        arg=[shell.element_handle(), PICTURE, before[0]],
        timeout=PATIENCE_MS,
    )
    expect(shell.locator(STATUS), what).to_have_text("Ready.", timeout=PATIENCE_MS)
    assert shown(shell) != before, what


def nudge(handle: Locator) -> None:
    """One step with the keyboard, away from the end that the handle stands at."""
    at_the_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
    handle.press("ArrowLeft" if at_the_end else "ArrowRight")


@pytest.mark.parametrize("name", SHELLS)
def test_every_slider_moves_the_picture(explorer: tuple[Page, Locator], name: str) -> None:
    page, panel = explorer
    shell = shell_of(panel, name)
    handles = shell.locator(".noUi-handle")
    assert handles.count() == {"compare": 9}.get(name, 1)
    for number in range(handles.count()):
        before = shown(shell)
        nudge(handles.nth(number))
        expect_change(page, shell, before, f"{name}, slider {number + 1}")
    expect(panel.locator(ERRORS)).to_have_count(0)
    assert TRACEBACK not in panel.inner_text()


@pytest.mark.parametrize("name", ["slot", "step", "what if", "compare"])
def test_every_choice_moves_the_picture(explorer: tuple[Page, Locator], name: str) -> None:
    page, panel = explorer
    shell = shell_of(panel, name)
    choices = shell.locator("select")
    assert choices.count() == {"step": 3}.get(name, 1)
    for number in range(choices.count()):
        before, options = shown(shell), choices.nth(number).locator("option").all_inner_texts()
        choices.nth(number).select_option(label=options[-1])
        expect_change(page, shell, before, f"{name}, choice {number + 1}: {options[-1]}")
    assert TRACEBACK not in panel.inner_text()


def test_every_button_does_what_it_says(explorer: tuple[Page, Locator]) -> None:
    page, panel = explorer
    shell = shell_of(panel, "step")
    before = shown(shell)
    shell.locator("select").last.select_option(label="OLNPO")
    expect_change(page, shell, before, "the offer of OLNPO")
    for text in ("To the end", "Back", "Next"):
        before = shown(shell)
        shell.get_by_role("button", name=text, exact=True).press("Space")
        expect_change(page, shell, before, text)
    expect(shell.locator(WORDS)).to_contain_text("done.")

    shell = shell_of(panel, "replay")
    for text in ("100 on", "100 back"):
        before = shown(shell)
        shell.get_by_role("button", name=text, exact=True).click()
        expect_change(page, shell, before, text)

    shell = shell_of(panel, "compare")
    before = shown(shell)
    nudge(shell.locator(".noUi-handle").first)
    expect_change(page, shell, before, "a slider before Defaults")
    expect(shell.locator(WORDS)).to_contain_text("moved most from the defaults")
    shell.get_by_role("button", name="Defaults", exact=True).click()
    expect(shell.locator(WORDS)).not_to_contain_text("moved most from the defaults", timeout=PATIENCE_MS)
    assert TRACEBACK not in panel.inner_text()


def test_a_device_decides_otherwise_and_income_and_words_follow(explorer: tuple[Page, Locator]) -> None:
    page, panel = explorer
    shell = shell_of(panel, "what if")
    for label in ("BS-1", "BS-2", "BS-3", "discard"):
        toggle = shell.get_by_role("button", name=label, exact=True)
        before = shown(shell)
        if "mod-active" in (toggle.get_attribute("class") or ""):
            continue
        toggle.press("Space")
        expect_change(page, shell, before, label)
        said = "discarded now" if label == "discard" else f"on {label} now"
        expect(shell.locator(WORDS)).to_contain_text(said)


def test_pictures_have_words_for_who_cannot_see_them(explorer: tuple[Page, Locator]) -> None:
    _, panel = explorer
    for name in SHELLS:
        shell = shell_of(panel, name)
        assert shell.locator(PICTURE).get_attribute("alt") == shown(shell)[1]


def test_nothing_sticks_out_on_a_phone(explorer: tuple[Page, Locator]) -> None:
    page, panel = explorer
    if page.locator(".jp-LabShell").count():
        pytest.skip("JupyterLab's own side bars do not fit a phone; Voilà's page has to")
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    for name in SHELLS:
        shell = shell_of(panel, name)
        for part in (shell.locator(PICTURE), *shell.locator(".widget-slider, select").all()):
            box = part.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 391, name
