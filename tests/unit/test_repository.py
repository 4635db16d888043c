"""What the layout promises: a bare clone is a collection, versions agree, nothing that is private is shipped."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_clone_is_a_collection() -> None:
    link = ROOT / ".ansible/collections/ansible_collections/linuxvhd/azure"
    assert link.is_symlink(), "a tool replaced the collection link by a copy: restore it with git checkout"
    assert link.resolve() == ROOT


def test_every_playbook_has_its_twin() -> None:
    for playbook in ROOT.glob("playbooks/*-azure.yml"):
        twin = playbook.with_name(playbook.name.replace("-", "_"))
        content = yaml.safe_load(twin.read_text())
        assert content == [{"name": content[0]["name"], "ansible.builtin.import_playbook": playbook.name}]


def test_every_role_is_documented() -> None:
    for role in sorted((ROOT / "roles").glob("*/")):
        for name in ("README.md", "meta/main.yml", "meta/argument_specs.yml", "defaults/main.yml", "tasks/main.yml"):
            assert (role / name).is_file(), f"{role.name} lacks {name}"


def test_defaults_and_argument_specs_agree() -> None:
    for role in sorted((ROOT / "roles").glob("*/")):
        defaults = yaml.safe_load((role / "defaults/main.yml").read_text()) or {}
        options = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"].get(
            "options", {}
        )
        undocumented = set(defaults) - set(options)
        assert not undocumented, f"{role.name}: no argument spec for {sorted(undocumented)}"
        for name, value in defaults.items():
            if "default" in options[name]:
                assert options[name]["default"] == value, f"{role.name}: {name} has two defaults"
