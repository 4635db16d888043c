#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn a disk image into a fixed VHD that Azure takes."""

DOCUMENTATION = r"""
module: vhd_align
short_description: Turn any disk image into a fixed VHD that Azure takes
version_added: 0.1.0
author: The linuxvhd.azure contributors (@linuxvhd)
description:
  - Makes a fixed VHD whose virtual size is a whole number of MiB and whose footer Azure accepts, out of a raw disk,
    a fixed or dynamic VHD, or a VHDX, qcow2, VMDK or VDI image.
  - Without O(dest) it works in place, on raw disks and fixed VHDs. That takes the same fraction of a second and
    writes the same few KiB whatever the size of the disk. A power cut at any moment leaves the old image, the new
    one, or a valid VHD that the next run completes.
  - With O(dest) it copies the data and none of the holes. O(dest) has its name only when it is complete.
  - An image that a VM, C(qemu), a loop device or anybody else has open is refused, and whoever has it is named.
  - A disk grows to the next MiB only where it has to, and never shrinks. An image that is right already is not
    touched, not even its modification time.
options:
  path:
    description:
      - The disk image, or with O(dest) a block device as well. Symbolic links are followed.
    type: path
    required: true
  dest:
    description:
      - The file that becomes the fixed VHD. It is replaced in one step. A symbolic link is followed and stays one.
      - Leave it out to work in place.
      - A O(dest) that this module made from O(path) as it is now, and that nobody has changed since, is left alone.
        See the notes for how that is known.
    type: path
  format:
    description:
      - What O(path) is. V(vpc) is a VHD, fixed or dynamic.
      - With V(auto) the file's own bytes decide, and no other program is asked. A raw disk belongs to a guest, which
        can write anything into it; where the guest is not trusted and the disk is known to be raw, say V(raw).
    type: str
    choices: [auto, raw, vpc, vhdx, qcow2, vmdk, vdi]
    default: auto
  max_size_gib:
    description:
      - The largest disk that is accepted, in GiB. The default is the limit in Azure's documents for Linux images;
        an OS disk may have 4095 GiB, a data disk 32767 GiB.
    type: int
    default: 1023
  min_size_mib:
    description:
      - The smallest disk that is accepted, in MiB, after rounding up. Azure takes no disk below 20 MiB.
    type: int
    default: 20
  fix_gpt:
    description:
      - When the image is written anyway, move the backup GPT to the end of the disk and correct the sizes that the
        primary GPT and the protective MBR state. Both copies must be sound; a damaged table is left alone, with a
        warning. A valid VHD whose backup GPT lies elsewhere is not written for that alone.
      - With V(false) the disk's own bytes are never changed, and a table for sectors of 4096 bytes, which Azure does
        not present, or one that shows the image to be truncated, is no reason to refuse.
    type: bool
    default: true
  allow_backing_file:
    description:
      - Accept an image that names other files to read, such as a backing file, an external data file or the extents of
        a VMDK. By default it is refused, since such an image can pull any file of this machine into the disk.
    type: bool
    default: false
  repair:
    description:
      - Accept a fixed VHD whose footer is damaged or disagrees with the length of the file. The length then counts.
      - Accept a dynamic VHD whose last footer is damaged or missing. The copy at its beginning then counts, and every
        block must still be in the file.
    type: bool
    default: false
  overwrite:
    description:
      - Whether a O(dest) that is not up to date is replaced. With V(false) that is an error.
    type: bool
    default: true
  uuid:
    description:
      - The unique ID of a VHD that is newly made, as 32 hexadecimal digits, with or without hyphens.
      - By default a raw disk gets a random one in place. A O(dest) gets one that follows from the source and its state.
        A VHD keeps its own in place, whatever this option says.
    type: str
  lock_timeout:
    description:
      - How long to wait, in seconds, for an image that somebody has open. V(0) tries once.
    type: float
    default: 2
  qemu_img:
    description:
      - The C(qemu-img) program. Needed only for VHDX, qcow2, VMDK and VDI.
    type: path
    default: qemu-img
  progress_file:
    description:
      - A file that, during a copy, holds one line of JSON with C(done_bytes), C(total_bytes) and C(percent). It is
        written at most once a second and removed at the end.
    type: path
extends_documentation_fragment:
  - ansible.builtin.files
  - linuxvhd.azure.attributes
attributes:
  check_mode:
    support: full
    details: The image is read, nothing is written. For a format that needs C(qemu-img) the partition table is not read.
  diff_mode:
    support: full
  idempotent:
    support: full
  safe_file_operations:
    support: full
notes:
  - How an up to date O(dest) is known. Its UUID follows from the inode number, size, modification and change time of
    O(path), and its own modification time is that of O(path). Both must match. Where that cannot tell (a given
    O(uuid), the environment variable E(SOURCE_DATE_EPOCH), a block device) the content is compared; an image that needs
    C(qemu-img) is then always converted again.
  - With E(SOURCE_DATE_EPOCH) the footer's time stamp is that time, and the UUID follows from the content.
  - Mode, owner and group are set before O(dest) gets its name. Without them a new O(dest) gets the mode of O(path).
  - A dynamic VHD is read by this module itself. C(qemu-img) up to version 9 loses the end of some of them.
  - docs/vhd_align.md tells which states a power cut can leave, and all that is refused.
seealso:
  - name: Prepare Linux for imaging in Azure
    description: The size and format that Azure asks for.
    link: https://learn.microsoft.com/azure/virtual-machines/linux/create-upload-generic
"""

