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
from typing import List

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline
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


def histories(context: Context, home: str, denied: List[str]) -> List[str]:
    """Histories below a home directory that are not empty, with their size; `denied` gets what cannot be read."""
    found = []
    real = context.host.path(home)
    depth = 0 if (home.rstrip("/") or "/") in _SYSTEM_HOMES else HISTORY_DEPTH
    if os.path.isdir(real) and not os.access(real, os.R_OK | os.X_OK):
        context.listdir(home)

    def cannot(exc: OSError) -> None:
        if isinstance(exc, PermissionError):
            denied.append(context.host.inside(str(exc.filename)))

    for folder, folders, names in os.walk(real, onerror=cannot):
        below = os.path.relpath(folder, real).count("/") + 1 if folder != real else 0
        if below >= depth:
            folders[:] = []
        for name in names:
            if is_history(folder, name):
                path = os.path.join(folder, name)
                # A link to /dev/null is how a history is switched off; one to a file is a history elsewhere.
                target = context.host.path(context.host.inside(path))
                try:
                    status = os.stat(target)
                except OSError:
                    continue
                if status.st_size and stat_module.S_ISREG(status.st_mode):
                    found.append("%s (%d bytes)" % (context.host.inside(path), status.st_size))
    return found


@CHECKS("CLEAN-07")
def shell_history(context: Context) -> Outcome:
    """Histories of shells, database clients and interpreters in every home: absent or 0 bytes."""
    found: List[str] = []
    own: List[str] = []
    denied: List[str] = []
    homes = {account.home.rstrip("/"): account.name for account in context.accounts if account.shell.endswith("sh")}
    mine = [account.home.rstrip("/") for account in context.accounts if account.name == context.account]
    # A home directory outlives its account, and an account its shell.
    for path in ["/root"] + context.glob("/home/*"):
        homes.setdefault(path, "")
    for home in homes:
        if home.startswith("/") and (home in _SYSTEM_HOMES or context.host.is_dir(home)):
            texts = histories(context, home, denied)
            target = own if home in mine else found
            target += [text for text in texts if text not in target]
    found = [text for text in found if text not in own]
    if found and all(text.split(" ")[0].endswith(_SEARCHES) for text in found):
        return context.after_capture(bad(join(found)))
    if found:
        return bad(join(found))
    if denied:
        raise CannotLook("%s may be read by root only; run the audit with become." % join(denied, 3))
    if own and context.phase == "captured":
        return bad(join(own))
    if own:
        return na("Only the account that this audit was started by has a history until capture: %s" % join(own))
    return ok("no shell history")


#: Directories below /var/log that are judged one by one.
_LOG_FOLDERS = ("/var/log/journal/", "/var/log/installer/", "/var/log/anaconda/")


@CHECKS("CLEAN-08")
def logs(context: Context) -> Outcome:
    """What is not empty below /var/log, the journal, the installers' logs, /tmp and /var/tmp."""
    found = []
    for folder, _folders, names in os.walk(context.host.path("/var/log")):
        for name in sorted(names):
            path = context.host.inside(os.path.join(folder, name))
            # A README is part of its package; the journal and the installers' logs follow.
            if name != "README" and not path.startswith(_LOG_FOLDERS) and not context.host.is_link(path):
                found += [path] if context.size(path) else []
    found += context.glob(
        "/var/log/journal/*/*", "/var/log/installer/*", "/var/log/anaconda/*", "/root/anaconda-ks.cfg"
    )
    if context.phase == "captured":
        found += context.glob("/tmp/*", "/var/tmp/*")
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
