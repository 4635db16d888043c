# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the initramfs images: what each of them really holds.

Private to the collection: its interface may change in any release.
"""

from typing import List

from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    Context,
    Image,
    Outcome,
    Table,
    bad,
    dunno,
    join,
    na,
    ok,
)

CHECKS = Table()

#: Without these the kernel finds neither disk nor network on Hyper-V (INIT-01 to INIT-03).
NEEDED = ("hv_vmbus", "hv_storvsc", "hv_netvsc")

#: What image tests look for besides (INIT-05).
KEYBOARD = "hyperv_keyboard"


def lacking(context: Context, images: List[Image], names: List[str]) -> List[str]:
    """ "hv_netvsc in /boot/initrd.img-…" for each driver that is neither built in nor in the image."""
    found = []
    for image in images:
        for name in names:
            if name not in image.present and context.module(image.kernel, name) != "built in":
                found.append("%s in %s" % (name, image.path))
    return found


#: Generators by rule; an image whose maker cannot be told is judged by the first.
GENERATORS = {
    "INIT-01": ("dracut", ""),
    "INIT-02": ("initramfs-tools",),
    "INIT-03": ("mkinitrd", "mkinitrd-suse"),
}


def _drivers(context: Context, rule: str) -> Outcome:
    images = context.images_found
    bare = without_image(context, images)
    if not images and not bare:
        return _no_image(context)
    made_by = context.generator
    known = [name for names in GENERATORS.values() for name in names]
    if (made_by if made_by in known else "") not in GENERATORS[rule]:
        return na("The initramfs is made by %s." % (made_by or "an unknown generator"))
    missing = lacking(context, images, list(NEEDED))
    if missing or bare:
        return bad(join((["missing: " + join(missing)] if missing else []) + bare))
    return ok("%s in or built into %s" % (join(NEEDED), join(image.path for image in images)))


def without_image(context: Context, images: List[Image]) -> List[str]:
    """Evidence of the kernels that boot without an initramfs and have not all of NEEDED built in."""
    found = []
    for kernel in context.kernels:
        if kernel in [image.kernel for image in images] or not context.has_kernel_image(kernel):
            continue
        missing = [name for name in NEEDED if context.module(kernel, name) != "built in"]
        if missing:
            found.append("%s has no initramfs, and %s is not built in" % (kernel, join(missing)))
    return found


def _no_image(context: Context) -> Outcome:
    if not any(context.has_kernel_image(kernel) for kernel in context.kernels):
        return dunno("No kernel and no initramfs was found in /boot.")
    return ok("no initramfs; %s built into %s" % (join(NEEDED), join(context.kernels)))


@CHECKS("INIT-01")
def dracut(context: Context) -> Outcome:
    """The list of files in every kernel's initramfs, where dracut makes it; built-in drivers count."""
    return _drivers(context, "INIT-01")


@CHECKS("INIT-02")
def initramfs_tools(context: Context) -> Outcome:
    """The list of files in every kernel's initramfs, where initramfs-tools makes it; built-in drivers count."""
    return _drivers(context, "INIT-02")


@CHECKS("INIT-03")
def mkinitrd(context: Context) -> Outcome:
    """The list of files in every kernel's initrd, where mkinitrd makes it; built-in drivers count."""
    return _drivers(context, "INIT-03")


@CHECKS("INIT-04")
def every_kernel(context: Context) -> Outcome:
    """Every kernel that boots with an initramfs has one, and none of them lacks a driver that another has."""
    images = context.images
    without = [kernel for kernel in context.kernels if kernel not in [image.kernel for image in images]]
    missing = lacking(context, images, list(NEEDED))
    concerned = {item.rsplit(" in ", 1)[1] for item in missing}
    if without:
        return bad("no initramfs for " + join(without))
    if concerned and len(concerned) < len(images):
        return bad("only some were rebuilt; missing: " + join(missing))
    if concerned:
        return bad("missing: " + join(missing))
    return ok("%d of %d" % (len(images), len(images)))


@CHECKS("INIT-05")
def verified(context: Context) -> Outcome:
    """The same lists again for hv_vmbus, hv_storvsc, hv_netvsc and, where the kernel has it, hyperv_keyboard."""
    names = list(NEEDED)
    missing = lacking(context, context.images, names)
    for image in context.images:
        if context.module(image.kernel, KEYBOARD) is not None:
            missing += lacking(context, [image], [KEYBOARD])
    if missing:
        return bad("missing: " + join(missing))
    return ok("%s: %s" % (join(image.path for image in context.images), join(names + [KEYBOARD])))
