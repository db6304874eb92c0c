"""The notebooks in a real JupyterLab as a reader opens them, and the controls of notebook 13 there and under Voilà."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from lab import ERRORS, chromium, find_chromium, jupyterlab, open_notebook, run_all
from playwright.sync_api import Locator, Page, expect
from reproduce import NOTEBOOKS, NUMBERED

from mecsim.explore.comparing import KNOBS

PATHS = sorted(NOTEBOOKS.glob(NUMBERED))
EXPLORER = "13_explore.ipynb"
SHELLS = {"slot": 0, "step": 1, "what if": 2, "compare": 3, "playback": 4}
SHELL, STATUS, PICTURE, WORDS = ".mecsim-explorer", ".mecsim-status", "img", ".mecsim-words"
PATIENCE_MS = 300_000
OPEN = "async name => { await jupyterapp.commands.execute('docmanager:open', { path: name }) }"
INSIDE = """parts => [...document.querySelectorAll(parts)].every(
    part => part.getBoundingClientRect().left >= 0 && part.getBoundingClientRect().right <= innerWidth + 1)"""
MOVES_AND_DEFAULTS = """shell => {
    const handle = shell.querySelector('.noUi-handle');
    for (let press = 0; press < 3; press++)
        handle.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
    shell.querySelector('button').click();
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, str]]:
    """A page, and the address of the one server that all tests use."""
    folder = tmp_path_factory.mktemp("notebooks")
    for path in PATHS:
        shutil.copy(path, folder)
    with jupyterlab(folder) as address, chromium() as page:
        open_notebook(page, address, EXPLORER)
        yield page, address


@pytest.mark.parametrize("name", [path.name for path in PATHS])
def test_opens_with_its_title_and_figures(lab: tuple[Page, str], name: str) -> None:
    page, _ = lab
    page.evaluate(OPEN, name)
    panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    expect(panel.locator("h1").first).to_be_visible()
    expect(panel.locator(".jp-OutputArea-output img").first).to_be_visible()
    expect(panel.locator(ERRORS)).to_have_count(0)
    expect(panel.locator(".jp-RenderedMarkdown merror, .jp-RenderedMarkdown mjx-merror")).to_have_count(0)


@pytest.fixture(scope="module", params=["JupyterLab", "Voilà"])
def explorer(request: pytest.FixtureRequest, lab: tuple[Page, str]) -> tuple[Page, Locator]:
    """The page, and the part of it that holds notebook 13, run through."""
    page, address = lab
    if request.param == "JupyterLab":
        panel = open_notebook(page, address, EXPLORER)
        assert run_all(page, timeout_s=PATIENCE_MS / 1000) == []
        return page, panel
    page.goto(address.replace("/lab/tree/", "/voila/render/").format(EXPLORER), timeout=PATIENCE_MS)
    return page, page.locator("body")


def shell_of(panel: Locator, name: str) -> Locator:
    """One shell, with its first picture."""
    shell = panel.locator(SHELL).nth(SHELLS[name])
    expect(shell.locator(PICTURE)).to_be_visible(timeout=PATIENCE_MS)
    shell.scroll_into_view_if_needed()
    return shell


def move_slider(shell: Locator) -> None:
    """One step with the keyboard, away from the end that the handle stands at."""
    handle = shell.locator(".noUi-handle").first
    at_the_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
    handle.press("ArrowLeft" if at_the_end else "ArrowRight")


def choose_last(shell: Locator) -> None:
    options = shell.locator("select").first.locator("option").all_inner_texts()
    shell.locator("select").first.select_option(label=options[-1])


def press_button(shell: Locator) -> None:
    """The first button that is not pressed already."""
    shell.locator("button:not(.mod-active)").first.press("Space")


