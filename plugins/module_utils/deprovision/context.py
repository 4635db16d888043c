# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deprovisioning knows of a system before it begins: accounts, names, who provisions next; and the state file.

Private to the collection: its interface may change in any release.
"""

import json
import os
import pwd
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import filesystems, units
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import accounts as acc
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import items, texts
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: The units of an image without an agent, in the order of the boot. They disable themselves once they have provisioned.
AGENTLESS_UNITS = ("azure-provisioning-early.service", "azure-provisioning.service")

#: Exists from the first change to the last check: an interrupted run is completed from it, whatever it took away.
STATE_FILE = "/var/lib/azure-deprovision.json"

#: Administrators' scripts below /var/lib/cloud that cloud-init's own clean command would take along.
KEPT_SCRIPTS = (
    "/var/lib/cloud/scripts/per-boot",
    "/var/lib/cloud/scripts/per-instance",
    "/var/lib/cloud/scripts/per-once",
)

_SYSTEMD_DIRECTORIES = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")

#: Ours, where nothing else would make host keys at the next boot.
HOST_KEY_UNIT = "azure-ssh-host-keys.service"


class Options(NamedTuple):
    """The module's options that decide what goes; see its documentation."""

    user: bool = True
    remove_users: Tuple[str, ...] = ()
    keep: Tuple[str, ...] = ()
    machine_id: str = "empty"
    resolv_conf: str = "auto"
    unregister: bool = False
    remove_paths: Tuple[str, ...] = ()
    run_agent: bool = True
    connected_users: Tuple[str, ...] = ()