EXAMPLES = r"""
- name: Make the disk of a virtual machine that is off a fixed VHD, in place
  linuxvhd.azure.vhd_align:
    path: /var/lib/libvirt/images/web1.raw

- name: Convert a qcow2 image
  linuxvhd.azure.vhd_align:
    path: /var/lib/libvirt/images/web1.qcow2
    dest: /srv/images/web1.vhd
    mode: "0640"

- name: Wait up to five minutes for the virtual machine to let go of its disk
  linuxvhd.azure.vhd_align:
    path: /var/lib/libvirt/images/web1.raw
    format: raw
    lock_timeout: 300
"""

RETURN = r"""
path:
  description: The fixed VHD, which is O(dest), or O(path) in place.
  returned: success
  type: str
  sample: /srv/images/web1.vhd
method:
  description:
    - How it was done. V(none), the result was there already; V(in_place); V(copy) of a raw disk or fixed VHD;
      V(convert) of another format.
  returned: success
  type: str
  sample: in_place
format:
  description: What the input is.
  returned: success
  type: str
  sample: raw
subformat:
  description: V(fixed) or V(dynamic) for a VHD, the kind that the image names for other formats, or empty.
  returned: success
  type: str
  sample: ""
size_before_bytes:
  description: The size of the disk in the input.
  returned: success
  type: int
  sample: 8590241792
virtual_size_bytes:
  description: The size of the disk in the VHD, a whole number of MiB.
  returned: success
  type: int
  sample: 8590983168
file_size_bytes:
  description: The length of the VHD, which is what an upload has to announce. It is the virtual size plus 512.
  returned: success
  type: int
  sample: 8590983680
grown_by_bytes:
  description: How much the disk has grown by rounding up.
  returned: success
  type: int
  sample: 741376
bytes_written:
  description: What this module wrote by itself, 0 in check mode. Blocks shared with the source, and what C(qemu-img)
    wrote, are not counted.
  returned: success
  type: int
  sample: 17920
footer:
  description: The footer of the VHD.
  returned: success
  type: dict
  contains:
    cookie:
      description: The footer's first eight bytes.
      type: str
      returned: success
      sample: conectix
    disk_type:
      description: Always V(fixed).
      type: str
      returned: success
      sample: fixed
    current_size:
      description: The size of the disk in bytes.
      type: int
      returned: success
      sample: 8590983168
    original_size:
      description: The size at its creation in bytes.
      type: int
      returned: success
      sample: 8590983168
    geometry:
      description: C(cylinders), C(heads) and C(sectors), by the specification's algorithm.
      type: dict
      returned: success
      sample: {"cylinders": 16646, "heads": 16, "sectors": 63}
    creator_app:
      description: Who wrote it. This module writes C(win ), with which every C(qemu) reads the true size.
      type: str
      returned: success
      sample: "win "
    creator_host_os:
      description: The system it was written on, as the footer says.
      type: str
      returned: success
      sample: Wi2k
    timestamp:
      description: Its creation, in seconds since 1970.
      type: int
      returned: success
      sample: 1790000000
    uuid:
      description: Its unique ID.
      type: str
      returned: success
      sample: 4f3c8d1e-0b5a-4c36-9a55-0a3f0f6f8f11
    checksum:
      description: Its checksum in hexadecimal.
      type: str
      returned: success
      sample: ffffe8a9
gpt:
  description: The partition table.
  returned: success
  type: dict
  contains:
    present:
      description: Whether the disk has a GPT. Where it has none, there are no further keys.
      type: bool
      returned: success
      sample: true
    sector_size:
      description: The size of a sector that the table is laid out for.
      type: int
      returned: when a GPT is present
      sample: 512
    valid:
      description: Whether the primary copy is sound.
      type: bool
      returned: when a GPT is present
      sample: true
    backup_at_end:
      description: Whether the backup copy is at the end of the disk, after this run.
      type: bool
      returned: when a GPT is present
      sample: true
    relocated:
      description: Whether this run moved it there.
      type: bool
      returned: when a GPT is present
      sample: true
lock:
  description:
    - How the input was kept from others. V(lease) sees every user on this machine; V(exclusive) is that of a block
      device; V(scan) is the best to be had on file systems without leases, such as NFS.
  returned: success
  type: str
  sample: lease
reasons:
  description: Why something had to be done. Empty when nothing had to.
  returned: success
  type: list
  elements: str
  sample: ["is a raw disk without a footer"]
actions:
  description: What was written where, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["write the footer: 512 bytes at offset 8590983168 of /srv/images/web1.raw"]
locked_by:
  description: Who has the image open; a loop device or a mount has the process ID 0.
  returned: when the image is in use
  type: list
  elements: dict
  sample: [{"pid": 1234, "command": "qemu-system-x86"}]
would:
  description: In check mode, the result that there would be once nobody has the image open.
  returned: when the image is in use, in check mode
  type: dict
  sample: {"method": "in_place", "virtual_size_bytes": 8590983168}
"""

