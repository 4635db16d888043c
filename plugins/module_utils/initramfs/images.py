# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Initramfs images: what each kernel's image holds, and how to make it hold the drivers that a VM needs.

inspect(host, drivers) only reads and serves the audit too; prepare(host, request, check_mode) configures the
generator, makes the images anew that lack a driver, reads them, and puts everything back where one still lacks it.

An image that kernel-install(8) has put beside its boot entry is made where the generator makes it and copied there; the
hooks that would call kernel-install are told to leave it, since they write the entry anew with the arguments of the
kernel that happens to run.

An old image is kept in /boot/azure-backup until all is well, on the image's own file system so that it can be
renamed back when the disk is full; no tool that looks for kernels or images in /boot goes there. Where there is
no room for a copy it is kept by a second name for the same data (a hard link), which takes none.

Private to the collection: its interface may change in any release.
"""

import filecmp
import os
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import (
    Change,
    Entry,
    Transaction,
    find_image,
    kernel_version,
    stale_entries,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import TEMPORARY_PREFIX, Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import dracut, initramfs_tools, mkinitrd
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs.common import (
    IMAGE_PATTERNS,
    Generator,
    Kernel,
    boot_entries,
    builtin_modules,
    installed_kernels,
    loadable_modules,
    read_image,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs.reader import Content, normalise

__all__ = ["KernelImage", "Outcome", "Request", "detect", "inspect", "prepare"]

GENERATORS = (initramfs_tools.GENERATOR, dracut.GENERATOR, mkinitrd.SUSE, mkinitrd.REDHAT)

#: Where old images are kept, on the file system of the image itself.
BACKUP_DIRECTORY = "azure-backup"

#: Seconds that making one image may take on a slow machine without hardware virtualisation.
COMMAND_TIMEOUT = 3600

#: Generators that are not driven here, by command: how a driver gets into their images.
#: Arch's mkinitcpio names kernels and images without their release ("vmlinuz-linux"), and one preset may make several
#: images, or a unified one, from a configuration of its own.
OTHERS = (
    ("mkinitcpio", "add the drivers to MODULES=() in /etc/mkinitcpio.conf and run mkinitcpio -P"),
    ("booster", "add the drivers to modules in /etc/booster.yaml and make the images anew"),
    ("mkinitfs", "add a feature that holds the drivers to /etc/mkinitfs/mkinitfs.conf and run mkinitfs"),
)

#: kernel-install(8) does nothing where this is 1 in the environment.
BYPASS = "KERNEL_INSTALL_BYPASS"

#: How the release of Red Hat's rescue kernel begins in the names of its files.
RESCUE = "0-rescue"

#: A new image may be this much larger than the old one; where there is none, this many bytes are assumed.
GROWTH = 1.3
FIRST_IMAGE = 64 * 1024 * 1024
MARGIN = 4 * 1024 * 1024


class KernelImage(NamedTuple):
    """One kernel's image. Of the drivers asked for: builtin in the kernel, present in the image, missing from both,
    unavailable (the kernel does not have it at all). error: why the image could not be read ("" where it could)."""

    version: str
    kernel: str
    image: str
    builtin: List[str]
    present: List[str]
    missing: List[str]
    unavailable: List[str]
    error: str
    generator: str


class Request(NamedTuple):
    """kernels: "all", "running" or releases. wanted: drivers to name to the generator where every kernel has them."""

    drivers: Tuple[str, ...]
    wanted: Tuple[str, ...]
    kernels: Tuple[str, ...]
    rebuild: str
    backup: bool


class Result(NamedTuple):
    """What became of one kernel's image."""

    before: KernelImage
    missing_after: List[str]
    rebuilt: bool
    backup_file: str


class Outcome(NamedTuple):
    """What prepare() did or would do."""

    generator: str
    changed: bool
    kernels: List[Result]
    backup_files: List[str]
    actions: List[str]
    warnings: List[str]
    diff: List[Dict[str, str]]


def _inspect_kernel(host: Host, kernel: Kernel, drivers: Sequence[str]) -> Tuple[KernelImage, Optional[Content]]:
    builtin = builtin_modules(host, kernel.version)
    loadable = loadable_modules(host, kernel.version)
    content = None
    error = ""
    if kernel.image:
        try:
            content = read_image(host, kernel.image)
        except AzurePrepError as exc:
            error = str(exc)
    held = content.of(kernel.version) if content is not None else set()
    names = [normalise(driver) for driver in drivers]
    image = KernelImage(
        kernel.version,
        kernel.kernel,
        kernel.image,
        [name for name in names if name in builtin],
        [name for name in names if name in held and name not in builtin],
        [name for name in names if name not in held and name not in builtin],
        [name for name in names if name not in builtin and name not in loadable],
        error,
        content.generator if content is not None else "",
    )
    return image, content


