"""The collection as users get it: built, installed in another place, run by its full names from another directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

#: Top-level names that belong into the tarball; anything else there was forgotten in galaxy.yml's build_ignore.
SHIPPED = {
    "CHANGELOG.rst", "CONTRIBUTING.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "SECURITY.md",
    "changelogs", "docs", "meta", "playbooks", "plugins", "roles",
}  # fmt: skip


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


def test_tarball_holds_what_belongs(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = {name.split("/")[0] for name in archive.getnames()}
    assert names == SHIPPED


def test_playbooks_run_by_full_name(installed: Path, tmp_path: Path) -> None:
    playbooks = sorted(path.stem for path in (ROOT / "playbooks").glob("*_azure.yml"))
    for playbook in playbooks:
        result = ansible(
            "ansible-playbook", "-i", "localhost,", "--syntax-check", f"linuxvhd.azure.{playbook}",
            cwd=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(installed),
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr


def test_every_module_and_role_is_documented(installed: Path, tmp_path: Path) -> None:
    modules = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
    roles = sorted(path.name for path in (ROOT / "roles").glob("*/"))
    for kind, names in (("module", modules), ("role", roles)):
        if not names:
            continue
        result = ansible(
            "ansible-doc", "-t", kind, "--json", *[f"linuxvhd.azure.{name}" for name in names],
            cwd=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(installed),
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        documented = json.loads(result.stdout)
        assert sorted(documented) == [f"linuxvhd.azure.{name}" for name in names]
