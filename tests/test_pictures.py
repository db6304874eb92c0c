"""The drawn pictures: legible on a phone, in words too, self-contained, and in the colours of the computed figures."""

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from lab import chromium, find_chromium

from mecsim.experiments.plots import AGENT_COLOURS, BS_COLOURS, PART_COLOURS
from mecsim.experiments.store import ROOT

PICTURES = sorted(ROOT.glob("notebooks/pictures/*.svg"))
SVG = "{http://www.w3.org/2000/svg}"
PHONE_PX = 358  # a phone's 390 px less the margins of a page
SMALLEST_PX = 12
GREY = 0x18  # between the channels of a grey
BOXES = """() => [...document.querySelectorAll("text")].map((text) => {
    const { left, right, top, bottom } = text.getBoundingClientRect();
    const inset = (bottom - top) / 6;  // a line is higher than its letters
    return [text.textContent, left, right, top + inset, bottom - inset];
})"""


@pytest.fixture(params=PICTURES, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


def channels(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def test_it_says_in_words_what_it_shows(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    assert root.get("role") == "img"
    named = {
        element.get("id"): element.text for element in root if element.tag in (SVG + "title", SVG + "desc")
    }
    assert list(named) == root.get("aria-labelledby", "").split()
    assert all(named.values())


def test_it_needs_nothing_else_and_no_script(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"https?:[^\"]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(script|image|foreignObject)|@import|@font-face", text)
    assert all(place.startswith("#") for place in re.findall(r"(?:url\(|href=\")([^)\"]*)", text))


def test_colours_are_those_of_the_figures_and_greys_that_dark_mode_changes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    colours = set(re.findall("#[0-9a-fA-F]{6}", text))
    known = {*PART_COLOURS.values(), *BS_COLOURS, AGENT_COLOURS["INTO"]}
    assert {colour for colour in colours if np.ptp(channels(colour)) > GREY} <= known
    assert "prefers-color-scheme: dark" in text
    for name, colour in PART_COLOURS.items():
        rule = re.search(rf"\.{name} {{[^}}]*?(#\w+)", text)  # as in the figure of notebook 01
        assert rule is None or rule[1] == colour


def test_letters_are_large_enough_on_a_phone(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    width = float(ElementTree.fromstring(text).get("viewBox", "").split()[2])
    sizes = [float(size) for size in re.findall(r"font-size[=:]\s*\"?([\d.]+)", text)]
    assert min(sizes) * PHONE_PX / width >= SMALLEST_PX


@pytest.mark.browser
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
def test_no_words_overlap_or_leave_the_picture() -> None:
    with chromium() as page:
        for path in PICTURES:
            page.goto(path.as_uri())
            width = page.evaluate("document.documentElement.getBoundingClientRect().width")
            boxes = page.evaluate(BOXES)
            assert [box for box in boxes if box[1] < 0 or box[2] > width] == [], path.name
            assert [
                (one[0], two[0])
                for one, two in combinations(boxes, 2)
                if one[1] < two[2] and two[1] < one[2] and one[3] < two[4] and two[3] < one[4]
            ] == [], path.name