def inspect(host: Host, drivers: Sequence[str]) -> List[KernelImage]:
    """What the image of every installed, bootable kernel holds of these drivers. Reads only; raises nothing for a
    damaged image, whose `error` says what is wrong."""
    return [_inspect_kernel(host, kernel, drivers)[0] for kernel in installed_kernels(host)]


# -- which generator -------------------------------------------------------------------------------------------


def _installed(host: Host) -> List[Generator]:
    """The generators whose command is there. SUSE's and Red Hat's mkinitrd have one name; with dracut it is a shim,
    and so is update-initramfs where Debian's dracut brings one."""
    result = [generator for generator in GENERATORS[:2] if host.which(generator.command)]
    if len(result) > 1 and not host.which("mkinitramfs"):
        result = [dracut.GENERATOR]
    if not result and host.which("mkinitrd"):
        result.append(mkinitrd.SUSE if mkinitrd.is_suse(host) else mkinitrd.REDHAT)
    return result


def detect(host: Host, images: Sequence[KernelImage]) -> Optional[Generator]:
    """The generator that made the images; where its command is gone, or none tells, the one that is installed.

    None where no generator is installed.
    """
    installed = _installed(host)
    for image in reversed(images):
        for generator in installed:
            if generator.name == image.generator:
                return generator
    if len(installed) > 1:
        # Both are there and no image tells: names do, since each has its own.
        for image in reversed(images):
            for generator in installed:
                if image.image == generator.image_pattern % image.version:
                    return generator
    return installed[0] if installed else None


def _other_generator(host: Host) -> str:
    """A sentence about a generator that is there but not driven here, with a blank before it; else ""."""
    for command, remedy in OTHERS:
        if host.which(command):
            return " This system makes its images with %s, which is not driven here: %s." % (command, remedy)
    return ""


def _generator_name(host: Host, generator: Optional[Generator], images: Sequence[KernelImage]) -> str:
    if generator is not None:
        return generator.name
    return next((image.generator for image in reversed(images) if image.generator), "none")


def _configure(host: Host, name: str, drivers: Sequence[str]) -> List[Change]:
    if name == initramfs_tools.GENERATOR.name:
        return initramfs_tools.configure(host, drivers)
    if name == dracut.GENERATOR.name:
        return dracut.configure(host, drivers)
    if name == mkinitrd.SUSE.name:
        return mkinitrd.configure_suse(host, drivers)
    if name == mkinitrd.REDHAT.name:
        return mkinitrd.configure_redhat(host, drivers)
    return []


def _command(host: Host, generator: Generator, image: KernelImage, target: str, drivers: Sequence[str]) -> List[str]:
    """The command that makes an image; initramfs-tools decides itself where to."""
    if generator.name == initramfs_tools.GENERATOR.name:
        return initramfs_tools.command(image.version, host.is_file(_own_place(generator, image)))
    if generator.name == dracut.GENERATOR.name:
        return dracut.command(image.version, target)
    if generator.name == mkinitrd.SUSE.name:
        return mkinitrd.command_suse(image.kernel, target)
    return mkinitrd.command_redhat(image.version, target, drivers)


# -- the whole job ---------------------------------------------------------------------------------------------


def _chosen(host: Host, wanted: Sequence[str], kernels: Sequence[Kernel]) -> List[Kernel]:
    """The kernels that the caller means; AzurePrepError for one that is not installed."""
    if list(wanted) == ["all"]:
        return list(kernels)
    names = list(wanted)
    if names == ["running"]:
        if not host.is_live:
            raise AzurePrepError("kernels: running means nothing in a mounted image; give all or a list of releases.")
        names = [os.uname().release]
    by_version = {kernel.version: kernel for kernel in kernels}
    for name in names:
        if name not in by_version:
            raise AzurePrepError(
                "The kernel %s is not installed, or has no image in /boot; installed are: %s."
                % (name, ", ".join(by_version) or "none")
            )
    return [by_version[name] for name in names]