class Context:
    """Facts about one system, read once. live: whether services and tools may be used (root is "/")."""

    def __init__(self, host: Host, options: Options, protected: Sequence[str] = ()) -> None:
        self.host = host
        self.options = options
        self.protected = [path.rstrip("/") for path in protected]
        #: The same of a session that came back after a lost link, which nobody knew at the beginning.
        self.protected_later: Callable[[], List[str]] = list
        self.warnings: List[str] = []
        self.mounts = filesystems.mounts()
        self._mounted = {mount.point for mount in self.mounts}
        self.state = read_state(host)
        self.all_accounts = acc.parse_passwd(host.read("/etc/passwd", ""))
        self.uid_min = acc.uid_min(host.read("/etc/login.defs", ""))
        self.hostnames = self._hostnames()
        self.accounts, self.connected = self._accounts()
        self.resolv = self.state.get("resolv") or record_resolv(host)
        self.cloud_init = host.which("cloud-init") is not None
        self.cloud_init_enabled = _cloud_init_provisions(host)
        self.cloud_init_network = self.cloud_init_enabled and not _cloud_init_network_disabled(host)
        self.agent = next((name for name in ("waagent", "/usr/sbin/waagent2.0") if host.which(name)), None)

    # -- conditions of items -----------------------------------------------------------------------------------

    def holds(self, condition: str) -> bool:
        if condition == "":
            return True
        if condition == "cloud_init_network":
            return self.cloud_init_network
        if condition == "unregister":
            return self.options.unregister
        if condition == "user":
            return self.options.user
        if condition == "etckeeper":
            return self.host.exists("/etc/etckeeper/etckeeper.conf")
        raise ValueError(condition)

    def warn(self, sentence: str) -> None:
        """Note something for the caller, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def remote(self, path: str) -> str:
        """The type of the network file system that a path leads to; empty where to none. Nothing on it is touched."""
        return filesystems.leads_to_remote(self.host, path, self.mounts)

    def warn_of_remote(self, path: str, kind: str) -> None:
        """Tell of a path that lies on a network file system of this type."""
        self.warn("%s lies on a network file system (%s) and was left alone." % (path, kind))

    def is_mounted(self, path: str) -> bool:
        """Whether a file system of its own is mounted right at a path."""
        return self.host.path(path, follow_last=False) in self._mounted

    def kept(self, item: items.Item) -> bool:
        return item.id in self.options.keep or item.rule in self.options.keep

    # -- facts ---------------------------------------------------------------------------------------------------

    def _hostnames(self) -> List[str]:
        """Names of the build machine, short and full; neutral names are none."""
        names = list(self.state.get("hostnames", []))
        for path in ("/etc/hostname", "/etc/HOSTNAME"):
            for line in self.host.read(path, "").split("\n"):
                line = line.strip()
                if line and not line.startswith("#"):
                    names.append(line)
        match = re.search(
            r"""^[ \t]*HOSTNAME=["']?([^\s"']+)""", self.host.read("/etc/sysconfig/network", ""), re.MULTILINE
        )
        if match:
            names.append(match.group(1))
        if self.host.is_live:
            names.append(os.uname().nodename)
        found: List[str] = []
        for name in names:
            for form in (name, name.split(".")[0]):
                if re.match(r"^[A-Za-z0-9_.-]+$", form) and not texts.is_neutral(form) and form not in found:
                    found.append(form)
        return found

    def _accounts(self) -> Tuple[List[acc.Account], List[acc.Account]]:
        """(accounts to remove first, accounts to remove last because the session may be theirs)."""
        known = acc.by_name(self.all_accounts)
        for entry in self.state.get("accounts", []):
            known.setdefault(entry[0], acc.Account(*entry))
        for name in tuple(self.options.remove_users) + tuple(self.options.connected_users):
            if name not in known:
                traced = account_by_traces(self.host, name, self.all_accounts)
                if traced is not None:
                    known[name] = traced
                    self.warn(
                        "%s is not in /etc/passwd: a directory service knows the account, or it was deleted before. "
                        "What it left on this machine goes." % name
                    )
        wanted: List[str] = []
        if self.options.user:
            for name, source in provisioned_users(self.host) + [
                (n, "state") for n in self.state.get("provisioned", [])
            ]:
                if name in known and name not in wanted and self._removable(known[name], source):
                    wanted.append(name)
            for name in self.options.connected_users:
                if name in known and name not in wanted and self._removable(known[name], "the connection"):
                    wanted.append(name)
        self.provisioned = list(wanted)
        for name in self.options.remove_users:
            if name in wanted:
                continue
            if name not in known:
                self.warn("remove_users names %s, but there is no such account." % name)
                continue
            account = known[name]
            if 0 <= account.uid < 100:
                raise AzurePrepError(
                    "remove_users names %s, which is an account of the system itself (UID %d); it stays. "
                    "Take it out of the list." % (name, account.uid)
                )
            wanted.append(name)
        last = [known[name] for name in wanted if name in self.options.connected_users]
        first = [known[name] for name in wanted if name not in self.options.connected_users]
        return first, last

    def _removable(self, account: acc.Account, source: str) -> bool:
        """Whether a user that was found, not named, may go: a person's account."""
        if account.uid == 0:
            return False
        if self.uid_min <= account.uid < acc.UID_MAX or account.name not in acc.by_name(self.all_accounts):
            return True
        self.warn(
            "The account %s (known from %s) has the system UID %d and stays; name it in remove_users if it should go."
            % (account.name, source, account.uid)
        )
        return False

    @property
    def removed_accounts(self) -> List[acc.Account]:
        return self.accounts + self.connected

    def homes(self) -> List[str]:
        """Home directories that exist, of all accounts, and those in /home that belong to nobody.

        None that lies on a network file system, which is not on the disk; even to ask whether it exists may take for
        ever, where its server is gone.
        """
        found: List[str] = []
        candidates = ["/root"] + [account.home for account in self.all_accounts]
        candidates += self.host.glob("/home/*") if not self.remote("/home") else ["/home"]
        for home in candidates:
            home = "/" + "/".join(part for part in home.split("/") if part)
            if home in ("/", "/dev", "/proc", "/sys", "/nonexistent", "/dev/null") or home in found:
                continue
            remote = self.remote(home)
            if remote:
                self.warn_of_remote(home, remote)
            elif self.host.is_dir(home):
                found.append(home)
        return found

    # -- the state file ------------------------------------------------------------------------------------------

    def save_state(self) -> None:
        """Write down what later steps take away and a repeated run needs: users, names, resolver, scripts."""
        state = {
            "accounts": [list(account) for account in self.removed_accounts],
            "provisioned": self.provisioned,
            "hostnames": self.hostnames,
            "resolv": self.resolv,
            "scripts": self.state.get("scripts") or _read_scripts(self.host),
        }
        self.state = state
        self.host.write(STATE_FILE, json.dumps(state, sort_keys=True) + "\n", mode=0o600)


