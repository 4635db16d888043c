"""What is asked of a running system: stand-ins of lsblk, blkid and findmnt in a tree that says it is live."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import guest, swap
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import CommandResult, Host
from ansible_collections.linuxvhd.azure.plugins.modules import fstab_uuid

#: The root file system on a volume of vda2, a second disk vdb, an md array over both.
LSBLK = """\
NAME="/dev/vda" PKNAME="" UUID=""
NAME="/dev/vda1" PKNAME="/dev/vda" UUID="boot-uuid"
NAME="/dev/vda2" PKNAME="/dev/vda" UUID="pv-uuid"
NAME="/dev/mapper/vg-root" PKNAME="/dev/vda2" UUID="root-uuid"
NAME="/dev/vdb" PKNAME="" UUID="data-uuid"
NAME="/dev/vda3" PKNAME="/dev/vda" UUID=""
NAME="/dev/md0" PKNAME="/dev/vda3" UUID="md-uuid"
NAME="/dev/md0" PKNAME="/dev/vdb" UUID="md-uuid"
"""
BLKID = "DEVNAME=/dev/vda1\nUUID=boot-uuid\nTYPE=ext4\n\nDEVNAME=/dev/vdb\nUUID=data-uuid\nLABEL=data\n"
FSTAB = """\
/dev/mapper/vg-root / ext4 defaults 0 1
/dev/sda1 /boot ext4 defaults 0 2
LABEL=data /data ext4 defaults 0 2
UUID=md-uuid /srv xfs defaults 0 2
UUID=gone /old xfs defaults 0 2
UUID=gone /older xfs nofail 0 2
/dev/sdz1 /mnt/z ext4 noauto 0 0
"""


class Live(Host):
    """A tree that claims to be the running system; commands answer from a table."""

    answers: dict[str, str]

    @property
    def is_live(self) -> bool:
        return True

    def which(self, name: str) -> str | None:
        return "/usr/bin/" + name if name in self.answers else None

    def run(self, argv: Any, check: bool = True, **_options: Any) -> CommandResult:
        key = " ".join(argv)
        answer = self.answers.get(key, self.answers.get(argv[0], ""))
        return CommandResult(list(argv), 0, answer, "")


@pytest.fixture
def live(make_host: Any) -> Any:
    def make(files: dict[str, str], answers: dict[str, str]) -> Live:
        host = Live(make_host(files).root)
        host.answers = answers
        return host

    return make


def test_a_boot_that_other_disks_would_stop(live: Any) -> None:
    mounted = {"/": "root-uuid", "/boot": "boot-uuid"}
    answers = {f"findmnt -n -r -o UUID -M {target}": uuid + "\n" for target, uuid in mounted.items()}
    host = live({"/etc/fstab": FSTAB}, {"lsblk": LSBLK, "blkid": BLKID, "findmnt": "", **answers})
    result = fstab_uuid.run({"root": "/"}, host, True)
    # vda was sda when the file was written; what is mounted there tells.
    assert result["replaced"] == {"/dev/sda1": "UUID=boot-uuid", "LABEL=data": "UUID=data-uuid"}
    assert result["unknown"] == ["/dev/sdz1"]
    assert [sentence.split(":", 1)[1].split(" (")[0].strip() for sentence in result["warnings"]] == [
        "no UUID was found for /dev/sdz1; it stays as it is.",
        "UUID=data-uuid is on another disk than /, which the image will not have",
        "UUID=md-uuid is on another disk than /, which the image will not have",
        "UUID=gone is not there, and a boot without it ends in emergency mode",
    ]


def test_a_swap_partition_that_systemd_finds_by_its_type(live: Any) -> None:
    files = {"/usr/lib/systemd/system-generators/systemd-gpt-auto-generator": "", "/proc/swaps": "Filename\n"}
    link = "/etc/systemd/system-generators/systemd-gpt-auto-generator"
    host = live(files, {"lsblk": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n0657FD6D-A4AB-43C4-84E5-0933C84B4F4F\n"})
    swap.apply(host, swap.plan(host))
    assert os.readlink(host.path(link, follow_last=False)) == "/dev/null"
    assert swap.plan(host).changes == []


@pytest.mark.parametrize(
    ("more", "types"),
    [
        ({}, "0fc63daf-8483-4772-8e79-3d69d8477de4\n"),
        ({"/run/systemd/generator.late/efi.automount": ""}, swap.GPT_SWAP),
    ],
)
def test_the_generator_stays_where_it_is_needed(live: Any, more: dict[str, str], types: str) -> None:
    files = {"/usr/lib/systemd/system-generators/systemd-gpt-auto-generator": "", **more}
    assert swap.plan(live(files, {"lsblk": types})).changes == []


def test_a_mounted_image_is_not_judged_by_this_machines_disks(make_host: Any) -> None:
    host = make_host({"/etc/fstab": FSTAB})
    assert guest.missing_at_boot(host, FSTAB) == [] and guest.mounted_uuid(host, "/") is None
