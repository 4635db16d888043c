# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what is left, take it away, and look again: the same finder serves the plan, the work and the check.

find(item, context) lists what an item still has to do; nothing means done. So the plan of check mode is what a run
does, a repeated run does only what is left, and a check is a look with fresh eyes after the work.

Private to the collection: its interface may change in any release.
"""

import errno
import fcntl
import os
import re
import shutil
import stat as stat_module
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import accounts as acc
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import context as ctx_module
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import texts
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import Context
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.items import COMMIT, ITEMS, MAIN, Item
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: Rotated logs, deleted rather than emptied: a number, a date or a packer's suffix at the end of the name.
ROTATED = re.compile(
    r"(?:\.\d+|[.-]\d{8}(?:-\d+)?|\.old|\.bak|~)(?:\.(?:gz|xz|bz2|zst|lz4))?$|\.(?:gz|xz|bz2|zst|lz4)$"
)

#: systemd understands the word "uninitialized" in machine-id(5) from this version on.
SYSTEMD_UNINITIALIZED = 247

_HOST_KEY_UNIT_TEXT = """\
[Unit]
Description=Make the SSH host keys that this machine's image does not carry
Before=ssh.service sshd.service ssh.socket sshd.socket
After=local-fs.target
RequiresMountsFor=/etc/ssh
ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key

[Service]
Type=oneshot
ExecStart=%s -A

[Install]
WantedBy=multi-user.target
"""


class Entry(NamedTuple):
    """One thing to do. path: what goes or changes, as the system names it; for an account its name.

    kind: file, directory, link, account, text (a file whose text changes). bytes: what goes, content only.
    """

    id: str
    action: str
    kind: str
    path: str
    bytes: int
    files: int

    def as_dict(self) -> Dict[str, Any]:
        return dict(self._asdict())


class Check(NamedTuple):
    """The post-condition of one item. state: done, left, kept, not_applicable."""

    id: str
    rule: str
    ok: bool
    state: str
    evidence: str

    def as_dict(self) -> Dict[str, Any]:
        return dict(self._asdict())


# -- finding ---------------------------------------------------------------------------------------------------------


def tree_size(real: str) -> Tuple[int, int]:
    """(bytes of the regular files, number of files) at and below a path; what cannot be read counts as nothing."""
    try:
        details = os.lstat(real)
    except OSError:
        return 0, 0
    if not stat_module.S_ISDIR(details.st_mode):
        return (details.st_size if stat_module.S_ISREG(details.st_mode) else 0), 1
    total, files = 0, 0
    for folder, _names, entries in os.walk(real):
        for name in entries:
            try:
                details = os.lstat(os.path.join(folder, name))
            except OSError:
                continue
            files += 1
            if stat_module.S_ISREG(details.st_mode):
                total += details.st_size
    return total, files


def _kind(real: str) -> str:
    if os.path.islink(real):
        return "link"
    return "directory" if os.path.isdir(real) else "file"


def _is_protected(context: Context, path: str) -> bool:
    return any(path == kept or path.startswith(kept + "/") for kept in context.protected)


def _holds_protected(context: Context, path: str) -> bool:
    return any(kept.startswith(path.rstrip("/") + "/") for kept in context.protected)


def _entry(context: Context, item: Item, path: str, action: str = "delete") -> Entry:
    real = context.host.path(path, follow_last=False)
    size, files = tree_size(real)
    return Entry(item.id, action, _kind(real), path, size, files)


def _patterns(context: Context, item: Item) -> List[str]:
    """The item's patterns, %h replaced by every home directory."""
    patterns: List[str] = []
    homes: Optional[List[str]] = None
    for pattern in item.paths:
        if pattern.startswith("%h/"):
            homes = context.homes() if homes is None else homes
            patterns.extend(home + pattern[2:] for home in homes)
        else:
            patterns.append(pattern)
    return patterns


def _expand(context: Context, item: Item) -> List[str]:
    """Existing paths of an item, each real location once (on merged systems /lib is /usr/lib)."""
    found: List[str] = []
    seen = set()
    for pattern in _patterns(context, item):
        for path in context.host.glob(pattern):
            real = context.host.path(path, follow_last=False)
            if real not in seen and not _is_protected(context, path):
                seen.add(real)
                found.append(path)
    return found


def _find_delete(context: Context, item: Item) -> List[Entry]:
    return [_entry(context, item, path) for path in _expand(context, item)]