def account_by_traces(host: Host, name: str, known: Sequence[acc.Account]) -> Optional[acc.Account]:
    """An account that /etc/passwd does not have: one of a directory service, or one that left things behind.

    Its UID is -1 where it cannot be told, or where an account that stays has the same.
    """
    if not re.match(r"^[A-Za-z0-9_][A-Za-z0-9_.@\\-]*\$?$", name) or name in (".", ".."):
        return None
    if host.is_live:
        try:
            entry = pwd.getpwnam(name)
        except (KeyError, ValueError, OSError):
            pass
        else:
            return acc.Account(name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)
    home = "/home/" + name
    details = host.stat(home, follow_last=False)
    traces = [home, "/var/mail/" + name, "/var/spool/mail/" + name, "/etc/sudoers.d/" + name]
    traces += [folder + name for folder in ("/var/spool/cron/crontabs/", "/var/spool/cron/tabs/", "/var/spool/cron/")]
    files = ("/etc/shadow", "/etc/subuid", "/etc/subgid")
    left = any(host.exists(path) or host.is_link(path) for path in traces) or any(
        acc.password_of(host.read(path, ""), name) is not None for path in files
    )
    group = host.read("/etc/group", "")
    if not left and acc.without_members(group, [name], (3,), []) == group:
        return None
    uid = details.st_uid if details is not None else -1
    if uid in [account.uid for account in known]:
        uid = -1
    return acc.Account(name, uid, -1, home, "")


def read_state(host: Host) -> Dict[str, Any]:
    """The state of an interrupted run; empty where there is none or where it cannot be used."""
    try:
        state = json.loads(host.read(STATE_FILE, "{}"))
        if not isinstance(state, dict):
            return {}
        for entry in state.get("accounts", []):
            acc.Account(*entry)
        return state
    except (ValueError, TypeError):
        return {}


def _read_scripts(host: Host) -> Dict[str, List[Any]]:
    found: Dict[str, List[Any]] = {}
    for directory in KEPT_SCRIPTS:
        for name in host.listdir(directory):
            path = directory + "/" + name
            details = host.stat(path)
            if host.is_file(path) and details is not None and details.st_size < 1024 * 1024:
                found[path] = [details.st_mode & 0o7777, host.read(path)]
    return found


def record_resolv(host: Host) -> Dict[str, str]:
    """What /etc/resolv.conf is: a link (raw target), a file (content) or absent."""
    if host.is_link("/etc/resolv.conf"):
        return {"kind": "link", "target": host.readlink("/etc/resolv.conf")}
    if host.is_file("/etc/resolv.conf"):
        return {"kind": "file", "content": host.read("/etc/resolv.conf")}
    return {"kind": "absent"}


def resolv_writer(host: Host) -> Optional[str]:
    """Who writes a new /etc/resolv.conf at the next boot, as far as can be told; None where nobody would."""
    programs = (
        ("NetworkManager", "NetworkManager"),
        ("dhclient", "dhclient"),
        ("dhcpcd", "dhcpcd"),
        ("resolvconf", "resolvconf"),
        ("netconfig", "netconfig"),
        ("wickedd", "wicked"),
        ("connmand", "connman"),
        ("udhcpc", "udhcpc"),
    )
    for program, name in programs:
        if host.which(program):
            return name
    for directory in ("/usr/lib/tmpfiles.d", "/etc/tmpfiles.d", "/lib/tmpfiles.d"):
        for name in host.listdir(directory):
            if name.endswith(".conf") and re.search(
                r"^[LCf]\S*\s+/etc/resolv\.conf\s", _text(host, directory + "/" + name), re.MULTILINE
            ):
                return "systemd-tmpfiles (%s)" % name
    return None


def provisioned_users(host: Host) -> List[Tuple[str, str]]:
    """(name, source) of the accounts that the agent, cloud-init or our own program made, from what they keep."""
    found: List[Tuple[str, str]] = []
    match = re.search(r"<(?:\w+:)?UserName>\s*([^<\s]+)\s*</", _text(host, "/var/lib/waagent/ovf-env.xml"))
    if match:
        found.append((match.group(1), "ovf-env.xml"))
    for path in items.SUDOERS_DROP_INS:
        found.extend((name, path) for name in texts.sudoers_users(_text(host, path)))
    for path in ["/etc/cloud/cloud.cfg"] + list(host.glob("/etc/cloud/cloud.cfg.d/*.cfg")):
        match = re.search(
            r"^[ \t]*default_user:[ \t]*\n(?:[ \t]+.*\n)*?[ \t]+name:[ \t]*[\"']?([A-Za-z_][A-Za-z0-9_.-]*)",
            _text(host, path),
            re.MULTILINE,
        )
        if match:
            found.append((match.group(1), path))
    return found


