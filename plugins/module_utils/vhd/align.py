# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vhd_align's work: any disk image in, a fixed VHD that Azure takes out.

Private to the collection: its interface may change in any release.
"""

import os
import stat
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import footer as vhd_footer
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import gpt, inplace, locks, sparse, workfile
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import Disk, Fault, explain
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.footer import GIB, MIB, SIZE, Footer
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.images import Image, open_image
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.progress import Report

#: The largest page blob disk that Azure takes by upload (UPL), and the specification's own limit is far above it.
LARGEST_GIB = 32768

#: The longest wait for an image in use, seconds: 30 days. Also keeps out what is no number.
MAX_WAIT = 30 * 86400


class Options(NamedTuple):
    """The module's options. uuid: 16 bytes or None. source_date_epoch: Unix seconds or None."""

    path: str
    dest: str = ""
    format: str = "auto"
    max_size_gib: int = 1023
    min_size_mib: int = 20
    fix_gpt: bool = True
    allow_backing_file: bool = False
    repair: bool = False
    overwrite: bool = True
    uuid: Optional[bytes] = None
    lock_timeout: float = 2
    qemu_img: str = "qemu-img"
    progress_file: str = ""
    source_date_epoch: Optional[int] = None


class Target(NamedTuple):
    """Where the result goes: the real path, and what is there now (None: nothing)."""

    path: str
    status: Optional[os.stat_result]


class Look(NamedTuple):
    """An existing dest: why it has to be written (empty: it is up to date), and what it has otherwise."""

    why: str
    footer: Footer
    table: Optional[gpt.Table]


Finish = Callable[[str], None]


def _no_attributes(_path: str) -> None:
    """Stands for the mode and owner that the caller did not ask for."""


def _source_path(path: str) -> str:
    """The real path of the image, checked to be something an image can be read from."""
    real = os.path.realpath(path)
    try:
        status = os.stat(real)
    except FileNotFoundError:
        if os.path.islink(path):
            raise AzurePrepError("%s is a symbolic link to %s, which does not exist." % (path, real))
        raise AzurePrepError("%s does not exist." % path)
    except OSError as exc:
        raise AzurePrepError("Cannot look at %s: %s." % (path, exc.strerror or exc))
    if stat.S_ISDIR(status.st_mode):
        raise AzurePrepError("%s is a directory; name the disk image in it." % path)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        raise AzurePrepError("%s is neither a file nor a block device; a disk image is needed." % path)
    return real


def _target_path(dest: str, source: str) -> Target:
    """dest with symbolic links followed, so that a link stays one; refused where nothing sensible can be written."""
    real = os.path.realpath(dest)
    folder = os.path.dirname(real)
    if not os.path.isdir(folder):
        raise AzurePrepError("The directory %s does not exist; make it first." % folder)
    try:
        status = os.stat(real)
    except FileNotFoundError:
        return Target(real, None)
    except OSError as exc:
        raise AzurePrepError("Cannot look at %s: %s." % (dest, exc.strerror or exc))
    if stat.S_ISDIR(status.st_mode):
        raise AzurePrepError("dest %s is a directory; name the file, as in %s/disk.vhd." % (dest, dest.rstrip("/")))
    if not stat.S_ISREG(status.st_mode):
        raise AzurePrepError("dest %s is not a regular file." % dest)
    if os.path.samestat(status, os.stat(source)):
        raise AzurePrepError("dest %s is the image itself; leave dest out to work in place." % dest)
    return Target(real, status)


def _open(
    options: Options, real: str, writable: bool, exclusive: bool, fault: Optional[Fault], guard: bool
) -> locks.Locked:
    """Open the source, guarded against everybody else, or just to look at it."""
    if guard:
        return locks.open_guarded(real, writable, exclusive, options.lock_timeout, fault, options.path)
    try:
        return locks.Locked(Disk(os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), options.path), "none", [])
    except OSError as exc:
        raise explain("open", options.path, exc)


