# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the kernels: drivers that exist, drivers that may be loaded, versions, options.

Private to the collection: its interface may change in any release.
"""

import re
from typing import List, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import modprobe
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    Context,
    Line,
    Outcome,
    Table,
    bad,
    dunno,
    join,
    na,
    ok,
    version,
)

CHECKS = Table()

#: Drivers that a VM on Hyper-V needs (KERN-01).
HYPERV = ("hv_vmbus", "hv_storvsc", "hv_netvsc", "hv_utils")

#: Everything of Hyper-V that a hardening policy could ban (KERN-09). Not its display: vendors ban the older of its two
#: drivers (hyperv_fb) themselves, and a VM on Azure has no screen.
HYPERV_ALL = HYPERV + (
    "hv_balloon",
    "hv_sock",
    "hid_hyperv",
    "hyperv_keyboard",
    "pci_hyperv",
    "pci_hyperv_intf",
)

#: Kernel arguments that keep a module from loading, with a comma-separated list of names.
_BAN_ARGUMENTS = ("module_blacklist=", "modprobe.blacklist=", "rd.driver.blacklist=")

#: Older kernels that vendors maintain themselves, with their own backports.
_VENDORS = ("redhat", "suse", "ubuntu", "debian")


def existing_kernels(context: Context) -> List[str]:
    """Installed kernels; without one (a container, an image without /boot) nothing can be said."""
    kernels = context.kernels
    if not kernels and context.running_kernel:
        return [context.running_kernel]
    return kernels


def missing_modules(context: Context, names: Sequence[str]) -> List[str]:
    """ "hv_netvsc of 6.1.0-13-amd64" for every module that a kernel has neither built in nor as a file."""
    found = []
    for kernel in existing_kernels(context):
        for name in names:
            if context.module(kernel, name) is None:
                found.append("%s of %s" % (name, kernel))
            elif context.module_file_gone(kernel, name):
                found.append("%s of %s (modules.dep names a file that is not there)" % (name, kernel))
    return found


def _built_in(context: Context, name: str) -> bool:
    """Whether every kernel has the driver built in; False where that cannot be told."""
    try:
        kernels = existing_kernels(context)
        return bool(kernels) and all(context.module(kernel, name) == "built in" for kernel in kernels)
    except AzurePrepError:
        # The tables only soften the judgement: without them every ban counts.
        return False


def banned(context: Context, names: Sequence[str]) -> List[str]:
    """Evidence of everything that keeps one of these modules from loading: modprobe.d and kernel arguments."""
    found = []
    # A ban of a driver that is built into every kernel has no effect.
    concerned = [name for name in names if not _built_in(context, name)]
    for block in modprobe.blocked(context.host, concerned):
        found.append('%s: "%s"' % (block.path, block.line))
    if concerned:
        found += loading_disabled(context)
    for entry, arguments in context.command_lines:
        for argument in arguments:
            for prefix in _BAN_ARGUMENTS:
                if argument.startswith(prefix):
                    hit = set(argument[len(prefix) :].replace("-", "_").split(",")) & set(concerned)
                    if hit:
                        found.append("%s: %s" % (entry, argument))
    return found


def loading_disabled(context: Context) -> List[str]:
    """Evidence that the kernel will load no module at all: kernel.modules_disabled, which cannot be taken back."""
    if context.live and (context.text("/proc/sys/kernel/modules_disabled") or "0").strip() == "1":
        return ["/proc/sys/kernel/modules_disabled: 1"]
    last: Optional[Line] = None
    files = modprobe.effective_files(context.host, modprobe.SYSCTL_DIRECTORIES)
    for path in files + [modprobe.SYSCTL_CONF]:
        for line in context.lines(path):
            if re.match(r"-?kernel[./]modules_disabled\s*=", line.text):
                last = line
    return [last.evidence] if last is not None and last.text.split("=", 1)[1].strip() == "1" else []


def loadable(context: Context, names: Sequence[str]) -> Outcome:
    """Fails where a module is banned or no kernel has it."""
    wrong = banned(context, names) + ["no " + item for item in missing_modules(context, names)]
    if wrong:
        return bad(join(wrong))
    kernels = existing_kernels(context)
    if not kernels:
        return dunno("No kernel is installed; nothing bans %s." % join(names))
    context.all_entries_seen()
    return ok("%s: not banned, present in %s" % (join(names), join(kernels)))


@CHECKS("KERN-01")
def hyperv_drivers(context: Context) -> Outcome:
    """modules.builtin and modules.dep of every installed kernel: hv_vmbus, hv_storvsc, hv_netvsc, hv_utils."""
    kernels = existing_kernels(context)
    if not kernels:
        return dunno("No kernel is installed.")
    missing = missing_modules(context, HYPERV)
    return bad("missing: " + join(missing)) if missing else ok("all of %s in %s" % (join(HYPERV), join(kernels)))


@CHECKS("KERN-02")
def integration_services(context: Context) -> Outcome:
    """Enterprise Linux 6.0 to 6.3: the package microsoft-hyper-v."""
    if not context.is_el(6, 6) or context.release.version >= (6, 4):
        return na("Only Enterprise Linux 6.0 to 6.3 needs the separate drivers; this is %s." % _name(context))
    package = context.installed("microsoft-hyper-v", "kmod-microsoft-hyper-v")
    return ok(package) if package else bad("microsoft-hyper-v is not installed")


@CHECKS("KERN-03")
def kernel_age(context: Context) -> Outcome:
    """The version of every installed kernel: 3.8 or newer, or a vendor's own."""
    old = [kernel for kernel in existing_kernels(context) if version(kernel) < (3, 8)]
    if not existing_kernels(context):
        return dunno("No kernel is installed.")
    if not old:
        return ok(join(existing_kernels(context)))
    if context.family in _VENDORS and all(version(kernel) >= (2, 6, 32) for kernel in old):
        return ok("%s, maintained by the vendor" % join(old))
    return bad(join(old))


