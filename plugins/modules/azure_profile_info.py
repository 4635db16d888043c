#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell what a system is and what Azure wants of it."""

DOCUMENTATION = r"""
---
module: azure_profile_info
short_description: Tell what a system is and what Azure wants of it
description:
  - Reads in one call what the roles need to know - family and release, architecture, VM generation, the
    vendor's values for it, what is installed and which units exist - and changes nothing.
  - An unknown release of a known family gets the values of the nearest one; an unknown family is V(generic).
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes
  - linuxvhd.azure.attributes.root
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
  safe_file_operations:
    support: N/A
    details: Writes nothing.
options:
  family:
    description: Take the values of this family instead of the one that os-release names.
    type: str
    choices: [redhat, debian, ubuntu, suse, generic]
  provisioner:
    description: Who shall provision. Without it the documented choice for the release.
    type: str
    choices: [cloud-init, waagent, agentless]
  query_packages:
    description: Whether the package manager is asked which of the missing packages it offers. This may take seconds.
    type: bool
    default: false
  kernel_package:
    description: Whether the vendor's kernel for clouds counts among the wanted packages.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look at the system
  linuxvhd.azure.azure_profile_info:
  register: azure

- name: Show the generation of the VM
  ansible.builtin.debug:
    msg: "{{ azure.pretty_name }} is a generation {{ azure.generation }} VM of family {{ azure.family }}."
"""

RETURN = r"""
pretty_name:
  description: The system by its own name.
  returned: success
  type: str
  sample: Debian GNU/Linux 12 (bookworm)
family:
  description: One of redhat, debian, ubuntu, suse, generic.
  returned: success
  type: str
  sample: debian
version:
  description: The release whose values are used.
  returned: success
  type: list
  elements: int
  sample: [12]
note:
  description: Why these are not the values of the system's own release; empty where they are.
  returned: success
  type: str
  sample: ""
architecture:
  description: The machine's architecture.
  returned: success
  type: str
  sample: x86_64
kernel:
  description: The release of the running kernel.
  returned: success
  type: str
  sample: 6.1.0-18-amd64
generation:
  description: V2 for a system that was started by UEFI, else V1 (rule DISK-15).
  returned: success
  type: str
  sample: V1
provisioner:
  description: Who shall provision, one of cloud-init, waagent, agentless.
  returned: success
  type: str
  sample: cloud-init
administrator:
  description: Whether the module ran as root.
  returned: success
  type: bool
  sample: true
container:
  description: Whether the system is a container.
  returned: success
  type: bool
  sample: false
read_only_root:
  description: Whether the root file system cannot be written.
  returned: success
  type: bool
  sample: false
systemd:
  description: Whether systemd manages the services.
  returned: success
  type: bool
  sample: true
boot_id:
  description: The kernel's identity of this boot, the same for two connections to one machine.
  returned: success
  type: str
  sample: 7a4c1f0e-6b0c-4a55-8ad1-0a3d4e3f2b1c
primary_interface:
  description: The interface of the default route, else that of the SSH connection, else the only card.
  returned: success
  type: str
  sample: ens3
package_manager:
  description: One of apt, dnf, yum, zypper; empty for none of them.
  returned: success
  type: str
  sample: apt
packages_missing:
  description: Wanted packages that are not installed and that must be.
  returned: success
  type: list
  elements: str
  sample: [waagent, cloud-init]
packages_missing_optional:
  description: Wanted packages that are not installed; with O(query_packages) only those that can be had.
  returned: success
  type: list
  elements: str
  sample: [hyperv-daemons, gdisk]
packages_required:
  description: Packages that the chosen provisioner cannot do without.
  returned: success
  type: list
  elements: str
  sample: [waagent, cloud-init, openssh-server, sudo]
packages_optional:
  description: Packages that are wanted where the repositories offer them.
  returned: success
  type: list
  elements: str
  sample: [hyperv-daemons, chrony, gdisk]
packages_by_purpose:
  description: The wanted packages by purpose.
  returned: success
  type: dict
  sample: {"agent": ["waagent"]}
units:
  description: The system's units by purpose, with their state.
  returned: success
  type: dict
  sample: {"agent": {"walinuxagent.service": "enabled"}}
units_to_enable:
  description: Units by purpose that should start at boot and do not yet.
  returned: success
  type: dict
  sample: {"agent": ["walinuxagent.service"], "ssh": []}
installed:
  description: Which parts are there, by their configuration file or command.
  returned: success
  type: dict
  sample: {"agent": true, "cloud_init": true, "chrony": false, "ssh": true, "sudo": true, "initramfs_tools": true}
cloud_init_version:
  description: The installed version of cloud-init; empty where there is none.
  returned: success
  type: str
  sample: 22.4.2
agent_leftovers:
  description: Files and directories that the agent's package leaves behind and that are there.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/waagent]
agentless_files:
  description: The program and units of an agentless choice (NOAGENT-05) that exist, in the order to remove them.
  returned: success
  type: list
  elements: str
  sample: []
other_clocks:
  description: Enabled services besides chrony that would set the clock.
  returned: success
  type: list
  elements: str
  sample: [systemd-timesyncd.service]
rtc_local:
  description: Whether the hardware clock is said to run in local time, which Azure's does not.
  returned: success
  type: bool
  sample: false
wait_online_units:
  description: Units that make C(network-online.target) wait for the network managers in use.
  returned: success
  type: list
  elements: str
  sample: [systemd-networkd-wait-online.service]
cmdline_root:
  description: The root argument by UUID, where a boot entry names the disk by its id or by a kernel name such as
    C(/dev/vda1), which is another one on Azure (rule DISK-13); else empty.
  returned: success
  type: list
  elements: str
  sample: []
cmdline_extra_remove:
  description: Arguments of the running kernel and of the boot entries that stand against a rule and are not among
    the vendor's values.
  returned: success
  type: list
  elements: str
  sample: ["cloud-init=disabled", "modprobe.blacklist=udf,nouveau"]
cmdline_extra_set:
  description: What stays of a removed list of banned drivers.
  returned: success
  type: list
  elements: str
  sample: ["modprobe.blacklist=nouveau"]
cmdline_names:
  description: C(net.ifnames=0), where the network is configured by the card's name and that is not C(eth0), or will
    not be once nothing pins it (rule BOOT-05); else empty.
  returned: success
  type: list
  elements: str
  sample: ["net.ifnames=0"]
vendor:
  description: The vendor's values that roles use (cmdline_set, cmdline_remove, waagent_settings and others).
  returned: success
  type: dict
  sample: {"serial_device": "ttyS0", "resource_mount_point": "/mnt/resource"}
warnings:
  description: What a user should know before the system is prepared.
  returned: when there are any
  type: list
  elements: str
  sample: []
"""

