"""The audit's HTML page in a real browser, wide and narrow, light and dark. Not part of the unit tier:

    pytest tests/browser

Skipped where no Chromium is installed. The pictures are left in tests/output/browser.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import catalogue
from ansible_collections.linuxvhd.azure.plugins.plugin_utils import report
from browser import window

pytestmark = window.needs_chromium

#: Tells in the title how wide the page wanted to be, how many findings are shown, and whether the script ran.
PROBE = """<script>document.title=[document.documentElement.scrollWidth,innerWidth,
document.querySelectorAll('.f:not(.hide)').length,document.getElementById('shown').textContent].join('|')</script>"""


def page() -> str:
    statuses = ("fail", "pass", "not_applicable", "pass", "unknown", "pass", "waived", "pass")
    findings = []
    for number, rule in enumerate(catalogue.select("certification")):
        findings.append(
            {
                "id": rule.id,
                "title": rule.title,
                "level": rule.level,
                "phase": rule.phase,
                "status": statuses[number % len(statuses)],
                "evidence": "/etc/a/rather/long/path/that/has/no/blank/to/break/at.conf:12 " + "x" * 90,
                "remedy": rule.remedy,
                "source": rule.source,
            }
        )
    system = {"name": "Debian GNU/Linux 12", "architecture": "x86_64", "kernel": "6.1.0-18-amd64"}
    good = [dict(finding, status="pass") for finding in findings]
    found = report.report(
        [
            ("web1.example.com", {"findings": findings, "ready": False, "blocking": [], "system": system}),
            ("web2.example.com", {"findings": good, "ready": True, "blocking": [], "system": system}),
            ("a-host-with-a-very-long-name.department.example.com", {"unreachable": True, "msg": "No route to host"}),
        ],
        "certification",
        "2026-01-02 03:04 UTC",
    )
    return report.to_html(found)


def browse(tmp_path: Path, width: int, *extra: str) -> str:
    """Open the page in a window, leave a picture, and return the title that the probe wrote."""
    name = f"page-{width}{'-dark' if extra else ''}"
    return window.look(page().replace("</body>", PROBE + "</body>"), tmp_path, name, width, 1400, *extra)


@pytest.mark.parametrize("width", [1280, 500])
def test_nothing_sticks_out_and_the_filters_work(tmp_path: Path, width: int) -> None:
    wanted, inner, shown, sentence = browse(tmp_path, width).split("|")
    assert int(wanted) <= int(inner)
    assert sentence == f"{shown} findings shown"
    rules = len(catalogue.select("certification"))
    hidden = sum(1 for number in range(rules) if number % 8 == 2)
    assert int(shown) == 2 * rules - hidden, "what is not applicable is hidden until asked for"


def pages(tmp_path: Path, text: str) -> int:
    """Print a page to PDF and count the sheets."""
    source = tmp_path / "print.html"
    source.write_text(text, encoding="utf-8")
    target = window.OUTPUT / "page.pdf"
    window.OUTPUT.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    command = [str(window.CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000", f"--print-to-pdf={target}"]
    subprocess.run([*command, source.as_uri()], check=True, capture_output=True, timeout=120)
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", target.read_bytes()))


def test_on_paper_the_evidence_is_unfolded_and_each_host_has_a_sheet(tmp_path: Path) -> None:
    text = page()
    unfolded = pages(tmp_path, text)
    folded = pages(tmp_path, text.replace("'beforeprint'", "'neverprint'"))
    assert unfolded > folded, "what is folded on the screen is not folded on paper"
    hosts = text.count("<section class=host")
    assert hosts == 3
    assert folded > hosts, "a cover and a sheet per host at least"


def test_it_can_be_dark(tmp_path: Path) -> None:
    assert browse(tmp_path, 1280, "--blink-settings=preferredColorScheme=0")