def _find_empty(context: Context, item: Item) -> List[Entry]:
    entries = []
    for directory in _expand(context, item):
        if not context.host.is_dir(directory):
            continue
        # A link that stands for a directory (/var/tmp -> /tmp) is followed, and stays.
        for name in context.host.listdir(directory):
            path = directory.rstrip("/") + "/" + name
            if name == "lost+found" or _is_protected(context, path) or context.host.path(path, False) in context.mounts:
                continue
            if _holds_protected(context, path):
                continue
            entries.append(_entry(context, item, path))
    return entries


def _truncatable(context: Context, path: str) -> Optional[Entry]:
    """An entry where the path is, or links to, a regular file that holds something."""
    real = context.host.path(path)
    try:
        details = os.lstat(real)
    except OSError:
        return None
    if not stat_module.S_ISREG(details.st_mode) or details.st_size == 0:
        return None
    return Entry("", "truncate", "file", context.host.inside(real), details.st_size, 1)


def _find_truncate(context: Context, item: Item) -> List[Entry]:
    found = [_truncatable(context, path) for path in _expand(context, item)]
    return [entry._replace(id=item.id) for entry in found if entry is not None]


def _find_shell_history(context: Context, item: Item) -> List[Entry]:
    """The usual names, and whatever start-up files assign to HISTFILE."""
    paths = _expand(context, item)
    common = ["/etc/profile", "/etc/bash.bashrc", "/etc/bashrc", "/etc/zsh/zshrc", "/etc/zshrc", "/etc/environment"]
    common += context.host.glob("/etc/profile.d/*.sh")
    for home in context.homes():
        own = [home + "/" + name for name in (".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv", ".kshrc")]
        for path in common + own:
            for named in texts.history_files_named(ctx_module._text(context.host, path), home):
                if named not in paths and context.host.is_file(named):
                    paths.append(named)
    entries: List[Entry] = []
    for path in paths:
        entry = _truncatable(context, path)
        if entry is not None and entry.path not in [other.path for other in entries]:
            entries.append(entry._replace(id=item.id))
    return entries


def _find_logs(context: Context, item: Item) -> List[Entry]:
    """Every file below the log directory: rotated ones to delete, the others to empty; directories stay."""
    entries = []
    for top in item.paths:
        if not context.host.is_dir(top):
            continue
        pending = [top]
        while pending:
            directory = pending.pop(0)
            for name in context.host.listdir(directory):
                path = directory + "/" + name
                details = context.host.stat(path, follow_last=False)
                if details is None or path == "/var/log/journal" or _is_protected(context, path):
                    continue
                if stat_module.S_ISDIR(details.st_mode):
                    pending.append(path)
                elif stat_module.S_ISREG(details.st_mode):
                    if ROTATED.search(name):
                        entries.append(Entry(item.id, "delete", "file", path, details.st_size, 1))
                    elif details.st_size:
                        entries.append(Entry(item.id, "truncate", "file", path, details.st_size, 1))
    return entries


def _find_cloud_init_state(context: Context, item: Item) -> List[Entry]:
    """All of cloud-init's state but the administrators' scripts, which belong to the image."""
    entries = []
    for path in _expand(context, item):
        if path == "/var/lib/cloud/scripts" and not context.host.is_link(path):
            for name in context.host.listdir(path):
                below = path + "/" + name
                if below not in ctx_module.KEPT_SCRIPTS:
                    entries.append(_entry(context, item, below))
                    continue
            continue
        entries.append(_entry(context, item, path))
    return entries


def _find_own_traces(context: Context, item: Item) -> List[Entry]:
    entries = []
    names = sorted({pattern[len("%h/.ansible/") :] for pattern in item.paths if pattern.startswith("%h/.ansible/")})
    for home in context.homes():
        base = home + "/.ansible"
        if _is_protected(context, base) or _holds_protected(context, base):
            continue
        if context.host.is_dir(base) and set(context.host.listdir(base)) <= set(names):
            entries.append(_entry(context, item, base))
    known = [entry.path for entry in entries]
    entries += [
        _entry(context, item, path)
        for path in _expand(context, item)
        if not any(path.startswith(base + "/") for base in known) and not _holds_protected(context, path)
    ]
    return entries


def _find_extra_paths(context: Context, item: Item) -> List[Entry]:
    named = item._replace(paths=tuple(context.options.remove_paths))
    return _find_delete(context, named)


