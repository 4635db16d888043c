"""Every module that writes, at every single step: a full disk, one that stays full, a read-only one, a killed module.

What must hold: a failure is a sentence and leaves everything as it was; a disk that stays full leaves each file old or
new; a kill (of a process, so that nothing is tidied up) leaves each file old or new, and the next run ends where an
undisturbed one would have ended.
"""

from __future__ import annotations

import ast
import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import FaultAt, FaultFrom, read_only_disk, write_tree
from test_guest_modules import CASES, DEBIAN, TREE, UBUNTU

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import TEMPORARY_PREFIX, CommandResult, Host
from ansible_collections.linuxvhd.azure.plugins.modules import (
    azure_audit,
    azure_profile_info,
    azure_repositories,
    efi_fallback,
    fstab_uuid,
    network_dhcp,
    network_sriov,
    ubuntu_azure_mirror,
)

ROOT = Path(__file__).parents[4]


class Faults(NamedTuple):
    """The tests of a module that is not driven through its faults here, as file::test, or why there is none."""

    full: str
    readonly: str
    killed: str


BOOT = "tests/unit/plugins/modules/test_grub_azure_cmdline.py::"
INITRD = "tests/unit/plugins/modules/test_initrd_hyperv.py::"
CLEANING = "tests/unit/plugins/module_utils/deprovision/test_process.py::"
IMAGE = "tests/unit/plugins/module_utils/vhd/test_crash.py::"
REPORT = "tests/unit/plugins/action/test_report_faults.py::"
PROOF = "tests/unit/plugins/module_utils/fabric/test_proof_faults.py::"
READS = "tests/unit/plugins/modules/test_faults.py::test_what_only_reads_changes_nothing"
PROGRESS = "tests/unit/plugins/module_utils/test_upload.py::test_a_progress_file_that_cannot_be_written_is_a_warning"
MANAGER = "the package manager writes, and puts its own house in order"

#: Modules whose steps are more than files, and those that write nothing.
ELSEWHERE = {
    "grub_azure_cmdline": Faults(
        BOOT + "test_a_failure_at_any_step_puts_everything_back",
        BOOT + "test_a_read_only_disk_is_named_and_changes_nothing",
        BOOT + "test_a_power_cut_at_any_step_leaves_every_entry_bootable",
    ),
    "initrd_hyperv": Faults(
        INITRD + "test_a_failure_at_any_step_puts_all_back",
        INITRD + "test_a_read_only_disk_is_named_and_changes_nothing",
        INITRD + "test_a_power_cut_at_any_step_leaves_an_image_that_boots",
    ),
    "deprovision": Faults(
        CLEANING + "test_a_disk_that_is_full_is_told_and_a_run_with_room_finishes",
        CLEANING + "test_a_read_only_disk_keeps_the_way_in",
        CLEANING + "test_killed_at_steps_of_every_kind_and_run_again",
    ),
    "vhd_align": Faults(
        IMAGE + "test_a_really_full_file_system",
        IMAGE + "test_a_read_only_file_system_is_named",
        IMAGE + "test_kill_9_at_every_step_in_place",
    ),
    "vhd_upload": Faults(
        PROGRESS, PROGRESS, "tests/unit/plugins/module_utils/test_upload.py::test_killed_at_every_request"
    ),
    "azure_audit": Faults(READS, READS, READS),
    "azure_profile_info": Faults(READS, READS, READS),
    "azure_audit_report": Faults(
        REPORT + "test_a_report_that_cannot_be_written_is_a_sentence",
        REPORT + "test_a_report_that_cannot_be_written_is_a_sentence",
        REPORT + "test_a_killed_writer_leaves_the_old_report_or_the_new",
    ),
    "azure_packages": Faults(MANAGER, MANAGER, MANAGER),
    "first_boot": Faults(
        PROOF + "test_no_file_of_a_proof_can_be_made",
        PROOF + "test_a_temporary_directory_that_really_cannot_be_written",
        "tests/proof/test_first_boot.py::test_nothing_is_left_after_a_signal",
    ),
}

BLKID = "DEVNAME=/dev/vda1\nUUID=1-1\n\nDEVNAME=/dev/vdb1\nUUID=2-2\n"


class BlkidHost(Host):
    """A host that has blkid, and whose files are the tree's."""

    def which(self, name: str) -> str | None:
        return "/usr/sbin/blkid" if name == "blkid" else None

    def run(self, argv: Any, **_options: Any) -> CommandResult:
        return CommandResult(list(argv), 0, BLKID, "")


class Case(NamedTuple):
    """A module, its options, a tree in which it has much to do, and the kind of Host."""

    module: Any
    params: dict[str, Any]
    files: Mapping[str, str | bytes]
    host: type[Host] = Host


