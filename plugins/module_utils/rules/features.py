# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of features that only some images use: remote NVMe, MANA, hibernation, Secure Boot.

An optional rule speaks where its feature is asked for (option features) or visibly in use.

Private to the collection: its interface may change in any release.
"""

from typing import List

from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import kernel
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    Context,
    Outcome,
    Table,
    bad,
    dunno,
    join,
    na,
    ok,
    version,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.initrd import lacking

CHECKS = Table()

#: Timeout that remote NVMe wants (seconds).
NVME_TIMEOUT = "nvme_core.io_timeout=240"


def has_vm_utils(context: Context) -> bool:
    """Whether azure-vm-utils' rules are there and not masked."""
    return any(path.endswith("/80-azure-disk.rules") for path in context.udev_rules)


def _asked(context: Context, feature: str) -> bool:
    return feature in context.features


def _not_asked(feature: str) -> Outcome:
    return na("Not asked for (features: [%s])." % feature)


def nvme_configured(context: Context) -> bool:
    """NVMe is asked for, or somebody configured it on the kernel command line."""
    return _asked(context, "nvme") or any(
        argument.startswith("nvme_core.io_timeout=")
        for _name, arguments in context.command_lines
        for argument in arguments
    )


@CHECKS("NVME-01")
def nvme_supported(context: Context) -> Outcome:
    """With features: [nvme]: UEFI firmware and a release that Azure lists."""
    if not _asked(context, "nvme"):
        return _not_asked("nvme")
    if not context.is_uefi:
        return bad("remote NVMe needs generation 2 (UEFI); this machine starts by BIOS")
    name = context.release.pretty_name or context.release.id
    return ok(name) if context.profile.nvme_listed else bad("%s is not on Azure's list for remote NVMe" % name)


@CHECKS("NVME-02", "NVME-03", "NVME-04")
def nvme_in_initramfs(context: Context) -> Outcome:
    """With features: [nvme]: the list of files in every initramfs holds nvme and nvme-core, or they are built in."""
    if not _asked(context, "nvme"):
        return _not_asked("nvme")
    missing = lacking(context, context.images, ["nvme", "nvme_core"])
    return bad("missing: " + join(missing)) if missing else ok(join(image.path for image in context.images))


@CHECKS("NVME-05")
def nvme_timeout(context: Context) -> Outcome:
    """Where NVMe is asked for or configured: the timeout on every boot entry, or azure-vm-utils' udev rule."""
    if not nvme_configured(context):
        return _not_asked("nvme")
    lines = [
        (name, [a for a in arguments if a.startswith("nvme_core.io_timeout=")]) for name, arguments in context.entries
    ]
    wrong = ["%s: %s" % (name, join(found)) for name, found in lines if found and found[-1] != NVME_TIMEOUT]
    if wrong:
        return bad(join(wrong))
    if lines and all(found for _name, found in lines):
        return ok("%s on every boot entry" % NVME_TIMEOUT)
    if has_vm_utils(context):
        return ok("azure-vm-utils sets it by udev")
    return bad("no %s: %s" % (NVME_TIMEOUT, join(name for name, found in lines if not found)))


@CHECKS("NVME-06")
def nvme_drivers(context: Context) -> Outcome:
    """With features: [nvme]: modules.dep and modules.builtin of every kernel name nvme and nvme-core."""
    if not _asked(context, "nvme"):
        return _not_asked("nvme")
    missing = kernel.missing_modules(context, ("nvme", "nvme_core"))
    return bad("missing: " + join(missing)) if missing else ok(join(context.kernels))


@CHECKS("NVME-07")
def vm_utils(context: Context) -> Outcome:
    """80-azure-disk.rules of azure-vm-utils, where the distribution packages it."""
    if has_vm_utils(context):
        return ok("80-azure-disk.rules is installed")
    if not context.profile.packages.get("vm_utils"):
        return na("This release does not package azure-vm-utils.")
    return bad("azure-vm-utils is packaged for this release and not installed")


@CHECKS("NVME-08")
def storage_rules(context: Context) -> Outcome:
    """66-azure-storage.rules of the agent (or azure-vm-utils' rules) where the agent is installed."""
    found = [path for path in context.udev_rules if path.endswith("/66-azure-storage.rules")]
    if found:
        return ok(found[0])
    if has_vm_utils(context):
        return ok("azure-vm-utils makes the links")
    if not context.has_agent:
        return na("The agent is not installed.")
    return bad("66-azure-storage.rules is in no udev directory")


@CHECKS("FEAT-01")
def mana(context: Context) -> Outcome:
    """The driver mana in modules.dep or modules.builtin of every kernel; a failure only with features: [mana]."""
    missing = kernel.missing_modules(context, ("mana",))
    if not missing and context.kernels:
        return ok("mana in " + join(context.kernels))
    if not _asked(context, "mana"):
        return na("Not asked for (features: [mana]); %s" % join("no " + item for item in missing))
    return bad("missing: " + join(missing))


@CHECKS("FEAT-02")
def hibernation(context: Context) -> Outcome:
    """With features: [hibernation]: the package hibernation-setup-tool."""
    if not _asked(context, "hibernation"):
        return _not_asked("hibernation")
    package = context.installed("hibernation-setup-tool")
    return ok(package) if package else bad("hibernation-setup-tool is not installed")


@CHECKS("FEAT-03")
def signed_boot(context: Context) -> Outcome:
    """On UEFI: a shim among the packages or on the EFI partition."""
    if not context.is_uefi:
        return na("The machine starts by BIOS.")
    names = [
        name for name in context.packages if name == "shim" or name.startswith(("shim-signed", "shim-x64", "shim-aa64"))
    ]
    files = _shims(context)
    if names or files:
        return ok(join(names + files))
    return bad("no shim is installed; Trusted Launch with Secure Boot will not start this image")


def _shims(context: Context) -> List[str]:
    return context.glob("/boot/efi/EFI/*/shim*.efi", "/efi/EFI/*/shim*.efi", "/boot/efi/EFI/*/SHIM*.EFI")


@CHECKS("AGENT-13")
def fips(context: Context) -> Outcome:
    """fips=1 on the command line: agent 2.14.0.1 or newer; OS.EnableFIPS=y only in FIPS mode."""
    active = any("fips=1" in arguments for _name, arguments in context.command_lines)
    enabled = context.agent_setting("OS.EnableFIPS").lower() == "y"
    if not active:
        if enabled:
            return bad("/etc/waagent.conf: OS.EnableFIPS=y, but the system is not in FIPS mode")
        return na("The system is not in FIPS mode.")
    number = context.agent_version
    if not number:
        return dunno("FIPS mode is on; the agent's version could not be told.")
    text = ".".join(str(part) for part in number)
    return ok("agent " + text) if number >= version("2.14.0.1") else bad("FIPS mode is on with agent " + text)
