"""The proof's HTML page in a real browser, from the result of a real proof. Not part of the unit tier:

    pytest tests/browser -k proof

The pictures are left in tests/output/browser; pictures.py makes those of docs/images.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import page
from browser import window

pytestmark = window.needs_chromium

RECORDED = Path(__file__).resolve().parent / "proof.json"

#: Tells in the title how wide the page wanted to be, and how far the timeline's last words reach beside the drawing.
PROBE = """<script>const box=document.querySelector('svg').getBoundingClientRect();
document.title=[document.documentElement.scrollWidth,innerWidth,
Math.max(...[...document.querySelectorAll('svg text')].map(t=>t.getBoundingClientRect().right-box.right)),
document.querySelectorAll('td.status').length].join('|')</script>"""


def result() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


def look(tmp_path: Path, width: int, *extra: str) -> tuple[int, int, float, int]:
    html = page.render(result()).replace("</body>", PROBE + "</body>")
    name = f"proof-{width}{'-dark' if extra else ''}"
    wanted, inner, over, rows = window.look(html, tmp_path, name, width, 1260, *extra).split("|")
    return int(wanted), int(inner), float(over), int(rows)


@pytest.mark.parametrize(
    ("width", "extra"), [(1280, ()), (500, ()), (1280, ("--blink-settings=preferredColorScheme=0",))]
)
def test_nothing_sticks_out(tmp_path: Path, width: int, extra: tuple[str, ...]) -> None:
    wanted, inner, over, rows = look(tmp_path, width, *extra)
    assert wanted <= inner
    assert over <= 0, "words of the timeline are cut off"
    assert rows == len(result()["checks"])