def redrawn(panel: Locator, name: str, use: Callable[[Locator], None]) -> Locator:
    """A shell with the picture that it shows after a use of it."""
    shell = shell_of(panel, name)
    before = shell.locator(PICTURE).get_attribute("src")
    use(shell)
    panel.page.wait_for_function(
        "([shell, picture, before]) => shell.querySelector(picture).src !== before",
        arg=[shell.element_handle(), PICTURE, before],
        timeout=PATIENCE_MS,
    )
    expect(shell.locator(STATUS)).to_have_text("Ready.", timeout=PATIENCE_MS)
    return shell


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("slot", move_slider),
        ("step", choose_last),
        ("what if", press_button),
        ("compare", move_slider),
        ("playback", press_button),
    ],
)
def test_every_kind_of_control_moves_the_picture(explorer: tuple[Page, Locator], name, use) -> None:
    _, panel = explorer
    shell = redrawn(panel, name, use)
    words = shell.locator(WORDS).inner_text()  # for those who cannot see the picture
    assert shell.locator(PICTURE).get_attribute("alt") == words != ""
    expect(panel.locator(ERRORS)).to_have_count(0)
    assert "Traceback (most recent call last)" not in panel.inner_text()


def test_a_key_pressed_in_a_control_is_no_shortcut(explorer: tuple[Page, Locator]) -> None:
    page, panel = explorer
    cells, shells = panel.locator(".jp-Cell").count(), panel.locator(SHELL).count()
    for control in ("select", ".noUi-handle", ".widget-readout", "button"):
        shell_of(panel, "step").locator(control).first.focus()
        for key in ("ArrowDown", "ArrowUp", *"abddxz", "Escape", "Shift+M", "Control+Enter"):
            page.keyboard.press(key)
            assert page.evaluate(f"document.activeElement.matches('{SHELL} {control}')"), key
    assert (panel.locator(".jp-Cell").count(), panel.locator(SHELL).count()) == (cells, shells)


def test_every_control_can_be_reached_by_tab(explorer: tuple[Page, Locator]) -> None:
    page, panel = explorer
    shell = shell_of(panel, "compare")
    shell.locator(".noUi-handle").first.focus()
    reached = []
    while page.evaluate("shell => shell.contains(document.activeElement)", shell.element_handle()):
        reached.append(page.evaluate("document.activeElement.className.split(' ')[0]"))
        page.keyboard.press("Tab")
    assert reached.count("noUi-handle") == 9
    assert reached[-1] == "lm-Widget"


def test_defaults_win_over_a_slider_that_is_at_work(explorer: tuple[Page, Locator]) -> None:
    """The kernel is at work on the slider's first value; the browser keeps the last one until that is done."""
    _, panel = explorer
    shell = shell_of(panel, "compare")
    words = shell.locator(WORDS)
    shell.evaluate(MOVES_AND_DEFAULTS)
    expect(words).not_to_contain_text("moved", timeout=PATIENCE_MS)
    redrawn(panel, "playback", press_button)  # until then all that was sent before it is done
    expect(words).not_to_contain_text("moved")
    shown = shell.locator(".widget-readout").all_inner_texts()
    assert shown == [f"{knob.default:.2f}" for knob in KNOBS.values()]


def test_voila_has_its_own_words_a_readable_width_and_no_figure_twice(explorer: tuple[Page, Locator]) -> None:
    page, panel = explorer
    if page.locator("#jp-main-statusbar").count():
        pytest.skip("of Voilà's page alone")
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(panel.get_by_text("How to use it.")).to_be_visible()
    assert "Run all cells" not in panel.inner_text()
    assert panel.locator(PICTURE).count() == len(SHELLS)
    paragraphs = panel.locator(".jp-RenderedMarkdown p").evaluate_all(
        "all => all.map(one => one.clientWidth)"
    )
    assert 400 < max(paragraphs) < 800


def test_nothing_sticks_out_on_a_phone(explorer: tuple[Page, Locator]) -> None:
    page, panel = explorer
    if page.locator("#jp-main-statusbar").count():
        pytest.skip("JupyterLab's own side bars do not fit a phone; Voilà's page has to")
    page.set_viewport_size({"width": 390, "height": 844})
    parts = [f"{SHELL} {part}" for part in (PICTURE, ".widget-slider", "select")]
    assert [panel.locator(part).count() for part in parts] == [5, 13, 6]
    page.wait_for_function(INSIDE, arg=", ".join(parts))
