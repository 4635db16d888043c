#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module azure_audit: which of Azure's rules for Linux images does this system break, and why."""

DOCUMENTATION = r"""
module: azure_audit
short_description: Tell which of Azure's rules for Linux images a system breaks, and why
version_added: 0.1.0
description:
  - Looks at a Linux system, running or mounted, and judges it by every rule that Azure's documents, the Marketplace
    certification and Microsoft's own image tests lay on a guest.
  - Judges the state that counts, not one file that may not be read. SSH by C(sshd -T), the boot loader by the
    arguments of every entry and the running kernel's own, the initramfs by its content, swap by what is in use,
    modules by modprobe's whole configuration, cloud-init by its merged files and the agent by its parsed options.
  - Writes nothing, installs nothing and starts nothing. Each file is read and each command run at most once.
    Nothing of a mounted image is executed.
  - Works without root as far as it goes. What could not be looked at has the status C(unknown), never C(pass).
  - The catalogue of rules, with what is checked and which task puts each rule into force, is in docs/rules.md.
options:
  profile:
    description:
      - Which levels of rules are judged.
      - V(boot) judges the required ones, without which a VM does not boot or provision on Azure.
      - V(recommended) adds what the documents recommend, and optional features where they are used.
      - V(certification) adds what only the Marketplace checks ask for.
    type: str
    choices: [boot, recommended, certification]
    default: recommended
  waive:
    description:
      - Identifiers of rules that this image may break. Such a rule has the status C(waived), never C(pass).
      - An identifier that does not exist is an error.
    type: list
    elements: str
    default: []
  phase:
    description:
      - V(prepared) is a machine in use. What cannot be absent then and goes with the capture step (host keys, machine
        id, logs, leases) is C(not_applicable), and the evidence names it.
      - V(captured) is an image after the capture step. The same rules are then judged, and so is the account that the
        audit was started by.
    type: str
    choices: [prepared, captured]
    default: prepared
  features:
    description:
      - Optional features that the image shall have. Their rules are judged as if the feature were in use.
    type: list
    elements: str
    choices: [nvme, mana, hibernation, swap, grub_menu, sysrq]
    default: []
  provisioner:
    description:
      - Who provisions a VM made from the image. V(auto) takes what the system shows.
    type: str
    choices: [auto, cloud-init, waagent, agentless]
    default: auto
  family:
    description:
      - Judge by the rules of this family instead of the one that os-release names.
    type: str
    choices: [redhat, debian, ubuntu, suse, generic]
  account:
    description:
      - The account that is allowed to have a password, a key and a shell history until capture.
      - By default the one that the module was started by, before C(sudo) or C(doas).
    type: str
extends_documentation_fragment:
  - linuxvhd.azure.attributes
  - linuxvhd.azure.attributes.root
attributes:
  check_mode:
    support: full
    details: The module changes nothing in any mode.
  diff_mode:
    support: none
    details: There is nothing to show.
  idempotent:
    support: full
  safe_file_operations:
    support: full
    details: No file is written.
notes:
  - A rule that needs a running system is C(unknown) in a mounted image, and says so.
  - Evidence is shortened, and password hashes, keys and signatures are taken out of it.
seealso:
  - module: linuxvhd.azure.grub_azure_cmdline
  - module: linuxvhd.azure.initrd_hyperv
  - module: linuxvhd.azure.waagent_config
author:
  - The linuxvhd.azure contributors (@linuxvhd)
"""

EXAMPLES = r"""
- name: Look at a running system
  linuxvhd.azure.azure_audit:
  become: true
  register: audit

- name: Show what is not in order
  ansible.builtin.debug:
    msg: "{{ item.id }} {{ item.title }}: {{ item.evidence }}"
  loop: "{{ audit.findings | selectattr('status', 'equalto', 'fail') }}"
  loop_control:
    label: "{{ item.id }}"

- name: Look at a mounted image as the Marketplace would, LVM being known and wanted
  linuxvhd.azure.azure_audit:
    root: /mnt/image
    profile: certification
    phase: captured
    waive:
      - DISK-07
"""

