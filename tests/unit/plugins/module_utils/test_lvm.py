"""Filters of lvm.conf: which hide the OS disk on Azure, and what is left of the file without them."""

from __future__ import annotations

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import lvm
from ansible_collections.linuxvhd.azure.plugins.modules import fstab_uuid

OURS = 'filter = [ "a|^/dev/vda|", "r|.*|" ]'


@pytest.mark.parametrize(
    ("patterns", "hides"),
    [
        (["a|^/dev/vda|", "r|.*|"], True),
        (["a|/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi0.*|", "r|.*|"], True),
        (["a|/dev/disk/by-path/pci-0000:00:05.0.*|", "r|.*|"], True),
        (["a/sda[0-9]$/", "r/.*/"], True),
        (["a|/dev/mapper/mpath.*|", "r|.*|"], True),
        (["r|^/dev/sd|", "r|by-|", "r|/dev/disk/|"], True),
        (["r|.*|"], True),
        (["a{vda}", "r{.*}"], True),
        # Names of every SCSI disk, or of what is the image's own.
        (["a|^/dev/sd.*|", "r|.*|"], False),
        (["a|.*|"], False),
        (["a/.*/"], False),
        ([], False),
        (["r|/dev/.*/by-path/.*|", "r|/dev/.*/by-id/.*|", "r|/dev/fd.*|", "r|/dev/cdrom|", "a/.*/"], False),
        (["r|^/dev/sdb|"], False),
        (["r|/dev/zd.*|", "r|/dev/mapper/pve-.*|"], False),
        (["a|/dev/disk/by-partuuid/0a1b-02|", "r|.*|"], False),
        (["a|/dev/disk/by-id/lvm-pv-uuid-x|", "r|.*|"], False),
        (["a|/dev/disk/by-id/.*|", "r|.*|"], False),
        (["a|/dev/mapper/luks-1|", "r|.*|"], False),
        (["a|(|", "?", ""], False),
    ],
)
def test_which_filters_hide_the_disk(patterns: list[str], hides: bool) -> None:
    assert lvm.hides_disk(patterns) is hides


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("devices {\n\t%s # ours\n}\n" % OURS, "devices {\n# Not on Azure: %s\n# ours\n}\n" % OURS),
        ("devices { %s }\n" % OURS, "devices {\n# Not on Azure: %s\n}\n" % OURS),
        (
            'devices {\n  global_filter = [\n    "a|vda]|", # x\n    "r|.*|"\n  ]\n}',
            'devices {\n# Not on Azure: global_filter = [\n# Not on Azure: "a|vda]|", # x\n# Not on Azure: "r|.*|"\n'
            "# Not on Azure: ]\n}",
        ),
        ('devices/filter="r|.*|"\n', '# Not on Azure: devices/filter="r|.*|"\n'),
        ("# %s\n" % OURS, None),
        ('devices {\n filter = [ "a|.*|" ]\n x = "%s"\n}\n' % OURS.replace('"', "'"), None),
        ('devices {\n name = "a # b"\n types = [ "fd", 16 ]\n}\n', None),
    ],
)
def test_the_file_without_them(text: str, after: str | None) -> None:
    planned = lvm.plan(text)
    assert planned == (text if after is None else after)
    assert lvm.plan(planned) == planned


def test_the_module_takes_them_out_where_lvm_is_used(make_host) -> None:
    files = {
        "/etc/fstab": "/dev/mapper/vg-root / xfs defaults 0 0\n",
        "/etc/lvm/lvm.conf": "devices {\n  %s\n}\n" % OURS,
        "/etc/lvm/lvmlocal.conf": 'devices {\n  global_filter = [ "a|.*|" ]\n}\n',
    }
    host = make_host(files)
    planned = fstab_uuid.run({"root": host.root}, host, True)
    done = fstab_uuid.run({"root": host.root}, host, False)
    assert planned["diff"] == done["diff"] and planned["initramfs_stale"] and done["changed"]
    assert done["lvm_filters"] == [{"path": "/etc/lvm/lvm.conf", "line": "filter = a|^/dev/vda| r|.*|"}]
    assert host.read("/etc/lvm/lvmlocal.conf") == files["/etc/lvm/lvmlocal.conf"]
    assert lvm.hiding(host) == {} and len(done["backup_files"]) == 1
    assert not fstab_uuid.run({"root": host.root}, host, False)["changed"]
    host.write("/etc/fstab", "UUID=1 / xfs defaults 0 0\n")
    host.write("/etc/lvm/lvm.conf", files["/etc/lvm/lvm.conf"])
    assert not fstab_uuid.run({"root": host.root}, host, False)["changed"]


def test_a_later_file_wins(make_host) -> None:
    files = {"/etc/lvm/lvm.conf": OURS, "/etc/lvm/lvmlocal.conf": 'filter = [ "a|.*|" ]\n'}
    assert lvm.in_force(make_host(files)) == []
    files["/etc/lvm/lvmlocal.conf"] = "global_" + OURS
    assert [(path, item.name) for path, item in lvm.in_force(make_host(files))] == [
        ("/etc/lvm/lvm.conf", "filter"),
        ("/etc/lvm/lvmlocal.conf", "global_filter"),
    ]
