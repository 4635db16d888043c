"""grub_azure_cmdline on trees as they are met (unusual_trees): each entry's arguments, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest
import unusual_trees
from boot_doubles import GeneratorHost
from conftest import write_tree

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import loaders as bootloaders
from ansible_collections.linuxvhd.azure.plugins.modules import grub_azure_cmdline


def make(root: Path, case: unusual_trees.Case) -> GeneratorHost:
    """The tree as a Host; its first grub.cfg as the generator makes it, everything else as it is written."""
    root.mkdir()
    write_tree(root, case.files)
    host = GeneratorHost(str(root), **case.generator)
    if not case.generator.get("tools", True):
        return host
    if host.bls:
        write_tree(root, {"/usr/sbin/grub2-mkconfig": "#!/bin/sh\n# --no-grubenv-update\n"})
    config = case.config or ("/boot/grub2/grub.cfg" if "drop_ins" in case.generator else "/boot/grub/grub.cfg")
    newer, rewrite = host.newer_bls, host.rewrite_bls
    host.newer_bls = host.rewrite_bls = False
    write_tree(root, {config: host.generate()})
    host.newer_bls, host.rewrite_bls = newer, rewrite
    return host


@pytest.mark.parametrize("case", unusual_trees.CASES, ids=lambda case: case.name)
def test_each_entry_gets_exactly_what_is_expected(tmp_path: Path, case: unusual_trees.Case) -> None:
    host = make(tmp_path / "root", case)
    predicted = grub_azure_cmdline.run(dict(case.params), host, True)
    result = grub_azure_cmdline.run(dict(case.params), host, False)
    assert [(entry["title"], entry["after"]) for entry in result["entries"]] == case.entries
    assert [(entry["title"], entry["after"]) for entry in predicted["entries"]] == case.entries
    assert [(entry.title, entry.arguments) for entry in bootloaders.read_entries(host)] == case.entries
    files = {path: path.read_bytes() for path in Path(host.root).rglob("*") if path.is_file()}
    again = grub_azure_cmdline.run(dict(case.params), host, False)
    assert not again["changed"] and again["actions"] == []
    assert {path: path.read_bytes() for path in Path(host.root).rglob("*") if path.is_file()} == files


@pytest.mark.parametrize("case", unusual_trees.READ, ids=lambda case: case.name)
def test_a_grub_cfg_is_read_entry_by_entry(tmp_path: Path, case: unusual_trees.Case) -> None:
    host = make(tmp_path / "root", case)
    assert [(entry.title, entry.arguments) for entry in bootloaders.read_entries(host)] == case.entries
