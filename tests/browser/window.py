"""A page in a headless Chromium: a picture of it, and what a script in it found out."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OUTPUT = Path(__file__).resolve().parents[1] / "output" / "browser"

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


def look(html: str, tmp_path: Path, name: str, width: int, height: int, *extra: str) -> str:
    """Open the page in a window, leave OUTPUT/name.png, and return the page's title when its scripts have run."""
    source = tmp_path / "page.html"
    source.write_text(html, encoding="utf-8")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    common = [
        str(CHROMIUM),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},{height}",
        "--virtual-time-budget=2000",
        *extra,
    ]
    picture = OUTPUT / f"{name}.png"
    subprocess.run([*common, f"--screenshot={picture}", source.as_uri()], check=True, capture_output=True, timeout=120)
    head = picture.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(head[16:20], "big") == width
    assert picture.stat().st_size > 20_000, "the picture is nearly empty"
    done = subprocess.run([*common, "--dump-dom", source.as_uri()], check=True, capture_output=True, timeout=120)
    match = re.search(r"<title>([^<]*)</title>", done.stdout.decode())
    assert match is not None
    return match.group(1)
