# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what must not be in an image: histories, logs, identities, state of this machine.

Most of it cannot be absent while the machine is in use. Before capture such a rule is not applicable, and its
evidence says what the capture step will remove; after it (phase captured) it is judged.

Private to the collection: its interface may change in any release.
"""

import os
import stat as stat_module
from typing import Dict, List

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline, filesystems
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import kernel_cmdline
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    CannotLook,
    Context,
    Outcome,
    Table,
    bad,
    join,
    na,
    ok,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.network import ifcfg_files

CHECKS = Table()

#: How deep below a home directory a history is looked for.
HISTORY_DEPTH = 12

#: So many directories of all homes, or of the logs, are looked at, the nearest first: half a minute on a slow disk.
DIRECTORIES = 10000

#: Directories, by name or by the end of their path, in which programs keep thousands of files of others, and in which
#: no shell, client or interpreter has its history: version control, packages and build caches of languages and their
#: version managers, editors' extensions, the layers of containers, which are other systems' files.
_NO_HISTORIES_TEXT = (
    ".git .hg .svn .bzr .repo node_modules bower_components site-packages dist-packages __pycache__ .tox .nox "
    ".mypy_cache .pytest_cache .ruff_cache .eggs .npm .yarn .pnpm-store .nvm .bun .deno .cargo .rustup .pyenv "
    ".conda .rbenv .rvm .gem .bundle .sdkman .asdf .gradle .m2 .ivy2 .sbt .nuget .dotnet .stack .cabal .ghcup .opam "
    ".cpan .ccache .terraform.d .vscode .vscode-server .cursor-server .linuxbrew /go/pkg/mod /.local/share/containers "
    "/.local/share/docker /.local/share/flatpak /.local/share/mise /.local/share/uv /.local/share/pnpm "
    "/.local/share/Steam"
)
NO_HISTORIES = frozenset(_NO_HISTORIES_TEXT.split())

#: Of caches only their own directories are looked at: ~/.cache/zsh/history is one, the other ones hold packages.
_CACHES = frozenset((".cache",))

#: Histories by their whole name, besides .*_history.
_HISTORIES = (".history", ".zhistory", ".histfile", ".Rhistory", ".octave_hist")

#: What less and vim keep of searches: nobody's commands, so judged only once the capture step should have removed it.
_SEARCHES = (".lesshst", ".viminfo")

#: Histories below a directory of their program: name to the end of the directory.
_INNER_HISTORIES = {
    "fish_history": "/fish",
    "history": "/zsh",
    "history.txt": "/nushell",
    "xonsh-history.sqlite": "/xonsh",
    "history.sqlite": "/.ipython/profile_default",
    "python_history": "/.local/state",
}

#: Homes of system accounts that are no homes: only the directory itself is looked at.
_SYSTEM_HOMES = ("/", "/bin", "/sbin", "/dev", "/usr", "/var", "/etc", "/proc", "/sys", "/run", "/lib", "/boot")


def _gone(context: Context, found: List[str], nothing: str) -> Outcome:
    return context.after_capture(bad(join(found, 4)) if found else ok(nothing))


@CHECKS("CLEAN-01")
def deprovisioned(context: Context) -> Outcome:
    """What the agent's deprovisioning removes: files in /var/lib/waagent."""
    if not context.has_agent and not context.listdir("/var/lib/waagent"):
        return na("The agent is not installed.")
    return _gone(context, context.glob("/var/lib/waagent/*"), "/var/lib/waagent is empty")


@CHECKS("CLEAN-04")
def cloud_init_state(context: Context) -> Outcome:
    """/var/lib/cloud/instance, /var/lib/cloud/seed and the logs of cloud-init."""
    found = context.glob(
        "/var/lib/cloud/instance", "/var/lib/cloud/instances/*", "/var/lib/cloud/seed/*/*", "/var/log/cloud-init*.log"
    )
    return _gone(context, found, "no state of cloud-init")


@CHECKS("CLEAN-05")
def cloud_directory(context: Context) -> Outcome:
    """/var/lib/cloud."""
    # Scripts that an image brings along on purpose live in scripts (SWAP-04).
    found = [path for path in context.glob("/var/lib/cloud/*") if not path.endswith("/scripts")]
    return _gone(context, found, "/var/lib/cloud is empty")


@CHECKS("CLEAN-06")
def agent_log(context: Context) -> Outcome:
    """/var/log/waagent.log*."""
    return _gone(context, context.glob("/var/log/waagent.log*"), "no log of the agent")


