"""The collection as users get it: built, installed in another place, run by its full names from another directory."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from conftest import ROOT, ansible

#: Top-level names that belong into the tarball; anything else there was forgotten in galaxy.yml's build_ignore.
SHIPPED = {
    "CHANGELOG.rst", "CONTRIBUTING.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "SECURITY.md",
    "changelogs", "docs", "meta", "playbooks", "plugins", "roles",
}  # fmt: skip


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
