# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd-boot: type 1 entries on the EFI system partition or the XBOOTLDR partition (systemd-boot(7)).

SUSE's grub2-bls reads the same files. The menu is drawn by the firmware's console, which on Azure is the serial
port too, so there is nothing to set for it.

Private to the collection: its interface may change in any release.
"""

from typing import List, Sequence

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import bls, kernel_cmdline
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import (
    Entry,
    Plan,
    Request,
    Transaction,
    check_entries,
    stale_entries,
    wanted_for_all,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.cmdline import KERNEL
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

PATTERNS = ("/efi/loader/entries/*.conf", "/boot/efi/loader/entries/*.conf", "/esp/loader/entries/*.conf")
BOOT_PATTERN = "/boot/loader/entries/*.conf"


def entry_files(host: Host, with_boot: bool = True) -> List[str]:
    """All entry files, whatever they boot; those in /boot too where no GRUB reads them."""
    result: List[str] = []
    seen = set()
    for pattern in PATTERNS + ((BOOT_PATTERN,) if with_boot else ()):
        for path in host.glob(pattern):
            if host.is_file(path) and host.resolve(path) not in seen:
                seen.add(host.resolve(path))
                result.append(path)
    return result


def find(host: Host, with_boot: bool) -> List[str]:
    """The entry files that boot Linux with arguments of their own."""
    return [path for path in entry_files(host, with_boot) if bls.read(host, [path], {}, KERNEL)]


class SystemdBoot:
    """systemd-boot of one system: reads, plans, applies."""

    name = "systemd-boot"

    def __init__(self, host: Host, paths: Sequence[str]) -> None:
        self._host = host
        self.paths = list(paths)

    def entries(self) -> List[Entry]:
        return bls.read(self._host, self.paths, {}, KERNEL)

    def plan(self, request: Request) -> Plan:
        before = self.entries()
        changes, after = bls.plan(self._host, self.paths, {}, request, KERNEL)
        changes += kernel_cmdline.plan(self._host, wanted_for_all(request, before))
        changes += kernel_cmdline.first(self._host, after)
        check_entries(after, request)
        return Plan(changes, [], after, stale_entries(self._host, before))

    def apply(self, plan: Plan, request: Request, transaction: Transaction) -> None:
        for change in plan.changes:
            transaction.write(change.path, change.after)

    def verify(self, request: Request) -> List[str]:
        check_entries(self.entries(), request)
        return []
