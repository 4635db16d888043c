#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switch on the repositories that have the Azure Linux agent."""

DOCUMENTATION = r"""
---
module: azure_repositories
short_description: Switch on the repositories that have the Azure Linux agent
description:
  - Switches on what Azure's documents name for a distribution and what is off - the extras of RHEL 6 and 7 (rule
    REPO-01), the addons of Oracle Linux 6 and 7 (REPO-03), the Public Cloud module of SLES 12 and 15 (REPO-05), OSS and
    updates of openSUSE (REPO-06). On other systems, and where the agent is there already, it does nothing.
  - A repository that is configured is switched on in its file. One that comes with a subscription is asked for by
    C(subscription-manager) or C(SUSEConnect), where the system is registered; else a warning says what to do.
  - Registers nothing and adds no repository.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
"""

EXAMPLES = r"""
- name: Switch on the repositories that have the agent
  linuxvhd.azure.azure_repositories:
"""

RETURN = r"""
enabled:
  description: The repositories or modules that were switched on, or would be.
  returned: success
  type: list
  elements: str
  sample: [ol7_addons]
commands:
  description: The commands that were run for this, or would be.
  returned: success
  type: list
  elements: str
  sample: [SUSEConnect -p sle-module-public-cloud/15.5/x86_64]
backup_files:
  description: Copies of the old files.
  returned: success
  type: list
  elements: str
  sample: [/var/backups/linuxvhd-azure/etc/yum.repos.d/public-yum-ol7.repo.20260102T030405Z~]
"""

import platform
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits, repositories
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish

#: Both tools ask their vendor's server (seconds).
TIMEOUT = 600


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {"root": {"type": "path", "default": "/"}}


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Switch them on; see RETURN for the result."""
    plan = repositories.plan(host, platform.machine())
    result = repositories.report(plan)
    backups: List[str] = []
    if not check_mode:
        backups = edits.apply(host, plan.changes) if plan.changes else []
        for command in plan.commands:
            host.run(command, timeout=TIMEOUT)
    result["backup_files"] = backups
    return result


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
