#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let Ubuntu take its packages from Azure's mirror."""

DOCUMENTATION = r"""
---
module: ubuntu_azure_mirror
short_description: Let Ubuntu take its packages from Azure's mirror
description:
  - Replaces Ubuntu's own archive names in the apt sources by Azure's mirror, rule REPO-07, and tells cloud-init
    to keep it at the first boot, rule CINIT-09. Other sources stay.
  - Systems whose packages come from C(ports.ubuntu.com) stay as they are; the mirror has no packages for them.
  - The package lists are not fetched again, because the mirror may be out of reach from the build machine.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  mirror:
    description: The mirror.
    type: str
    default: http://azure.archive.ubuntu.com/ubuntu/
"""

EXAMPLES = r"""
- name: REPO-07 | Take packages from Azure's mirror
  linuxvhd.azure.ubuntu_azure_mirror:
"""

RETURN = r"""
sources:
  description: The source files that name the mirror now, or would.
  returned: success
  type: list
  elements: str
  sample: [/etc/apt/sources.list.d/ubuntu.sources]
backup_files:
  description: Copies of the old files.
  returned: success
  type: list
  elements: str
  sample: [/var/backups/linuxvhd-azure/etc/fstab.20260102T030405Z~]
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import apt_sources, edits
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {
        "root": {"type": "path", "default": "/"},
        "mirror": {"type": "str", "default": "http://azure.archive.ubuntu.com/ubuntu/"},
    }


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Replace the names; see RETURN for the result."""
    mirror = params["mirror"].rstrip("/") + "/"
    changes: List[edits.Change] = []
    named: List[str] = []
    for path in ["/etc/apt/sources.list"] + host.glob("/etc/apt/sources.list.d/*"):
        text = edits.read_optional(host, path)
        if text is None or not path.endswith((".list", ".sources")):
            continue
        after = apt_sources.use_mirror(text, mirror)
        changes += edits.plan_file(host, path, after)
        if mirror in after:
            named.append(path)
    if named and host.is_dir("/etc/cloud/cloud.cfg.d"):
        changes += edits.plan_file(host, apt_sources.CLOUD_FILE, apt_sources.cloud_text(mirror))
    backups: List[str] = [] if check_mode or not changes else edits.apply(host, changes)
    return {"changed": bool(changes), "diff": edits.diffs(changes), "sources": named, "backup_files": backups}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
