"""The documentation's pictures show the pages as they are today; the pictures themselves take a browser."""

from __future__ import annotations

import json

import pytest
from browser import pictures


@pytest.mark.parametrize("name", sorted(pictures.PICTURES))
def test_a_picture_shows_the_page_of_today(name: str) -> None:
    made_of = json.loads(pictures.SOURCES.read_text())[name]
    today = pictures.fingerprint(pictures.PICTURES[name].html())
    assert made_of == today, f"docs/images/{name} is outdated; make it anew: nox -s browser -- --update-pictures"


def test_every_picture_is_watched() -> None:
    assert sorted(json.loads(pictures.SOURCES.read_text())) == sorted(pictures.PICTURES)
    assert sorted(path.name for path in pictures.IMAGES.glob("*.png")) == sorted(pictures.PICTURES)


def test_what_is_folded_or_far_below_makes_no_picture_outdated() -> None:
    html = pictures.audit()
    mark = pictures.fingerprint(html)
    assert html.count("<dl class=body>") > 200 and "Remedy" in html
    assert pictures.fingerprint(html.replace("<dt>Remedy</dt>", "<dt>What to do</dt>")) == mark
    assert pictures.fingerprint(html[: html.rindex("<details ")]) == mark
    assert pictures.fingerprint(html.replace("Azure readiness audit", "Azure audit")) != mark
    assert pictures.fingerprint(html.replace("--accent:#0b63c5", "--accent:#0b63c6")) != mark
