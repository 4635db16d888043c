# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside the guest: a real SSH login with the private key, one script that prints facts, and their reading.

Private to the collection: its interface may change in any release.
"""

import os
import re
import shutil
import stat
import subprocess
import time
from typing import Callable, Dict, List, NamedTuple, Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

#: Printed by the guest, one section per line "@@name"; POSIX sh, no tool beyond a minimal system's.
#: %(wait)d: how many seconds to wait for the boot to finish. The first line of input is the password, or empty.
FACTS = r"""
IFS= read -r password
wait=%(wait)d
say() { printf '@@%%s\n' "$1"; }
root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif sudo -n true 2>/dev/null; then sudo -n "$@"
    elif [ -n "$password" ] && command -v sudo >/dev/null; then printf '%%s\n' "$password" | sudo -S -p '' "$@"
    else return 77; fi
}
state() { systemctl is-system-running 2>/dev/null || true; }
if command -v systemctl >/dev/null; then
    end=$(( $(date +%%s) + wait ))
    while [ "$(date +%%s)" -lt "$end" ]; do
        case "$(state)" in
            initializing) sleep 1 ;;
            # The agent leaves jobs in the queue for minutes; what counts is the boot and cloud-init.
            starting)
                systemctl list-jobs --no-legend 2>/dev/null | grep -Eq 'cloud-|multi-user|graphical' || break
                sleep 1
                ;;
            *) break ;;
        esac
    done
fi
say user; id -un
say sudo; root id -un 2>/dev/null
say hostname; cat /proc/sys/kernel/hostname
say machine_id; cat /etc/machine-id 2>/dev/null
say boot_id; cat /proc/sys/kernel/random/boot_id
say boot_time; sed -n 's/^btime //p' /proc/stat
say changed; stat -L -c '%%Z %%n' /etc/machine-id /etc/ssh/ssh_host_*_key 2>/dev/null
say host_keys; for f in /etc/ssh/ssh_host_*_key.pub; do [ -e "$f" ] && ssh-keygen -lf "$f"; done
say accounts
(getent passwd || cat /etc/passwd) | awk -F: '$3 >= 1000 && $3 < 60000 && $7 !~ /(nologin|false|sync)$/ {print $1}'
say keys; cat "$HOME/.ssh/authorized_keys"
say system; state
say jobs; systemctl list-jobs --no-legend 2>/dev/null
say failed; systemctl --failed --no-legend --plain 2>/dev/null
say mounts; cat /proc/mounts
say swaps; cat /proc/swaps
say resource; ls -d /dev/disk/cloud/azure_resource* /dev/disk/azure/resource* 2>/dev/null
say vmbus; ls /sys/bus/vmbus/devices 2>/dev/null
say virtualization; systemd-detect-virt 2>/dev/null
say release; cat /etc/os-release
say kernel; uname -r
say cmdline; cat /proc/cmdline
say ovf; root cat /var/lib/waagent/ovf-env.xml 2>/dev/null | sed 's/<\([a-z0-9:]*UserPassword\)>[^<]*/<\1>/'
say links; ls /sys/class/net
say end
"""

#: Options of every connection: our key and nothing of the user's own configuration.
SSH_OPTIONS = (
    "StrictHostKeyChecking=no",
    "GlobalKnownHostsFile=/dev/null",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "LogLevel=ERROR",
    "ControlMaster=no",
    "ControlPath=none",
    "ProxyCommand=none",
    "ForwardAgent=no",
    "NumberOfPasswordPrompts=1",
)


class Login(NamedTuple):
    """How a login ended: whether it worked, what it printed, and SSH's own words otherwise."""

    ok: bool
    out: str
    message: str


