#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the boot loader where firmware without memory finds it."""

DOCUMENTATION = r"""
---
module: efi_fallback
short_description: Put the boot loader where firmware without memory finds it
description:
  - A VM on Azure starts with empty firmware variables, so a UEFI disk must carry its loader at the
    removable-media path C(\EFI\BOOT), rule DISK-16.
  - Copies the shim (or GRUB where there is no shim) of the installed distribution and the GRUB beside it, when
    that path is empty or holds an older copy that this module made.
  - Does nothing on a system that has no EFI system partition.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  esp:
    description: Where the EFI system partition is mounted. Without it the first of C(/boot/efi), C(/efi) and
      C(/boot) that holds a loader.
    type: path
"""

EXAMPLES = r"""
- name: DISK-16 | Put the loader at the fallback path
  linuxvhd.azure.efi_fallback:
"""

RETURN = r"""
esp:
  description: The mount point of the EFI system partition; empty where there is none.
  returned: success
  type: str
  sample: /boot/efi
copied:
  description: Target to source of what was copied, or would be.
  returned: success
  type: dict
  sample: {"/boot/efi/EFI/BOOT/BOOTX64.EFI": "/boot/efi/EFI/debian/shimx64.efi"}
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import efi
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {"root": {"type": "path", "default": "/"}, "esp": {"type": "path"}}


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Copy the loader; see RETURN for the result."""
    esp = params["esp"] or efi.find_esp(host)
    copies = efi.plan(host, esp) if esp else {}
    if copies and not check_mode:
        efi.apply(host, copies)
    return {
        "changed": bool(copies),
        "diff": [
            {"before": "", "after": "copy of %s\n" % source, "before_header": target, "after_header": target}
            for target, source in sorted(copies.items())
        ],
        "esp": esp,
        "copied": copies,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