@CHECKS("KERN-04")
def storage_fixes(context: Context) -> Outcome:
    """The version of every installed kernel: 4.4 and newer have all fixes; older ones are the vendor's to backport."""
    kernels = existing_kernels(context)
    if not kernels:
        return dunno("No kernel is installed.")
    old = [kernel for kernel in kernels if version(kernel) < (4, 4)]
    if not old:
        return ok(join(kernels))
    if context.family in _VENDORS:
        return na("%s: older than 4.4; the vendor's changelog tells which fixes it has" % join(old))
    return bad("%s: older than 4.4" % join(old))


def needs_numa_off(context: Context, kernel: str) -> bool:
    """Kernels before 2.6.37, of Enterprise Linux before 2.6.32-504."""
    number = version(kernel)
    if context.family == "redhat" and number[:3] == (2, 6, 32):
        return number < (2, 6, 32, 504)
    return number < (2, 6, 37)


@CHECKS("KERN-05")
def numa_off(context: Context) -> Outcome:
    """Kernels older than 2.6.37 (Enterprise Linux: 2.6.32-504): numa=off on every boot entry."""
    old = [kernel for kernel in existing_kernels(context) if needs_numa_off(context, kernel)]
    if not old and not (context.is_el(1, 6) and context.release.version < (6, 6)):
        return na("No kernel is that old: %s" % join(existing_kernels(context)))
    lacking = [name for name, arguments in context.command_lines if "numa=off" not in arguments]
    return bad("no numa=off: " + join(lacking)) if lacking else ok("numa=off on every entry")


@CHECKS("KERN-06")
def udf(context: Context) -> Outcome:
    """modprobe's whole configuration and the kernel arguments: nothing bans udf, and every kernel has it."""
    return loadable(context, ("udf",))


@CHECKS("KERN-07")
def vfat(context: Context) -> Outcome:
    """modprobe's whole configuration and the kernel arguments: nothing bans vfat or fat, and every kernel has them."""
    return loadable(context, ("vfat", "fat"))


@CHECKS("KERN-08")
def cdrom(context: Context) -> Outcome:
    """The same for sr_mod, cdrom and isofs; on a BIOS machine for ata_piix as well."""
    names = ("sr_mod", "cdrom", "isofs") + (("ata_piix",) if context.is_x86 and not context.is_uefi else ())
    return loadable(context, names)


