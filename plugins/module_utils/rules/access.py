# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of SSH, sudo and accounts.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Dict, List

from ansible_collections.linuxvhd.azure.plugins.module_utils import sshd_config, sudoers
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    Account,
    Context,
    Outcome,
    Table,
    bad,
    dunno,
    join,
    na,
    ok,
    quote,
)

CHECKS = Table()

#: What Azure's certification accepts, in seconds (certification FAQ; 180 is advised).
ALIVE_LOW, ALIVE_HIGH = 30, 235

#: Ubuntu: makes the socket listen where sshd_config says.
_SOCKET_GENERATOR = "/usr/lib/systemd/system-generators/sshd-socket-generator"

#: cloud-init's forced command for root: it lets nobody in (LISA tolerates it too).
_FORCED = re.compile(
    r'command="echo \'Please login as the user \\?"?[^"\'\\]*\\?"? rather than the user \\?"?root\\?"?\.\';'
    r'echo;sleep \d+(;exit \d+)?"'
)


@CHECKS("SSH-01")
def ssh_enabled(context: Context) -> Outcome:
    """The program sshd, and an enabled unit: sshd.service, ssh.service or ssh.socket; no ListenAddress of this VM's."""
    if not context.has_command("sshd"):
        return bad("sshd is not installed")
    units = list(context.profile.units.get("ssh", ())) + ["sshd.service", "ssh.service", "ssh.socket", "sshd.socket"]
    enabled = context.first_enabled(*units)
    if not enabled:
        return bad("none of %s is enabled" % join(sorted(set(units))))
    if enabled.endswith(".socket"):
        # A socket starts a service, or one per connection.
        base = enabled[: -len(".socket")]
        masked = [unit for unit in (base + ".service", base + "@.service") if context.unit_state(unit) == "masked"]
        if masked:
            return bad("%s is enabled, but %s is masked" % (enabled, join(masked)))
    for path in ("/etc/ssh/sshd_not_to_be_run", "/etc/nologin"):
        if context.exists(path):
            return bad("%s keeps everybody out" % path)
    refusal = sshd_refuses(context)
    directives = sshd_config.flatten_host(context.host)
    if enabled.endswith(".socket") and not context.exists(_SOCKET_GENERATOR):
        # The socket's own address counts then.
        directives = []
    if not refusal and sshd_config.fixed_addresses(directives):
        lines = [line for line in directives if line.keyword == "listenaddress"]
        return bad(join([quote(line.path, line.index + 1, "ListenAddress " + line.value) for line in lines]))
    return bad(refusal) if refusal else ok("%s is enabled" % enabled)


def sshd_refuses(context: Context) -> str:
    """What `sshd -T` has against the configuration, with which the server would not start; "" where it takes it."""
    if not context.live or not context.privileged or not context.has_command("sshd"):
        return ""
    result = context.run("sshd", "-T")
    told = result.stderr.lower()
    if result.rc == 0 or "host key" in told or "hostkey" in told or "privilege separation" in told:
        return ""
    return "sshd -T refuses the configuration: %s" % result.stderr.strip()


def seconds(value: str) -> int:
    """A time of sshd_config(5) in seconds: "180", "3m", "1h30m"; -1 where it is none."""
    if value.isdigit():
        return int(value)
    factors = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    parts = re.findall(r"(\d+)([smhdw]?)", value.lower())
    if "".join(number + unit for number, unit in parts) != value.lower() or not parts:
        return -1
    return sum(int(number) * factors[unit or "s"] for number, unit in parts)


