"""The documentation's pictures of the pages, and whether they are still what the pages look like.

    nox -s browser -- --update-pictures

makes docs/images anew from recorded results, and writes down what each was made of. A test of the unit tier, which has
no browser, compares that with the page of today.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import page
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import catalogue
from ansible_collections.linuxvhd.azure.plugins.plugin_utils import report
from browser import window

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parents[1] / "docs/images"
SOURCES = IMAGES / "SOURCES.json"

#: The pictures end before the twenty-fifth finding.
FINDINGS = 25


def audit() -> str:
    """The audit's page of three hosts: statuses and evidence are recorded (of stand-in trees), all else is of today."""
    recorded = json.loads((HERE / "audit.json").read_text(encoding="utf-8"))
    system = {
        "name": "Debian GNU/Linux 12 (bookworm)", "architecture": "x86_64", "kernel": "6.1.0-18-amd64",
        "provisioner": "cloud-init",
    }  # fmt: skip
    results: list[tuple[str, object]] = []
    for name, statuses in recorded.items():
        findings = []
        for rule in catalogue.select("recommended"):
            status, evidence = statuses.get(rule.id, ("pass", ""))
            findings.append({**rule._asdict(), "status": status, "evidence": evidence})
        ready = not any(finding["status"] == "fail" for finding in findings)
        results.append((name, {"findings": findings, "ready": ready, "blocking": [], "system": system}))
    results.append(("db1.example.com", {"unreachable": True, "msg": "Connection timed out"}))
    return report.to_html(report.report(results, "recommended", "2026-01-02 03:04 UTC"))


def proof() -> str:
    """The proof's page of a recorded proof."""
    return page.render(json.loads((HERE / "proof.json").read_text(encoding="utf-8")))


class Picture(NamedTuple):
    """The page, and the window that it is seen in."""

    html: Callable[[], str]
    width: int
    height: int


PICTURES = {
    "audit.png": Picture(audit, 1280, 1250),
    "audit-narrow.png": Picture(audit, 500, 1250),
    "proof.png": Picture(proof, 1280, 1260),
}


def fingerprint(html: str) -> str:
    """A hash of what a picture shows of a page: not what is folded, nor the findings further down."""
    shown = re.sub(r"<dl class=body>.*?</dl>", "", html, flags=re.DOTALL)
    shown = "<details ".join(shown.split("<details ")[:FINDINGS])
    return hashlib.sha256(shown.encode()).hexdigest()


def main() -> None:
    """Make all pictures, then put them into the documentation together."""
    if window.CHROMIUM is None:
        sys.exit("no Chromium is installed")
    for name, picture in PICTURES.items():
        with tempfile.TemporaryDirectory() as folder:
            window.look(picture.html(), Path(folder), Path(name).stem, picture.width, picture.height)
    for name in PICTURES:
        shutil.copyfile(window.OUTPUT / name, IMAGES / name)
        print(f"written: {IMAGES / name}")
    sources = {name: fingerprint(picture.html()) for name, picture in PICTURES.items()}
    SOURCES.write_text(json.dumps(sources, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
