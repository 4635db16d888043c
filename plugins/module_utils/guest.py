# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running guest is asked before and after an edit: blkid, findmnt, sshd, visudo.

The system's own tools judge a file before it counts; where a tool is not there (a bare tree), the caller's own
reading has to do.

Private to the collection: its interface may change in any release.
"""

import os
import re
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits, fstab, sshd_config, sudoers
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: Candidates are judged here before they take the real file's place.
FSTAB_CANDIDATE = "/run/linuxvhd-azure.fstab"
SUDOERS_CANDIDATE = "/etc/.linuxvhd-azure.sudoers"


def uuid_lookup(host: Host) -> Callable[[str], Optional[str]]:
    """Ask blkid once; the result finds the file system UUID of a source of fstab."""
    text = ""
    if host.which("blkid"):
        # -c /dev/null: the cache may name disks that are gone. Exit status 2 means that nothing was found.
        text = host.run(["blkid", "-c", "/dev/null", "-o", "export"], check=False).stdout
    return fstab.uuid_lookup(fstab.parse_blkid(text), host.resolve)


def mounted_uuid(host: Host, target: str) -> Optional[str]:
    """The UUID of the file system that is mounted at `target` on the running system; None where there is none."""
    if not host.is_live or not host.which("findmnt"):
        return None
    text = host.run(["findmnt", "-n", "-r", "-o", "UUID", "-M", target], check=False, timeout=60).stdout.strip()
    return text if re.match(r"^[0-9A-Za-z-]+$", text) else None


def parse_lsblk(text: str) -> Tuple[Dict[str, Set[str]], Dict[str, str]]:
    """The output of `lsblk -P -p -o NAME,PKNAME,UUID`: name to its parents, and UUID to its name."""
    parents: Dict[str, Set[str]] = {}
    uuids: Dict[str, str] = {}
    for line in text.split("\n"):
        row = dict(re.findall(r'(\w+)="([^"]*)"', line))
        if not row.get("NAME"):
            continue
        parents.setdefault(row["NAME"], set()).update({row["PKNAME"]} if row.get("PKNAME") else set())
        if row.get("UUID"):
            uuids.setdefault(row["UUID"], row["NAME"])
    return parents, uuids


def disks_of(parents: Dict[str, Set[str]], name: str) -> Set[str]:
    """The disks below a partition or logical volume; the name itself where nothing is below it."""
    found: Set[str] = set()
    todo, seen = [name], set()
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        above = parents.get(current, set())
        todo += sorted(above)
        if not above:
            found.add(current)
    return found


def missing_at_boot(host: Host, text: str) -> List[str]:
    """A sentence for every entry of fstab that keeps the image from booting, as its disk is not the system's own.

    Empty for a mounted image, where the other disks are not to be seen.
    """
    if not host.is_live or not host.which("lsblk") or not host.which("findmnt"):
        return []
    root = mounted_uuid(host, "/")
    parents, uuids = parse_lsblk(host.run(["lsblk", "-P", "-p", "-o", "NAME,PKNAME,UUID"], check=False).stdout)
    if root is None or root not in uuids:
        return []
    own = disks_of(parents, uuids[root])
    find = uuid_lookup(host)
    found = []
    for entry in fstab.parse(text).entries:
        if not fstab.must_be_there(entry):
            continue
        key, _sep, value = entry.source.partition("=")
        uuid = value.strip('"') if key.upper() == "UUID" else find(entry.source)
        name = uuids.get(uuid or "")
        if name is None and (key.upper().startswith("PART") or entry.source.startswith("/dev/")):
            # No UUID is no proof of absence: a partition's own tags, a file system without UUID.
            continue
        if name is None:
            found.append("%s is not there, and a boot without it ends in emergency mode" % entry.source)
        elif not disks_of(parents, name) <= own:
            found.append("%s is on another disk than /, which the image will not have" % entry.source)
        else:
            continue
        found[-1] = "/etc/fstab: %s (%s); add nofail, or take the line out." % (found[-1], entry.target)
    return found


def expect_text(host: Host, path: str, text: str) -> None:
    """AzurePrepError where a file does not hold what was written."""
    if host.read(path, "") != text:
        raise AzurePrepError("%s does not hold what was written to it." % path)


def daemon_reload(host: Host) -> None:
    """Let systemd read fstab and units again, where it runs."""
    if host.is_live and host.is_dir("/run/systemd/system") and host.which("systemctl"):
        host.run(["systemctl", "daemon-reload"], check=False, timeout=120)


def count_errors(text: str, rc: int) -> int:
    """The number of errors that `findmnt --verify` counted (warnings do not count)."""
    match = re.search(r"(\d+) parse errors?, (\d+) errors?", text)
    if match is not None:
        return int(match.group(1)) + int(match.group(2))
    return 1 if rc else 0


def check_fstab(host: Host, before: str, after: str, write: bool = True) -> None:
    """Let findmnt judge a new fstab; AzurePrepError where it finds more errors than in the old one.

    With write false (check mode) nothing is written, and so nothing is judged.
    """
    if not write or not host.is_live or not host.which("findmnt"):
        return

    def errors(text: str) -> Tuple[int, str]:
        host.write(FSTAB_CANDIDATE, text, mode=0o600)
        try:
            result = host.run(["findmnt", "--verify", "--tab-file", FSTAB_CANDIDATE], check=False, timeout=60)
        finally:
            host.remove(FSTAB_CANDIDATE)
        output = result.stdout + result.stderr
        return count_errors(output, result.rc), output

    old, _output = errors(before)
    new, output = errors(after)
    if new > old:
        raise AzurePrepError("findmnt refuses the planned /etc/fstab, which was left as it was: %s" % output.strip())


def sshd_accepts(host: Host) -> str:
    """Why `sshd -t` refuses the configuration as it stands; "" where it accepts it."""
    if not host.which("sshd"):
        return "sshd is not installed"
    result = host.run(["sshd", "-t"], check=False, timeout=60)
    if result.rc != 0 and "privilege separation directory" in result.stderr:
        # The directory belongs to the running service; a socket-activated server has none between sessions.
        host.mkdir("/run/sshd")
        result = host.run(["sshd", "-t"], check=False, timeout=60)
    return "" if result.rc == 0 else (result.stderr or result.stdout).strip() or "sshd -t failed"


def expect_sshd(host: Host, name: str, value: str) -> None:
    """AzurePrepError where sshd refuses its configuration or does not use the value."""
    refusal = sshd_accepts(host)
    if refusal:
        raise AzurePrepError("sshd refuses the changed configuration, the old one was put back: %s" % refusal)
    now = sshd_config.parse_effective(host.run(["sshd", "-T"], timeout=60).stdout).get(name.lower())
    if now is not None and now.lower() != value.lower():
        raise AzurePrepError("sshd -T says %s %s, not %s; the old files were put back." % (name, now, value))


def calling_user(host: Host) -> str:
    """The user who called sudo; "" where it is root itself or a mounted image is edited."""
    if not host.is_live:
        return ""
    user = os.environ.get("SUDO_USER", "")
    return "" if user == "root" else user


def caller_of(host: Host, user: str) -> sudoers.Caller:
    """A user as sudo sees them, by /etc/passwd and /etc/group, and `id` on the running system."""
    uid, gid = "", ""
    for line in host.read("/etc/passwd", "").split("\n"):
        fields = line.split(":")
        if len(fields) > 3 and fields[0] == user:
            uid, gid = fields[2], fields[3]
    groups, gids = [], [gid] if gid else []
    for line in host.read("/etc/group", "").split("\n"):
        fields = line.split(":")
        if len(fields) > 3 and (fields[2] == gid or user in fields[3].split(",")):
            groups.append(fields[0])
            gids.append(fields[2])
    if host.is_live and host.which("id"):
        # A directory service knows users and groups that the files do not.
        answers = [host.run(["id", flag, "--", user], check=False, timeout=60) for flag in ("-u", "-Gn", "-G")]
        if not any(answer.rc for answer in answers):
            uid = answers[0].stdout.strip()
            groups += answers[1].stdout.split()
            gids += answers[2].stdout.split()
    return sudoers.Caller(user, uid, tuple(groups), tuple(gids))


def sudo_rule_change(host: Host, user: str, changes: Sequence[edits.Change]) -> Tuple[List[edits.Change], str]:
    """The changes with the rule that keeps `user` in sudo once they are made, and the rule's file ("": none is due).

    A rule without password counts as enough. Any other does not: until now the password asked for was root's.
    The rule goes into a file of its own or, where a later rule of the policy would win, to the end of the main file.
    """
    if not user or user == "root":
        return list(changes), ""
    caller = caller_of(host, user)
    planned = {change.path: change.after or "" for change in changes}
    if sudoers.needs_no_password(sudoers.policy(host, planned), caller):
        return list(changes), ""
    rule = (
        "# Written by the linuxvhd.azure collection: keeps the user who prepares this system in sudo.\n"
        "%s ALL=(ALL:ALL) NOPASSWD: ALL\n" % user
    )
    path = "/etc/sudoers.d/zz-azure-prep-" + re.sub(r"[^A-Za-z0-9_-]", "_", user)
    main = sudoers.MAIN
    text = planned[main] if main in planned else host.read(sudoers.main_file(host), "")
    if re.match(r"^[A-Za-z0-9_.-]+$", user):
        for name, after in ((path, rule), (main, text.rstrip("\n") + "\n" + rule)):
            if sudoers.needs_no_password(sudoers.policy(host, {**planned, name: after}), caller):
                first = edits.plan_file(host, name, after, 0o440)
                return first + [change for change in changes if change.path != name], name
    raise AzurePrepError(
        "sudo would lock the user %s out once targetpw is gone; give that user a rule with NOPASSWD first." % user
    )


def sudo_lets_in(host: Host, user: str) -> bool:
    """Whether sudo itself lets a user of the running system become root without a password."""
    if not user or not host.is_live or not host.which("runuser") or not host.which("sudo"):
        return False
    return host.run(["runuser", "-u", user, "--", "sudo", "-k", "-n", "true"], check=False, timeout=60).rc == 0


def check_sudoers(host: Host, path: str, text: str) -> None:
    """Let visudo judge a new sudoers file; AzurePrepError where it objects."""
    if not host.which("visudo"):
        return
    host.write(SUDOERS_CANDIDATE, text, mode=0o440)
    try:
        result = host.run(["visudo", "-c", "-f", SUDOERS_CANDIDATE], check=False, timeout=60)
    finally:
        host.remove(SUDOERS_CANDIDATE)
    if result.rc != 0:
        raise AzurePrepError(
            "visudo refuses the planned %s, which was left as it was: %s"
            % (path, (result.stderr or result.stdout).strip())
        )


def sudoers_refusal(host: Host) -> str:
    """What visudo objects to in the policy as it stands; "" for nothing, or where it is not installed."""
    if not host.which("visudo"):
        return ""
    result = host.run(["visudo", "-c"], check=False, timeout=60)
    return "" if result.rc == 0 else (result.stderr or result.stdout).strip() or "visudo -c failed"