@CHECKS("SSH-02")
def keep_alive(context: Context) -> Outcome:
    """ClientAliveInterval as `sshd -T` tells it; without root or in a mounted image by the files, first match."""
    if not context.has_command("sshd"):
        return dunno("sshd is not installed.")
    directives = sshd_config.flatten_host(context.host)
    own = [d for d in directives if d.keyword == "clientaliveinterval" and not d.in_match]
    where = ""
    if own:
        where = quote(own[0].path, own[0].index + 1, "%s %s" % ("ClientAliveInterval", own[0].value))
    value = own[0].value.split("#")[0].strip().strip('"') if own else "0"
    if context.live and context.privileged:
        result = context.run("sshd", "-T")
        if result.rc == 0:
            value = sshd_config.parse_effective(result.stdout).get("clientaliveinterval", "0")
            where = "sshd -T: clientaliveinterval %s%s" % (value, " (%s)" % where if where else "")
        elif sshd_refuses(context):
            return bad(sshd_refuses(context))
    found = seconds(value)
    where = where or "ClientAliveInterval is not set (0)"
    if not ALIVE_LOW <= found <= ALIVE_HIGH:
        return bad(where)
    # What a Match block for everybody says wins over the global value, and `sshd -T` does not show it.
    criteria = ""
    for directive in directives:
        if directive.keyword == "match":
            criteria = directive.value
            continue
        if directive.keyword != "clientaliveinterval" or not directive.in_match or not matches_everybody(criteria):
            continue
        if not ALIVE_LOW <= seconds(directive.value.split("#")[0].strip()) <= ALIVE_HIGH:
            line = "ClientAliveInterval %s" % directive.value
            return bad("%s, below Match %s" % (quote(directive.path, directive.index + 1, line), criteria))
    return ok(where)


def matches_everybody(criteria: str) -> bool:
    """Whether the criteria of a Match line let every connection in: "user *", "address 0.0.0.0/0"."""
    words = criteria.split()
    values = words[1::2]
    return bool(values) and all(value in ("*", "0.0.0.0/0", "*,!nobody") or value == "22" for value in values)


@CHECKS("SSH-04", "CLEAN-03")
def host_keys(context: Context) -> Outcome:
    """/etc/ssh/ssh_host_*, and what HostKey names elsewhere: gone after capture."""
    found = context.glob("/etc/ssh/ssh_host_*")
    for directive in sshd_config.flatten_host(context.host):
        if directive.keyword == "hostkey" and directive.value not in found and directive.value.startswith("/"):
            found += [path for path in context.glob(directive.value, directive.value + ".pub") if path not in found]
    return context.after_capture(bad(join(found)) if found else ok("no /etc/ssh/ssh_host_*"))


@CHECKS("ACC-01")
def target_password(context: Context) -> Outcome:
    """sudoers with all it includes: no Defaults targetpw, rootpw or runaspw, and no rule for everybody."""
    files = sudoers.files(context.host)
    if not files:
        # The suite reads /etc/sudoers only; without sudo there is nothing to get wrong.
        return ok("there is no /etc/sudoers")
    found = []
    known = sudoers.aliases([context.text(path) or "" for path in files])
    for path in files:
        for finding in sudoers.findings(context.text(path) or "", known):
            found.append(quote(path, finding.first + 1, finding.text))
    return bad(join(found)) if found else ok("no targetpw in " + join(files))


def password_kinds(context: Context) -> Dict[str, str]:
    """Account to "locked", "empty" or "set" by /etc/shadow and, for old systems, /etc/passwd."""
    kinds = {}
    for _line, name, field in context.shadow:
        if field == "":
            kinds[name] = "empty"
        elif "*" in field or "!" in field or field == "x":
            kinds[name] = "locked"
        else:
            kinds[name] = "set"
    return kinds


def key_patterns(context: Context) -> List[str]:
    """AuthorizedKeysFile as sshd reads it (every value, of Match blocks too), with the names it falls back to."""
    found = [".ssh/authorized_keys", ".ssh/authorized_keys2"]
    for directive in sshd_config.flatten_host(context.host):
        if directive.keyword == "authorizedkeysfile":
            found += [word for word in directive.value.split() if word.lower() != "none" and word not in found]
    return found


def key_files(context: Context, account: Account) -> List[str]:
    """The files in which sshd looks for an account's keys."""
    home = account.home.rstrip("/")
    found = []
    for pattern in key_patterns(context):
        path = re.sub(
            r"%([%huU])",
            lambda match: {"%": "%", "h": home, "u": account.name, "U": str(account.uid)}[match.group(1)],
            pattern,
        )
        path = path if path.startswith("/") else "%s/%s" % (home, path)
        if path not in found:
            found.append(path)
    return found


