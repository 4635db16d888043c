# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host: the files and commands of one Linux system, running or mounted below a root directory.

Everything that the collection reads, writes or runs on a guest goes through this class, so that the same logic
serves the running system (root "/"), a mounted image (root "/mnt/image", commands then run in a chroot) and a
unit test (a temporary directory, a fault after the n-th step).

Why by hand: ansible's own file helpers need a live AnsibleModule, know no root directory, and cannot be made
to fail at a chosen step, which is how we show that a power cut leaves the old file or the new one.

Private to the collection: its interface may change in any release.
"""

import errno
import fnmatch
import os
import shlex
import stat as stat_module
import subprocess
import tempfile
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

#: Symbolic links followed before a path counts as a loop (the kernel's own limit, path_resolution(7)).
MAX_LINKS = 40

#: Search path of commands: modules may be called with a PATH that lacks the administrator's directories.
COMMAND_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

#: How the temporary file beside a target begins; a leftover of a killed run is recognised by it.
TEMPORARY_PREFIX = ".azure-prep."

#: The longest file that is read whole, in bytes: kernels and boot loaders included, far beyond any configuration.
MAX_READ = 64 * 1024 * 1024

#: The longest text that is read, in bytes: a list of blocked hosts or of thousands of accounts is a few MiB. Reading
#: line by line costs many times the memory, and a minute for each 10 MiB.
MAX_TEXT = 8 * 1024 * 1024

#: The device number of /dev/null (the kernel's list of devices, devices.txt).
DEV_NULL = os.makedev(1, 3)

Data = Union[str, bytes]


class CommandResult(NamedTuple):
    """What a command left behind: argv, exit status, and its two outputs as text."""

    argv: List[str]
    rc: int
    stdout: str
    stderr: str


class OsRelease(NamedTuple):
    """The identity in os-release(5): id and id_like lower case, version_id as written ("9.4", "12", "")."""

    id: str
    id_like: List[str]
    version_id: str
    pretty_name: str
    fields: Dict[str, str]

    @property
    def major(self) -> int:
        """The first number of version_id, 0 where there is none (rolling releases, testing)."""
        head = self.version_id.split(".")[0]
        return int(head) if head.isdigit() else 0

    @property
    def version(self) -> Tuple[int, ...]:
        """version_id as numbers, (9, 4); empty where there is none."""
        parts = []
        for part in self.version_id.split("."):
            if not part.isdigit():
                break
            parts.append(int(part))
        return tuple(parts)


def parse_os_release(text: str) -> OsRelease:
    """Read os-release(5): shell-like assignments, quoted or not; a line that is none is passed over."""
    fields: Dict[str, str] = {}
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#") or "=" not in line:
            continue
        key, _sep, value = line.partition("=")
        try:
            words = shlex.split(value)
        except ValueError:
            words = [value.strip("'\"")]
        fields[key.strip()] = " ".join(words)
    return OsRelease(
        id=fields.get("ID", "").lower(),
        id_like=fields.get("ID_LIKE", "").lower().split(),
        version_id=fields.get("VERSION_ID", ""),
        pretty_name=fields.get("PRETTY_NAME", "") or fields.get("NAME", ""),
        fields=fields,
    )


def walk(
    top: str, onerror: Optional[Callable[[str, OSError], None]] = None
) -> Iterator[Tuple[str, List[str], List[str]]]:
    """os.walk(top) without a limit to the depth: before Python 3.12 that calls itself for each level.

    Links count as files, wherever they lead. Of the names the caller may take away where it shall not go. A directory
    that cannot be read, or whose path is too long for the kernel, is passed over; onerror(folder, exc) is told, and may
    raise.
    """
    pending = [top]
    while pending:
        folder = pending.pop()
        names: List[str] = []
        files: List[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    try:
                        (names if entry.is_dir(follow_symlinks=False) else files).append(entry.name)
                    except OSError:
                        files.append(entry.name)
        except OSError as exc:
            if onerror is not None:
                onerror(folder, exc)
            continue
        yield folder, names, files
        pending.extend(os.path.join(folder, name) for name in reversed(names))


def _to_bytes(data: Data) -> bytes:
    return data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")


#: Names in /etc/redhat-release and its kin to os-release IDs; the first that fits counts.
_OLD_NAMES = (
    ("centos", "centos"),
    ("oracle", "ol"),
    ("enterprise linux enterprise linux server", "ol"),
    ("fedora", "fedora"),
    ("red hat", "rhel"),
    ("suse linux enterprise", "sles"),
    ("opensuse", "opensuse"),
)


def parse_old_release(text: str) -> OsRelease:
    """Read a release file from before os-release: "CentOS release 6.10 (Final)", "SUSE Linux Enterprise Server 11
    (x86_64)" with VERSION and PATCHLEVEL lines below."""
    lines = text.strip().splitlines() or [""]
    name = lines[0].strip()
    identity = next((value for words, value in _OLD_NAMES if name.lower().startswith(words)), "")
    version = next((word for word in name.split() if word[:1].isdigit()), "")
    fields = {}
    for line in lines[1:]:
        key, _sep, value = line.partition("=")
        fields[key.strip()] = value.strip()
    if fields.get("PATCHLEVEL", "0") != "0" and "." not in version:
        version += "." + fields["PATCHLEVEL"]
    return OsRelease(identity, [], version, name, {})


