# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How histories are looked for on a machine that people live on: large homes, and file systems of others below them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from conftest import write_tree

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import context as deprovision_context
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import process
from ansible_collections.linuxvhd.azure.plugins.module_utils.filesystems import Mount, Walk, leads_to_remote
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import clean, engine
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import ReadOnlyHost

from . import trees
from .test_broken import build, live

#: Where a home has what no history is in; %d makes them many.
CROWDED = (
    "src/app/node_modules/p%d/lib", "src/app/.git/objects/%02x", ".pyenv/versions/3.%d/lib", ".cache/pip/http/%d/x",
    "venv/lib/python3.11/site-packages/p%d", ".local/share/containers/storage/overlay/%d/diff", "go/pkg/mod/m%d",
)  # fmt: skip


def findings(context: Any) -> dict[str, dict[str, str]]:
    return {item["id"]: item for item in engine.audit(context, "certification", strict=True)["findings"]}


def mountinfo(*lines: str) -> str:
    """The tree's own lines, and ("/home/you/share", "nfs4") for each "/home/you/share nfs4"."""
    own = str(trees.disk()["/proc/self/mountinfo"])
    return own + "".join(
        f"{40 + number} 21 0:{60 + number} / {line.split()[0]} rw - {line.split()[1]} server:/x rw\n"
        for number, line in enumerate(lines)
    )


def kill(monkeypatch: pytest.MonkeyPatch, *dead: str) -> None:
    """Every question about these places, or what lies below, would wait for ever: here it fails the test."""

    def guard(name: str) -> None:
        original = getattr(os, name)

        def ask(path: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(path, (str, bytes, os.PathLike)):
                real = os.fsdecode(path)
                assert not any(real == place or real.startswith(place + "/") for place in dead), f"{name}({real})"
            return original(path, *args, **kwargs)

        monkeypatch.setattr(os, name, ask)

    for name in ("lstat", "stat", "scandir", "listdir", "readlink", "access", "open", "statvfs"):
        guard(name)


def test_directories_that_hold_no_history_are_left_out(tmp_path: Path) -> None:
    build(tmp_path, "debian", {"/home/you/.cache/zsh/history": "ls\n"})
    for pattern in CROWDED:
        for number in range(200):
            (tmp_path / "home/you" / (pattern % number)).mkdir(parents=True)
    (tmp_path / "home/you/src/app/node_modules/p1/.bash_history").write_text("x\n")
    context = live(tmp_path, "debian")
    looked: list[str] = []
    device = ReadOnlyHost.device
    context.host.device = lambda real: looked.append(real) or device(context.host, real)  # type: ignore[func-returns-value, method-assign]
    found = engine.CHECKS["CLEAN-07"](context)
    assert found.status == "fail" and found.evidence == "/home/you/.cache/zsh/history (3 bytes)"
    assert len(looked) < 60


def test_too_many_directories_are_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean, "DIRECTORIES", 50)
    build(tmp_path, "debian", {})
    for number in range(60):
        (tmp_path / f"home/you/a/{number:02d}").mkdir(parents=True)
    found = findings(live(tmp_path, "debian"))["CLEAN-07"]
    assert found["status"] == "unknown" and "more than 50 directories" in found["evidence"]
    # The nearest first: a large home hides no history of another one, and what was found is told with the limit.
    (tmp_path / "root/.config/x").mkdir(parents=True)
    (tmp_path / "root/.config/x/.foo_history").write_text("secret\n")
    found = findings(live(tmp_path, "debian"))["CLEAN-07"]
    assert found["status"] == "fail"
    assert found["evidence"] == "/root/.config/x/.foo_history (7 bytes); stopped after 50 directories of the homes"


def test_logs_are_looked_at_with_the_same_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean, "DIRECTORIES", 5)
    build(tmp_path, "debian", {})
    for number in range(6):
        (tmp_path / f"var/log/{number}").mkdir(parents=True)
    found = findings(live(tmp_path, "debian"))["CLEAN-08"]
    assert found["status"] == "unknown" and "/var/log has more than 5 directories" in found["evidence"]
    (tmp_path / "var/log/0/a.log").write_text("x\n")
    assert engine.CHECKS["CLEAN-08"](live(tmp_path, "debian", phase="captured")).status == "fail"


def test_another_file_system_below_a_home_is_not_entered(tmp_path: Path) -> None:
    build(tmp_path, "debian", {"/home/you/data/deep/.bash_history": "x\n", "/home/you/.keep": ""})
    assert engine.CHECKS["CLEAN-07"](live(tmp_path, "debian")).status == "fail"
    context = live(tmp_path, "debian")
    device = ReadOnlyHost.device
    context.host.device = lambda real: device(context.host, real) + real.endswith("/you/data")  # type: ignore[method-assign]
    found = engine.CHECKS["CLEAN-07"](context)
    assert found.status == "pass"
    assert found.evidence == "no shell history; not looked at: /home/you/data (another file system)"