def keys_in(context: Context, path: str) -> str:
    """Evidence of a file that holds a key which lets somebody in; "" where it holds none."""
    lines = context.lines(path)
    keys = [line for line in lines if not _FORCED.search(line.text)]
    if keys:
        return "%s (%d key%s)" % (path, len(keys), "" if len(keys) == 1 else "s")
    if not lines and (context.text(path) or "").strip():
        # Comments let nobody in, but image tests want the file to be empty or absent.
        return "%s (comments only)" % path
    return ""


@CHECKS("ACC-02")
def leftover_accounts(context: Context) -> Outcome:
    """/etc/shadow, /etc/passwd and the files that AuthorizedKeysFile names, but for who started the audit."""
    found: List[str] = []
    own: List[str] = []
    for line, name, field in context.shadow:
        if field and not ("*" in field or "!" in field or field == "x"):
            text = "/etc/shadow:%d: %s has a password" % (line, name)
            (own if name == context.account else found).append(text)
    for account in context.accounts:
        if account.password and account.password[0] not in "x*!":
            text = "/etc/passwd:%d: %s has a password" % (account.number, account.name)
            (own if account.name == context.account else found).append(text)
    owners: Dict[str, str] = {}
    for account in sorted(context.accounts, key=lambda account: account.name != context.account):
        if account.home.startswith("/"):
            for path in key_files(context, account):
                if not context.remote(path):
                    owners.setdefault(path, account.name)
    # A home directory outlives its account.
    for home in context.local_homes:
        for path in (home + "/.ssh/authorized_keys", home + "/.ssh/authorized_keys2"):
            if context.exists(path, follow=False):
                owners.setdefault(path, "no account")
    for path, name in owners.items():
        text = keys_in(context, path)
        if text:
            (own if name == context.account else found).append("%s: %s" % (name, text))
    if found:
        return bad(join(found))
    if own and context.phase == "captured":
        return bad(join(own))
    if own:
        return na("Only the account that this audit was started by has credentials until capture: %s" % join(own))
    return ok("no password in /etc/shadow, no authorized_keys")


@CHECKS("ACC-03")
def root_locked(context: Context) -> Outcome:
    """root's field in /etc/shadow."""
    kind = password_kinds(context).get("root", "")
    if not kind:
        return dunno("/etc/shadow has no line for root.")
    if kind == "locked":
        return ok("/etc/shadow: root is locked")
    text = "/etc/shadow: root has %s" % ("an empty password" if kind == "empty" else "a password")
    return bad(text) if kind == "empty" else context.after_capture(bad(text))


@CHECKS("ACC-04")
def empty_passwords(context: Context) -> Outcome:
    """No empty password field in /etc/shadow, and none in /etc/passwd."""
    found = ["/etc/shadow:%d: %s" % (line, name) for line, name, field in context.shadow if field == ""]
    for line in context.lines("/etc/passwd"):
        fields = line.text.split(":")
        if len(fields) >= 7 and fields[1] == "":
            found.append("%s:%d: %s" % (line.path, line.number, fields[0]))
    return bad("empty password: " + join(found)) if found else ok("no empty password")


@CHECKS("ACC-05")
def selinux_labels(context: Context) -> Outcome:
    """A mounted image with SELinux enforcing: /.autorelabel is asked for or not needed."""
    mode = ""
    for line in context.lines("/etc/selinux/config"):
        if line.text.startswith("SELINUX="):
            mode = line.text[8:].strip()
    if mode not in ("enforcing", "permissive"):
        return na("SELinux is not used.")
    if context.live:
        return na("SELinux labels what a running system writes.")
    if context.exists("/.autorelabel"):
        return ok("/.autorelabel")
    return na("Relabel (touch /.autorelabel) if other tools than this collection changed files in the mounted image.")