import os
import re
from typing import Any, Dict, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align, detect, progress


def argument_spec() -> Dict[str, Any]:
    return {
        "path": {"type": "path", "required": True},
        "dest": {"type": "path"},
        "format": {"type": "str", "choices": ["auto"] + list(detect.FORMATS), "default": "auto"},
        "max_size_gib": {"type": "int", "default": 1023},
        "min_size_mib": {"type": "int", "default": 20},
        "fix_gpt": {"type": "bool", "default": True},
        "allow_backing_file": {"type": "bool", "default": False},
        "repair": {"type": "bool", "default": False},
        "overwrite": {"type": "bool", "default": True},
        "uuid": {"type": "str"},
        "lock_timeout": {"type": "float", "default": 2},
        "qemu_img": {"type": "path", "default": "qemu-img"},
        "progress_file": {"type": "path"},
    }


def parse_uuid(text: Optional[str]) -> Optional[bytes]:
    """A UUID as 16 bytes in the order it is written; None where none is given."""
    if not text:
        return None
    digits = text.strip().strip("{}").replace("-", "")
    if not re.match("^[0-9a-fA-F]{32}$", digits):
        raise AzurePrepError("uuid must be 32 hexadecimal digits, with or without hyphens; it is %r." % text)
    return bytes(bytearray.fromhex(digits))


def source_date_epoch() -> Optional[int]:
    """SOURCE_DATE_EPOCH of the environment, in Unix seconds (reproducible-builds.org)."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isdigit():
        raise AzurePrepError("SOURCE_DATE_EPOCH must be a number of seconds since 1970; it is %r." % text)
    return int(text)


def options_of(params: Dict[str, Any]) -> align.Options:
    values = {name: params[name] for name in argument_spec() if params[name] is not None and name != "uuid"}
    for name in ("path", "dest", "progress_file"):
        if values.get(name):
            values[name] = os.path.abspath(values[name])
    return align.Options(uuid=parse_uuid(params["uuid"]), source_date_epoch=source_date_epoch(), **values)


def run(module: AnsibleModule, host: Host) -> Dict[str, Any]:
    options = options_of(module.params)

    def finish(path: str) -> None:
        module.set_fs_attributes_if_different(module.load_file_common_arguments(module.params, path=path), False)

    with progress.Report(options.progress_file, module.log) as report:
        result = align.run(options, host, module.check_mode, finish, report=report)
    for warning in result.pop("warnings"):
        module.warn(warning)
    if os.path.exists(result["path"]):
        attributes = module.load_file_common_arguments(module.params, path=result["path"])
        result["changed"] = module.set_fs_attributes_if_different(attributes, result["changed"])
    return result


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), add_file_common_args=True, supports_check_mode=True)
    try:
        module.exit_json(**run(module, Host("/")))
    except AzurePrepError as exc:
        exc.details.get("would", {}).pop("warnings", None)
        module.fail_json(msg=str(exc), **exc.details)


if __name__ == "__main__":
    main()