def _account_paths(context: Context, account: acc.Account) -> List[str]:
    """What belongs to one account outside the account files: home, mail, cron, at, marks of other programs."""
    host = context.host
    name = account.name
    paths = [
        "/var/spool/cron/crontabs/" + name,
        "/var/spool/cron/tabs/" + name,
        "/var/spool/cron/" + name,
        "/var/cron/tabs/" + name,
        "/var/mail/" + name,
        "/var/spool/mail/" + name,
        "/var/lib/systemd/linger/" + name,
        "/var/lib/AccountsService/users/" + name,
        "/var/lib/AccountsService/icons/" + name,
        "/var/lib/lightdm-data/" + name,
        "/var/lib/lightdm/data/" + name,
        "/var/cache/lightdm/dmrc/%s.dmrc" % name,
        "/etc/ssh/authorized_keys/" + name,
        "/etc/ssh/authorized_keys.d/" + name,
        "/var/lib/pam_ssh_agent_auth/" + name,
    ]
    for base in ("/var/lib/sudo", "/var/db/sudo", "/var/run/sudo"):
        for folder in ("", "/lectured", "/ts"):
            paths += ["%s%s/%s" % (base, folder, name), "%s%s/%d" % (base, folder, account.uid)]
    for folder in ("/var/spool/cron/atjobs", "/var/spool/at", "/var/spool/atjobs", "/var/at/jobs"):
        for job in host.listdir(folder):
            details = host.stat(folder + "/" + job, follow_last=False)
            if details is not None and details.st_uid == account.uid and not stat_module.S_ISDIR(details.st_mode):
                paths.append(folder + "/" + job)
    found = []
    seen = set()
    if account.home and acc.home_is_removable(account, _remaining(context)) and _owns(context, account):
        paths.insert(0, account.home.rstrip("/"))
        behind = host.resolve(account.home)
        real_home = account._replace(home=behind)
        if host.is_link(account.home.rstrip("/")) and acc.home_is_removable(real_home, _remaining(context)):
            details = host.stat(behind)
            if details is not None and details.st_uid == account.uid:
                # The home is a link to a directory of the account's own: both go.
                paths.insert(0, behind)
    for path in paths:
        real = host.path(path, follow_last=False)
        if os.path.lexists(real) and real not in seen and real not in context.mounts:
            seen.add(real)
            found.append(path)
    return found


def _remaining(context: Context) -> List[acc.Account]:
    gone = {account.name for account in context.removed_accounts}
    return [account for account in context.all_accounts if account.name not in gone]


def _owns(context: Context, account: acc.Account) -> bool:
    """Below /home the name is enough; elsewhere a directory must belong to the account to go with it."""
    details = context.host.stat(account.home, follow_last=False)
    if details is None:
        return False
    return account.home.startswith("/home/") or details.st_uid == account.uid


def _find_account_list(context: Context, item: Item, accounts: Sequence[acc.Account]) -> List[Entry]:
    entries = []
    for account in accounts:
        for path in _account_paths(context, account):
            if _is_protected(context, path) or _holds_protected(context, path):
                continue
            entries.append(_entry(context, item, path))
        if _account_is_known(context.host, account.name):
            entries.append(Entry(item.id, "delete", "account", account.name, 0, 0))
    return entries


def _account_is_known(host: Host, name: str) -> bool:
    for path in ("/etc/passwd", "/etc/shadow", "/etc/subuid", "/etc/subgid"):
        text = host.read(path, "")
        if acc.without_first_field(text, [name]) != text:
            return True
    for path, fields in (("/etc/group", (3,)), ("/etc/gshadow", (2, 3))):
        text = host.read(path, "")
        if acc.without_members(text, [name], fields, []) != text:
            return True
    return False