def prepare(host: Host, request: Request, check_mode: bool = False) -> Outcome:
    """Make every chosen kernel's image hold the drivers; in check mode say what would be done.

    AzurePrepError where that fails; images and configuration are then as they were before.
    """
    entries = boot_entries(host)
    kernels = installed_kernels(host, entries)
    chosen = _chosen(host, request.kernels, kernels)
    if not chosen:
        raise AzurePrepError(
            "No installed kernel was found below %s: none of /lib/modules/* has an image in /boot.%s"
            % (host.root, _other_generator(host))
        )
    pairs = [_inspect_kernel(host, kernel, request.drivers) for kernel in chosen]
    images = [image for image, _content in pairs]
    contents = {image.version: content for image, content in pairs}
    for image in images:
        if image.unavailable:
            raise AzurePrepError(
                "The kernel %s has no driver %s, neither built in nor as a module; install a kernel that has it, or "
                "remove this one." % (image.version, ", ".join(image.unavailable)),
                kernel=image.version,
            )
    generator = detect(host, images)
    warnings = stale_entries(host, entries)
    warnings += [image.error for image in images if image.error]
    warnings += _rescue_warnings(host, entries, kernels, request.drivers)
    drivers = list(request.drivers) + _offered(host, request, images, chosen)
    # What no generator reads needs no configuration: images that hold all are good without one.
    changes = _configure(host, generator.name, drivers) if generator is not None else []
    todo = [image for image in images if _needs_rebuild(image, request.rebuild)]
    if generator is None and todo:
        raise AzurePrepError(
            "No generator of initramfs images that is known here is installed%s (looked for update-initramfs, dracut, "
            "mkinitrd), and the image of %s%s lacks %s.%s"
            % (
                "" if host.is_live else " in " + host.root,
                todo[0].version,
                ", which %s made," % todo[0].generator if todo[0].generator else "",
                ", ".join(todo[0].missing) or "nothing",
                _other_generator(host),
            ),
            missing={image.version: image.missing for image in images},
        )
    results: Dict[str, Result] = {
        image.version: Result(image, image.missing if image not in todo else [], image in todo, "") for image in images
    }
    actions = ["edit " + change.path for change in changes]
    backup_files: List[str] = []
    if generator is not None:
        actions += [
            "run " + " ".join(_command(host, generator, image, _target(generator, image), request.drivers))
            for image in todo
        ]
    if (changes or todo) and not check_mode and generator is not None:
        job = _Job(host, generator, request)
        try:
            job.check_space(todo)
            for change in changes:
                job.transaction.write(change.path, change.after)
            for image in todo:
                results[image.version] = job.rebuild(image, contents[image.version], warnings)
        except (AzurePrepError, OSError) as exc:
            failures = job.rollback()
            message = str(exc) if isinstance(exc, AzurePrepError) else "Cannot make an initramfs image: %s." % exc
            message = (
                message.rstrip(".")
                + ". "
                + (" ".join(failures) if failures else "Images and configuration were put back.")
            )
            raise AzurePrepError(message, **getattr(exc, "details", {}))
        backup_files = job.commit()
    if request.rebuild == "never":
        warnings += [
            "The image of the kernel %s lacks %s." % (image.version, ", ".join(image.missing))
            for image in images
            if image.missing
        ]
    return Outcome(
        _generator_name(host, generator, images),
        bool(changes or todo),
        [results[image.version] for image in images],
        backup_files,
        actions,
        warnings,
        _diff(changes, images, todo),
    )


def _rescue_warnings(
    host: Host, entries: Sequence[Entry], kernels: Sequence[Kernel], drivers: Sequence[str]
) -> List[str]:
    """A sentence for every rescue image of Red Hat's families that cannot find its disk on Azure.

    Its kernel's name tells no release, so that no generator can make it anew.
    """
    builtin = {name for kernel in kernels for name in builtin_modules(host, kernel.version)}
    names = {name for entry in entries if kernel_version(entry.kernel).startswith(RESCUE) for name in entry.initrd}
    result = []
    for path in sorted(found for found in (find_image(host, name) for name in names) if found):
        try:
            content = read_image(host, path)
        except AzurePrepError as exc:
            result.append(str(exc))
            continue
        held = builtin.union(*content.modules.values())
        missing = [driver for driver in drivers if normalise(driver) not in held]
        if missing:
            result.append(
                "The rescue image %s lacks %s and cannot be made anew; remove it with its kernel and its boot entry."
                % (path, ", ".join(missing))
            )
    return result


def _needs_rebuild(image: KernelImage, rebuild: str) -> bool:
    if rebuild == "never":
        return False
    return rebuild == "always" or bool(image.missing)


def _offered(host: Host, request: Request, images: Sequence[KernelImage], kernels: Sequence[Kernel]) -> List[str]:
    """The wanted drivers that every kernel has: a generator complains about a name that a kernel lacks."""
    if not request.wanted:
        return []
    have: Optional[Set[str]] = None
    for kernel in kernels:
        modules = loadable_modules(host, kernel.version) | builtin_modules(host, kernel.version)
        have = modules if have is None else have & modules
    names = [normalise(driver) for driver in request.drivers]
    return [driver for driver in request.wanted if normalise(driver) in (have or set()) and driver not in names]