def is_history(folder: str, name: str) -> bool:
    """Whether a file remembers what was typed into a shell, a database client or an interpreter."""
    if name in _HISTORIES or name in _SEARCHES or (name.startswith(".") and name.endswith(("sh_history", "_history"))):
        return True
    inner = _INNER_HISTORIES.get(name)
    return inner is not None and folder.endswith(inner)


class Histories:
    """The histories that are not empty, each with its size, by whether they are somebody else's (found) or of who
    started the audit (own); what could not be read (denied), and what was left out (omitted), in words."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.found: List[str] = []
        self.own: List[str] = []
        self.denied: List[str] = []
        self.omitted: List[str] = []
        self.stopped = False
        self._look()

    def _look(self) -> None:
        host = self.context.host
        tops = self._homes()
        mine = [host.path(home) for home in tops.values() if self._is_mine(home)]
        depths = {top: 0 if home in _SYSTEM_HOMES else HISTORY_DEPTH for top, home in tops.items()}
        mounts = self.context.mount_points
        walk = filesystems.Walk(host, list(tops), mounts, depths, skip=NO_HISTORIES, shallow=_CACHES, limit=DIRECTORIES)
        for top, folder, names in walk:
            for name in names:
                if is_history(folder, name):
                    self._judge(os.path.join(folder, name), self.own if top in mine else self.found)
        self.omitted += ["%s (another file system)" % host.inside(path) for path in walk.elsewhere]
        self.stopped = walk.stopped
        for error in walk.errors:
            where = host.inside(str(error.filename))
            if isinstance(error, PermissionError):
                self.denied.append(where)
            elif not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                self.omitted.append("%s (%s)" % (where, error.strerror or error))

    def _homes(self) -> Dict[str, str]:
        """Real location of every home to its name; of two names that of who started the audit counts."""
        context = self.context
        wanted = [account.home.rstrip("/") or "/" for account in context.accounts if account.shell.endswith("sh")]
        # A home directory outlives its account, and an account its shell.
        wanted += ["/root"] + (["/home"] if context.remote("/home") else context.glob("/home/*"))
        tops: Dict[str, str] = {}
        for home in wanted:
            if not home.startswith("/"):
                continue
            remote = context.remote(home)
            if remote:
                text = "%s (%s)" % (home, remote)
                self.omitted += [text] if text not in self.omitted else []
            elif home in _SYSTEM_HOMES or context.host.is_dir(home):
                real = context.host.path(home)
                if real not in tops or self._is_mine(home):
                    tops[real] = home
                if os.path.isdir(real) and not os.access(real, os.R_OK | os.X_OK) and home not in self.denied:
                    self.denied.append(home)
        return tops

    def _is_mine(self, home: str) -> bool:
        accounts = self.context.accounts
        return home in [account.home.rstrip("/") for account in accounts if account.name == self.context.account]

    def _judge(self, path: str, target: List[str]) -> None:
        """Enter a history that is not empty."""
        # A link to /dev/null is how a history is switched off; one to a file is a history elsewhere.
        inside = self.context.host.inside(path)
        remote = self.context.remote(inside)
        if remote:
            self.omitted.append("%s (%s)" % (inside, remote))
            return
        try:
            status = os.stat(self.context.host.path(inside))
        except OSError:
            return
        if status.st_size and stat_module.S_ISREG(status.st_mode):
            target.append("%s (%d bytes)" % (inside, status.st_size))

    def tell(self, evidence: str) -> str:
        """The evidence, with what was not looked at."""
        if self.stopped:
            evidence += "; stopped after %d directories of the homes" % DIRECTORIES
        if self.omitted:
            evidence += "; not looked at: %s" % join(self.omitted, 3)
        return evidence


@CHECKS("CLEAN-07")
def shell_history(context: Context) -> Outcome:
    """Histories of shells, database clients and interpreters in every home: absent or 0 bytes."""
    seen = Histories(context)
    if seen.found:
        outcome = bad(seen.tell(join(seen.found)))
        only_searches = all(text.split(" ")[0].endswith(_SEARCHES) for text in seen.found)
        return context.after_capture(outcome) if only_searches else outcome
    if seen.denied:
        raise CannotLook("%s may be read by root only; run the audit with become." % join(seen.denied, 3))
    if seen.own and context.phase == "captured":
        return bad(seen.tell(join(seen.own)))
    if seen.stopped:
        raise CannotLook(
            "The homes have more than %d directories; no history was found in those, the others were not looked at. "
            "Look with find, or delete what the image does not need." % DIRECTORIES
        )
    if seen.own:
        evidence = "Only the account that this audit was started by has a history until capture: %s" % join(seen.own)
        return na(seen.tell(evidence))
    return ok(seen.tell("no shell history"))


#: Directories below /var/log that are judged one by one.
_LOG_FOLDERS = ("/var/log/journal/", "/var/log/installer/", "/var/log/anaconda/")


@CHECKS("CLEAN-08")
def logs(context: Context) -> Outcome:
    """What is not empty below /var/log, the journal, the installers' logs, /tmp and /var/tmp."""
    found = []
    folders = [context.host.path("/var/log")] if context.host.is_dir("/var/log") else []
    walk = filesystems.Walk(context.host, folders, context.mount_points, limit=DIRECTORIES)
    for _top, folder, names in walk:
        for name in names:
            path = context.host.inside(os.path.join(folder, name))
            # A README is part of its package; the journal and the installers' logs follow.
            if name != "README" and not path.startswith(_LOG_FOLDERS) and not context.host.is_link(path):
                found += [path] if context.size(path) else []
    found += context.glob(
        "/var/log/journal/*/*", "/var/log/installer/*", "/var/log/anaconda/*", "/root/anaconda-ks.cfg"
    )
    if context.phase == "captured":
        found += context.glob("/tmp/*", "/var/tmp/*")
    if walk.stopped and not found:
        raise CannotLook("/var/log has more than %d directories; those that were looked at are empty." % DIRECTORIES)
    return _gone(context, found, "no logs, no temporary files")