def _check_size(size: int, path: str, options: Options) -> int:
    """The virtual size of the result, in bytes, within the caller's limits."""
    new = vhd_footer.round_up(size)
    if new < options.min_size_mib * MIB:
        raise AzurePrepError(
            "%s holds a disk of %d bytes; Azure takes no disk below %d MiB (min_size_mib)."
            % (path, size, options.min_size_mib)
        )
    if new > options.max_size_gib * GIB:
        raise AzurePrepError(
            "%s holds a disk of %d bytes, more than the %d GiB allowed; raise max_size_gib if that is meant."
            % (path, size, options.max_size_gib)
        )
    return new


def _timestamp(options: Options) -> int:
    now = int(time.time()) if options.source_date_epoch is None else options.source_date_epoch
    return now - vhd_footer.EPOCH_2000


def _digest_uuid(*parts: Any) -> bytes:
    """16 bytes that follow from the parts, marked as a UUID of version 8 (RFC 9562)."""
    import hashlib  # not needed for work in place, which is over in less time than this import takes

    raw = bytearray(hashlib.sha256(repr(parts).encode("utf-8")).digest()[:16])
    raw[6] = (raw[6] & 0x0F) | 0x80
    raw[8] = (raw[8] & 0x3F) | 0x80
    return bytes(raw)


def _content_uuid(disk: Disk, size: int, options: Options) -> bytes:
    """The same for the same content, for reproducible builds: from the size and both ends of the file."""
    ends = disk.read(0, MIB) + disk.read(max(disk.size() - MIB, 0), MIB)
    return _digest_uuid("content", size, ends, options.source_date_epoch)


def _is_stamped(options: Options, status: os.stat_result) -> bool:
    """Whether the result's UUID can tell which state of the source it was made from."""
    return options.uuid is None and options.source_date_epoch is None and stat.S_ISREG(status.st_mode)