def _edited(context: Context, item: Item, path: str) -> Optional[str]:
    """The text that a file must have after an edit item; None where the file must go."""
    text = context.host.read(path)
    names = [account.name for account in context.removed_accounts]
    if item.action == "edit_fstab":
        return texts.fstab_without_cloudconfig(text)
    if item.action == "edit_hostname":
        return texts.hostname_text(text) if not _is_neutral_hostname(text) else text
    if item.action == "edit_sysconfig":
        return texts.hostname_in_sysconfig(text, context.hostnames)
    if item.action == "edit_hosts":
        return texts.hosts_without(text, context.hostnames)
    if item.action == "edit_mailname":
        name = text.strip()
        ours = any(name == host or name.startswith(host + ".") for host in context.hostnames)
        return texts.NEUTRAL_HOSTNAME + "\n" if ours else text
    if item.action == "edit_dhcp":
        return texts.dhcp_hostname_reset(text, context.hostnames)
    if item.action == "edit_aliases":
        return texts.aliases_without(text, names)
    if item.action == "edit_sudoers":
        after = texts.sudoers_without(text, names)
        if after != text and path.startswith("/etc/sudoers.d/") and texts.is_blank(after):
            return None
        return after
    raise ValueError(item.action)


def _is_neutral_hostname(text: str) -> bool:
    return text in ("", texts.hostname_text(text))


def _find_edit(context: Context, item: Item) -> List[Entry]:
    entries = []
    for path in _expand(context, item):
        if not context.host.is_file(path):
            continue
        text = context.host.read(path)
        after = _edited(context, item, path)
        if after is None:
            entries.append(_entry(context, item, path))
        elif after != text:
            entries.append(Entry(item.id, "edit", "text", path, max(0, len(text) - len(after)), 1))
    return entries


def _find_lock_root(context: Context, item: Item) -> List[Entry]:
    password = acc.password_of(context.host.read("/etc/shadow", ""), "root")
    if password is None or acc.is_locked(password):
        return []
    return [Entry(item.id, "edit", "text", "/etc/shadow", len(password), 1)]