STATIC = "auto lo\niface lo inet loopback\nallow-hotplug ens3\niface ens3 inet static\n    address 10.0.2.15/24\n"
KEYFILE = "[connection]\nid=a\ntype=ethernet\ninterface-name=ens3\n\n[ethernet]\nmac-address=52:54:00:12:34:56\n"
ETHERNET = "/etc/NetworkManager/system-connections/a.nmconnection"

ALL: dict[str, Case] = {
    **{name: Case(module, given, TREE) for name, (module, given) in CASES.items()},
    "fstab_uuid": Case(
        fstab_uuid, {}, {"/etc/fstab": "/dev/vda1 / ext4 defaults 0 1\n/dev/vdb1 /data ext4 nofail 0 0\n"}, BlkidHost
    ),
    "network_dhcp": Case(
        network_dhcp,
        {"primary": "ens3"},
        {
            "/etc/os-release": DEBIAN,
            "/etc/network/interfaces": STATIC,
            "/etc/udev/rules.d/70-persistent-net.rules": 'SUBSYSTEM=="net", NAME="eth0"\n',
            "/usr/lib/systemd/system/NetworkManager.service": "[Install]\nWantedBy=multi-user.target\n",
            "/etc/systemd/system/multi-user.target.wants/NetworkManager.service": "-> /usr/lib/x",
            ETHERNET: KEYFILE,
        },
    ),
    "network_sriov": Case(network_sriov, {}, {"/etc/os-release": DEBIAN}),
    "ubuntu_azure_mirror": Case(
        ubuntu_azure_mirror,
        {},
        {
            "/etc/os-release": UBUNTU,
            "/etc/apt/sources.list": "deb http://archive.ubuntu.com/ubuntu jammy main\n",
            "/etc/apt/sources.list.d/x.list": "deb http://security.ubuntu.com/ubuntu/ jammy-security main\n",
            "/etc/cloud/cloud.cfg.d/README": "",
        },
    ),
    "azure_repositories": Case(
        azure_repositories,
        {},
        {
            "/etc/os-release": 'ID="opensuse-leap"\nVERSION_ID="15.6"\n',
            "/etc/zypp/repos.d/oss.repo": "[repo-oss]\nenabled=0\n",
            "/etc/zypp/repos.d/update.repo": "[repo-update]\nenabled=0\n",
        },
    ),
    "efi_fallback": Case(
        efi_fallback,
        {},
        {"/boot/efi/EFI/debian/shimx64.efi": b"shim", "/boot/efi/EFI/debian/grubx64.efi": b"grub"},
    ),
}


def tree(root: Path, case: Case) -> Path:
    root.mkdir(parents=True)
    write_tree(root, case.files)
    return root


def run(case: Case, root: Path, fault: Callable[[str, str], None] | None = None) -> dict[str, Any]:
    params = {name: option.get("default") for name, option in case.module.argument_spec().items()}
    result: dict[str, Any] = case.module.run({**params, **case.params}, case.host(str(root), fault=fault), False)
    return result


def snapshot(root: Path) -> dict[str, bytes]:
    """Every file and link that means something to the system: no backups, no leftovers of a killed run."""
    found = {}
    for path in sorted(root.rglob("*")):
        inside = str(path.relative_to(root))
        if inside.startswith("var/backups") or path.name.startswith(TEMPORARY_PREFIX):
            continue
        if path.is_symlink():
            found[inside] = b"-> " + os.readlink(path).encode()
        elif path.is_file():
            found[inside] = path.read_bytes() + b"\0%o" % (path.stat().st_mode & 0o7777)
    return found


def undisturbed(case: Case, base: Path) -> tuple[dict[str, bytes], dict[str, bytes], list[tuple[str, str]]]:
    """The tree before and after a run without a fault, and the run's steps."""
    root = tree(base / "undisturbed", case)
    before = snapshot(root)
    counter = FaultAt()
    assert run(case, root, counter)["changed"]
    return before, snapshot(root), counter.steps


def each_old_or_new(left: dict[str, bytes], before: dict[str, bytes], after: dict[str, bytes], what: Any) -> None:
    for path in {*left, *before, *after}:
        assert left.get(path) in (before.get(path), after.get(path)), (what, path)


def test_every_module_is_here_or_elsewhere() -> None:
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    assert modules == set(ALL) | set(ELSEWHERE)
    assert not set(ALL) & set(ELSEWHERE)
    for name, faults in ELSEWHERE.items():
        for kind, where in faults._asdict().items():
            path, _sep, test = where.partition("::")
            if not test:
                assert " " in where, f"{name}, {kind}: neither a test nor a reason"
                continue
            functions = [node.name for node in ast.parse((ROOT / path).read_text()).body if hasattr(node, "name")]
            assert test in functions, f"{name}, {kind}: {where} does not exist"