@CHECKS("KERN-09")
def hyperv_not_banned(context: Context) -> Outcome:
    """modprobe's whole configuration and the kernel arguments: nothing bans a Hyper-V driver."""
    wrong = banned(context, HYPERV_ALL)
    if wrong:
        return bad(join(wrong))
    context.all_entries_seen()
    return ok("no Hyper-V driver is banned")


@CHECKS("KERN-10")
def kernel_options(context: Context) -> Outcome:
    """CONFIG_WATCHDOG and CONFIG_CIFS in /boot/config-<version> of the running kernel (else of every installed one)."""
    kernels = [context.running_kernel] if context.running_kernel else existing_kernels(context)
    if not kernels:
        return dunno("No kernel is installed.")
    missing = []
    elsewhere = []
    for kernel in kernels:
        path, options = context.kernel_config(kernel)
        if not path:
            return dunno("No configuration lies beside kernel %s (/boot/config-%s)." % (kernel, kernel))
        for option in ("CONFIG_WATCHDOG", "CONFIG_CIFS"):
            if options.get(option) not in ("y", "m"):
                missing.append("%s is not set in %s" % (option, path))
        if not path.startswith("/boot/"):
            elsewhere.append(path)
    if missing:
        return bad(join(missing))
    if elsewhere:
        return dunno("%s has both options, but /boot/config-* is missing, where an image test looks." % join(elsewhere))
    return ok("both set in /boot/config-" + join(kernels))


@CHECKS("KERN-11")
def azure_kernel(context: Context) -> Outcome:
    """Ubuntu: the package linux-azure or linux-image-azure, or a running kernel of that flavour."""
    package = context.installed("linux-azure", "linux-image-azure")
    flavours = [name for name in context.packages if name.startswith(("linux-azure-", "linux-image-azure-"))]
    if package or flavours or context.running_kernel.endswith("-azure"):
        return ok(package or join(flavours) or context.running_kernel)
    return bad("neither linux-azure nor linux-image-azure is installed")


@CHECKS("KERN-12")
def uek(context: Context) -> Outcome:
    """Oracle Linux: no installed kernel is the Unbreakable Enterprise Kernel 2 (2.6.39-*uek)."""
    if not context.is_oracle():
        return na("It concerns Oracle Linux; this is %s." % _name(context))
    old = [kernel for kernel in existing_kernels(context) if kernel.startswith("2.6.39") and "uek" in kernel]
    return bad(join(old)) if old else ok(join(existing_kernels(context)))


#: Kernel series to the first version with the SACK fixes: stable series, then Enterprise Linux's own numbers.
_SACK: Tuple[Tuple[int, ...], ...] = (
    (4, 4, 182),
    (4, 9, 182),
    (4, 14, 127),
    (4, 19, 52),
    (5, 1, 11),
)
_SACK_EL = {6: (2, 6, 32, 754, 15, 3), 7: (3, 10, 0, 957, 21, 3), 8: (4, 18, 0, 80, 4, 2)}


@CHECKS("KERN-13")
def sack_fixes(context: Context) -> Outcome:
    """The version of every installed kernel against the first ones with the fixes of CVE-2019-11477 to -11479."""
    kernels = existing_kernels(context)
    if not kernels:
        return dunno("No kernel is installed.")
    doubtful = []
    old = []
    for kernel in kernels:
        number = version(kernel)
        if number >= (5, 2):
            continue
        if context.is_el(6, 8) and context.major in _SACK_EL and "uek" not in kernel:
            if number < _SACK_EL[context.major]:
                old.append(kernel)
            continue
        series = [first for first in _SACK if first[:2] == number[:2]]
        if series and number >= series[0]:
            continue
        doubtful.append(kernel)
    if old:
        return bad(join(old))
    if doubtful:
        return dunno("%s: the vendor's changelog tells whether CVE-2019-11477 is fixed" % join(doubtful))
    return ok(join(kernels))


def _name(context: Context) -> str:
    return context.release.pretty_name or context.release.id or "an unknown system"
