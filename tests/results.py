# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What test sessions and scenarios gave, one JSON line each in .cache/results.jsonl; make_supported.py reads it.

The noxfile writes a line for a session that ran whole (one with arguments of the caller's tells nothing of the rest).
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / ".cache/results.jsonl"


def entry(test: str, passed: int, failed: int, skipped: int) -> dict[str, Any]:
    """A line: the test by its path in the repository, its numbers, and of what state of the code, when, with what."""
    argv = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return {
        "test": test, "passed": passed, "failed": failed, "skipped": skipped, "commit": commit,
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "python": platform.python_version(),
        "ansible_core": importlib.metadata.version("ansible-core"),
    }  # fmt: skip


def record(entries: list[dict[str, Any]], path: Path = RESULTS) -> None:
    """Add lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        stream.writelines(json.dumps(each, sort_keys=True) + "\n" for each in entries)


def of_junit(test: str, report: Path) -> list[dict[str, Any]]:
    """The lines of a session that pytest ran, from its JUnit XML: one for all of it, and one for each file."""
    counts: dict[str, list[int]] = {test: [0, 0, 0]}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        column = 1 if kinds & {"failure", "error"} else 2 if "skipped" in kinds else 0
        parts = (case.get("classname") or case.get("name") or "").split(".")
        files = ["/".join(parts[:end]) + ".py" for end in range(len(parts), 0, -1)]
        for name in {test, next((name for name in files if (ROOT / name).is_file()), test)}:
            counts.setdefault(name, [0, 0, 0])[column] += 1
    return [entry(name, *numbers) for name, numbers in sorted(counts.items())]


def latest(path: Path) -> dict[str, dict[str, Any]]:
    """The last line of each test."""
    return {each["test"]: each for each in map(json.loads, path.read_text().splitlines())}


def words(result: dict[str, Any] | None) -> str:
    """A result for the page; a row without one stands as somebody typed it."""
    if result is None:
        return "not recorded"
    numbers = ", ".join(f"{result[key]} {key}" for key in ("passed", "failed", "skipped") if result[key])
    made = (result["commit"], result["date"], "Python " + result["python"], "ansible-core " + result["ansible_core"])
    return f"{numbers or 'nothing ran'} ({', '.join(made)})"
