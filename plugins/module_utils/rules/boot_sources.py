# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit takes from the boot loader and the initramfs readers, in the shapes that the checks use.

Private to the collection: its interface may change in any release.
"""

import re
from typing import FrozenSet, List, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import loaders as bootloaders
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import reader
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs.common import decompressor, installed_kernels
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs.images import KernelImage, detect

#: Entries for a machine in trouble: made without the arguments of everyday use, on purpose.
_RESCUE = re.compile(r"recovery|rescue|single-user|memtest", re.IGNORECASE)


def entries(host: Host) -> List[Tuple[str, List[str]]]:
    """(name, arguments) of every boot entry that boots Linux, rescue and recovery entries left out."""
    found = []
    for entry in bootloaders.read_entries(host):
        words = set(entry.arguments)
        if _RESCUE.search("%s %s %s" % (entry.id, entry.title, entry.kernel)) or words & {
            "single",
            "recovery",
            "rescue",
        }:
            continue
        found.append((entry.title or entry.id, list(entry.arguments)))
    return found


def initramfs(host: Host) -> Tuple[str, List[Tuple[str, str, FrozenSet[str], FrozenSet[str]]]]:
    """(generator, [(kernel, image, modules in it, scripts in it)]) of every bootable kernel that has an image; or "".

    Decompressors are this machine's own: nothing of a mounted image is executed. AzurePrepError where an image
    cannot be read as one.
    """
    found = []
    images = []
    start = decompressor(Host("/"))
    for kernel in installed_kernels(host):
        if not kernel.image:
            continue
        try:
            with open(host.path(kernel.image), "rb") as stream:
                content = reader.read(stream, kernel.image, start)
        except PermissionError:
            raise AzurePrepError("%s may be read by root only; run the audit with become." % kernel.image)
        except OSError as exc:
            raise AzurePrepError("Cannot read the image %s: %s." % (kernel.image, exc.strerror or exc))
        found.append((kernel.version, kernel.image, frozenset(content.of(kernel.version)), content.scripts))
        images.append(KernelImage(kernel.version, kernel.kernel, kernel.image, [], [], [], [], "", content.generator))
    generator = detect(host, images)
    name = generator.name if generator is not None else next((i.generator for i in images if i.generator), "")
    return name, found