def _target(generator: Generator, image: KernelImage) -> str:
    return image.image or generator.image_pattern % image.version


def _own_place(generator: Generator, image: KernelImage) -> str:
    """Where a generator that cannot be told otherwise puts an image."""
    return generator.image_pattern % image.version


class _Job:
    """Images made anew, each kept until all are good."""

    def __init__(self, host: Host, generator: Generator, request: Request) -> None:
        self._host = host
        self._generator = generator
        self._request = request
        self.transaction = Transaction(host, request.backup)
        #: (image, its backup or "" where there was none), in the order of work.
        self._replaced: List[Tuple[str, str]] = []

    def check_space(self, todo: Sequence[KernelImage]) -> None:
        """AzurePrepError where the new images will not fit beside the old ones. What an earlier run left half-written
        when it was cut off goes first."""
        need: Dict[str, int] = {}
        for image in todo:
            for path in [self._host.resolve(_target(self._generator, image))] + self._others(image):
                directory = os.path.dirname(path)
                if directory not in need:
                    self._remove_leftovers(directory)
                status = self._host.stat(path)
                size = int(status.st_size * GROWTH) if status is not None else FIRST_IMAGE
                if status is not None and self._in_place():
                    size += status.st_size
                need[directory] = need.get(directory, MARGIN) + size
        for directory, size in need.items():
            free = self._host.free_bytes(directory)
            if free < size:
                raise AzurePrepError(
                    "%s has %d MiB free, and the new initramfs images need about %d MiB beside the old ones; remove "
                    "old kernels first. Nothing was made." % (directory, free >> 20, (size >> 20) + 1)
                )

    def _remove_leftovers(self, directory: str) -> None:
        for place in (directory, directory + "/" + BACKUP_DIRECTORY):
            for path in self._host.glob("%s/%s*" % (place, TEMPORARY_PREFIX)):
                self._host.remove(path)

    def _in_place(self) -> bool:
        """True for a generator that is trusted with the image itself."""
        return self._generator.name == initramfs_tools.GENERATOR.name

    def _others(self, image: KernelImage) -> List[str]:
        """Where the image stands besides: a copy in /boot of what kernel-install has put beside a boot entry, which
        would take the entry's place when kernel-install runs again."""
        target = self._host.resolve(_target(self._generator, image))
        if self._in_place():
            own = self._host.resolve(_own_place(self._generator, image))
            return [own] if own != target else []
        if os.path.dirname(target) == self._host.resolve("/boot"):
            return []
        found = [pattern % image.version for pattern in IMAGE_PATTERNS]
        return [self._host.resolve(path) for path in found if self._host.is_file(path) and path != target]

    def _keep(self, path: str) -> str:
        """Keep the old content of an image; "" where there is none."""
        host = self._host
        backup = ""
        if host.is_file(path):
            directory, _slash, name = path.rpartition("/")
            host.mkdir(directory + "/" + BACKUP_DIRECTORY)
            backup = self._backup_name("%s/%s/%s" % (directory, BACKUP_DIRECTORY, name), path)
            size = os.stat(host.path(path)).st_size
            if host.is_file(backup):
                self._replaced.append((path, backup))
                return backup
            if self._in_place() or host.free_bytes(directory) > int(size * (GROWTH + 1)) + MARGIN:
                # update-initramfs is trusted with the image itself, so that what it may spoil must be a copy.
                host.copy(path, backup)
            else:
                host.link(path, backup)
        self._replaced.append((path, backup))
        return backup

    def rebuild(self, image: KernelImage, before: Optional[Content], warnings: List[str]) -> Result:
        """Make one image, read it, put it in place."""
        host = self._host
        target = host.resolve(_target(self._generator, image))
        others = self._others(image)
        in_place = self._in_place()
        own = others[0] if in_place and others else target
        directory, _slash, name = target.rpartition("/")
        temporary = "%s/%s%s" % (directory, TEMPORARY_PREFIX, name)
        for path in others:
            self._keep(path)
        backup = self._keep(target)
        mode = host.stat(target)
        old = host.stat(own)
        environment = {BYPASS: "1"} if others or not host.is_live else {}
        try:
            host.remove(temporary)
            line = _command(host, self._generator, image, own if in_place else temporary, self._request.drivers)
            host.run(line, timeout=COMMAND_TIMEOUT, env=environment)
            made = temporary if host.is_file(temporary) else own
            new = host.stat(made)
            if new is None or (made == own and old is not None and _same_file(old, new)):
                raise AzurePrepError(
                    "%s said it was done but made no new image for the kernel %s." % (" ".join(line), image.version)
                )
            missing, lost = self._check(image, made, before)
            if lost and not host.is_live and self._generator.name == dracut.GENERATOR.name and made == temporary:
                # A host-only image made in a chroot is for the machine that runs it: what the old image held stays.
                kept = [name for name in lost if name in loadable_modules(host, image.version)]
                host.run(line + ["--add-drivers", " ".join(kept)], timeout=COMMAND_TIMEOUT, env=environment)
                missing, lost = self._check(image, made, before)
            if lost:
                warnings.append(
                    "The new image for the kernel %s no longer holds %s%s."
                    % (image.version, ", ".join(lost[:8]), " and %d more" % (len(lost) - 8) if len(lost) > 8 else "")
                )
            if made == own and own != target:
                host.copy(own, temporary)
                made = temporary
            if made == temporary:
                if mode is not None:
                    host.chmod(temporary, mode.st_mode & 0o7777)
                host.rename(temporary, target)
            for path in others:
                if path != own:
                    host.copy(target, path)
        finally:
            host.remove(temporary)
        done = image._replace(image=host.inside(host.path(target)) if not image.image else image.image)
        return Result(done, missing, True, backup if self._request.backup else "")

    def _check(self, image: KernelImage, made: str, before: Optional[Content]) -> Tuple[List[str], List[str]]:
        """The drivers still missing (none, or AzurePrepError says which) and those that the old image held and this
        one does not."""
        content = read_image(self._host, made)
        held = content.of(image.version)
        missing = [name for name in image.missing + image.present if name not in held]
        if missing:
            raise AzurePrepError(
                "The new image for the kernel %s still lacks %s, although %s said it was done."
                % (image.version, ", ".join(missing), self._generator.command),
                kernel=image.version,
            )
        return missing, sorted((before.of(image.version) if before is not None else set()) - held)

    def _backup_name(self, path: str, original: str) -> str:
        """A free name, or that of a copy with the very content, which a run that was cut off has left."""
        number = 1
        name = path
        while self._host.stat(name, follow_last=False) is not None:
            if self._request.backup and filecmp.cmp(self._host.path(name), self._host.path(original), shallow=False):
                return name
            number += 1
            name = "%s.%d" % (path, number)
        return name

    def rollback(self) -> List[str]:
        """Put every image and file back; a sentence for each that could not be."""
        failures = []
        for target, backup in reversed(self._replaced):
            try:
                # What update-initramfs was working on when it was stopped, and its own second name for the old image.
                for ending in (".new", ".dpkg-bak") if self._in_place() else ():
                    self._host.remove(target + ending)
                if backup:
                    self._host.rename(backup, target)
                else:
                    self._host.remove(target)
            except (AzurePrepError, OSError) as exc:
                failures.append("%s could not be put back from %s: %s" % (target, backup, exc))
        self._remove_backup_directories()
        return failures + self.transaction.rollback()

    def commit(self) -> List[str]:
        """Keep or drop the old images; the copies that stay."""
        if not self._request.backup:
            for _target_path, backup in self._replaced:
                if backup:
                    self._host.remove(backup)
            self._remove_backup_directories()
            return []
        return self.transaction.commit() + [backup for _target_path, backup in self._replaced if backup]

    def _remove_backup_directories(self) -> None:
        for directory in {os.path.dirname(backup) for _path, backup in self._replaced if backup}:
            if self._host.is_dir(directory) and not self._host.listdir(directory):
                self._host.rmdir(directory)


def _same_file(old: os.stat_result, new: os.stat_result) -> bool:
    """True where nothing was written: same inode, same times."""
    return (old.st_ino, old.st_size, old.st_mtime_ns) == (new.st_ino, new.st_size, new.st_mtime_ns)


def _diff(
    changes: Sequence[Change], images: Sequence[KernelImage], todo: Sequence[KernelImage]
) -> List[Dict[str, str]]:
    """Ansible's diff: the configuration, then the drivers of each image that is made anew."""
    result = [
        {
            "before": change.before or "",
            "after": change.after,
            "before_header": change.path,
            "after_header": change.path,
        }
        for change in changes
    ]
    for image in images:
        if image in todo:
            header = "drivers in %s" % (image.image or "the image of " + image.version)
            before = image.builtin + image.present
            result.append(
                {
                    "before": "".join(name + "\n" for name in sorted(before)),
                    "after": "".join(name + "\n" for name in sorted(before + image.missing)),
                    "before_header": header,
                    "after_header": header,
                }
            )
    return result