import os
import platform
import re
from typing import Any, Dict, List, Sequence, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import (
    chrony_conf,
    cloudinit_plan,
    fstab,
    modprobe,
    network,
    packages,
    profiles,
    sshd_config,
    units,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import loaders as bootloaders
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish

#: Purposes whose packages a provisioner needs; the rest is wanted for every image.
BY_PROVISIONER = {
    "cloud-init": ("agent", "cloud_init", "growpart", "gdisk"),
    "waagent": ("agent", "gdisk"),
    "agentless": ("curl",),
}
ALWAYS = ("ssh", "sudo", "eject", "hyperv_daemons", "chrony", "vm_utils")

#: NOAGENT-03: what the agent's package leaves behind.
AGENT_FILES = ("/var/lib/waagent", "/etc/waagent.conf", "/etc/waagent.conf.rpmsave", "/var/log/waagent.log")

#: NOAGENT-05: what an agentless choice installs, links before the units that they name.
AGENTLESS_FILES = (
    "/etc/systemd/system/multi-user.target.wants/azure-provisioning-early.service",
    "/etc/systemd/system/multi-user.target.wants/azure-provisioning.service",
    "/etc/systemd/system/azure-provisioning-early.service",
    "/etc/systemd/system/azure-provisioning.service",
    "/usr/local/sbin/azure-provisioning",
)

#: A network manager and the unit that waits for it.
WAIT_ONLINE = (
    ("systemd-networkd.service", "systemd-networkd-wait-online.service"),
    ("NetworkManager.service", "NetworkManager-wait-online.service"),
)


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {
        "root": {"type": "path", "default": "/"},
        "family": {"type": "str", "choices": ["redhat", "debian", "ubuntu", "suse", "generic"]},
        "provisioner": {"type": "str", "choices": ["cloud-init", "waagent", "agentless"]},
        "query_packages": {"type": "bool", "default": False},
        "kernel_package": {"type": "bool", "default": False},
    }


def wanted_packages(
    profile: profiles.Profile, provisioner: str, kernel: bool, dhcp_client: bool = False
) -> Dict[str, List[str]]:
    """Package names by purpose."""
    purposes = list(BY_PROVISIONER[provisioner]) + list(ALWAYS)
    if provisioner == "cloud-init":
        purposes.append("netplan")
    if dhcp_client:
        purposes.append("dhcp_client")
    if kernel:
        purposes.append("kernel")
    return {purpose: list(profile.packages[purpose]) for purpose in purposes if profile.packages[purpose]}


def unit_states(host: Host, profile: profiles.Profile) -> Dict[str, Dict[str, str]]:
    """The units that exist, by purpose."""
    found: Dict[str, Dict[str, str]] = {}
    for purpose, names in profile.units.items():
        states = {name: units.state(host, name) for name in names}
        present = {name: state for name, state in states.items() if state != "absent"}
        if purpose not in ("cloud_init", "hyperv_daemons", "network") and present:
            # Several names of one service: what is enabled counts, else the first.
            enabled = [name for name, state in present.items() if state == "enabled"]
            first = (enabled or list(present))[0]
            present = {first: present[first]}
        found[purpose] = present
    return found


#: Arguments that tie the machine to a card, an address or another cloud's datasource.
_TIED = (
    r"^BOOTIF=",
    r"^ifname=.*:[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$",
    # A datasource by argument beats datasource_list (ds-identify, cloud-init 23.1 and newer).
    r"(?i)^(ds|ci\.ds|ci\.datasource)=(?!azure)",
    r"^ip=(\d+\.\d+|\[?[0-9A-Fa-f]+:[0-9A-Fa-f:]*:)",
)


def present_arguments(host: Host) -> Tuple[List[str], List[str]]:
    """The arguments of the running kernel, and those of all boot entries; the latter empty where none can be read."""
    running = host.read("/proc/cmdline", "").split()
    try:
        return running, [argument for entry in bootloaders.read_entries(host) for argument in entry.arguments]
    except AzurePrepError:
        # Whoever changes the boot loader says why it cannot be read; here the running kernel's line has to do.
        return running, []


def against_rules(arguments: Sequence[str], profile: profiles.Profile) -> Tuple[List[str], List[str]]:
    """(arguments that stand against a rule, what stays of them).

    KERN-06 to KERN-09: drivers that Azure needs leave a list of banned ones. CINIT-10: cloud-init must run.
    NET-01: no fixed address and no card pinned by its MAC address (dracut.cmdline(7)).
    """
    remove, keep = [], []
    wanted = {modprobe.normalise(name) for name in profile.modprobe_allow}
    for word in arguments:
        key, _sep, value = word.partition("=")
        key = key.replace("-", "_")
        names = value.split(",")
        left = [name for name in names if modprobe.normalise(name) not in wanted]
        if key in ("modprobe.blacklist", "module_blacklist", "rd.driver.blacklist") and len(left) < len(names):
            remove.append(word)
            keep += ["%s=%s" % (word.partition("=")[0], ",".join(left))] if left else []
        elif word == "cloud-init=disabled" or any(re.match(pattern, key + "=" + value) for pattern in _TIED):
            remove.append(word)
    return remove, keep


def root_by_uuid(host: Host, arguments: Sequence[str]) -> List[str]:
    """DISK-13: root=UUID= where a boot entry names the root device as only this machine does; else empty.

    Empty too where the entries boot from several devices: one argument for all of them would be wrong then.
    """
    uuids = {host.resolve("/dev/disk/by-uuid/" + name): name for name in host.listdir("/dev/disk/by-uuid")}
    devices = set()
    passing = False
    for word in arguments:
        key, _sep, value = word.partition("=")
        if key != "root":
            continue
        tag, _sep, name = value.partition("=")
        if tag.upper() in ("UUID", "LABEL", "PARTUUID", "PARTLABEL"):
            value = "/dev/disk/by-%s/%s" % (tag.lower(), name.strip('"'))
        elif fstab.is_volatile(value) or value.startswith(("/dev/disk/by-id/", "/dev/disk/by-path/")):
            passing = True
        devices.add(host.resolve(value))
    if not passing or len(devices) != 1:
        return []
    uuid = uuids.get(devices.pop())
    return ["root=UUID=" + uuid] if uuid else []


def wait_online(host: Host) -> List[str]:
    """The units that make network-online.target mean something, for the network managers in use."""
    return [
        wait
        for manager, wait in WAIT_ONLINE
        if units.state(host, manager) == "enabled" and units.state(host, wait) != "absent"
    ]


def other_clocks(host: Host) -> List[str]:
    """Enabled services that would set the clock beside chrony (TIME-03)."""
    return [name for name in chrony_conf.OTHER_CLOCKS if units.state(host, name) == "enabled"]


def login_limits(host: Host) -> List[str]:
    """A sentence where sshd lets in nobody but users whom Azure does not know, or listens where nobody calls."""
    directives = sshd_config.flatten_host(host)
    found = []
    for keyword, shown in (("allowusers", "AllowUsers"), ("allowgroups", "AllowGroups")):
        value = sshd_config.effective(directives, keyword)
        if value is not None and "*" not in value.split():
            found.append(
                "sshd lets in %s %s only. The user that Azure makes can log in only if that list names it: add it, or "
                "take the line out before the capture." % (shown, value)
            )
    addresses = sshd_config.fixed_addresses(directives)
    if addresses:
        found.append(
            "sshd listens on %s only. A VM on Azure has another address, and nobody could log in: take ListenAddress "
            "out before the capture." % ", ".join(addresses)
        )
    return found


def read_only(host: Host) -> bool:
    """Whether the root file system refuses writes, by its mount flags."""
    return bool(os.statvfs(host.root).f_flag & os.ST_RDONLY)


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Look at the system; see RETURN for the result."""
    release = host.os_release()
    machine = platform.machine()
    profile = profiles.select(release, machine, params["family"])
    provisioner = params["provisioner"] or profile.provisioner
    wanted = wanted_packages(profile, provisioner, params["kernel_package"], network.lacks_dhcp_client(host))
    names = [name for group in wanted.values() for name in group]
    present = packages.installed(host, names)
    required = [n for key, group in wanted.items() if key not in profile.packages_optional for n in group]
    optional = [n for key, group in wanted.items() if key in profile.packages_optional for n in group]
    missing = [name for name in required if name not in present]
    missing_optional = [name for name in optional if name not in present]
    if params["query_packages"]:
        missing_optional = packages.available(host, missing_optional)
    states = unit_states(host, profile)
    version = ".".join(str(part) for part in cloudinit_plan.version(host))
    running, booting = present_arguments(host)
    unwanted, left = against_rules(list(dict.fromkeys(running + booting)), profile)
    settings = dict(profile.waagent_settings["common"])
    settings.update(profile.waagent_settings.get(provisioner, {}))
    warnings = [profile.note] if profile.note else []
    warnings += login_limits(host)
    primary = network.primary_interface(host)
    names, sentences = network.old_names(host, primary)
    warnings += sentences
    if machine not in ("x86_64", "aarch64"):
        warnings.append("Azure runs x86_64 and aarch64 only, not %s (rule DISK-14)." % machine)
    return {
        "changed": False,
        "pretty_name": release.pretty_name or "an unnamed system",
        "family": profile.family,
        "version": list(profile.version),
        "note": profile.note,
        "architecture": machine,
        "kernel": platform.release(),
        "generation": "V2" if host.is_dir("/sys/firmware/efi") else "V1",
        "provisioner": provisioner,
        "administrator": os.geteuid() == 0,
        "container": units.is_container(host),
        "read_only_root": read_only(host),
        "systemd": host.is_dir("/run/systemd/system") or bool(host.which("systemctl")),
        "boot_id": host.read("/proc/sys/kernel/random/boot_id", "").strip(),
        "primary_interface": primary,
        "package_manager": packages.manager(host),
        "packages_missing": missing,
        "packages_missing_optional": missing_optional,
        "packages_by_purpose": wanted,
        "packages_required": required,
        "packages_optional": optional,
        "units": states,
        "units_to_enable": {
            purpose: [name for name, state in group.items() if state in ("disabled", "masked")]
            for purpose, group in states.items()
        },
        "installed": {
            "agent": host.is_file(profile.paths["waagent_conf"]) or bool(host.which("waagent")),
            "cloud_init": host.is_dir("/etc/cloud") and bool(host.which("cloud-init")),
            "chrony": bool(host.which("chronyd")),
            "ssh": bool(host.which("sshd")),
            "sudo": bool(host.which("sudo")),
            # Not the command update-initramfs: Debian's dracut brings one too.
            "initramfs_tools": host.is_dir("/etc/initramfs-tools/scripts/init-premount"),
        },
        "other_clocks": other_clocks(host),
        "rtc_local": "LOCAL" in host.read("/etc/adjtime", "").split("\n"),
        "cloud_init_version": version,
        "agent_leftovers": [path for path in AGENT_FILES if host.exists(path)],
        "agentless_files": [path for path in AGENTLESS_FILES if host.exists(path) or host.is_link(path)],
        "wait_online_units": wait_online(host),
        "cmdline_root": root_by_uuid(host, booting or running),
        "cmdline_extra_remove": unwanted,
        "cmdline_extra_set": left,
        "cmdline_names": names,
        "vendor": {
            "cmdline_set": profile.cmdline_set,
            "cmdline_remove": profile.cmdline_remove,
            "datasource_file": profile.datasource_file,
            "apply_network_config": profile.apply_network_config,
            "initrd_required": list(profile.initrd_required),
            "nvme_listed": profile.nvme_listed,
            "nvme_cmdline": list(profile.nvme_cmdline),
            "serial_device": profile.serial_device,
            "resource_mount_point": profile.resource_mount_point,
            "waagent_settings": settings,
            "agent_packages": list(profile.packages["agent"]),
            "paths": dict(profile.paths),
        },
        "warnings": warnings,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