class Client:
    """SSH to one guest through a port of the loopback, with files in a private folder."""

    def __init__(self, folder: str, port: int, user: str, tick: Callable[[], None] = lambda: None) -> None:
        """tick is called every now and then while a login lasts."""
        self.folder = folder
        self.tick = tick
        self.port = port
        self.user = user
        self.key = os.path.join(folder, "key")

    def _line(self, options: List[str], command: List[str]) -> List[str]:
        ssh = shutil.which("ssh")
        if ssh is None:
            raise AzurePrepError("The command ssh is not installed on the host that runs the proof.")
        line = [ssh, "-F", "/dev/null", "-T", "-p", str(self.port)]
        line += ["-o", "UserKnownHostsFile=%s" % os.path.join(self.folder, "known_hosts")]
        for option in list(SSH_OPTIONS) + options:
            line += ["-o", option]
        return line + ["-l", self.user, "127.0.0.1"] + command

    def run(self, command: List[str], stdin: str = "", timeout: float = 60, connect: int = 10) -> Login:
        """Run a command after a login with the key."""
        options = ["BatchMode=yes", "IdentityFile=%s" % self.key, "PreferredAuthentications=publickey"]
        return self._run(self._line(options + ["ConnectTimeout=%d" % connect], command), stdin, timeout, None)

    def password_login(self, password: str, timeout: float = 60) -> Login:
        """A login by password only, answered through SSH_ASKPASS; no other tool is needed."""
        secret = os.path.join(self.folder, "secret")
        script = os.path.join(self.folder, "askpass")
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(password + "\n")
        with open(script, "w", encoding="utf-8") as stream:
            stream.write("#!/bin/sh\ncat '%s'\n" % secret.replace("'", "'\\''"))
        os.chmod(script, stat.S_IRWXU)
        environment = dict(os.environ, SSH_ASKPASS=script, SSH_ASKPASS_REQUIRE="force", DISPLAY=":0")
        options = ["PubkeyAuthentication=no", "PreferredAuthentications=password,keyboard-interactive"]
        try:
            return self._run(self._line(options + ["ConnectTimeout=20"], ["id", "-un"]), "", timeout, environment)
        finally:
            os.unlink(secret)

    def offered_methods(self, timeout: float = 60) -> Optional[str]:
        """The ways of logging in that the server offers, "publickey,password"; None where it does not say."""
        options = ["PreferredAuthentications=none", "PubkeyAuthentication=no", "BatchMode=yes", "ConnectTimeout=20"]
        login = self._run(self._line(options, ["true"]), "", timeout, None)
        found = re.search(r"Permission denied \(([a-z,-]+)\)", login.message)
        return found.group(1) if found else None

    def _run(self, line: List[str], stdin: str, timeout: float, environment: Optional[Dict[str, str]]) -> Login:
        # A session of its own: without a terminal ssh asks SSH_ASKPASS, and a Ctrl-C reaches us alone.
        process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        end = time.monotonic() + timeout
        data: Optional[bytes] = stdin.encode("utf-8", "surrogateescape")
        try:
            while True:
                try:
                    out, err = process.communicate(data, timeout=0.5)
                    break
                except subprocess.TimeoutExpired:
                    # The input is on its way; another call goes on where this one stopped.
                    data = None
                    self.tick()
                if time.monotonic() > end:
                    process.kill()
                    out, err = process.communicate()
                    return Login(False, out.decode("utf-8", "replace"), "no answer within %d seconds" % timeout)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        told = err.decode("utf-8", "replace").strip().splitlines()
        return Login(process.returncode == 0, out.decode("utf-8", "replace"), told[-1].strip() if told else "")


def make_key(folder: str) -> str:
    """A temporary RSA key (the one kind that Azure has always taken); gives the public line."""
    program = shutil.which("ssh-keygen")
    if program is None:
        raise AzurePrepError("The command ssh-keygen is not installed on the host that runs the proof.")
    path = os.path.join(folder, "key")
    line = [program, "-q", "-t", "rsa", "-b", "3072", "-N", "", "-C", "azure-proof", "-f", path]
    done = subprocess.run(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False
    )
    if done.returncode != 0:
        raise AzurePrepError("ssh-keygen failed: %s" % done.stdout.decode("utf-8", "replace").strip())
    with open(path + ".pub", "r", encoding="ascii") as stream:
        return stream.read().strip()


def facts_script(wait: int) -> str:
    return FACTS % {"wait": wait}


def parse_facts(text: str) -> Dict[str, List[str]]:
    """Sections of the script's output: name to its lines without empty ones. A cut output lacks "end"."""
    found: Dict[str, List[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("@@"):
            name = line[2:].strip()
            found[name] = []
        elif name and line.strip():
            found[name].append(line)
    return found


def first(facts: Dict[str, List[str]], name: str) -> str:
    """The first line of a section, empty where there is none."""
    return facts.get(name, [""])[0].strip() if facts.get(name) else ""