RETURN = r"""
findings:
  description: One finding for every rule of the profile, in the order of the catalogue.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The rule.
      type: str
      sample: BOOT-01
    title:
      description: The rule in words.
      type: str
      sample: Kernel messages go to the first serial port (x86)
    level:
      description: How binding it is, V(required), V(recommended), V(certification) or V(optional).
      type: str
      sample: required
    phase:
      description: The step that puts it into force, V(prepare) or V(capture).
      type: str
      sample: prepare
    status:
      description: V(pass), V(fail), V(waived), V(not_applicable) or V(unknown).
      type: str
      sample: fail
    evidence:
      description: What was found and where, shortened, without secrets; of an unknown rule, why it could not be seen.
      type: str
      sample: "Debian GNU/Linux: no console=ttyS0"
    remedy:
      description: The task or the manual step that puts the rule into force.
      type: str
      sample: grub_azure_cmdline sets console=tty1 console=ttyS0,115200n8 on every boot entry.
    source:
      description: The documents that ask for it.
      type: str
      sample: Prepare Linux for imaging in Azure; Prepare a Red Hat-based virtual machine for Azure
summary:
  description: How many findings have each status.
  returned: always
  type: dict
  sample: {pass: 71, fail: 9, waived: 0, not_applicable: 40, unknown: 2}
ready:
  description: No rule of the profile fails, and every required one could be looked at.
  returned: always
  type: bool
  sample: false
blocking:
  description: The required rules that stand in the way of capture, failing or unknown, waived ones left out.
  returned: always
  type: list
  elements: str
  sample: [BOOT-01, INIT-02]
system:
  description: What the audit took the system for.
  returned: always
  type: dict
  sample:
    name: Debian GNU/Linux 12 (bookworm)
    family: debian
    architecture: x86_64
    kernel: 6.1.0-18-amd64
    provisioner: cloud-init
    account: ansible
    privileged: true
    note: ""
profile:
  description: The profile that was judged.
  returned: always
  type: str
  sample: recommended
"""

import os
import pwd
from typing import Any, Dict, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import engine
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import Context


def argument_spec() -> Dict[str, Any]:
    """The options, as AnsibleModule takes them."""
    return {
        "root": {"type": "path", "default": "/"},
        "profile": {"type": "str", "choices": ["boot", "recommended", "certification"], "default": "recommended"},
        "waive": {"type": "list", "elements": "str", "default": []},
        "phase": {"type": "str", "choices": ["prepared", "captured"], "default": "prepared"},
        "features": {
            "type": "list",
            "elements": "str",
            "choices": ["nvme", "mana", "hibernation", "swap", "grub_menu", "sysrq"],
            "default": [],
        },
        "provisioner": {"type": "str", "choices": ["auto", "cloud-init", "waagent", "agentless"], "default": "auto"},
        "family": {"type": "str", "choices": ["redhat", "debian", "ubuntu", "suse", "generic"]},
        "account": {"type": "str"},
    }


def caller() -> str:
    """The account behind this process: who called sudo or doas, else who it runs as."""
    for name in ("SUDO_USER", "DOAS_USER"):
        if os.environ.get(name):
            return os.environ[name]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


def told(context: Context, name: str) -> str:
    """A property of the system as text; "" where it cannot be told."""
    try:
        return str(getattr(context, name))
    except AzurePrepError:
        return ""


def run(params: Dict[str, Any], host: Host, check_mode: bool, context: Optional[Context] = None) -> Dict[str, Any]:
    """The result of the module; `context` is for tests."""
    if context is None:
        account = params["account"] if params["account"] is not None else caller() if host.is_live else ""
        context = Context(
            host, params["phase"], params["features"], account, params["provisioner"], family=params["family"] or ""
        )
    result = engine.audit(context, params["profile"], params["waive"])
    result["changed"] = False
    result["profile"] = params["profile"]
    result["system"] = {
        "name": context.release.pretty_name or context.release.id or "unknown",
        "family": context.family,
        "architecture": told(context, "architecture"),
        "kernel": context.running_kernel or ", ".join(context.kernels),
        "provisioner": told(context, "provisioner"),
        "account": context.account,
        "privileged": context.privileged,
        "note": context.profile.note if told(context, "architecture") else "",
    }
    return result


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