def _text(host: Host, path: str) -> str:
    """The content of a file, "" where it cannot be had."""
    try:
        return host.read(path, "") if host.is_file(path) else ""
    except AzurePrepError:
        return ""


def _cloud_init_enabled(host: Host) -> bool:
    if host.exists("/etc/cloud/cloud-init.disabled"):
        return False
    for name in ("cloud-init.target", "cloud-init.service", "cloud-init-network.service", "cloud-init-main.service"):
        path = "/etc/systemd/system/" + name
        if host.is_link(path) and host.readlink(path) == "/dev/null":
            return False
    return True


def _cloud_init_network_disabled(host: Host) -> bool:
    """network: {config: disabled} in cloud.cfg or a drop-in, in either notation."""
    for path in ["/etc/cloud/cloud.cfg"] + list(host.glob("/etc/cloud/cloud.cfg.d/*.cfg")):
        # The installer's own leftover does not count: it goes in the same run.
        text = "" if os.path.basename(path) == "subiquity-disable-cloudinit-networking.cfg" else _text(host, path)
        if re.search(r"^network:(?:[ \t]*\{[ \t]*|[ \t]*\n[ \t]+)config:[ \t]*[\"']?disabled", text, re.MULTILINE):
            return True
    return False


def agentless_units(host: Host) -> List[str]:
    """The units that provision without an agent and are switched off; none where somebody else provisions."""
    if _cloud_init_provisions(host) or host.which("waagent"):
        return []
    return [name for name in AGENTLESS_UNITS if units.state(host, name) == "disabled"]


def _cloud_init_provisions(host: Host) -> bool:
    return host.which("cloud-init") is not None and _cloud_init_enabled(host)


def host_key_maker(host: Host, cloud_init_enabled: bool) -> Optional[str]:
    """Who makes SSH host keys at the next boot, as far as can be told from the disk; None where nobody would."""
    if cloud_init_enabled:
        return "cloud-init"
    conf = {}
    for line in _text(host, "/etc/waagent.conf").split("\n"):
        key, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith("#"):
            conf[key.strip()] = value.split("#")[0].strip().lower()
    if (
        (host.which("waagent") or host.exists("/usr/sbin/waagent"))
        and conf.get("Provisioning.RegenerateSshHostKeyPair") == "y"
        and conf.get("Provisioning.Agent", "auto") in ("auto", "waagent")
    ):
        return "the Azure agent (Provisioning.RegenerateSshHostKeyPair=y)"
    wanted_by = _wanted_units(host)
    for directory in _SYSTEMD_DIRECTORIES:
        for name in host.listdir(directory):
            if not name.endswith((".service", ".target")):
                continue
            text = _text(host, directory + "/" + name)
            if re.search(r"^ConditionFirstBoot=\s*(?:yes|true|on|1)\s*$", text, re.MULTILINE):
                # An empty /etc/machine-id is none: systemd sees a first boot only where the file is missing or says
                # "uninitialized" (machine-id(5)). Debian 13's sshd-keygen.service would make no keys.
                continue
            if name in ("ssh.service", "sshd.service"):
                if re.search(r"^Exec\w+=.*(?:ssh-keygen|sshd[_-]?gen|sshd-keygen)", text, re.MULTILINE):
                    return name
                pulled = re.search(r"^(?:Wants|Requires)=.*?(\S*ssh\S*key\S*)", text, re.MULTILINE)
                if pulled:
                    return pulled.group(1)
            elif re.search(r"^Exec\w+=.*(?:ssh-keygen\b.*-A|sshd-keygen)", text, re.MULTILINE) and name in wanted_by:
                return name
            elif name in wanted_by:
                # A provisioning unit that runs a script of ours or the user's: look into the script.
                for script in re.findall(r"^Exec\w+=\S*?(/[\w./-]+)", text, re.MULTILINE):
                    if script.startswith(("/usr/local/", "/opt/", "/etc/")) and "ssh-keygen" in _text(host, script):
                        return name
    for path in ("/etc/init.d/sshd", "/etc/rc.d/init.d/sshd"):
        if "ssh-keygen" in _text(host, path):
            return path
    return None


def _wanted_units(host: Host) -> List[str]:
    found: List[str] = []
    for directory in _SYSTEMD_DIRECTORIES:
        for pattern in ("/*.wants/*", "/*.requires/*"):
            found.extend(os.path.basename(path) for path in host.glob(directory + pattern))
    return found
