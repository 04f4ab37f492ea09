"""The page in a real browser: nothing complains, tables sort, pictures show, phones have room."""

import io
from base64 import b64decode

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from experiments.report.__main__ import report
from experiments.report.page import Code, Section, Table, figure_picture, write_page

COLUMN = "[...document.querySelectorAll('tbody tr')].map(r => r.cells[{}].textContent)"
SORTS = "[...document.querySelectorAll('th')].map(h => h.getAttribute('aria-sort'))"


@pytest.fixture
def page(tmp_path):
    """Return a page with a wide table, a picture and a long line of code."""
    frame = pd.DataFrame(
        {"name": ["b", "a10", "a9", None], "value": [3.0, None, -2.0, 1000.5]}
        | {f"another column {i}": [i] * 4 for i in range(12)}
    )
    figure = Figure()
    figure.subplots().plot([1, 2])
    blocks = Table(frame, "Numbers"), figure_picture(figure, "A line"), Code("x" * 500, "Command")
    write_page(tmp_path / "page.html", "Title", [Section("Section", "Text.", *blocks)])
    return tmp_path / "page.html"


def test_a_click_on_a_heading_sorts_and_another_one_turns_it_round(browser, page):
    browser.open(page)
    assert browser.value(SORTS)[:2] == ["none", "none"]
    for click, order in enumerate((["-2", "3", "1,000", "–"], ["1,000", "3", "-2", "–"])):
        browser.value("document.querySelectorAll('th button')[1].click()")
        assert browser.value(COLUMN.format(1)) == order
        assert browser.value(SORTS)[:2] == ["none", ("ascending", "descending")[click]]
    browser.value("document.querySelectorAll('th button')[0].click()")
    assert browser.value(COLUMN.format(0)) == ["a9", "a10", "b", "–"]
    assert browser.value(SORTS)[:2] == ["ascending", "none"]
    assert browser.complaints() == []


def test_the_keyboard_sorts_too(browser, page):
    browser.open(page)
    for _ in range(20):
        browser.press("Tab", "Tab", 9)
        if browser.value("document.activeElement.textContent") == "value":
            break
    else:
        pytest.fail("no heading can be reached with the Tab key")
    browser.press("Enter", "Enter", 13, text="\r")
    assert browser.value(COLUMN.format(1)) == ["-2", "3", "1,000", "–"]


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen_but_inside_its_own_box(browser, page, width):
    browser.size(width)
    browser.open(page)
    assert browser.value("document.documentElement.scrollWidth") <= width
    box = "document.querySelector('.scroll')"
    assert browser.value(f"{box}.scrollWidth > {box}.clientWidth")


def test_dark_and_light_follow_the_reader_and_pictures_stay_on_white(browser, page):
    seen = {}
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        browser.open(page)
        style = "getComputedStyle(document.querySelector('{}')).backgroundColor"
        seen[scheme] = browser.value(style.format("body"))
        assert browser.value(style.format(".pane")) == "rgb(255, 255, 255)"
    assert seen["light"] == "rgb(255, 255, 255)"
    assert seen["dark"] != seen["light"]


def test_it_prints(browser, page):
    browser.open(page)
    assert b64decode(browser.call("Page.printToPDF")["data"]).startswith(b"%PDF")


def test_the_report_of_a_run_shows_all_its_pictures(browser, simulate):
    folder = simulate("evaluation=server also_codecs=[zlib]")
    report(folder)
    browser.size(390)
    browser.open(folder / "report.html")
    pictures = browser.value(
        "[...document.images].map(i => [i.complete, i.naturalWidth, i.alt.length])"
    )
    assert len(pictures) == 6
    assert all(complete and width > 0 and alt > 10 for complete, width, alt in pictures)
    assert browser.value("document.documentElement.scrollWidth") <= 390
    shot = b64decode(browser.call("Page.captureScreenshot", format="png")["data"])
    assert imread(io.BytesIO(shot)).std() > 0.01  # not one colour
    assert browser.complaints() == []


def test_complaints_are_seen(browser, tmp_path):
    for script in ("throw new Error('x')", "console.error('x')", "fetch('http://127.0.0.1:9/')"):
        path = tmp_path / "bad.html"
        path.write_text(f"<!doctype html><script>{script}</script>")
        browser.open(path)
        assert browser.complaints(), script
