#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set an option of the SSH server where it counts."""

DOCUMENTATION = r"""
---
module: sshd_option
short_description: Set an option of the SSH server where it counts
description:
  - Gives an option of C(sshd_config) a value so that it is the effective one, rule SSH-02. The first value
    counts, and files in C(sshd_config.d) may come first, so every place outside C(Match) blocks gets the value.
  - Lines inside C(Match) blocks are exceptions of the administrator and stay.
  - C(sshd -t) and C(sshd -T) check the result; where they object, the old files are put back. The service is
    not reloaded.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  name:
    description: The option.
    type: str
    required: true
  value:
    description: The value.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: SSH-02 | Keep idle sessions alive
  linuxvhd.azure.sshd_option:
    name: ClientAliveInterval
    value: "180"
"""

RETURN = r"""
effective_before:
  description: The value that counted; empty where none was set.
  returned: success
  type: str
  sample: "300"
backup_files:
  description: Copies of the old files.
  returned: success
  type: list
  elements: str
  sample: [/var/backups/linuxvhd-azure/etc/fstab.20260102T030405Z~]
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits, guest, sshd_config
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {
        "root": {"type": "path", "default": "/"},
        "name": {"type": "str", "required": True},
        "value": {"type": "str", "required": True},
    }


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Set the option; see RETURN for the result."""
    name, value = params["name"].strip(), params["value"].strip()
    if not name.isalnum() or not value or "\n" in value:
        raise AzurePrepError(
            "%r %r is no option of sshd_config; give a keyword and a value on one line." % (name, value)
        )
    main_file = sshd_config.MAIN
    vendor = "/usr/etc/ssh/sshd_config"
    if not host.is_file(main_file) and host.is_file(vendor):
        # SUSE 16 ships its file below /usr/etc; a file in /etc takes its place as a whole.
        main_file = "/etc/ssh/sshd_config.d/60-azure.conf"
    elif not host.is_file(main_file):
        raise AzurePrepError("%s does not exist; install the SSH server first." % main_file)
    top = vendor if main_file != sshd_config.MAIN else main_file
    order = sshd_config.flatten_host(host, top)
    own = [entry for entry in order if not entry.path.startswith("/usr/")]
    texts = {path: host.read(path, "") for path in {entry.path for entry in own} | {main_file}}
    before = sshd_config.effective(order, name) or ""
    planned = sshd_config.plan(texts, own, name, value, main_file)
    changes = [change for path in sorted(planned) for change in edits.plan_file(host, path, planned[path], 0o600)]
    backups: List[str] = []
    if changes and not check_mode:
        worked = guest.sshd_accepts(host) == ""

        def verify() -> None:
            now = sshd_config.effective(sshd_config.flatten_host(host, top), name)
            if now != value:
                raise AzurePrepError("sshd would use %s %s, not %s; the files were put back." % (name, now, value))
            if worked:
                guest.expect_sshd(host, name, value)

        backups = edits.apply(host, changes, verify=verify)
    return {
        "changed": bool(changes),
        "diff": edits.diffs(changes),
        "effective_before": before,
        "backup_files": backups,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
