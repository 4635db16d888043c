# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/supported.md, from the vendor tables and from docs/supported.yml, which says what was run where.

python3 docs/make_supported.py [--results .cache/results.jsonl --output build/supported.md]

With the results that the noxfile wrote down, a further column says for each row what was recorded last, of which commit
and when. Such a page is not the committed one, which speaks by the word "seen" alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / ".ansible/collections"), str(ROOT / "tests")]

import results  # noqa: E402

from ansible_collections.linuxvhd.azure.plugins.module_utils.profiles import RELEASES  # noqa: E402

PAGE = ROOT / "docs/supported.md"
DATA = ROOT / "docs/supported.yml"

#: What a release of the tables is called, and what becomes of the family's other releases.
FAMILIES = {
    "redhat": (
        "RHEL, CentOS, Oracle, Alma, Rocky",
        "Fedora and rebuilds by ID_LIKE: the nearest release's values, and a warning",
    ),
    "debian": ("Debian", "testing, sid and derivatives: the newest, or the release whose code name they carry"),
    "ubuntu": ("Ubuntu", "interim releases: the LTS before; derivatives by UBUNTU_CODENAME"),
    "suse": ("SLES, openSUSE Leap", "Tumbleweed: the newest; Leap 42, SLED, SLE Micro: what they are built from"),
    "generic": (
        "",
        "anything else with systemd and a known boot loader: family-neutral rules; packages and repositories are left"
        " to you, and the run says so",
    ),
}

#: Releases with values, on which Ansible itself does not work: their Python is too old.
WITHOUT_ANSIBLE = {("redhat", (6,)), ("suse", (11,))}

SEEN = ("passed", "in part", "not yet")


def releases(family: str) -> str:
    """The releases of a family that have values of their own: "RHEL, ... 7, 8, 9, 10"."""
    versions = [version for version in RELEASES[family] if (family, version) not in WITHOUT_ANSIBLE]
    style = "%d.%02d" if family == "ubuntu" else "%d"
    return " ".join([FAMILIES[family][0], ", ".join(style % version for version in versions)]).strip() or "none"


def runs() -> list[dict[str, Any]]:
    """The rows of supported.yml."""
    found: list[dict[str, Any]] = yaml.safe_load(DATA.read_text())["runs"]
    return found


def page(recorded: dict[str, dict[str, Any]] | None = None) -> str:
    """The whole page; with what was recorded of the rows' tests, if it is given."""
    lines = [
        "<!-- Written by docs/make_supported.py from docs/supported.yml and the vendor tables. -->",
        "# Supported systems, and what was run where",
        "",
        "| family | releases with values of their own | others |",
        "|---|---|---|",
    ]
    lines += [f"| {family} | {releases(family)} | {FAMILIES[family][1]} |" for family in RELEASES]
    lines += [
        "",
        "`azure_family` overrides the choice. EL 6 and SLES 11 have values in the tables, but Ansible needs",
        "Python 3.6 (or newer) on the target, which they do not ship, and no test has run there.",
        "",
        "The target needs Python 3.6 or newer. EL 8, SLES 15 and Leap 15 have 3.6, for which ansible-core 2.16 is",
        "the last to work.",
        "",
        "## What was run",
        "",
        "| what | where | how | seen | test |" + (" recorded |" if recorded is not None else ""),
        "|---|---|---|---|---|" + ("---|" if recorded is not None else ""),
    ]
    for run in runs():
        test = f"`{run['test']}`" if run.get("test") else ""
        lines.append(f"| {run['what']} | {run['where']} | {run['how']} | {run['seen']} | {test} |")
        if recorded is not None:
            lines[-1] += f" {results.words(recorded.get(run.get('test', '')))} |"
    lines += [
        "",
        "Nothing here ran on Azure, nor on RHEL, SUSE or Ubuntu themselves: their values come from the documents",
        "named beside each value in `plugins/module_utils/profiles.py`. `AZURE_TEST_IMAGE=path.qcow2` runs the",
        "scenarios on a cloud image of your own.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if bool(options.results) != bool(options.output):
        parser.error("--results and --output go together: docs/supported.md is made without results")
    target = options.output or PAGE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(results.latest(options.results) if options.results else None))
