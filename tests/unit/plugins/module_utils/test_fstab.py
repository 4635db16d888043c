"""fstab(5): which sources become UUID=, what is swap, what stays."""

from __future__ import annotations

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import fstab

INSTALLED = """\
# /etc/fstab: static file system information.
#
# <file system> <mount point>   <type>  <options>       <dump>  <pass>
# / was on /dev/vda1 during installation
/dev/vda1\t/               ext4    errors=remount-ro 0       1
LABEL=ESP /boot/efi  vfat umask=0077 0 1
# swap was on /dev/vda5 during installation
UUID=0a1b none            swap    sw              0       0
/swapfile none swap sw 0 0
/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0
tmpfs /tmp tmpfs defaults 0 0
/dev/mapper/vg-home /home xfs defaults 0 2
/dev/vg/data /srv/my\\040data xfs
server:/export /net nfs ro 0 0
"""

BLKID = """\
DEVNAME=/dev/vda1
UUID=1111-aaaa
TYPE=ext4

DEVNAME=/dev/vda15
LABEL=ESP
UUID=ABCD-1234
TYPE=vfat
"""


def test_an_installed_system() -> None:
    lookup = fstab.uuid_lookup(fstab.parse_blkid(BLKID), lambda path: path)
    plan = fstab.plan(INSTALLED, lookup)
    assert plan.replaced == {"/dev/vda1": "UUID=1111-aaaa", "LABEL=ESP": "UUID=ABCD-1234"}
    assert [line.split()[0] for line in plan.dropped] == ["UUID=0a1b", "/swapfile"]
    assert not plan.unknown
    assert plan.after == (
        INSTALLED.replace("/dev/vda1\t", "UUID=1111-aaaa\t")
        .replace("LABEL=ESP", "UUID=ABCD-1234")
        .replace("# swap was on /dev/vda5 during installation\n", "")
        .replace("UUID=0a1b none            swap    sw              0       0\n", "")
        .replace("/swapfile none swap sw 0 0\n", "")
    )


def test_swap_can_be_kept_and_escapes_are_read() -> None:
    plan = fstab.plan(INSTALLED, lambda source: "u", drop_swap=False)
    assert not plan.dropped and "/swapfile none swap" in plan.after
    targets = [entry.target for entry in fstab.parse(INSTALLED).entries]
    assert "/srv/my data" in targets


def test_a_source_without_a_uuid_stays_and_is_named() -> None:
    plan = fstab.plan("/dev/sdz1 /data ext4\n", lambda source: None)
    assert plan.unknown == ["/dev/sdz1"]
    assert plan.after == "/dev/sdz1 /data ext4\n"


def test_two_file_systems_with_one_label_are_not_guessed() -> None:
    blkid = fstab.parse_blkid("DEVNAME=/dev/a\nLABEL=root\nUUID=1\n\nDEVNAME=/dev/b\nLABEL=root\nUUID=2\n")
    assert fstab.uuid_lookup(blkid, lambda path: path)("LABEL=root") is None


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("/dev/sda1", True),
        ("/dev/nvme0n1p2", True),
        ("/dev/xvda1", True),
        ("/dev/disk/by-id/ata-x-part1", True),
        ("/dev/disk/by-uuid/1", False),
        ("/dev/md0", True),
        ("/dev/dm-0", True),
        ("/dev/vg/root", False),
        ("/dev/mapper/vg-root", False),
        ("PARTUUID=1", False),
        ("LABEL=root", True),
        ("/dev/sr0", False),
        ("/dev/cdrom", False),
        ("/swapfile", False),
        ("proc", False),
    ],
)
def test_which_sources_are_renamed(source: str, wanted: bool) -> None:
    assert fstab.wants_uuid(source) is wanted


def test_active_swap() -> None:
    text = "Filename\t\tType\t\tSize\n/dev/vda5   partition\t1\t0\t-2\n/my\\040swap file 1 0 -3\n"
    assert fstab.parse_swaps(text) == [("/dev/vda5", "partition"), ("/my swap", "file")]


def test_only_blanks_and_tabs_part_fields() -> None:
    line = "/dev/vda1\u00a0x / ext4 defaults 0 1\n"
    assert fstab.parse(line).entries[0].source == "/dev/vda1\u00a0x"
    assert fstab.parse("/dev/vda1 / ext4\r\n").entries[0].fstype == "ext4"


@pytest.mark.parametrize(
    ("line", "must"),
    [
        ("UUID=1 /data ext4 defaults 0 2", True),
        ("/dev/sdb1 /data ext4", True),
        ("PARTLABEL=x /data ext4 rw,nofail", False),
        ("UUID=1 /data ext4 noauto,user", False),
        ("UUID=1 none swap sw", False),
        ("nas:/x /y nfs defaults", False),
        ("tmpfs /tmp tmpfs defaults", False),
        ("/srv /mnt none bind", False),
    ],
)
def test_what_a_boot_fails_without(line: str, must: bool) -> None:
    assert fstab.must_be_there(fstab.parse(line).entries[0]) is must