@CHECKS("CLEAN-09")
def machine_id(context: Context) -> Outcome:
    """/etc/machine-id: empty or the word uninitialized; /var/lib/dbus/machine-id absent or a link; no boot entry that
    brings an id."""
    text = (context.text("/etc/machine-id") or "").strip()
    found = ["/etc/machine-id is set"] if text and text != "uninitialized" else []
    path = "/var/lib/dbus/machine-id"
    if context.exists(path, follow=False) and not context.host.is_link(path) and context.size(path):
        found.append(path + " is set")
    try:
        entries = context.entries
    except AzurePrepError:
        entries = []  # no loader that we know, which other rules say
    for name, arguments in entries:
        if any(cmdline.key_of(argument) == kernel_cmdline.MACHINE_ID for argument in arguments):
            found.append("%s in the boot entry %s" % (kernel_cmdline.MACHINE_ID, name))
    return _gone(context, found, "no machine id")


@CHECKS("CLEAN-10")
def leases(context: Context) -> Outcome:
    """Lease files of dhclient, dhcpcd, NetworkManager, wicked and systemd-networkd."""
    found = context.glob(
        "/var/lib/dhclient/*",
        "/var/lib/dhcpcd/*.lease*",
        "/var/lib/dhcp/*.lease*",
        "/var/lib/NetworkManager/*.lease",
        "/var/lib/wicked/lease-*",
        "/var/lib/systemd/network/*.lease",
        "/var/lib/dhcp3/*.lease*",
        "/var/lib/dhcpcd5/*.lease*",
        "/var/db/dhcpcd/*.lease*",
    )
    return _gone(context, found, "no DHCP lease")


@CHECKS("CLEAN-11")
def generated_network(context: Context) -> Outcome:
    """Network files that cloud-init writes for the machine it boots on."""
    found = context.glob(
        "/etc/netplan/50-cloud-init.yaml",
        "/etc/NetworkManager/system-connections/cloud-init-*.nmconnection",
        "/etc/systemd/network/10-cloud-init-*.network",
        "/etc/network/interfaces.d/50-cloud-init*",
    )
    for path in ifcfg_files(context):
        if "Created by cloud-init" in (context.text(path) or ""):
            found.append(path)
    return _gone(context, found, "no generated network file")


@CHECKS("CLEAN-13")
def secrets(context: Context) -> Outcome:
    """Random seeds, secrets of services, iSCSI and NVMe identities, old copies of the password files."""
    found = [
        path
        for path in (
            "/var/lib/systemd/random-seed",
            "/var/lib/systemd/credential.secret",
            "/var/lib/NetworkManager/secret_key",
            "/etc/nvme/hostid",
            "/etc/nvme/hostnqn",
            "/etc/iscsi/initiatorname.iscsi",
            "/etc/shadow-",
            "/etc/gshadow-",
            "/var/backups/shadow.bak",
            "/var/backups/gshadow.bak",
        )
        if context.exists(path)
    ]
    return _gone(context, found, "no seed and no secret of this machine")
