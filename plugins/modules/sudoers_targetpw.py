#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make sudo ask for the caller's own password."""

DOCUMENTATION = r"""
---
module: sudoers_targetpw
short_description: Make sudo ask for the caller's own password
description:
  - Takes C(targetpw), C(rootpw) and C(runaspw) out of the C(Defaults) of sudoers, and the rule C(ALL ALL=(ALL)
    ALL) that is safe only with them, rule ACC-01. Azure gives the administrator a key and no root password.
  - C(visudo -c) checks each file before it takes effect.
  - The connecting user is not locked out. Where that user had sudo only through these lines, or typed root's
    password until now, a rule for that user alone is written first, to a file below C(/etc/sudoers.d) or, where a
    later rule would win over it, to the end of C(/etc/sudoers). It goes when the image is deprovisioned.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  keep_user:
    description: The user that must keep sudo, usually the one that Ansible connects as. Without it the user who
      called sudo.
    type: str
"""

EXAMPLES = r"""
- name: ACC-01 | Ask for the caller's password
  linuxvhd.azure.sudoers_targetpw:
"""

RETURN = r"""
findings_before:
  description: The lines that were against the rule.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
    line:
      description: The statement, continued lines joined.
      type: str
  sample: [{"path": "/etc/sudoers", "line": "Defaults targetpw"}]
rule_file:
  description: The file with the rule for the connecting user; empty where none was needed.
  returned: success
  type: str
  sample: /etc/sudoers.d/azure-prep-admin
backup_files:
  description: Copies of the old files.
  returned: success
  type: list
  elements: str
  sample: [/var/backups/linuxvhd-azure/etc/fstab.20260102T030405Z~]
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits, guest, sudoers
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {"root": {"type": "path", "default": "/"}, "keep_user": {"type": "str"}}


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Take the lines out; see RETURN for the result."""
    found = []
    changes: List[edits.Change] = []
    paths = sudoers.files(host)
    known = sudoers.aliases([host.read(path) for path in paths])
    for path in paths:
        text = host.read(path)
        findings = sudoers.findings(text, known)
        found += [{"path": path, "line": finding.text} for finding in findings]
        if findings:
            # The vendor's main file gives way to one in /etc; for those that it includes there is no such place.
            target = sudoers.MAIN if path == sudoers.VENDOR else path
            changes += edits.plan_file(host, target, sudoers.plan(text, known), 0o440)
    rule_file = ""
    user = params["keep_user"] or guest.calling_user(host)
    if changes:
        changes, rule_file = guest.sudo_rule_change(host, user, changes)
    backups: List[str] = []
    if changes and not check_mode:
        for change in changes:
            guest.check_sudoers(host, change.path, change.after or "")
        # A policy that visudo refused before (a file's mode, say) is not ours to mend.
        worked = guest.sudoers_refusal(host) == ""
        let_in = guest.sudo_lets_in(host, user)

        def verify() -> None:
            if sudoers.policy_findings(host):
                raise AzurePrepError("sudoers still asks for another user's password; the files were put back.")
            refusal = guest.sudoers_refusal(host) if worked else ""
            if refusal:
                raise AzurePrepError("visudo refuses the changed policy, the old one was put back: %s" % refusal)
            keeps = user in ("", "root") or sudoers.needs_no_password(sudoers.policy(host), guest.caller_of(host, user))
            if not keeps or (let_in and not guest.sudo_lets_in(host, user)):
                raise AzurePrepError(
                    "sudo refuses the user %s under the changed policy, the old one was put back; give that user a"
                    " rule with NOPASSWD at the end of %s." % (user, sudoers.MAIN)
                )

        backups = edits.apply(host, changes, verify=verify)
    return {
        "changed": bool(changes),
        "diff": edits.diffs(changes),
        "findings_before": found,
        "rule_file": rule_file,
        "backup_files": backups,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