def _dest_uuid(image: Image, size: int, options: Options) -> bytes:
    """The UUID of a copy: as asked, or following from the content, or from the identity and state of the source.

    The last is how the next run knows that dest is up to date; a change of the source changes it.
    """
    if options.uuid is not None:
        return options.uuid
    status = os.fstat(image.disk.descriptor)
    if not _is_stamped(options, status):
        return _content_uuid(image.disk, size, options)
    states = [(one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in [status] + list(image.other_files)]
    return _digest_uuid("source", states, image.format, size, options.fix_gpt)


def _gpt_result(table: Optional[gpt.Table], size: int, relocated: bool) -> Dict[str, Any]:
    if table is None:
        return {"present": False}
    return {
        "present": True,
        "sector_size": table.sector_size,
        "valid": table.header is not None and not table.problem,
        "backup_at_end": relocated or (table.header is not None and table.header.is_last(size, table.sector_size)),
        "relocated": relocated,
    }


def _refuse_bad_table(table: Optional[gpt.Table], path: str, is_raw: bool, options: Options) -> None:
    """Refuse what would certainly not work on Azure, unless the caller leaves the partition table to itself."""
    if table is None or not options.fix_gpt:
        return
    if table.truncated and is_raw:
        raise AzurePrepError(
            "%s is truncated: its partition table has a partition that reaches past its end. Take a complete copy, "
            "or set fix_gpt to false to take it as it is." % path
        )
    if table.header is not None and table.sector_size != gpt.SECTOR:
        raise AzurePrepError("%s cannot be used: %s Set fix_gpt to false to take it as it is." % (path, table.problem))


def _text(lines: Dict[str, Any]) -> str:
    return "".join("%s: %s\n" % (key, value) for key, value in lines.items())


def _result(options: Options, image: Image, size: int, **more: Any) -> Dict[str, Any]:
    """The keys that every result has. more: changed, method, footer, actions, reasons, warnings, table, ..."""
    footer: Footer = more["footer"]
    changed: bool = more["changed"]
    path = options.dest or options.path
    before = {
        "format": image.format + (" (%s)" % image.subformat if image.subformat else ""),
        "virtual size": "%d bytes" % image.virtual_size,
    }
    after = {"format": "vpc (fixed)", "virtual size": "%d bytes" % size, "file size": "%d bytes" % (size + SIZE)}
    after["method"] = "%s, because %s" % (more["method"], " and ".join(more["reasons"]))
    described = vhd_footer.describe(footer)
    after["footer"] = "creator %(creator_app)r, geometry %(geometry)s, UUID %(uuid)s" % described
    after_text = "".join("%s\n" % line for line in more["actions"])
    return {
        "changed": changed,
        "path": path,
        "method": more["method"],
        "format": image.format,
        "subformat": image.subformat,
        "size_before_bytes": image.virtual_size,
        "virtual_size_bytes": size,
        "file_size_bytes": size + SIZE,
        "grown_by_bytes": size - image.virtual_size,
        "bytes_written": more["written"],
        "footer": described,
        "gpt": _gpt_result(more["table"], size, more["relocated"]),
        "lock": more["lock"],
        "reasons": more["reasons"],
        "actions": more["actions"],
        "warnings": list(image.warnings) + more["warnings"],
        "diff": [
            {
                "before_header": options.path,
                "after_header": path,
                "before": _text(before) if changed else "",
                "after": _text(after) + after_text if changed else "",
            }
        ],
    }


# -- in place -------------------------------------------------------------------------------------------------------


def _plan_in_place(image: Image, options: Options) -> inplace.Plan:
    size = _check_size(image.virtual_size, options.path, options)
    old = image.footer
    rewrite: List[str] = []
    if old is None:
        unique_id = options.uuid
        if unique_id is None:
            unique_id = os.urandom(16) if options.source_date_epoch is None else b""
            unique_id = _content_uuid(image.disk, size, options) if not unique_id else _random_uuid(unique_id)
        wanted = vhd_footer.make(size, unique_id, _timestamp(options))
    else:
        if image.damaged:
            rewrite.append("has a damaged footer")
        elif vhd_footer.misleads_readers(old):
            rewrite.append(
                "has the creator %r and a geometry from which qemu before 10 reads a smaller disk"
                % old.creator.decode("latin-1")
            )
        wanted = vhd_footer.make(size, old.unique_id, old.timestamp)
        if not rewrite and not old.unfinished and old.current_size == size:
            wanted = old  # nothing about it needs a change
    todo = inplace.plan(image.disk, old, image.virtual_size, wanted, options.fix_gpt, rewrite, image.damaged)
    if todo.phases:
        _refuse_bad_table(todo.table, options.path, old is None, options)
    return todo


def _random_uuid(raw: bytes) -> bytes:
    """16 random bytes as a UUID of version 4."""
    value = bytearray(raw)
    value[6] = (value[6] & 0x0F) | 0x40
    value[8] = (value[8] & 0x3F) | 0x80
    return bytes(value)


def _in_place_result(options: Options, image: Image, todo: inplace.Plan, lock: str, written: int) -> Dict[str, Any]:
    writes = [write for phase in todo.phases for write in phase]
    return _result(
        options,
        image,
        todo.footer.current_size,
        changed=bool(writes),
        method="in_place" if writes else "none",
        footer=todo.footer,
        reasons=["%s %s" % (options.path, reason) for reason in todo.reasons],
        warnings=todo.warnings,
        actions=[
            "write %s: %d bytes at offset %d of %s" % (write.label, len(write.data), write.offset, options.path)
            for write in writes
        ],
        table=todo.table,
        relocated=any(write.label == "the primary GPT header" for write in writes),
        lock=lock,
        written=written,
    )


def _verify(disk: Disk, wanted: Footer, relocated: bool) -> None:
    """Read back what was written."""
    length = disk.size()
    found = vhd_footer.parse(disk.read(length - SIZE, SIZE), disk.path)
    wrong = vhd_footer.problems(found, length)
    if found != wanted:
        wrong.append("does not end with the footer that was written")
    table = gpt.inspect(inplace.virtual_read(disk, found.current_size), found.current_size) if relocated else None
    if relocated and not (table and table.backup_at_end and table.backup_valid and not table.problem):
        wrong.append("has a partition table whose backup did not arrive at its end")
    if wrong:
        raise AzurePrepError(
            "%s was written but %s; the storage below it does not keep what it is given." % (disk.path, wrong[0])
        )


def _in_place(options: Options, real: str, check_mode: bool, fault: Optional[Fault], guard: bool) -> Dict[str, Any]:
    if stat.S_ISBLK(os.stat(real).st_mode):
        raise AzurePrepError("%s is a block device; name a dest, the file that becomes the VHD." % options.path)
    # First look without the right to write: a disk that needs nothing is never opened for writing.
    for writable in (False, True):
        guarded = _open(options, real, writable, True, fault, guard)
        disk = guarded.disk
        try:
            image = open_image(disk, options, None)
            todo = _plan_in_place(image, options)
            todo.warnings.extend(guarded.warnings)
            links = os.fstat(disk.descriptor).st_nlink
            if todo.phases and links > 1:
                raise AzurePrepError(
                    "%s has %d hard links, and all of them would change; name a dest, or remove the other names."
                    % (options.path, links)
                )
            if check_mode or not todo.phases:
                return _in_place_result(options, image, todo, guarded.strength, 0)
            if writable:
                with workfile.Uninterrupted():
                    inplace.apply(disk, todo)
                result = _in_place_result(options, image, todo, guarded.strength, disk.written)
                _verify(disk, todo.footer, result["gpt"].get("relocated", False))
                return result
        finally:
            disk.close()
    raise AzurePrepError("%s could not be opened for writing." % options.path)


# -- with dest ------------------------------------------------------------------------------------------------------


def _table_writes(
    read: gpt.Read, old_size: int, size: int, options: Options
) -> Tuple[List[gpt.Write], Optional[gpt.Table], str]:
    """What moves the backup GPT to the end of a disk of `size` bytes: (writes, table as found, problem)."""
    table = gpt.inspect(read, old_size)
    if table is None or not options.fix_gpt:
        return [], table, ""
    backup, primary, problem = gpt.plan_relocation(read, table, size)
    return backup + primary, table, problem


def _same_moment(first: int, second: int) -> bool:
    """Times of two files in nanoseconds; some file systems keep whole seconds only."""
    return first == second or (second % 10**9 == 0 and first // 10**9 == second // 10**9)


def _why_not_current(image: Image, current: Disk, wanted: Footer, options: Options) -> Tuple[str, Footer]:
    """Why dest has to be written, as a sentence with dest for its subject; empty when it is up to date. Its footer."""
    length = current.size()
    try:
        found = vhd_footer.parse(current.read(length - SIZE, SIZE) if length >= SIZE else b"", current.path)
    except AzurePrepError:
        return "is no VHD", wanted
    wrong = vhd_footer.problems(found, length)
    if wrong:
        return wrong[0], found
    if (found if options.source_date_epoch is not None else found._replace(timestamp=wanted.timestamp)) != wanted:
        return "was made from another state of the source, or with other options", found
    source, target = os.fstat(image.disk.descriptor), os.fstat(current.descriptor)
    if _is_stamped(options, source):
        if not _same_moment(source.st_mtime_ns, target.st_mtime_ns):
            return "was changed after it was made", found
        return "", found
    if image.read is None or image.extents is None:
        return "cannot be compared with an image of this format", found
    size = wanted.current_size
    writes, _table, _problem = _table_writes(image.read, image.virtual_size, size, options)
    patches = [(write.offset, write.data) for write in writes]
    equal = sparse.same(image.read, image.extents(), patches, current, size)
    return ("" if equal else "differs from the source"), found


def _look_at_dest(image: Image, target: Target, wanted: Footer, options: Options) -> Look:
    """Read dest as it is."""
    try:
        current = Disk(os.open(target.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), options.dest)
    except OSError as exc:
        raise explain("read", options.dest, exc)
    try:
        why, found = _why_not_current(image, current, wanted, options)
        size = found.current_size
        return Look(why, found, None if why else gpt.inspect(inplace.virtual_read(current, size), size))
    finally:
        current.close()


def _fill(
    image: Image, workplace: workfile.Workfile, wanted: Footer, options: Options, report: Report
) -> Dict[str, Any]:
    """Build the VHD in an empty file: the disk, the GPT at its new end, the footer."""
    work = workplace.disk
    report.total = image.total()
    image.fill(work, workplace.path, report)
    size = wanted.current_size
    read = inplace.virtual_read(work, size)
    writes, table, problem = _table_writes(read, image.virtual_size, size, options)
    _refuse_bad_table(table, options.path, image.format == "raw", options)
    writes.append(gpt.Write(size, vhd_footer.render(wanted), "the footer"))
    for write in writes:
        work.write(write.offset, write.data)
    return {"table": table, "writes": writes, "problem": problem}


def _check_unchanged(image: Image, before: os.stat_result, path: str) -> None:
    """A source that changed while it was read would give a torn copy."""
    after = os.fstat(image.disk.descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise AzurePrepError("%s was changed while it was read; stop whatever writes to it and run again." % path)


def _default_attributes(source: os.stat_result, target: Target) -> Finish:
    """Mode and owner of a dest for which none were asked: as dest had them, else the mode of the source."""

    def finish(path: str) -> None:
        if target.status is not None:
            if (target.status.st_uid, target.status.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(path, target.status.st_uid, target.status.st_gid)
            os.chmod(path, stat.S_IMODE(target.status.st_mode))
        elif stat.S_ISREG(source.st_mode):
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(path, stat.S_IMODE(source.st_mode) & 0o777 & ~umask)

    return finish


def _write_dest(
    options: Options,
    image: Image,
    target: Target,
    wanted: Footer,
    finish: Finish,
    fault: Optional[Fault],
    report: Report,
) -> Dict[str, Any]:
    before = os.fstat(image.disk.descriptor)
    defaults = _default_attributes(before, target)

    def attributes(path: str) -> None:
        defaults(path)
        finish(path)

    mtime = before.st_mtime_ns if stat.S_ISREG(before.st_mode) else time.time() * 10**9
    try:
        with workfile.Interruptible(), workfile.Workfile(target.path, fault) as work:
            work.disk.path = options.dest
            built = _fill(image, work, wanted, options, report)
            _check_unchanged(image, before, options.path)
            relocated = any(write.label == "the backup GPT" for write in built["writes"])
            _verify(work.disk, wanted, relocated)
            work.keep(attributes, int(mtime))
            built.update(relocated=relocated, written=work.disk.written)
            return built
    except workfile.Interrupted as exc:
        raise workfile.interrupted_error(exc.number, options.dest)


def _with_dest(
    options: Options,
    real: str,
    check_mode: bool,
    finish: Finish,
    fault: Optional[Fault],
    report: Report,
    host: Any,
    guard: bool,
) -> Dict[str, Any]:
    target = _target_path(options.dest, real)
    guarded = _open(options, real, False, False, fault, guard)
    current: Optional[Disk] = None
    try:
        image = open_image(guarded.disk, options, host)
        size = _check_size(image.virtual_size, options.path, options)
        wanted = vhd_footer.make(size, _dest_uuid(image, size, options), _timestamp(options))
        reasons = ["%s does not exist" % options.dest]
        dest_table = None
        if target.status is not None:
            why, found, dest_table = _look_at_dest(image, target, wanted, options)
            reasons = ["%s %s" % (options.dest, why)] if why else []
            wanted = wanted if why else found
        table = None
        if image.read is not None:
            table = gpt.inspect(image.read, image.virtual_size)
            _refuse_bad_table(table, options.path, image.format == "raw", options)
        common = {
            "changed": bool(reasons),
            "method": image.method if reasons else "none",
            "footer": wanted,
            "reasons": reasons,
            "lock": guarded.strength,
        }
        warnings = list(guarded.warnings)
        if not reasons:
            return _result(
                options,
                image,
                size,
                actions=[],
                warnings=warnings,
                table=dest_table,
                relocated=False,
                written=0,
                **common,
            )
        if target.status is not None and not options.overwrite:
            raise AzurePrepError(
                "%s, and overwrite is false; remove it, name another dest, or set overwrite." % reasons[0]
            )
        if target.status is not None:
            # Held until the new file has its name: a VM that runs from dest would go on with a disk nobody sees.
            current = locks.open_guarded(target.path, False, True, options.lock_timeout, fault, options.dest).disk
        actions = ["write the data of %s to %s (%s)" % (options.path, options.dest, image.how)]
        if check_mode:
            built: Dict[str, Any] = {"table": table, "relocated": False, "written": 0, "writes": [], "problem": ""}
            if image.read is not None:
                built["writes"], _table, built["problem"] = _table_writes(image.read, image.virtual_size, size, options)
                built["relocated"] = bool(built["writes"])
            built["writes"].append(gpt.Write(size, vhd_footer.render(wanted), "the footer"))
        else:
            actions = [
                "remove %s, left behind by a run that was killed" % one
                for one in workfile.remove_leftovers(target.path)
            ] + actions
            built = _write_dest(options, image, target, wanted, finish, fault, report)
        for write in built["writes"]:
            actions.append(
                "write %s: %d bytes at offset %d of %s" % (write.label, len(write.data), write.offset, options.dest)
            )
        if built["problem"]:
            warnings.append(built["problem"])
        return _result(
            options,
            image,
            size,
            actions=actions,
            warnings=warnings,
            table=built["table"],
            relocated=built["relocated"],
            written=built["written"],
            **common,
        )
    finally:
        if current is not None:
            current.close()
        guarded.disk.close()


def run(
    options: Options,
    host: Any,
    check_mode: bool = False,
    finish: Finish = _no_attributes,
    fault: Optional[Fault] = None,
    report: Optional[Report] = None,
) -> Dict[str, Any]:
    """Do it, or with check_mode say what would be done. The result has the keys of the module's RETURN.

    host runs qemu-img where it is needed. finish(path) sets mode and owner of a new file before it gets its name.
    fault is for tests, see Disk. report is told of progress.
    """
    if not 1 <= options.max_size_gib <= LARGEST_GIB:
        raise AzurePrepError("max_size_gib must lie between 1 and %d; it is %d." % (LARGEST_GIB, options.max_size_gib))
    if not 0 <= options.lock_timeout < MAX_WAIT:
        raise AzurePrepError("lock_timeout must be from 0 to %d seconds; it is %s." % (MAX_WAIT, options.lock_timeout))
    for name in (options.path, options.dest, options.qemu_img):
        if "\0" in name:
            raise AzurePrepError("A path must not hold a NUL character: %r." % name)
    real = _source_path(options.path)

    def work(guard: bool) -> Dict[str, Any]:
        if options.dest:
            return _with_dest(options, real, check_mode, finish, fault, report or Report(), host, guard)
        return _in_place(options, real, check_mode, fault, guard)

    try:
        return work(True)
    except AzurePrepError as exc:
        # Foresee more than that the image is in use: what is wrong with it otherwise, and what would be done.
        if check_mode and "locked_by" in exc.details:
            exc.details["would"] = work(False)
        raise