class Host:
    """Files and commands of one Linux system below `root`.

    All paths given are absolute as the system itself sees them ("/etc/fstab"); symbolic links are resolved
    inside root, so that an absolute link in a mounted image never leads out of it.

    fault, for tests only: called as fault(step, path) before every step that changes something; it may raise.
    Steps: "mkdir", "create", "write", "fsync", "backup", "rename", "fsync_dir", "unlink", "symlink",
    "link", "chmod", "rmdir", "run".
    """

    def __init__(self, root: str = "/", fault: Optional[Callable[[str, str], None]] = None) -> None:
        self.root = os.path.abspath(root)
        self._fault = fault
        self.log: List[str] = []
        if not os.path.isdir(self.root):
            raise AzurePrepError("The root directory %s does not exist; mount the image there first." % root)

    # -- paths -------------------------------------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """True for the running system, False for a mounted image."""
        return self.root == "/"

    def path(self, path: str, follow_last: bool = True) -> str:
        """The real location of `path`, every symbolic link resolved inside root.

        A last component that does not exist is kept, so that the result can be created.
        """
        pending = [part for part in path.split("/") if part and part != "."]
        done: List[str] = []
        links = 0
        while pending:
            part = pending.pop(0)
            if part == "..":
                if done:
                    done.pop()
                continue
            here = os.path.join(self.root, *(done + [part]))
            if (pending or follow_last) and os.path.islink(here):
                links += 1
                if links > MAX_LINKS:
                    raise AzurePrepError("%s is a loop of symbolic links; repair the link %s." % (path, here))
                target = os.readlink(here)
                if target.startswith("/"):
                    done = []
                pending = [piece for piece in target.split("/") if piece and piece != "."] + pending
                continue
            done.append(part)
        return os.path.join(self.root, *done) if done else self.root

    def inside(self, real: str) -> str:
        """The opposite of path(): a real location as the system below root names it."""
        if self.is_live:
            return real
        return "/" + os.path.relpath(real, self.root) if real != self.root else "/"

    def resolve(self, path: str) -> str:
        """`path` with all symbolic links followed, named as the system itself sees it."""
        return self.inside(self.path(path))

    def exists(self, path: str) -> bool:
        return os.path.exists(self.path(path))

    def is_file(self, path: str) -> bool:
        return os.path.isfile(self.path(path))

    def is_dir(self, path: str) -> bool:
        return os.path.isdir(self.path(path))

    def is_link(self, path: str) -> bool:
        return os.path.islink(self.path(path, follow_last=False))

    def readlink(self, path: str) -> str:
        """The raw target of a symbolic link."""
        return os.readlink(self.path(path, follow_last=False))

    def stat(self, path: str, follow_last: bool = True) -> Optional[os.stat_result]:
        """lstat of the resolved path; None where nothing is there."""
        try:
            return os.lstat(self.path(path, follow_last))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def device(self, real: str) -> int:
        """The number of the file system that holds a real location (as path() gives it)."""
        return os.lstat(real).st_dev

    def listdir(self, path: str) -> List[str]:
        """Sorted names in a directory; empty where there is none."""
        try:
            return sorted(os.listdir(self.path(path)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def glob(self, pattern: str) -> List[str]:
        """Sorted existing paths (as the system names them) that match an absolute shell pattern."""
        found = [""]
        for part in [piece for piece in pattern.split("/") if piece]:
            following: List[str] = []
            for base in found:
                if any(char in part for char in "*?["):
                    names = fnmatch.filter(self.listdir(base or "/"), part)
                    if not part.startswith("."):
                        names = [name for name in names if not name.startswith(".")]
                    following.extend(base + "/" + name for name in names)
                elif os.path.lexists(self.path(base + "/" + part, follow_last=False)):
                    following.append(base + "/" + part)
            found = following
        return sorted(path for path in found if path)

    # -- reading -----------------------------------------------------------------------------------------------

    def read_bytes(self, path: str) -> bytes:
        """The content of a regular file of at most MAX_READ bytes; FileNotFoundError where there is none.

        /dev/null, by which files are masked, is empty. A pipe or another device could keep its reader for ever.
        """
        real = self.path(path)
        try:
            # Without O_NONBLOCK the open itself would wait for a pipe's writer.
            descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(descriptor, "rb") as stream:
                details = os.fstat(descriptor)
                if stat_module.S_ISCHR(details.st_mode) and details.st_rdev == DEV_NULL:
                    return b""
                if stat_module.S_ISDIR(details.st_mode):
                    raise AzurePrepError("Cannot read %s: it is a directory." % path)
                if not stat_module.S_ISREG(details.st_mode):
                    raise AzurePrepError("%s is not a regular file; move it out of the way." % path)
                if details.st_size > MAX_READ:
                    words = "%s is larger than %d MiB, which no such file is; look what it is."
                    raise AzurePrepError(words % (path, MAX_READ // (1024 * 1024)))
                return stream.read()
        except (FileNotFoundError, PermissionError):
            raise
        except OSError as exc:
            raise AzurePrepError("Cannot read %s: %s." % (path, exc.strerror or exc))

    def read(self, path: str, default: Optional[str] = None, limit: int = MAX_TEXT) -> str:
        """The content as text. Undecodable bytes survive a round trip (surrogateescape), as do line ends.

        A missing file gives `default`, or the error that says so where no default was given. A text of more than
        `limit` bytes is refused.
        """
        try:
            return self.read_text(path, limit)
        except FileNotFoundError:
            if default is not None:
                return default
            raise AzurePrepError("%s does not exist." % path)
        except PermissionError:
            raise AzurePrepError("%s may not be read; run with become (as root)." % path)

    def read_text(self, path: str, limit: int = MAX_TEXT) -> str:
        """As read(), but with the errors of read_bytes() where nothing is there or nothing may be read."""
        content = self.read_bytes(path)
        if len(content) > limit:
            words = "%s is larger than %d MiB, which no such file is; look what it is."
            raise AzurePrepError(words % (path, limit // (1024 * 1024)))
        return content.decode("utf-8", "surrogateescape")

    def os_release(self) -> OsRelease:
        """Who the system says it is: /etc/os-release, else /usr/lib/os-release, else the release file of older systems,
        else all fields empty."""
        for path in ("/etc/os-release", "/usr/lib/os-release"):
            if self.is_file(path):
                return parse_os_release(self.read(path))
        for path in ("/etc/oracle-release", "/etc/centos-release", "/etc/redhat-release", "/etc/SuSE-release"):
            if self.is_file(path):
                return parse_old_release(self.read(path))
        return parse_os_release("")

    def free_bytes(self, path: str) -> int:
        """Bytes that an administrator can still write on the file system that holds `path`."""
        real = self.path(path)
        while not os.path.exists(real):
            real = os.path.dirname(real)
        result = os.statvfs(real)
        return result.f_bavail * result.f_frsize

    # -- writing -----------------------------------------------------------------------------------------------

    def _step(self, step: str, path: str) -> None:
        if self._fault is not None:
            self._fault(step, path)

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """Make a directory and its missing parents; one that exists is left as it is."""
        real = self.path(path)
        if os.path.isdir(real):
            return
        parent = os.path.dirname(path.rstrip("/")) or "/"
        if not self.is_dir(parent):
            self.mkdir(parent, mode)
        try:
            self._step("mkdir", path)
            os.mkdir(real, mode)
            os.chmod(real, mode)
        except OSError as exc:
            raise self._write_error("make the directory", path, exc)

    def write(self, path: str, data: Data, mode: Optional[int] = None, backup: bool = False) -> Optional[str]:
        """Put `data` into a file so that a crash at any moment leaves the old content or the new, never a part.

        Written beside the target, synced, renamed over it, directory synced. A symbolic link is followed and
        stays a link. Owner, mode, SELinux label and other extended attributes of an existing file are kept; a
        new file gets `mode` (default 0644) and belongs to the caller. With `backup` the old content is first
        copied to <path>.<time>~ beside it; the path of that copy is returned.
        """
        real = self.path(path)
        content = _to_bytes(data)
        self.mkdir(os.path.dirname(path) or "/")
        existing = None
        try:
            existing = os.stat(real)
            if not stat_module.S_ISREG(existing.st_mode):
                raise AzurePrepError("%s is not a regular file; move it out of the way." % path)
        except FileNotFoundError:
            pass
        backup_path = self.backup(path) if backup and existing is not None else None
        descriptor = -1
        temporary = ""
        try:
            self._step("create", path)
            descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=os.path.dirname(real))
            self._step("write", path)
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            self._copy_attributes(real, descriptor, existing, mode)
            self._step("fsync", path)
            os.fsync(descriptor)
            os.close(descriptor)
            descriptor = -1
            self._step("rename", path)
            os.rename(temporary, real)
            temporary = ""
            self._step("fsync_dir", path)
            self._sync_directory(os.path.dirname(real))
        except OSError as exc:
            raise self._write_error("write", path, exc)
        finally:
            if descriptor >= 0:
                os.close(descriptor)
            if temporary:
                try:
                    os.unlink(temporary)
                except OSError:
                    pass
        return backup_path

    @staticmethod
    def _copy_attributes(real: str, descriptor: int, existing: Optional[os.stat_result], mode: Optional[int]) -> None:
        """Give the new file what the old one had; where there was none, the mode asked for."""
        if existing is None:
            os.fchmod(descriptor, 0o644 if mode is None else mode)
            return
        if (existing.st_uid, existing.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(descriptor, existing.st_uid, existing.st_gid)
        os.fchmod(descriptor, stat_module.S_IMODE(existing.st_mode) if mode is None else mode)
        try:
            names = os.listxattr(real)
        except OSError:
            return
        for name in names:
            try:
                os.setxattr(descriptor, name, os.getxattr(real, name))
            except OSError as exc:
                if exc.errno not in (errno.ENOTSUP, errno.EPERM, errno.ENODATA, errno.EACCES):
                    raise

    def backup(self, path: str) -> str:
        """Copy a file to <path>.<UTC time>~ beside it, attributes kept; returns the copy's path."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        copy = "%s.%s~" % (path, stamp)
        number = 1
        while os.path.lexists(self.path(copy, follow_last=False)):
            number += 1
            copy = "%s.%s.%d~" % (path, stamp, number)
        self.copy(path, copy)
        return copy

    def copy(self, source: str, target: str) -> None:
        """Copy a file's content and attributes; the target appears complete or not at all."""
        real_source = self.path(source)
        real_target = self.path(target)
        temporary = ""
        try:
            self._step("backup", target)
            existing = os.stat(real_source)
            descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=os.path.dirname(real_target))
            with os.fdopen(descriptor, "wb") as output, open(real_source, "rb") as stream:
                while True:
                    block = stream.read(1024 * 1024)
                    if not block:
                        break
                    output.write(block)
                output.flush()
                self._copy_attributes(real_source, output.fileno(), existing, None)
                os.fsync(output.fileno())
            os.utime(temporary, ns=(existing.st_atime_ns, existing.st_mtime_ns))
            os.rename(temporary, real_target)
            temporary = ""
            self._sync_directory(os.path.dirname(real_target))
        except OSError as exc:
            raise self._write_error("copy %s to" % source, target, exc)
        finally:
            if temporary:
                try:
                    os.unlink(temporary)
                except OSError:
                    pass

    def rename(self, source: str, target: str) -> None:
        """Move a file within its file system, over an existing target; the directory is synced."""
        real = self.path(target, follow_last=False)
        try:
            self._step("rename", target)
            os.rename(self.path(source, follow_last=False), real)
            self._sync_directory(os.path.dirname(real))
        except OSError as exc:
            raise self._write_error("move %s to" % source, target, exc)

    def link(self, source: str, target: str) -> None:
        """Give a file a second name, which keeps its data when the first is replaced; a copy where that cannot be."""
        real = self.path(target, follow_last=False)
        try:
            self._step("link", target)
            os.link(self.path(source), real)
            self._sync_directory(os.path.dirname(real))
        except OSError as exc:
            # FAT knows no second names; some file systems refuse them to protected files.
            if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, errno.ENOSYS):
                raise self._write_error("link %s to" % source, target, exc)
            self.copy(source, target)

    def chmod(self, path: str, mode: int) -> None:
        """Set the permission bits of a file."""
        try:
            self._step("chmod", path)
            os.chmod(self.path(path), mode)
        except OSError as exc:
            raise self._write_error("set the mode of", path, exc)

    def rmdir(self, path: str) -> None:
        """Delete an empty directory."""
        try:
            self._step("rmdir", path)
            os.rmdir(self.path(path))
        except OSError as exc:
            raise self._write_error("remove the directory", path, exc)

    def remove(self, path: str) -> bool:
        """Delete a file or a symbolic link (never what it points to); False where nothing was there."""
        real = self.path(path, follow_last=False)
        if not os.path.lexists(real):
            return False
        try:
            self._step("unlink", path)
            os.unlink(real)
        except OSError as exc:
            raise self._write_error("remove", path, exc)
        return True

    def symlink(self, target: str, path: str) -> None:
        """Make `path` a symbolic link to the raw `target`, in place of whatever file or link was there."""
        real = self.path(path, follow_last=False)
        self.mkdir(os.path.dirname(path) or "/")
        temporary = os.path.join(os.path.dirname(real), "%s%d" % (TEMPORARY_PREFIX, os.getpid()))
        try:
            self._step("symlink", path)
            if os.path.lexists(temporary):
                os.unlink(temporary)
            os.symlink(target, temporary)
            os.rename(temporary, real)
        except OSError as exc:
            raise self._write_error("make the link", path, exc)

    @staticmethod
    def _sync_directory(real: str) -> None:
        descriptor = os.open(real, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as exc:
            # Some file systems (FAT through old drivers, FUSE) cannot sync a directory.
            if exc.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)

    @staticmethod
    def _write_error(verb: str, path: str, exc: OSError) -> AzurePrepError:
        remedies = {
            errno.EROFS: "the file system is mounted read-only; remount it read-write",
            errno.ENOSPC: "the file system is full; free some space",
            errno.EDQUOT: "the disk quota is used up; free some space",
            errno.EACCES: "permission denied; run with become (as root)",
            errno.EPERM: "not permitted; run with become (as root) and check for immutable flags (lsattr)",
        }
        reason = remedies.get(exc.errno or 0, (exc.strerror or str(exc)).lower())
        return AzurePrepError(
            "Cannot %s %s: %s. The file was left as it was." % (verb, path, reason), path=path, errno=exc.errno
        )

    # -- commands ----------------------------------------------------------------------------------------------

    def which(self, name: str) -> Optional[str]:
        """The path of a command as the system below root names it; None where it is not installed."""
        candidates = [name] if name.startswith("/") else ["%s/%s" % (folder, name) for folder in COMMAND_PATH]
        for candidate in candidates:
            real = self.path(candidate)
            if os.path.isfile(real) and os.access(real, os.X_OK):
                return candidate
        return None

    def run(
        self,
        argv: Sequence[str],
        check: bool = True,
        stdin: Optional[Data] = None,
        env: Optional[Dict[str, str]] = None,
        timeout: Optional[float] = None,
    ) -> CommandResult:
        """Run a command, in a chroot where root is not "/", with a C locale and a sane PATH.

        Raises AzurePrepError where it is not installed, exits non-zero (unless check is False) or takes
        longer than `timeout` seconds; the sentence quotes the end of what it wrote.
        """
        words = [str(word) for word in argv]
        program = self.which(words[0])
        if program is None:
            raise AzurePrepError(
                "The command %s is not installed%s; install the package that holds it."
                % (words[0], "" if self.is_live else " in " + self.root)
            )
        line = [program] + words[1:]
        environment = {"PATH": ":".join(COMMAND_PATH), "LC_ALL": "C", "LANG": "C", "HOME": "/root"}
        environment.update(env or {})
        options: Dict[str, Any] = {}
        root = "" if self.is_live else self.root

        def enter() -> None:
            # A hardened login's umask would take what a generator or package writes from everybody else.
            os.umask(0o022)
            if root:
                os.chroot(root)
                os.chdir("/")

        options["preexec_fn"] = enter
        try:
            self._step("run", program)
            process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                close_fds=True,
                cwd="/",
                **options,
            )
        except (OSError, subprocess.SubprocessError) as exc:
            hint = "" if self.is_live else " A command in a mounted image needs root and the image's own architecture."
            raise AzurePrepError("Cannot start %s: %s.%s" % (program, exc, hint))
        try:
            out, err = process.communicate(None if stdin is None else _to_bytes(stdin), timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AzurePrepError("%s did not end within %d seconds and was stopped." % (program, timeout or 0))
        except BaseException:
            process.kill()
            process.communicate()
            raise
        result = CommandResult(
            line, process.returncode, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "surrogateescape")
        )
        if check and result.rc != 0:
            tail = (result.stderr.strip() or result.stdout.strip())[-800:]
            raise AzurePrepError(
                "%s failed with exit status %d: %s" % (" ".join(line), result.rc, tail or "it printed nothing"),
                command=line,
                rc=result.rc,
            )
        return result
