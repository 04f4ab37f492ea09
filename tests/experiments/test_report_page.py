"""The page builder: what comes in is shown, escaped, in order, and complete or refused."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.report.page import (
    Code,
    Picture,
    Section,
    Table,
    figure_picture,
    page_html,
    write_page,
)
from flwr_gan.errors import OutputError

EVIL = "<script>alert('x')</script> & \"quoted\""


class Elements(HTMLParser):
    """Takes down all elements of a page, and the text of its paragraphs and cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def picture() -> Picture:
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1])
    return figure_picture(figure, "A line that rises", "Rising", dpi=40)


def test_a_page_has_language_viewport_title_and_headings_in_order(picture):
    deep = Section("Deeper", Section("Deepest", "text"), picture)
    page = Elements(page_html("A title", [Section("First", "text", deep), Section("Second")]))
    assert page.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch(r"h\d", tag)]
    assert levels == [1, 2, 3, 4, 2]
    linked = {link["href"].removeprefix("#") for link in page.all("a")}
    assert linked <= {attributes.get("id") for _, attributes in page.found}


def test_everything_that_comes_in_is_escaped(picture):
    frame = pd.DataFrame({EVIL: [EVIL]})
    blocks = (EVIL, Table(frame, EVIL), Code(EVIL, EVIL), Code(EVIL, EVIL, folded=True))
    shown = Picture(picture.source, EVIL, EVIL)
    page = Elements(page_html(EVIL, [Section(EVIL, *blocks, shown)], lead=EVIL))
    assert len(page.all("script")) == 1  # the page's own
    assert page.all("img")[0]["alt"] == EVIL
    assert page.all("td")[0]["data-key"] == EVIL
    assert page.text.count(EVIL) >= 12


def test_a_page_asks_for_nothing_outside_itself(picture):
    html = page_html("t", [Section("s", picture)])
    page = Elements(html)
    urls = [a[key] for _, a in page.found for key in ("src", "href") if key in a]
    assert all(url.startswith(("#", "data:")) for url in urls)
    assert "url(" not in html
    assert "@import" not in html


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567, "1,234,567"),
        (3.0, "3"),
        (0.0, "0"),
        (0.123456, "0.1235"),
        (14.396, "14.4"),
        (-1234.5678, "-1,235"),
        (1000.5, "1,000"),
        (1.5e-12, "1.5e-12"),
        (np.inf, "∞"),
        (np.nan, "–"),
    ],
)
def test_numbers_are_short_and_keep_what_they_are_sorted_by(value, shown):
    page = Elements(page_html("t", [Section("s", Table(pd.DataFrame({"x": [value]}), "c"))]))
    (cell,) = page.all("td")
    assert shown in page.text
    assert cell["class"] == "number"
    assert cell["data-key"] == ("" if np.isnan(value) else repr(float(value)))


def test_words_and_truths_and_missing_whole_numbers_are_shown():
    frame = pd.DataFrame({"a": [True, False], "b": pd.array([3, None], "Int64"), "c": ["x", None]})
    page = Elements(page_html("t", [Section("s", Table(frame, "c"))]))
    assert [cell["data-key"] for cell in page.all("td")] == ["True", "3.0", "x", "False", "", ""]
    assert [heading.get("class") for heading in page.all("th")] == [None, "number", None]


def test_pictures_that_follow_each_other_stand_side_by_side(picture):
    page = Elements(page_html("t", [Section("s", picture, picture), Section("u", picture)]))
    assert len(page.all("img")) == 3
    assert [node["class"] for node in page.all("div")].count("gallery") == 1
    assert page.all("img")[0]["width"] == "40"


def test_a_picture_needs_an_alternative_text():
    with pytest.raises(ValueError, match="alternative text"):
        Picture(b"", " ")


def test_a_picture_that_is_missing_cut_short_or_no_png_is_named(picture, tmp_path):
    for name, data in (
        ("cut.png", picture.source[:-5]),
        ("text.png", b"no picture"),
        ("none", None),
    ):
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(OutputError, match=name):
            write_page(tmp_path / "page.html", "t", [Section("s", Picture(path, "alt"))])
    assert not (tmp_path / "page.html").exists()


def test_text_that_no_encoding_takes_does_not_end_the_page(tmp_path):
    write_page(tmp_path / "page.html", "half \ud800", [Section("s", "text")])
    assert "half ?" in (tmp_path / "page.html").read_text(encoding="utf-8")
