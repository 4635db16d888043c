#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name every file system in fstab by UUID."""

DOCUMENTATION = r"""
---
module: fstab_uuid
short_description: Name every file system by UUID
description:
  - Replaces kernel names (C(/dev/sda1)), labels and C(/dev/disk/by-id) links in C(/etc/fstab) by C(UUID=), rule
    DISK-12.
  - Does the same in C(/etc/crypttab) where the device has a UUID, and takes filters out of C(/etc/lvm/lvm.conf) and
    C(/etc/lvm/lvmlocal.conf) that would hide the disk from LVM once it has another name. LVM's devices file, which
    names the disks of this machine, is removed; without it LVM looks at all of them.
  - LVM volumes, UUIDs, PARTUUIDs, network file systems and removable media stay as they are; so do comments and
    blanks.
  - On the running system a name that is not there any more (the disk had another one when the file was written) is
    replaced by the UUID of what is mounted in its place, and C(findmnt --verify) checks the new file before it takes
    the old one's place.
  - Warns of entries without C(nofail) whose disk is not that of the root file system; an image has one disk, and a
    boot without the others ends in emergency mode.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
"""

EXAMPLES = r"""
- name: DISK-12 | Mount by UUID
  linuxvhd.azure.fstab_uuid:
"""

RETURN = r"""
replaced:
  description: Old source to new source.
  returned: success
  type: dict
  sample: {"/dev/vda1": "UUID=0d4c4d1e-3f5b-4a0c-9f57-3d5c3ad5e4f0"}
unknown:
  description: Sources that should have been replaced, but for which no UUID was found.
  returned: success
  type: list
  elements: str
  sample: [/dev/sdz1]
lvm_filters:
  description: The filters that would have hidden the disk from LVM.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
    line:
      description: The setting.
      type: str
  sample: [{"path": "/etc/lvm/lvm.conf", "line": "filter = a|^/dev/vda| r|.*|"}]
initramfs_stale:
  description: Whether a file was changed that lies in the initramfs too, which must be rebuilt then.
  returned: success
  type: bool
  sample: false
backup_files:
  description: Copies of the old files.
  returned: success
  type: list
  elements: str
  sample: [/var/backups/linuxvhd-azure/etc/fstab.20260102T030405Z~]
"""

from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import crypttab, edits, fstab, guest, lvm
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import due
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish

PATH = "/etc/fstab"


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {"root": {"type": "path", "default": "/"}}


def _mounted(host: Host, target: str) -> Optional[str]:
    return guest.mounted_uuid(host, target) if target.startswith("/") else None


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Replace what moves by UUID=; see RETURN for the result."""
    text = edits.read_optional(host, PATH) or ""
    plan = fstab.plan(text, lambda source: None, drop_swap=False)
    if plan.unknown:
        find = guest.uuid_lookup(host)
        # The disk had another name when the file was written: what is mounted there tells.
        targets = {entry.source: entry.target for entry in fstab.parse(text).entries if not fstab.is_swap(entry)}
        plan = fstab.plan(text, lambda source: find(source) or _mounted(host, targets.get(source, "")), drop_swap=False)
    changes = edits.plan_file(host, PATH, plan.after) if plan.replaced else []
    if changes:
        guest.check_fstab(host, text, plan.after, write=not check_mode)
    encrypted = edits.read_optional(host, crypttab.PATH) or ""
    crypt = crypttab.plan(encrypted, lambda source: None)
    if crypt.unknown:
        crypt = crypttab.plan(encrypted, guest.uuid_lookup(host))
    copied = edits.plan_file(host, crypttab.PATH, crypt.after) if crypt.replaced else []
    filters = lvm.hiding(host)
    filters = filters if filters and lvm.in_use(host) else {}
    for path in filters:
        copied += edits.plan_file(host, path, lvm.plan(host.read(path)))
    copied += edits.plan_file(host, lvm.DEVICES, None)
    backups: List[str] = []
    if (changes or copied) and not check_mode:

        def verify() -> None:
            for change in changes + copied:
                guest.expect_text(host, change.path, change.after or "")

        note = due.note(host) if copied else []
        backups = edits.apply(host, note + changes + copied, verify=verify)
        guest.daemon_reload(host)
    unknown = [(PATH, name) for name in plan.unknown] + [(crypttab.PATH, name) for name in crypt.unknown]
    return {
        "changed": bool(changes or copied),
        "diff": edits.diffs(changes + copied),
        "replaced": {**plan.replaced, **crypt.replaced},
        "unknown": plan.unknown + crypt.unknown,
        "lvm_filters": [
            {"path": path, "line": "%s = %s" % (item.name, " ".join(item.patterns))}
            for path, items in filters.items()
            for item in items
        ],
        "initramfs_stale": bool(copied),
        "warnings": ["%s: no UUID was found for %s; it stays as it is." % item for item in unknown]
        + guest.missing_at_boot(host, plan.after),
        "backup_files": backups,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