def machine_id_wanted(context: Context) -> Optional[bytes]:
    """Content that /etc/machine-id must have; None where it must stay as it is, or is not used here."""
    host = context.host
    present = host.is_file("/etc/machine-id") or host.is_link("/etc/machine-id")
    uses_it = any(host.is_file(path) for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd"))
    if context.options.machine_id == "keep" or not (present or uses_it):
        return None
    if context.options.machine_id == "uninitialized" and systemd_version(host) >= SYSTEMD_UNINITIALIZED:
        return b"uninitialized\n"
    return b""


def systemd_version(host: Host) -> int:
    """systemd's version from the name of its private library or its man page's package data; 0 where unknown."""
    for pattern in (
        "/usr/lib/systemd/libsystemd-shared-*.so",
        "/lib/systemd/libsystemd-shared-*.so",
        "/usr/lib/*/systemd/libsystemd-shared-*.so",
        "/usr/lib64/systemd/libsystemd-shared-*.so",
    ):
        for path in host.glob(pattern):
            match = re.search(r"libsystemd-shared-(\d+)", path)
            if match:
                return int(match.group(1))
    return 0


def _find_machine_id(context: Context, item: Item) -> List[Entry]:
    host = context.host
    entries = []
    wanted = machine_id_wanted(context)
    if context.options.machine_id == "keep":
        return []
    if wanted is not None and host.is_file("/etc/machine-id"):
        current = host.read_bytes("/etc/machine-id")
        if current != wanted:
            entries.append(Entry(item.id, "edit", "text", "/etc/machine-id", len(current), 1))
    elif wanted is not None and not host.is_link("/etc/machine-id"):
        # Missing altogether: systemd would take the next boot for a first boot.
        entries.append(Entry(item.id, "edit", "text", "/etc/machine-id", 0, 0))
    dbus = "/var/lib/dbus/machine-id"
    if host.is_link("/etc/machine-id") and host.resolve("/etc/machine-id") == dbus:
        return entries
    if host.exists(dbus) and not host.is_link(dbus):
        entries.append(_entry(context, item, dbus, "link" if wanted is not None else "delete"))
    return entries


def resolv_wanted(context: Context) -> Tuple[str, str, str]:
    """(link, raw target, why) | (file, content, why) | (absent, "", why) for /etc/resolv.conf after the run."""
    was = context.resolv
    policy = context.options.resolv_conf
    if was.get("kind") == "link":
        return "link", was.get("target", ""), "was a symbolic link"
    if was.get("kind") != "file":
        return "absent", "", "was not there"
    if policy == "keep":
        return "file", was.get("content", ""), "kept as asked"
    if policy == "empty":
        return "file", "", "emptied as asked"
    writer = ctx_module.resolv_writer(context.host)
    if policy == "remove" or writer is not None:
        return "absent", "", "%s writes it again" % writer if writer else "removed as asked"
    return "file", was.get("content", ""), "kept: nothing on this system would write it again"


def _find_resolv(context: Context, item: Item) -> List[Entry]:
    host = context.host
    path = "/etc/resolv.conf"
    kind, wanted, _why = resolv_wanted(context)
    if kind == "link":
        if host.is_link(path) and host.readlink(path) == wanted:
            return []
        return [Entry(item.id, "link", "link", path, 0, 0)]
    if kind == "absent":
        # What a service put back in the meantime (a link into /run) is its business, a file is not.
        return [_entry(context, item, path)] if host.is_file(path) and not host.is_link(path) else []
    if host.is_file(path) and host.read(path) == wanted:
        return []
    return [Entry(item.id, "edit", "text", path, 0, 1)]


def _find_ssh_host_keys(context: Context, item: Item) -> List[Entry]:
    """The usual names, and what sshd_config names as HostKey."""
    named = [path + tail for path in texts.sshd_values(_sshd_text(context.host), "HostKey") for tail in ("", ".pub")]
    named += texts.sshd_values(_sshd_text(context.host), "HostCertificate")
    return _find_delete(context, item._replace(paths=item.paths + tuple(p for p in named if p.startswith("/"))))


def _find_ssh_user_keys(context: Context, item: Item) -> List[Entry]:
    """The usual names, and what sshd_config names as AuthorizedKeysFile (%u and %h stand for any account)."""
    accounts = context.all_accounts + [a for a in context.removed_accounts if a not in context.all_accounts]
    entries = _find_delete(context, item)
    seen = {entry.path for entry in entries}
    for pattern in texts.sshd_values(_sshd_text(context.host), "AuthorizedKeysFile"):
        if pattern == "none":
            continue
        for account in accounts:
            path = pattern if pattern.startswith(("/", "%")) else "%h/" + pattern
            path = path.replace("%h", account.home).replace("%u", account.name).replace("%U", str(account.uid))
            # Files only, and named for an account that exists: "/etc/%u" must not take /etc with it.
            if "%" not in path and path not in seen and path.startswith("/") and context.host.is_file(path):
                seen.add(path)
                entries.append(_entry(context, item, path))
    return entries


def _sshd_text(host: Host) -> str:
    paths = ["/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"]
    paths += host.glob("/etc/ssh/sshd_config.d/*.conf") + host.glob("/usr/etc/ssh/sshd_config.d/*.conf")
    return "\n".join(ctx_module._text(host, path) for path in paths)


def _find_host_key_unit(context: Context, item: Item) -> List[Entry]:
    host = context.host
    if not host.which("sshd") or not host.which("ssh-keygen") or not host.is_dir("/etc/systemd/system"):
        return []
    if ctx_module.host_key_maker(host, context.cloud_init_enabled) is not None:
        return []
    return [Entry(item.id, "create", "file", "/etc/systemd/system/" + ctx_module.HOST_KEY_UNIT, 0, 0)]


_FINDERS: Dict[str, Callable[[Context, Item], List[Entry]]] = {
    "delete": _find_delete,
    "empty": _find_empty,
    "truncate": _find_truncate,
    "shell_history": _find_shell_history,
    "logs": _find_logs,
    "cloud_init_state": _find_cloud_init_state,
    "own_traces": _find_own_traces,
    "extra_paths": _find_extra_paths,
    "accounts": lambda context, item: _find_account_list(context, item, context.accounts),
    "connected_account": lambda context, item: _find_account_list(context, item, context.connected),
    "lock_root": _find_lock_root,
    "machine_id": _find_machine_id,
    "resolv_conf": _find_resolv,
    "host_key_unit": _find_host_key_unit,
    "ssh_host_keys": _find_ssh_host_keys,
    "ssh_user_keys": _find_ssh_user_keys,
}


def find(context: Context, item: Item) -> List[Entry]:
    """What is left to do for an item; empty where it is kept, does not apply, or is done."""
    if context.kept(item) or not context.holds(item.when):
        return []
    return _FINDERS.get(item.action, _find_edit)(context, item)


def plan(context: Context) -> List[Entry]:
    """Everything that a run would do, in order, each path once."""
    entries: List[Entry] = []
    seen = set()
    gone: List[str] = []
    for item in ITEMS:
        for entry in find(context, item):
            key = (entry.kind == "account", entry.path)
            covered = entry.kind != "account" and any(entry.path.startswith(path + "/") for path in gone)
            if key in seen or covered:
                continue
            seen.add(key)
            if entry.action == "delete" and entry.kind == "directory":
                gone.append(entry.path)
            entries.append(entry)
    return entries


# -- doing -----------------------------------------------------------------------------------------------------------


def remove_tree(host: Host, path: str, mounts: Sequence[str]) -> None:
    """Delete a file, a link or a tree; a tree with a mounted file system in it is refused whole."""
    real = host.path(path, follow_last=False)
    if os.path.islink(real) or not os.path.isdir(real):
        host.remove(path)
        return
    inside = [mount for mount in mounts if mount == real or mount.startswith(real + "/")]
    if inside:
        raise AzurePrepError(
            "%s was not deleted: a file system is mounted at %s; unmount it first." % (path, inside[0]), path=path
        )
    host._step("unlink", path)
    failures: List[Tuple[str, OSError]] = []

    def note(_function: Any, where: str, info: Any) -> None:
        error = info[1]
        if isinstance(error, OSError) and error.errno == errno.ENOENT:
            return
        if not isinstance(error, OSError):
            raise error
        failures.append((where, error))

    shutil.rmtree(real, onerror=note)
    if failures and os.path.lexists(real):
        where, error = failures[0]
        raise AzurePrepError("Cannot remove %s: %s." % (host.inside(where), error.strerror or error), path=path)


def truncate(host: Host, path: str) -> None:
    """Cut a regular file to zero bytes in place: owner, mode, label and the writers' open descriptors stay."""
    real = host.path(path)
    host._step("truncate", path)
    try:
        descriptor = os.open(real, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise AzurePrepError("Cannot empty %s: %s." % (path, exc.strerror or exc), path=path)
    try:
        os.ftruncate(descriptor, 0)
    except OSError as exc:
        raise AzurePrepError("Cannot empty %s: %s." % (path, exc.strerror or exc), path=path)
    finally:
        os.close(descriptor)


class _AccountLock:
    """lckpwdf(3): no other tool edits the account files meanwhile. The lock file itself is the system's own."""

    def __init__(self, host: Host) -> None:
        self.real = host.path("/etc/.pwd.lock")
        self.descriptor = -1

    def __enter__(self) -> None:
        try:
            self.descriptor = os.open(self.real, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if self.descriptor >= 0:
                os.close(self.descriptor)
                self.descriptor = -1
            if exc.errno in (errno.EACCES, errno.EAGAIN):
                raise AzurePrepError("Another program is editing the accounts (/etc/.pwd.lock); try again.")
            raise AzurePrepError("Cannot lock the account files (/etc/.pwd.lock): %s." % (exc.strerror or exc))

    def __exit__(self, *_args: Any) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


def remove_account(host: Host, name: str) -> None:
    """Take one account out of all account files; passwd last, so that an interrupted run still knows it."""
    with _AccountLock(host):
        accounts = acc.parse_passwd(host.read("/etc/passwd", ""))
        groups = acc.private_groups(host.read("/etc/group", ""), accounts, [name])
        for path in ("/etc/subuid", "/etc/subgid", "/etc/shadow"):
            _write_if_changed(host, path, lambda text: acc.without_first_field(text, [name]))
        _write_if_changed(host, "/etc/gshadow", lambda text: acc.without_members(text, [name], (2, 3), groups))
        _write_if_changed(host, "/etc/group", lambda text: acc.without_members(text, [name], (3,), groups))
        _write_if_changed(host, "/etc/passwd", lambda text: acc.without_first_field(text, [name]))


def _write_if_changed(host: Host, path: str, edit: Callable[[str], str]) -> None:
    if host.is_file(path):
        text = host.read(path)
        after = edit(text)
        if after != text:
            host.write(path, after)


def do(context: Context, item: Item, entry: Entry) -> None:
    """Do one entry of an item. Raises AzurePrepError; the caller goes on with the others."""
    host = context.host
    if entry.kind == "account":
        remove_account(host, entry.path)
    elif item.action == "machine_id" and entry.path == "/etc/machine-id":
        wanted = machine_id_wanted(context)
        if wanted == b"" and host.is_file(entry.path):
            truncate(host, entry.path)
        elif wanted is not None:
            host.write(entry.path, wanted, mode=0o444)
    elif item.action == "machine_id" and entry.action == "link":
        host.symlink("/etc/machine-id", entry.path)
    elif item.action == "resolv_conf" and entry.action != "delete":
        kind, wanted_text, _why = resolv_wanted(context)
        if kind == "link":
            host.symlink(wanted_text, entry.path)
        else:
            if host.is_link(entry.path):
                host.remove(entry.path)
            host.write(entry.path, wanted_text)
    elif item.action == "lock_root":
        with _AccountLock(host):
            _write_if_changed(host, "/etc/shadow", lambda text: acc.lock(text, "root"))
    elif item.action == "host_key_unit":
        program = host.which("ssh-keygen") or "/usr/bin/ssh-keygen"
        host.write(entry.path, _HOST_KEY_UNIT_TEXT % program, mode=0o644)
        host.symlink(entry.path, "/etc/systemd/system/multi-user.target.wants/" + os.path.basename(entry.path))
    elif entry.action == "edit":
        after = _edited(context, item, entry.path)
        if after is not None:
            host.write(entry.path, after)
    elif entry.action == "truncate":
        truncate(host, entry.path)
    else:
        remove_tree(host, entry.path, context.mounts)


def apply_items(context: Context, wanted: Sequence[Item], note: Callable[[str], None]) -> Tuple[List[Entry], List[str]]:
    """Do all that is left of these items: (what was done, sentences about what could not be)."""
    done: List[Entry] = []
    problems: List[str] = []
    for item in wanted:
        entries = find(context, item)
        if entries:
            note("%s: %s" % (item.id, item.title))
        for entry in entries:
            try:
                do(context, item, entry)
                done.append(entry)
            except AzurePrepError as exc:
                problems.append(str(exc))
            except OSError as exc:
                problems.append("%s: %s." % (entry.path, exc.strerror or exc))
    return done, problems


# -- checking --------------------------------------------------------------------------------------------------------


def _evidence_kept(item: Item) -> str:
    return "kept as asked (%s)" % item.rule


def check(context: Context, item: Item, done: Sequence[Entry], problems: Sequence[str]) -> Check:
    """Look whether an item's post-condition holds now."""
    if context.kept(item):
        return Check(item.id, item.rule, True, "kept", _evidence_kept(item))
    if not context.holds(item.when):
        return Check(item.id, item.rule, True, "not_applicable", "does not apply to this system")
    left = find(context, item)
    if left:
        named = ", ".join(entry.path for entry in left[:10])
        more = " and %d more" % (len(left) - 10) if len(left) > 10 else ""
        reasons = [text for text in problems if any(entry.path in text for entry in left)]
        return Check(
            item.id, item.rule, False, "left", "left: %s%s%s" % (named, more, ". " + reasons[0] if reasons else "")
        )
    special = _special_evidence(context, item)
    if special is not None:
        return special
    count = len([entry for entry in done if entry.id == item.id])
    return Check(item.id, item.rule, True, "done", "nothing left%s" % (", %d removed" % count if count else ""))


def _special_evidence(context: Context, item: Item) -> Optional[Check]:
    """Post-conditions that say more than "nothing left", or that an empty finding does not prove."""
    host = context.host
    if item.action == "host_key_unit":
        if not host.which("sshd"):
            return Check(item.id, item.rule, True, "not_applicable", "no SSH server is installed")
        maker = ctx_module.host_key_maker(host, context.cloud_init_enabled)
        if maker is None:
            return Check(
                item.id,
                item.rule,
                False,
                "left",
                "nothing found that makes SSH host keys at the next boot; see the docs",
            )
        return Check(item.id, item.rule, True, "done", "made at the next boot by %s" % maker)
    if item.action == "lock_root":
        password = acc.password_of(host.read("/etc/shadow", ""), "root")
        if password is None:
            return Check(item.id, item.rule, True, "not_applicable", "root has no line in /etc/shadow")
        return Check(
            item.id, item.rule, acc.is_locked(password), "done", "root's password field is locked, no hash kept"
        )
    if item.action == "resolv_conf":
        kind, wanted, why = resolv_wanted(context)
        text = {
            "link": "symbolic link to %s" % wanted,
            "absent": "not there",
            "file": "a file of %d bytes" % len(wanted),
        }
        return Check(item.id, item.rule, True, "done", "/etc/resolv.conf is %s (%s)" % (text[kind], why))
    if item.action == "machine_id":
        if not host.exists("/etc/machine-id"):
            return Check(item.id, item.rule, True, "not_applicable", "/etc/machine-id does not exist")
        details = host.stat("/etc/machine-id")
        size = details.st_size if details is not None else 0
        text_of = "empty" if size == 0 else host.read("/etc/machine-id").strip()
        if context.options.machine_id == "keep":
            return Check(item.id, item.rule, True, "kept", "/etc/machine-id kept as asked")
        return Check(
            item.id, item.rule, size == 0 or text_of == "uninitialized", "done", "/etc/machine-id is %s" % text_of
        )
    if item.action in ("accounts", "connected_account"):
        names = [a.name for a in (context.accounts if item.action == "accounts" else context.connected)]
        left = [name for name in names if _account_is_known(host, name)]
        # A home on a file system of its own is not deleted with the account, and that must be seen.
        for account in context.accounts if item.action == "accounts" else context.connected:
            details = host.stat(account.home, follow_last=False) if account.home.startswith("/") else None
            removable = acc.home_is_removable(account, _remaining(context)) and _owns(context, account)
            if details is not None and removable and not _is_protected(context, account.home):
                left.append(account.home)
        if left:
            return Check(item.id, item.rule, False, "left", "left: %s" % ", ".join(left))
        said = "removed: %s" % ", ".join(names) if names else "none to remove"
        return Check(item.id, item.rule, True, "done" if names else "not_applicable", said)
    return None


def mentions(context: Context) -> Iterator[str]:
    """Sentences about files in /etc that still name a removed account or the build machine; told, not changed."""
    words = [account.name for account in context.removed_accounts]
    release = context.host.os_release()
    words += [name for name in context.hostnames if name.lower() not in (release.id, "linux")]
    words = [word for word in words if len(word) > 2]
    if not words:
        return
    pattern = re.compile(r"(?<![\w.-])(%s)(?![\w-])" % "|".join(re.escape(word) for word in words))
    count = 0
    base = context.host.path("/etc")
    for folder, names, files in os.walk(base):
        names[:] = sorted(name for name in names if name not in ("ssl", "selinux", "alternatives", "terminfo", ".git"))
        for name in sorted(files):
            real = os.path.join(folder, name)
            try:
                details = os.lstat(real)
                if not stat_module.S_ISREG(details.st_mode) or details.st_size > 256 * 1024:
                    continue
                with open(real, "rb") as stream:
                    text = stream.read().decode("utf-8", "surrogateescape")
            except OSError:
                continue
            match = pattern.search(text)
            if match:
                count += 1
                if count > 20:
                    yield "More files in /etc name them; the list was cut at 20."
                    return
                yield "%s still names %s." % (context.host.inside(real), match.group(1))


def leftovers_of_people(context: Context) -> Iterator[str]:
    """Sentences about accounts that stay with a password, and homes that stay without their account."""
    for account in context.removed_accounts:
        if account.home.startswith("/") and account.home != "/" and context.host.exists(account.home):
            yield "%s, the home directory of %s, stays: it is shared or not the account's own." % (
                account.home,
                account.name,
            )
    shadow = context.host.read("/etc/shadow", "")
    for account in _remaining(context):
        if account.name != "root" and acc.is_hash(acc.password_of(shadow, account.name)):
            yield (
                "The account %s stays, and with it its password; name it in remove_users if it should go."
                % account.name
            )


def older_copies(context: Context) -> Iterator[str]:
    """Sentences about places that keep earlier states of files that were deleted now."""
    snapshots = context.host.glob("/.snapshots/*/snapshot")
    if snapshots:
        yield (
            "%d snapshots in /.snapshots keep old keys, accounts and logs; delete them (snapper delete) before capture."
            % len(snapshots)
        )
    deployments = context.host.glob("/ostree/deploy/*/deploy/*")
    if len(deployments) > len(context.host.glob("/ostree/deploy/*/deploy/*.origin")) + 1:
        yield "Older ostree deployments keep their own /etc; remove them (rpm-ostree cleanup -rp) before capture."


def items_of(*phases: str) -> List[Item]:
    return [item for item in ITEMS if item.phase in phases]


MAIN_ITEMS = items_of(MAIN)
COMMIT_ITEMS = items_of(COMMIT)
AGAIN_ITEMS = [item for item in ITEMS if item.again]
