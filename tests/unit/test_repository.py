"""What the layout promises: a bare clone is a collection, versions agree, nothing that is private is shipped."""

from __future__ import annotations

import ast
import json
import re
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


def lint_commands() -> list[list[str]]:
    """What the session lint of noxfile.py runs: tools with their plain arguments."""
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    (lint,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "lint"]
    found = []
    for call in [node for node in ast.walk(lint) if isinstance(node, ast.Call)]:
        if isinstance(call.func, ast.Attribute) and call.func.attr == "run" and isinstance(call.args[0], ast.Call):
            words = [call.args[0].args[0], *call.args[1:]]
            found.append([word.value for word in words if isinstance(word, ast.Constant)])
    return found


def test_pre_commit_runs_what_lint_runs() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    commands = lint_commands()
    assert len(commands) > 5
    hooked = set()
    for repository in yaml.safe_load(text)["repos"]:
        for hook in repository["hooks"]:
            words = hook["entry"].removeprefix(".venv/bin/").split()
            # pre-commit names the files where the session names folders.
            same = [
                command
                for command in commands
                if command[: len(words)] == words and not any(word.startswith("-") for word in command[len(words) :])
            ]
            assert same, f"no command of the session lint is {words}"
            hooked.add(words[0])
    comment = text.partition("repos:")[0].partition("alone")[2]
    for name in {command[0] for command in commands}:
        assert (name in comment) == (name not in hooked), f"{name}: hooked, or named as left out"


def test_the_tools_of_the_hooks_are_pinned() -> None:
    pinned = (ROOT / "requirements-test.txt").read_text()
    assert "\npre-commit==" in pinned


def test_the_releases_of_ansible_core_are_the_same_everywhere() -> None:
    """The oldest and the newest that are supported, wherever they are written down."""

    def text(name: str) -> str:
        return (ROOT / name).read_text()

    def only(pattern: str, name: str) -> tuple[str, ...]:
        (found,) = set(re.findall(pattern, text(name)))
        return found if isinstance(found, tuple) else (found,)

    (oldest,) = only(r'requires_ansible: ">=(\d+\.\d+)\.0"', "meta/runtime.yml")
    (newest,) = only(r"(?m)^ansible-core==(\d+\.\d+)\.\d+$", "requirements-test.txt")
    major, minor = newest.split(".")
    below = f"{major}.{int(minor) + 1}"
    assert only(r"ansible-core>=([\d.]+),<([\d.]+)", "execution-environment.yml") == (oldest, below)
    rules = json.loads(text("renovate.json"))["packageRules"]
    assert [rule["allowedVersions"] for rule in rules if "ansible-core" in rule["matchPackageNames"]] == [f"<{below}"]
    assert only(r"ansible-core (\d+\.\d+) to (\d+\.\d+)", "README.md") == (oldest, newest)
    for path in ROOT.glob("roles/*/meta/main.yml"):
        assert only(r'min_ansible_version: "([\d.]+)"', str(path.relative_to(ROOT))) == (oldest,)
    # The tests run on the newest; nox -s compat on the oldest, and on the others that it names.
    (named,) = only(r"(?m)^TARGET_PYTHONS = \{(.*)\}$", "noxfile.py")
    tested = re.findall(r'"(\d+\.\d+)":', named)
    assert tested[0] == oldest
    assert all(int(oldest.split(".")[1]) <= int(core.split(".")[1]) < int(minor) for core in tested)
