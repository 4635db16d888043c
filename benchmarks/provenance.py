# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which state of the collection a page of figures speaks of, and when they were taken."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def state() -> str:
    """ "commit 2b2c304, 2026-01-02"; a tree with changes is "-dirty", one without git has an unknown commit."""
    argv = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        commit = done.stdout.strip() if done.returncode == 0 else ""
    except OSError:
        commit = ""
    return f"commit {commit or 'unknown'}, {time.strftime('%Y-%m-%d', time.gmtime())}"