@pytest.mark.parametrize("module", [azure_audit, azure_profile_info], ids=lambda module: module.__name__.split(".")[-1])
def test_what_only_reads_changes_nothing(tmp_path: Path, module: Any) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write_tree(root, TREE)
    before = sorted((str(path), path.lstat().st_mtime_ns, path.lstat().st_ino) for path in root.rglob("*"))
    params = {name: option.get("default") for name, option in module.argument_spec().items()}
    counter = FaultAt()
    assert not module.run({**params, "account": ""}, Host(str(root), fault=counter), False)["changed"]
    assert {step for step, _path in counter.steps} <= {"run"}
    assert sorted((str(path), path.lstat().st_mtime_ns, path.lstat().st_ino) for path in root.rglob("*")) == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("name", ALL)
def test_one_failure_at_any_step_leaves_everything_as_it_was(tmp_path: Path, name: str, code: int) -> None:
    case = ALL[name]
    before, _after, steps = undisturbed(case, tmp_path)
    for number, step in enumerate(steps):
        root = tree(tmp_path / str(number), case)
        with pytest.raises(AzurePrepError) as failure:
            run(case, root, FaultAt(number, OSError(code, os.strerror(code))))
        # After the rename the new content is there; only that it is safe on the disk is not known.
        assert snapshot(root) == before, step
        sentence = str(failure.value)
        assert sentence[0].isupper() and sentence.rstrip().endswith(".") and "Traceback" not in sentence, sentence


@pytest.mark.parametrize("name", ALL)
def test_a_disk_that_stays_full_leaves_each_file_old_or_new(tmp_path: Path, name: str) -> None:
    case = ALL[name]
    before, after, steps = undisturbed(case, tmp_path)
    for number, step in enumerate(steps):
        root = tree(tmp_path / str(number), case)
        try:
            run(case, root, FaultFrom(number))
        except AzurePrepError as exc:
            assert "the file system is full" in str(exc)
        each_old_or_new(snapshot(root), before, after, step)


@pytest.mark.parametrize("name", ALL)
def test_a_read_only_disk_changes_nothing(tmp_path: Path, name: str) -> None:
    case = ALL[name]
    root = tree(tmp_path / "root", case)
    before = snapshot(root)
    with pytest.raises(AzurePrepError, match="mounted read-only"):
        run(case, root, read_only_disk())
    assert snapshot(root) == before


@pytest.mark.parametrize("name", ALL)
def test_a_module_killed_at_any_step_is_finished_by_the_next_run(tmp_path: Path, name: str) -> None:
    case = ALL[name]
    before, after, steps = undisturbed(case, tmp_path)
    for number, step in enumerate(steps):
        root = tree(tmp_path / str(number), case)
        count = 0

        def kill(_step: str, _path: str, number: int = number) -> None:
            nonlocal count
            if count == number:
                os._exit(9)
            count += 1

        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            try:
                run(case, root, kill)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, step
        each_old_or_new(snapshot(root), before, after, step)
        run(case, root)
        assert snapshot(root) == after, step
        assert not run(case, root)["changed"], step


@pytest.mark.parametrize("name", ALL)
def test_a_pipe_in_place_of_any_file_keeps_nobody_waiting(tmp_path: Path, name: str) -> None:
    case = ALL[name]
    for number, path in enumerate(path for path, content in case.files.items() if not str(content).startswith("-> ")):
        root = tree(tmp_path / str(number), case)
        place = root / path.lstrip("/")
        if not place.is_file():
            continue
        place.unlink()
        os.mkfifo(place)
        before = snapshot(root)
        signal.alarm(20)
        try:
            run(case, root)
        except AzurePrepError as exc:
            assert path in str(exc)
            assert snapshot(root) == before, path
        finally:
            signal.alarm(0)


@pytest.mark.parametrize("name", ALL)
def test_a_limit_of_the_process_is_a_failure_like_a_full_disk(tmp_path: Path, name: str) -> None:
    """The kernel's own limit on the length of a file (setrlimit(2), RLIMIT_FSIZE): a write is cut, the next fails."""
    case = ALL[name]
    root = tree(tmp_path / "root", case)
    before = snapshot(root)
    said = tmp_path / "said"
    said.touch()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        told = os.open(said, os.O_WRONLY)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2, 2))
        try:
            run(case, root)
        except AzurePrepError as exc:
            # Two letters: the limit holds for this file too.
            os.write(told, b"ok" if "file too large" in str(exc) else b"no")
            os._exit(0)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    assert said.read_bytes() == b"ok"
    assert snapshot(root) == before
