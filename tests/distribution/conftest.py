"""The built collection, installed in a place of its own, for the tests of what users get."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def ansible(name: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of ansible's commands away from this checkout and its ansible.cfg."""
    return subprocess.run(
        [str(BIN / name), *arguments],
        cwd=cwd, env={**os.environ, **environment, "NO_COLOR": "1"}, capture_output=True, text=True, timeout=300,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built collection. Built from the tracked files, as a release is."""
    source = tmp_path_factory.mktemp("source") / "azure"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    output = tmp_path_factory.mktemp("build")
    result = ansible("ansible-galaxy", "collection", "build", "--output-path", str(output), cwd=source)
    assert result.returncode == 0, result.stderr
    (built,) = output.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collections path that holds the built collection and nothing else."""
    path = tmp_path_factory.mktemp("collections")
    result = ansible(
        "ansible-galaxy", "collection", "install", "--offline", str(tarball), "-p", str(path), cwd=path
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return path
