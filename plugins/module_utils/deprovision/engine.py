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
import stat as stat_module
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import filesystems, units
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import accounts as acc
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import context as ctx_module
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import places, texts
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import Context
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.items import (
    COMMIT,
    ITEMS,
    MAIN,
    SHELL_HISTORIES,
    Item,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host, walk

#: Rotated logs, deleted rather than emptied: a number, a date or a packer's suffix at the end of the name.
ROTATED = re.compile(
    r"(?:\.\d+|[.-]\d{8}(?:-\d+)?|\.old|\.bak|~)(?:\.(?:gz|xz|bz2|zst|lz4))?$|\.(?:gz|xz|bz2|zst|lz4)$"
)

#: systemd understands the word "uninitialized" in machine-id(5) from this version on.
SYSTEMD_UNINITIALIZED = 247

#: Names boot entries in place of the machine id, from this systemd on (kernel-install(8)).
ENTRY_TOKEN = "/etc/kernel/entry-token"
SYSTEMD_ENTRY_TOKEN = 251

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


def tree_size(context: Context, real: str) -> Tuple[int, int]:
    """(bytes of the regular files, number of files) at and below a path; what cannot be read counts as nothing.

    Nor does what is mounted there: a tree with a mount in it is not deleted.
    """
    try:
        details = os.lstat(real)
    except OSError:
        return 0, 0
    if not stat_module.S_ISDIR(details.st_mode):
        return (details.st_size if stat_module.S_ISREG(details.st_mode) else 0), 1
    total, files = 0, 0
    for _top, folder, entries in filesystems.Walk(context.host, [real], context.mounts, one_device=False):
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
    return any(path == kept or path.startswith(kept + "/") for kept in context.protected + context.protected_later())


def _holds_protected(context: Context, path: str) -> bool:
    return any(kept.startswith(path.rstrip("/") + "/") for kept in context.protected + context.protected_later())


def _entry(context: Context, item: Item, path: str, action: str = "delete") -> Entry:
    real = context.host.path(path, follow_last=False)
    size, files = tree_size(context, real)
    return Entry(item.id, action, _kind(real), path, size, files)


def _patterns(context: Context, item: Item) -> List[Tuple[str, str]]:
    """The item's patterns with the home directory that each belongs to ("" for none); %h is every home in turn."""
    patterns: List[Tuple[str, str]] = []
    homes: Optional[List[str]] = None
    for pattern in item.paths:
        if pattern.startswith("%h/"):
            homes = context.homes() if homes is None else homes
            patterns.extend((home, home + pattern[2:]) for home in homes)
        else:
            patterns.append(("", pattern))
    return patterns


def _expand_homes(context: Context, item: Item) -> List[Tuple[str, str]]:
    """(home or "", existing path) of an item, each real location once (on merged systems /lib is /usr/lib).

    Below a home directory, whose owner may have put links there, nothing is taken that lies outside of it.
    """
    found: List[Tuple[str, str]] = []
    seen = set()
    for home, pattern in _patterns(context, item):
        for path in context.host.glob(pattern):
            real = context.host.path(path, follow_last=False)
            if real in seen or _is_protected(context, path):
                continue
            seen.add(real)
            if home and not places.lies_below(context.host, home, path):
                context.warn(
                    "%s leads out of the home directory through a symbolic link and was left alone; name the real "
                    "path in remove_paths if it should go." % path
                )
                continue
            found.append((home, path))
    return found


def _expand(context: Context, item: Item) -> List[str]:
    return [path for _home, path in _expand_homes(context, item)]


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
            if name == "lost+found" or _is_protected(context, path) or context.is_mounted(path):
                continue
            if _holds_protected(context, path):
                continue
            entries.append(_entry(context, item, path))
    return entries


def _to_empty(context: Context, item: Item, path: str, top: str) -> Optional[Entry]:
    """How the content of a file goes whose place others may have prepared: emptied, or only the name deleted.

    A link, or a second name (hard link), that leads out of `top` must never empty what is there: /etc/passwd may be
    at the other end. Then only the link or the name goes, and a note says where the content stays.
    """
    host = context.host
    details = host.stat(path, follow_last=False)
    if details is None:
        return None
    if stat_module.S_ISDIR(details.st_mode):
        return _entry(context, item, path) if host.listdir(path) else None
    if stat_module.S_ISLNK(details.st_mode):
        behind = host.stat(path)
        if behind is None or not stat_module.S_ISREG(behind.st_mode) or behind.st_size == 0:
            # /dev/null and the like: an administrator's way to keep no history.
            return None
        if not filesystems.is_below(host.path(path), host.path(top)):
            context.warn("%s was a link to %s, which was left alone." % (path, host.resolve(path)))
            return Entry(item.id, "delete", "link", path, 0, 1)
        path, details = host.resolve(path), behind
    if not stat_module.S_ISREG(details.st_mode) or details.st_size == 0:
        return None
    if details.st_nlink > 1 and not places.all_names_below(host, host.path(top), details, context.mounts):
        context.warn("%s has another name outside of %s (hard link); its content was left alone there." % (path, top))
        return Entry(item.id, "delete", "file", path, details.st_size, 1)
    return Entry(item.id, "truncate", "file", path, details.st_size, 1)


def _find_truncate(context: Context, item: Item) -> List[Entry]:
    found = [_to_empty(context, item, path, os.path.dirname(path)) for path in _expand(context, item)]
    return [entry for entry in found if entry is not None]


def _named_histories(context: Context) -> List[Tuple[str, str]]:
    """(directory that it may not lead out of, path) of the files that start-up files assign to HISTFILE."""
    host = context.host
    paths: List[Tuple[str, str]] = []
    common = ["/etc/profile", "/etc/bash.bashrc", "/etc/bashrc", "/etc/zsh/zshrc", "/etc/zshrc", "/etc/environment"]
    common += host.glob("/etc/profile.d/*.sh")
    names = {account.home.rstrip("/"): account.name for account in context.all_accounts}
    for home in context.homes():
        own = [home + "/" + name for name in (".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv", ".kshrc")]
        for source in common + [path for path in own if places.lies_below(host, home, path)]:
            text = ctx_module._text(host, source)
            for named in texts.history_files_named(text, home, names.get(home, os.path.basename(home))):
                if places.lies_below(host, home, named):
                    paths.append((home, named))
                elif places.is_history_place(host, named, home, trusted=source in common):
                    paths.append((os.path.dirname(named), named))
                elif host.is_file(named):
                    context.warn(
                        "%s makes %s the history file; it is outside of %s and was left alone." % (source, named, home)
                    )
    return paths


def _find_shell_history(context: Context, item: Item) -> List[Entry]:
    """The usual names, and whatever start-up files assign to HISTFILE."""
    entries: List[Entry] = []
    for home, path in _expand_homes(context, item) + _named_histories(context):
        entry = _to_empty(context, item, path, home)
        if entry is not None and entry.path not in [other.path for other in entries]:
            entries.append(entry)
    return entries


def _find_tool_history(context: Context, item: Item) -> List[Entry]:
    """Histories of programs; the shells' own are another item's, which empties them in place."""
    entries = []
    named = [path for _home, path in _named_histories(context)]
    for home, path in _expand_homes(context, item):
        if path[len(home) + 1 :] not in SHELL_HISTORIES and path not in named:
            entries.append(_entry(context, item, path))
    return entries


def _cannot_look(real: str, exc: OSError) -> None:
    """For walk(): a directory that is there and cannot be read must not count as empty."""
    if exc.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        raise AzurePrepError("Cannot look into %s: %s." % (real, exc.strerror or exc), path=real)


def _find_logs(context: Context, item: Item) -> List[Entry]:
    """Every file below the log directory: rotated ones to delete, the others to empty; directories stay."""
    entries = []
    for top in item.paths:
        base = context.host.path(top)
        for folder, names, files in walk(base, _cannot_look):
            inside = top + folder[len(base) :]
            descend = []
            for name in sorted(names):
                path = inside + "/" + name
                remote = filesystems.remote_type(os.path.join(folder, name), context.mounts)
                if remote:
                    context.warn_of_remote(path, remote)
                elif path != "/var/log/journal" and not _is_protected(context, path):
                    descend.append(name)
            names[:] = descend
            for name in sorted(files):
                path = inside + "/" + name
                try:
                    details = os.lstat(os.path.join(folder, name))
                except OSError:
                    continue
                if not stat_module.S_ISREG(details.st_mode) or _is_protected(context, path):
                    continue
                if ROTATED.search(name):
                    entries.append(Entry(item.id, "delete", "file", path, details.st_size, 1))
                else:
                    entry = _to_empty(context, item, path, top)
                    if entry is not None:
                        entries.append(entry)
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
    if account.home and acc.home_is_removable(account, remaining(context)) and _owns(context, account):
        paths.insert(0, account.home.rstrip("/"))
        behind = host.resolve(account.home)
        real_home = account._replace(home=behind)
        if host.is_link(account.home.rstrip("/")) and acc.home_is_removable(real_home, remaining(context)):
            details = host.stat(behind)
            if details is not None and details.st_uid == account.uid:
                # The home is a link to a directory of the account's own: both go.
                paths.insert(0, behind)
    for path in paths:
        real = host.path(path, follow_last=False)
        if os.path.lexists(real) and real not in seen and not context.is_mounted(path):
            seen.add(real)
            found.append(path)
    return found


def remaining(context: Context) -> List[acc.Account]:
    gone = {account.name for account in context.removed_accounts}
    return [account for account in context.all_accounts if account.name not in gone]


def _owns(context: Context, account: acc.Account) -> bool:
    """Below /home the name is enough; elsewhere a directory must belong to the account to go with it."""
    remote = context.remote(account.home)
    if remote:
        context.warn_of_remote(account.home, remote)
        return False
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
    if item.action == "edit_iscsi":
        # Debian's start script makes a name where the file says so, and stops where there is no file.
        scripts = ("/usr/lib/open-iscsi/startup-checks.sh", "/lib/open-iscsi/startup-checks.sh")
        generate = any(context.host.exists(path) for path in scripts)
        return texts.initiator_name(text) if generate else None
    if item.action == "edit_fstab":
        return texts.fstab_without_cloudconfig(text)
    if item.action == "edit_boot_entries":
        return text if context.options.machine_id == "keep" else texts.without_machine_id(text)
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


def entry_token(context: Context, item: Item) -> str:
    """The machine id, where kernel-install(8) has named boot entries after it; "" where it will find them anyway.

    Under a new id it would not find the kernels that are there, and never remove them. The file that names them
    is known from systemd 251 on.
    """
    host = context.host
    if context.options.machine_id == "keep" or host.exists(ENTRY_TOKEN) or systemd_version(host) < SYSTEMD_ENTRY_TOKEN:
        return ""
    name = host.read("/etc/machine-id", "").strip()
    if not re.match(r"[0-9a-f]{32}$", name):
        return ""
    return name if any(os.path.basename(path).startswith(name + "-") for path in _expand(context, item)) else ""


def _find_entry_token(context: Context, item: Item) -> List[Entry]:
    return [Entry(item.id, "edit", "text", ENTRY_TOKEN, 0, 0)] if entry_token(context, item) else []


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
    for path in _private_keys(context):
        if path not in seen:
            seen.add(path)
            entries.append(_entry(context, item, path))
    for pattern in texts.sshd_values(_sshd_text(context.host), "AuthorizedKeysFile"):
        if pattern == "none":
            continue
        for account in accounts:
            path = pattern if pattern.startswith(("/", "%")) else "%h/" + pattern
            path = path.replace("%h", account.home).replace("%u", account.name).replace("%U", str(account.uid))
            # Files only, and named for an account that exists: "/etc/%u" must not take /etc with it.
            if "%h" in pattern or not pattern.startswith(("/", "%")):
                home = account.home
                if (
                    context.remote(home)
                    or not context.host.is_dir(home)
                    or not places.lies_below(context.host, home, path)
                ):
                    continue
            if "%" not in path and path not in seen and path.startswith("/") and context.host.is_file(path):
                seen.add(path)
                entries.append(_entry(context, item, path))
    return entries


def _private_keys(context: Context) -> List[str]:
    """Files in ~/.ssh that are private keys by their content, whatever they are called, with their public halves."""
    host = context.host
    found = []
    for home in context.homes():
        folder = home + "/.ssh"
        if not places.lies_below(host, home, folder + "/x"):
            continue
        for name in host.listdir(folder):
            path = folder + "/" + name
            details = host.stat(path, follow_last=False)
            if details is None or not stat_module.S_ISREG(details.st_mode) or details.st_size > 64 * 1024:
                continue
            if b"PRIVATE KEY-----" in host.read_bytes(path):
                found += [path] + [path + tail for tail in (".pub", "-cert.pub") if host.exists(path + tail)]
    return [path for path in found if not _is_protected(context, path)]


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
    # Those make host keys too, and are on by the time this item is done.
    if any(find(context, other) for other in ITEMS if other.action == "agentless_units"):
        return []
    return [Entry(item.id, "create", "file", "/etc/systemd/system/" + ctx_module.HOST_KEY_UNIT, 0, 0)]


def _find_agentless_units(context: Context, item: Item) -> List[Entry]:
    return [
        Entry(item.id, "create", "link", "/etc/systemd/system/multi-user.target.wants/" + name, 0, 0)
        for name in ctx_module.agentless_units(context.host)
    ]


_FINDERS: Dict[str, Callable[[Context, Item], List[Entry]]] = {
    "delete": _find_delete,
    "empty": _find_empty,
    "truncate": _find_truncate,
    "shell_history": _find_shell_history,
    "tool_history": _find_tool_history,
    "logs": _find_logs,
    "cloud_init_state": _find_cloud_init_state,
    "own_traces": _find_own_traces,
    "extra_paths": _find_extra_paths,
    "accounts": lambda context, item: _find_account_list(context, item, context.accounts),
    "connected_account": lambda context, item: _find_account_list(context, item, context.connected),
    "lock_root": _find_lock_root,
    "entry_token": _find_entry_token,
    "machine_id": _find_machine_id,
    "resolv_conf": _find_resolv,
    "agentless_units": _find_agentless_units,
    "host_key_unit": _find_host_key_unit,
    "ssh_host_keys": _find_ssh_host_keys,
    "ssh_user_keys": _find_ssh_user_keys,
}


def find(context: Context, item: Item) -> List[Entry]:
    """What is left to do for an item; empty where it is kept, does not apply, or is done.

    Not what lies on a network file system, which is not on the disk, nor what goes with a directory of the same item.
    """
    if context.kept(item) or not context.holds(item.when):
        return []
    entries = []
    directories = []
    for entry in _FINDERS.get(item.action, _find_edit)(context, item):
        if entry.kind != "account":
            real = context.host.path(entry.path, follow_last=False)
            remote = filesystems.remote_type(real, context.mounts)
            if remote:
                context.warn_of_remote(entry.path, remote)
                continue
            if entry.kind == "directory" and entry.action == "delete":
                directories.append(real + "/")
        entries.append(entry)
    if not directories:
        return entries
    return [
        entry
        for entry in entries
        if entry.kind == "account"
        or not context.host.path(entry.path, follow_last=False).startswith(tuple(directories))
    ]


def plan(context: Context) -> List[Entry]:
    """Everything that a run would do, in order, each path once, with the sizes that the run will find.

    A directory that goes after things in it were dealt with has less in it by then; what would be found in a
    directory that is gone by then is left out.
    """
    entries: List[Entry] = []
    seen = set()
    gone: List[str] = []
    earlier: List[Tuple[str, Entry]] = []
    for item in ITEMS:
        for entry in find(context, item):
            key = (entry.kind == "account", entry.path)
            real = "" if entry.kind == "account" else context.host.path(entry.path, follow_last=False)
            if key in seen or (real and real.startswith(tuple(gone))):
                continue
            seen.add(key)
            if entry.action == "delete" and entry.kind == "directory":
                inside = [other for place, other in earlier if place.startswith(real + "/")]
                entry = entry._replace(
                    bytes=entry.bytes - sum(other.bytes for other in inside if other.kind != "link"),
                    files=entry.files - sum(other.files for other in inside if other.action == "delete"),
                )
                gone.append(real + "/")
            if real:
                earlier.append((real, entry))
            entries.append(entry)
    return entries


def obstacles(context: Context, wanted: Sequence[Item]) -> List[Check]:
    """What would keep these items from being done, as failed checks: mounted file systems in the way.

    Asked before the way in is taken: an error after that could no longer be repaired by logging in.
    """
    found: List[Check] = []
    for item in wanted:
        for entry in find(context, item):
            if entry.kind == "account":
                continue
            real = context.host.path(entry.path, follow_last=False)
            why = ""
            if entry.kind == "directory" and entry.action == "delete":
                inside = [mount.point for mount in context.mounts if filesystems.is_below(mount.point, real)]
                why = "a file system is mounted at %s; unmount it" % inside[0] if inside else ""
            if not why and _is_read_only(real):
                why = "it is on a file system that is mounted read-only"
            if why:
                found.append(Check(item.id, item.rule, False, "left", "%s cannot go: %s" % (entry.path, why)))
        if item.action == "connected_account" and not context.kept(item):
            for account in context.connected:
                if context.is_mounted(account.home):
                    why = "its home directory %s is a file system of its own; unmount it" % account.home
                    found.append(Check(item.id, item.rule, False, "left", "%s cannot go: %s" % (account.name, why)))
    return found


def _is_read_only(real: str) -> bool:
    while not os.path.isdir(real) or os.path.islink(real):
        real = os.path.dirname(real)
    try:
        return bool(os.statvfs(real).f_flag & os.ST_RDONLY)
    except OSError:
        return False


# -- doing -----------------------------------------------------------------------------------------------------------


def remove_tree(host: Host, path: str, mounts: Sequence[filesystems.Mount]) -> None:
    """Delete a file, a link or a tree; a tree with a mounted file system in it is refused whole."""
    real = host.path(path, follow_last=False)
    if not os.path.lexists(real):
        return
    host._step("unlink", path)
    if os.path.islink(real) or not os.path.isdir(real):
        places.unlink(real)
        return
    inside = [mount.point for mount in mounts if filesystems.is_below(mount.point, real)]
    if inside:
        raise AzurePrepError(
            "%s was not deleted: a file system is mounted at %s; unmount it first." % (path, inside[0]), path=path
        )
    failure = places.remove_directory(real)
    if failure is not None and failure[1].errno in (errno.EPERM, errno.EACCES):
        places.thaw_tree(real)
        failure = places.remove_directory(real)
    if failure is not None:
        raise AzurePrepError(
            "Cannot remove %s: %s (%s)." % (path, failure[1].strerror or failure[1], os.path.basename(failure[0])),
            path=path,
        )


def truncate(host: Host, path: str) -> None:
    """Cut a regular file to zero bytes in place, links followed (the finders decided that they may be)."""
    host._step("truncate", path)
    try:
        places.truncate(host.path(path))
    except OSError as exc:
        raise AzurePrepError("Cannot empty %s: %s." % (path, exc.strerror or exc), path=path)


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


_ACCOUNT_FILES = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/subuid", "/etc/subgid")


def do(context: Context, item: Item, entry: Entry) -> None:
    """Do one entry of an item. Raises AzurePrepError; the caller goes on with the others.

    Flags of chattr(1) that forbid even root a change (append-only logs, an immutable resolv.conf) are taken off for it,
    and set again on what is still there.
    """
    host = context.host
    touched = list(_ACCOUNT_FILES) if entry.kind == "account" else [entry.path]
    reals = [host.path(path, follow_last=entry.action != "delete") for path in touched]
    taken = []
    for real in sorted(set(reals) | {os.path.dirname(real) for real in reals}):
        flags = places.thaw(real)
        if flags:
            taken.append((real, flags))
    try:
        _do(context, item, entry)
    finally:
        for real, flags in taken:
            if os.path.lexists(real):
                places.freeze(real, flags)
    if taken:
        context.warn("%s had flags that forbid changes (chattr); they were lifted for the change." % entry.path)


def _do(context: Context, item: Item, entry: Entry) -> None:
    host = context.host
    if entry.kind == "account":
        remove_account(host, entry.path)
    elif item.action == "entry_token":
        host.write(entry.path, entry_token(context, item) + "\n")
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
    elif item.action == "agentless_units":
        host.symlink(units.unit_file(host, os.path.basename(entry.path)), entry.path)
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
            if context.remote(account.home):
                continue
            details = host.stat(account.home, follow_last=False) if account.home.startswith("/") else None
            removable = acc.home_is_removable(account, remaining(context)) and _owns(context, account)
            if details is not None and removable and not _is_protected(context, account.home):
                left.append(account.home)
        if left:
            return Check(item.id, item.rule, False, "left", "left: %s" % ", ".join(left))
        said = "removed: %s" % ", ".join(names) if names else "none to remove"
        return Check(item.id, item.rule, True, "done" if names else "not_applicable", said)
    return None


def items_of(*phases: str) -> List[Item]:
    return [item for item in ITEMS if item.phase in phases]


MAIN_ITEMS = items_of(MAIN)
COMMIT_ITEMS = items_of(COMMIT)
AGAIN_ITEMS = [item for item in ITEMS if item.again]
