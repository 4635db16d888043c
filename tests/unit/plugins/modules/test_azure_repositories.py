"""Repositories that have the agent, by distribution: what is switched on, what is asked for, what is only said."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from conftest import write_tree
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils import repositories
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import CommandResult, Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import packages
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import Context
from ansible_collections.linuxvhd.azure.plugins.modules import azure_repositories

ORACLE = """\
# The public repositories
[ol7_latest]
name=Oracle Linux $releasever Latest
enabled=1

[ol7_addons]
name=Oracle Linux $releasever Addons
enabled = 0
gpgcheck=1

[ol7_developer_addons]
enabled=0
"""
OSS = "[repo-oss]\nname=Main\nenabled=0\n\n[repo-non-oss]\nenabled=0\n\n[repo-oss-debug]\nenabled=0\n"


def release(identity: str, version: str) -> dict[str, str]:
    return {"/etc/os-release": f'ID="{identity}"\nVERSION_ID="{version}"\n'}


@pytest.fixture
def make_host(tmp_path: Path) -> Callable[[dict[str, str]], Host]:
    """A host over a tree of its own; programs can be executed."""
    numbers = count()

    def make(files: dict[str, str]) -> Host:
        root = tmp_path / str(next(numbers))
        write_tree(root, files)
        for name, text in files.items():
            (root / name.lstrip("/")).chmod(0o755 if text.startswith("#!") else 0o644)
        return Host(str(root))

    return make


class Told(Host):
    """A host that notes commands instead of running them."""

    ran: list[list[str]]

    def run(self, argv: Any, **_options: Any) -> CommandResult:
        self.ran.append(list(argv))
        return CommandResult(list(argv), 0, "", "")


def run(host: Host, check: bool = False) -> tuple[dict[str, Any], list[list[str]]]:
    told = Told(host.root)
    told.ran = []
    return azure_repositories.run({"root": host.root}, told, check), told.ran


def test_oracle_linux_switches_its_addons_on_once(make_host: Callable[[dict[str, str]], Host]) -> None:
    path = "/etc/yum.repos.d/public-yum-ol7.repo"
    host = make_host({**release("ol", "7.9"), path: ORACLE})
    looked, _ran = run(host, check=True)
    assert looked["changed"] and host.read(path) == ORACLE
    result, ran = run(host)
    assert (result["changed"], result["enabled"], result["warnings"], ran) == (True, ["ol7_addons"], [], [])
    assert host.read(path) == ORACLE.replace("enabled = 0", "enabled = 1")
    assert result["diff"][0]["before"] == ORACLE and result["backup_files"]
    assert run(host)[0]["changed"] is False


def test_oracle_linux_without_the_repository_is_told(make_host: Callable[[dict[str, str]], Host]) -> None:
    result, _ran = run(make_host({**release("ol", "7.9"), "/etc/yum.repos.d/a.repo": "[ol7_latest]\nenabled=1\n"}))
    assert not result["changed"] and "ol7_addons, which is not configured (rule REPO-03)" in result["warnings"][0]


@pytest.mark.parametrize(
    ("files", "command"),
    [
        (
            {
                **release("rhel", "7.9"),
                "/etc/pki/consumer/cert.pem": "x",
                "/usr/sbin/subscription-manager": "#!/bin/sh\n",
            },
            "subscription-manager repos --enable=rhel-7-server-extras-rpms",
        ),
        (
            {
                **release("sles", "15.5"),
                "/etc/zypp/credentials.d/SCCcredentials": "x",
                "/usr/bin/SUSEConnect": "#!/bin/sh\n",
            },
            "SUSEConnect -p sle-module-public-cloud/15.5/",
        ),
        (
            {
                **release("sles", "12.5"),
                "/etc/zypp/credentials.d/SCCcredentials": "x",
                "/usr/sbin/SUSEConnect": "#!/bin/sh\n",
            },
            "SUSEConnect -p sle-module-public-cloud/12/",
        ),
    ],
)
def test_a_subscription_is_asked_where_there_is_one(
    make_host: Callable[[dict[str, str]], Host], files: dict[str, str], command: str
) -> None:
    host = make_host(files)
    looked, ran = run(host, check=True)
    assert looked["changed"] and ran == []
    result, ran = run(host)
    assert result["changed"] and [" ".join(argv) for argv in ran] == result["commands"]
    assert result["commands"][0].startswith(command)
    without = {name: text for name, text in files.items() if "pki" not in name and "zypp" not in name}
    result, ran = run(make_host(without))
    assert ran == [] and not result["changed"] and "is not registered: register it" in result["warnings"][0]


@pytest.mark.parametrize(
    "files",
    [
        {**release("rhel", "7.9"), "/etc/yum.repos.d/rh.repo": "[rhui-rhel-7-server-rhui-extras-rpms]\nenabled=1\n"},
        {**release("rhel", "7.9"), "/usr/sbin/waagent": "#!/bin/sh\n"},
        {**release("rhel", "9.4")},
        {**release("sles", "15.5"), "/etc/products.d/sle-module-public-cloud.prod": ""},
        {**release("sles", "16.0")},
        {**release("centos", "7")},
        {**release("debian", "12")},
        {**release("opensuse-leap", "15.6"), "/etc/zypp/repos.d/a.repo": "[repo-oss]\n\n[repo-update]\nenabled=1\n"},
    ],
)
def test_nothing_to_do(make_host: Callable[[dict[str, str]], Host], files: dict[str, str]) -> None:
    result, ran = run(make_host(files))
    assert (result["changed"], result["warnings"], ran) == (False, [], [])


def test_opensuse_switches_both_on_and_leaves_the_others(make_host: Callable[[dict[str, str]], Host]) -> None:
    path = "/etc/zypp/repos.d/all.repo"
    host = make_host({**release("opensuse-leap", "15.6"), path: OSS + "\n[repo-update]\nenabled=0\n"})
    result, _ran = run(host)
    assert result["enabled"] == ["repo-oss", "repo-update"] and len(result["diff"]) == 1
    assert [name for name, on in repositories.parse(host.read(path)) if on] == ["repo-oss", "repo-update"]
    assert not run(host)[0]["changed"]
    result, _ran = run(make_host({**release("opensuse-tumbleweed", "20260101"), path: OSS}))
    assert result["enabled"] == ["repo-oss"] and not result["warnings"]
    result, _ran = run(make_host({**release("opensuse-leap", "15.6"), path: OSS}))
    assert "No repository has update in its name" in result["warnings"][0]


LINES = st.sampled_from(["[a]", "[b]", "[a", "enabled=0", "enabled = 1", "Enabled: no", "enabled=", "x=y", "", "#e"])


@given(st.lists(LINES, max_size=12).map("\n".join) | st.text(max_size=60), st.sampled_from(["a", "b", ""]))
def test_switching_on_touches_that_repository_alone(text: str, name: str) -> None:
    before, after = dict(repositories.parse(text)), dict(repositories.parse(repositories.enable(text, name)))
    assert list(before) == list(after)
    assert {key: on for key, on in before.items() if key != name} == {k: on for k, on in after.items() if k != name}
    assert after.get(name, True) is True
    assert repositories.enable(repositories.enable(text, name), name) == repositories.enable(text, name)


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_the_audit_sees_what_is_switched_on(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_tree(Path(folder), {**release("ol", "7.9"), "/etc/yum.repos.d/a.repo": text})
        seen = packages.enabled_repositories(Context(Host(folder)))
    assert seen == sorted(name for name, on in repositories.parse(text) if on)
