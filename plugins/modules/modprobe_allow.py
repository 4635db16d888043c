#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let drivers load that a blacklist keeps away."""

DOCUMENTATION = r"""
---
module: modprobe_allow
short_description: Let drivers load that a blacklist keeps away
description:
  - Takes the C(blacklist) lines, the C(install) lines that load nothing and the C(alias) lines that lead elsewhere
    out of the modprobe configuration for the given modules, rules KERN-06 to KERN-09. Hardening guides switch udf and
    vfat off this way, and then a VM on Azure cannot read its provisioning medium.
  - Takes C(kernel.modules_disabled) out of C(/etc/sysctl.conf) and C(sysctl.d) too. With it no driver loads once
    the system is up, the medium's among them; the running kernel loads none until it has booted again.
  - A file of the vendor below C(/usr/lib) is left alone; a file of the same name in C(/etc/modprobe.d) or
    C(/etc/sysctl.d) takes its place.
  - Leaves a note that the initramfs holds an old copy; the next run of M(linuxvhd.azure.initrd_hyperv) makes it anew.
  - Old files are kept outside C(/etc/modprobe.d), where a search for the module's name would find them.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  modules:
    description: The modules that must be able to load. Without it those that Azure needs.
    type: list
    elements: str
  blacklist:
    description: Modules that must not load by themselves. They are written to
      C(/etc/modprobe.d/azure-blacklist.conf). Without it the vendors' list (floppy).
    type: list
    elements: str
  family:
    description: The family whose values count. Without it the one that os-release names.
    type: str
    choices: [redhat, debian, ubuntu, suse, generic]
"""

EXAMPLES = r"""
- name: KERN-06 | Let the provisioning medium's drivers load
  linuxvhd.azure.modprobe_allow:

- name: Only udf, and no blacklist of our own
  linuxvhd.azure.modprobe_allow:
    modules: [udf]
    blacklist: []
"""

RETURN = r"""
blocked_before:
  description: The lines that kept a module from loading.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
    module:
      description: The module, with underscores; C(*) for a setting that keeps all from loading.
      type: str
    line:
      description: The line as written.
      type: str
  sample: [{"path": "/etc/modprobe.d/cis.conf", "module": "udf", "line": "install udf /bin/true"}]
backup_files:
  description: Copies of the old files.
  returned: success
  type: list
  elements: str
  sample: [/var/backups/linuxvhd-azure/etc/fstab.20260102T030405Z~]
"""

from typing import Any, Dict, List, Sequence

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits, modprobe, profiles
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import due
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish

BLACKLIST = "/etc/modprobe.d/azure-blacklist.conf"
HEADER = "# Written by the linuxvhd.azure collection: no VM on Azure has these devices.\n"


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {
        "root": {"type": "path", "default": "/"},
        "modules": {"type": "list", "elements": "str"},
        "blacklist": {"type": "list", "elements": "str"},
        "family": {"type": "str", "choices": list(profiles.RELEASES)},
    }


def _plan(host: Host, path: str, after: str, directories: Sequence[str]) -> List[edits.Change]:
    """The change that gives a file this text; one of the vendor's is hidden by a file in the first directory."""
    own = path.startswith(("/etc/", "/run/"))
    target = path if own else directories[0] + "/" + path.rsplit("/", 1)[1]
    # A file of which nothing but blanks is left goes; one of the vendor must stay hidden.
    stays = after.strip() or not own or path == modprobe.SYSCTL_CONF or modprobe.hides(host, path, directories)
    return edits.plan_file(host, target, after if stays else None)


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Let the modules load; see RETURN for the result."""
    profile = profiles.select(host.os_release(), family=params.get("family"))
    modules = profile.modprobe_allow if params["modules"] is None else params["modules"]
    unwanted = profile.modprobe_blacklist if params["blacklist"] is None else params["blacklist"]
    both = {modprobe.normalise(name) for name in modules} & {modprobe.normalise(name) for name in unwanted}
    if both:
        raise AzurePrepError("%s cannot be allowed and blacklisted at once." % ", ".join(sorted(both)))
    blocked = modprobe.blocked(host, modules)
    changes: List[edits.Change] = []
    for path in sorted({block.path for block in blocked}):
        after = modprobe.allow(host.read(path), modules)
        changes += _plan(host, path, after, modprobe.DIRECTORIES)
    disabled = modprobe.loading_disabled(host) if modules else []
    for path in sorted({block.path for block in disabled}):
        changes += _plan(host, path, modprobe.allow_loading(host.read(path)), modprobe.SYSCTL_DIRECTORIES)
    if unwanted:
        text = HEADER + "".join("blacklist %s\n" % name for name in unwanted)
        changes += edits.plan_file(host, BLACKLIST, text)
    backups: List[str] = []
    if changes and not check_mode:

        def verify() -> None:
            left = modprobe.blocked(host, modules) + (modprobe.loading_disabled(host) if modules else [])
            if left:
                raise AzurePrepError("%s still keeps %s from loading." % (left[0].path, left[0].module))

        note = due.note(host) if blocked or disabled else []
        backups = edits.apply(host, note + changes, verify=verify)
    return {
        "changed": bool(changes),
        "diff": edits.diffs(changes),
        "blocked_before": [block._asdict() for block in blocked + disabled],
        "backup_files": backups,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
