"""The upload tier: the real module through Ansible, Azurite, kill -9, and publishing against a recording az.

pytest tests/upload
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/unit/plugins/module_utils"))

from pageblob_server import PageBlobServer  # noqa: E402


@pytest.fixture
def server() -> Iterator[PageBlobServer]:
    with PageBlobServer().running() as running:
        yield running


def playbook(arguments: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """ansible-playbook at the root of the clone; both outputs together in stdout."""
    values = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "False", **(environment or {})}
    program = Path(sys.executable).parent / "ansible-playbook"
    return subprocess.run(
        [str(program), *arguments],
        cwd=ROOT,
        env=values,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
