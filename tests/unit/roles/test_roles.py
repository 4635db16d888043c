"""The roles as text: every rule with a task has its ID in a name and as a tag; variables agree; nothing is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import catalogue

ROOT = Path(__file__).parents[3]
OURS = ("prepare", "common", "redhat", "debian", "ubuntu", "suse", "generic")
OURS += ("provision_cloud_init", "provision_waagent", "provision_agentless")
ID = re.compile(r"^([A-Z]+-\d+) \| ")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def tasks() -> Iterator[tuple[str, dict[str, Any]]]:
    for role in OURS:
        for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
            for task in load(path):
                yield f"{role}/{path.name}", task


def all_tags() -> set[str]:
    found: set[str] = set()
    for role in (*OURS, "deprovision", "capture"):
        for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
            for task in load(path):
                found.update(task.get("tags", []))
    return found


@pytest.mark.parametrize(("where", "task"), list(tasks()))
def test_a_task_is_named_after_its_rule_and_tagged(where: str, task: dict[str, Any]) -> None:
    match = ID.match(task["name"])
    tags = task.get("tags", [])
    if match is not None:
        assert match.group(1) in tags, (where, task["name"])
    known = {rule.id for rule in catalogue._RULES}
    assert set(tags) - {"always"} <= known, (where, task["name"])


def test_every_rule_that_says_so_has_a_task() -> None:
    wanted = {
        rule.id
        for rule in catalogue._RULES
        if rule.where == catalogue.GUEST and not rule.why_no_task and rule.phase == catalogue.PREPARE
    }
    assert sorted(wanted - all_tags()) == []


@pytest.mark.parametrize("role", OURS)
def test_defaults_and_argument_specs_agree(role: str) -> None:
    defaults = load(ROOT / "roles" / role / "defaults/main.yml") or {}
    options = load(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults


def test_a_variable_means_the_same_in_every_role() -> None:
    seen: dict[str, Any] = {}
    for role in OURS:
        for name, value in (load(ROOT / "roles" / role / "defaults/main.yml") or {}).items():
            assert seen.setdefault(name, value) == value, (role, name)
    assert set(load(ROOT / "roles/prepare/defaults/main.yml")) == set(seen)