def test_links_are_not_followed(tmp_path: Path) -> None:
    build(tmp_path, "debian", {"/home/you/all": "-> /srv", "/srv/.bash_history": "x\n", "/home/you/up": "-> .."})
    assert engine.CHECKS["CLEAN-07"](live(tmp_path, "debian")).status == "pass"


@pytest.mark.parametrize(
    ("mounts", "said"),
    [
        (["/home/you/share nfs4"], "/home/you/share (another file system)"),
        (["/home/you nfs4", "/home/gone fuse.sshfs"], "/home/you (nfs4), /home/gone (fuse.sshfs)"),
        (["/home autofs"], "/home/me (autofs), /home/you (autofs), /home (autofs)"),
    ],
)
def test_no_rule_asks_a_dead_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: list[str], said: str
) -> None:
    """Not CLEAN-07 alone: nothing of the whole audit touches a network file system below a home."""
    names = (".bash_history", ".ssh/authorized_keys", ".ssh/known_hosts")
    files: trees.Files = {f"{line.split()[0]}/{name}": "x y z\n" for line in mounts for name in names}
    files["/home/you/.psql_history"] = f"-> {mounts[0].split()[0]}/.bash_history"
    if mounts[0].startswith("/home/you "):
        del files["/home/you/.psql_history"]
    build(tmp_path, "debian", {**files, "/proc/self/mountinfo": mountinfo(*mounts)})
    kill(monkeypatch, *[str(tmp_path) + line.split()[0] for line in mounts])
    found = findings(live(tmp_path, "debian"))
    monkeypatch.undo()
    assert found["CLEAN-07"]["status"] == "pass"
    assert all(part in found["CLEAN-07"]["evidence"] for part in said.split(", "))
    assert found["ACC-02"]["status"] == "pass"
    assert found["PKG-10"]["status"] == "pass"


def test_deprovisioning_asks_no_dead_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves alone, it does not look at either; a second name of a history is sought on the same disk."""
    passwd = "root:x:0:0::/root:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\ncarol:x:1002:1002::/home/carol:/bin/sh\n"
    files = {"/etc/passwd": passwd, "/home/carol/.bash_history": "x", "/home/carol/share/y": "", "/home/bob/x": "kept",
             "/var/log/all/a": "kept", "/var/log/b": "x"}  # fmt: skip
    write_tree(tmp_path, {**files, "/home/carol/.cache/mnt/x": "", "/home/carol/.local/share/a/history": "y"})
    os.link(tmp_path / "home/carol/.bash_history", tmp_path / "home/carol/second")
    host = Host(str(tmp_path))
    context = deprovision_context.Context(host, deprovision_context.Options(remove_users=("bob",)))
    dead = [host.path(path) for path in ("/home/bob", "/home/carol/share", "/var/log/all")]
    context.mounts = [Mount(host.root, "ext4"), *(Mount(real, "nfs4") for real in dead)]
    kill(monkeypatch, *dead)
    result = process.run(host, context)
    monkeypatch.undo()
    assert [check for check in result["checks"] if not check["ok"]] == []
    assert host.read("/home/carol/second") == "" and not host.exists("/home/carol/.local/share/a/history")
    assert host.read("/home/bob/x") == "kept" and "bob" not in host.read("/etc/passwd")
    assert host.read("/var/log/all/a") == "kept" and host.read("/var/log/b") == ""
    assert "/home/bob lies on a network file system (nfs4) and was left alone." in "\n".join(result["notes"])


def test_what_a_link_leads_to(tmp_path: Path) -> None:
    write_tree(tmp_path, {"/home/a": "-> /srv/nfs/a", "/home/b": "-> ../data", "/data/x": "", "/srv/nfs/a/x": ""})
    host = Host(str(tmp_path))
    known = [Mount("/", "ext4"), Mount(host.root, "9p"), Mount(host.root + "/srv/nfs", "nfs")]
    paths = {"/home/a": "nfs", "/home/a/x": "nfs", "/home/b/x": "", "/srv/nfs": "nfs", "/srv": "", "/": "", "/no/x": ""}
    assert {path: leads_to_remote(host, path, known) for path in paths} == paths


def test_a_walk(tmp_path: Path) -> None:
    for path in ("a/b/c/d", "a/.cache/x/y", "a/skip/z", "a/go/pkg/z", "e"):
        (tmp_path / path).mkdir(parents=True)
    host, top = Host(str(tmp_path)), str(tmp_path / "a")
    walk = Walk(host, [top, top + "/b", top + "/none"], [], {top + "/b": 1}, frozenset(["skip", "/go/pkg"]),
                frozenset([".cache"]))  # fmt: skip
    seen = [(os.path.relpath(base, host.root), os.path.relpath(folder, base)) for base, folder, _names in walk]
    assert seen == [("a", "."), ("a/b", "."), ("a", ".cache"), ("a", "go"), ("a/b", "c"), ("a", ".cache/x")]
    assert walk.directories == 6 and not walk.stopped and len(walk.errors) == 1
