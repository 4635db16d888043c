# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside the guest: a real SSH login with the private key, one script that prints facts, and their reading.

Private to the collection: its interface may change in any release.
"""

import base64
import binascii
import hashlib
import os
import re
import select
import shlex
import shutil
import stat
import subprocess
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

#: What the user is asked, printed as one section per line "@@name". POSIX sh, no tool beyond a minimal system's, and
#: few processes, because each costs a tenth of a second where QEMU emulates the processor. The first line of input is
#: the password, or empty. The rest is asked as root, where the user may become root, in one go.
FACTS = r"""
IFS= read -r password
echo @@user; id -un
echo @@keys; cat "$HOME/.ssh/authorized_keys" 2>/dev/null
rest=%(rest)s
if command -v sudo >/dev/null; then
    sudo -n sh -c "$rest" 2>/dev/null && exit
    if [ -n "$password" ]; then printf '%%s\n' "$password" | sudo -S -p '' sh -c "$rest" 2>/dev/null && exit; fi
fi
sh -c "$rest"
"""

#: %(wait)d: how many seconds to wait for the boot to finish, without asking systemd every second: cloud-init says by a
#: file that its last stage is done. What changes until then is asked afterwards. A section begins on a line of its own
#: whatever was before it: ovf-env.xml and authorized_keys may end without a newline.
REST = r"""
say() { printf '\n@@%%s\n' "$1"; }
say sudo; id -un
waited=0
while [ -e /run/cloud-init/enabled ] && ! [ -e /run/cloud-init/result.json ] && [ "$waited" -lt %(wait)d ]; do
    sleep 1
    waited=$((waited + 1))
done
state=
if [ -d /run/systemd/system ]; then
    while state=$(systemctl is-system-running 2>/dev/null); [ "$waited" -lt %(wait)d ]; do
        case $state in
            # Without an answer it is too busy to give one.
            '' | unknown | initializing) ;;
            # The agent leaves jobs in the queue for minutes; what counts is the boot and cloud-init.
            starting) systemctl list-jobs --no-legend 2>/dev/null | grep -Eq 'cloud-|multi-user|graphical' || break ;;
            *) break ;;
        esac
        sleep 2
        waited=$((waited + 2))
    done
fi
say waited; echo "$waited"
say system; echo "$state"
say failed; [ "$state" = running ] || systemctl --failed --no-legend --plain 2>/dev/null
say ovf; cat /var/lib/waagent/ovf-env.xml 2>/dev/null | sed 's/<\([a-zA-Z0-9:]*UserPassword\)>[^<]*/<\1>/'
say hostname; cat /proc/sys/kernel/hostname
say machine_id; cat /etc/machine-id 2>/dev/null
say boot_id; cat /proc/sys/kernel/random/boot_id
say boot_time; sed -n 's/^btime //p' /proc/stat
say now; date +%%s
say changed; stat -L -c '%%Z %%n' /etc/machine-id /etc/ssh/ssh_host_*_key 2>/dev/null
say host_keys; cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null
say accounts
{ getent passwd || cat /etc/passwd; } | awk -F: '$3 >= 1000 && $3 < 60000 && $7 !~ /(nologin|false|sync)$/ {print $1}'
say mounts; cat /proc/mounts
say swaps; cat /proc/swaps
say resource; ls -d /dev/disk/cloud/azure_resource* /dev/disk/azure/resource* 2>/dev/null
say release; cat /etc/os-release
say kernel; uname -r
say cmdline; cat /proc/cmdline
say end
"""

#: Asked as root before a restart. The agent waits for cloud-init, then ends the provisioning by a file, whoever
#: provisions (azurelinuxagent/pa/provision/default.py and cloudinit.py, write_provisioned); a restart before that would
#: have it go on at the next boot, which is no second provisioning. %(wait)d: for how many seconds at most.
SETTLE = r"""
waited=0
while [ "$waited" -lt %(wait)d ] && ! [ -e /var/lib/waagent/provisioned ]; do
    systemctl is-active walinuxagent waagent 2>/dev/null | grep -Eq '^(active|activating)' || break
    sleep 2
    waited=$((waited + 2))
done
"""

#: Options of every connection: our key and nothing of the user's own configuration.
SSH_OPTIONS = (
    "StrictHostKeyChecking=no",
    "GlobalKnownHostsFile=/dev/null",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    # So that the client says which ways of logging in the server offers; see _words().
    "LogLevel=DEBUG1",
    "ControlMaster=no",
    "ControlPath=none",
    "ProxyCommand=none",
    "ForwardAgent=no",
    "NumberOfPasswordPrompts=1",
)


#: Most bytes of output that are kept of one login.
MAX_OUTPUT = 4 * 1024 * 1024


class Login(NamedTuple):
    """How a login ended: whether it worked, what it printed, and SSH's own words otherwise.

    offered: the ways of logging in that the server offers ("publickey,password"), empty where it did not say.
    """

    ok: bool
    out: str
    message: str
    offered: str = ""


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

    def run(
        self,
        command: List[str],
        stdin: str = "",
        timeout: float = 60,
        started: Optional[Callable[[], None]] = None,
    ) -> Login:
        """Run a command after a login with the key; started is called when its first output arrives."""
        options = ["BatchMode=yes", "IdentityFile=%s" % self.key, "PreferredAuthentications=publickey"]
        return self._run(self._line(options + ["ConnectTimeout=10"], command), stdin, timeout, None, started)

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

    def offered_methods(self, timeout: float = 60) -> str:
        """The ways of logging in that the server offers now, "publickey,password"; empty where it does not say."""
        options = ["PreferredAuthentications=none", "PubkeyAuthentication=no", "BatchMode=yes", "ConnectTimeout=20"]
        return self._run(self._line(options, ["true"]), "", timeout, None).offered

    def _run(
        self,
        line: List[str],
        stdin: str,
        timeout: float,
        environment: Optional[Dict[str, str]],
        started: Optional[Callable[[], None]] = None,
    ) -> Login:
        # A session of its own: without a terminal ssh asks SSH_ASKPASS, and a Ctrl-C reaches us alone.
        process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise AssertionError("pipes must be there by now")
        end = time.monotonic() + timeout
        late = False
        texts: Dict[int, List[bytes]] = {process.stdout.fileno(): [], process.stderr.fileno(): []}
        reading = list(texts)
        try:
            try:
                # A few bytes, which always fit into a pipe.
                process.stdin.write(stdin.encode("utf-8", "surrogateescape"))
                process.stdin.close()
            except OSError:
                # ssh has ended already; its own words tell why.
                pass
            while reading:
                for number in select.select(reading, [], [], 0.5)[0]:
                    data = os.read(number, 65536)
                    if not data:
                        reading.remove(number)
                    elif sum(len(part) for part in texts[number]) < MAX_OUTPUT:
                        texts[number].append(data)
                    if data and started is not None and number == process.stdout.fileno():
                        started()
                        started = None
                self.tick()
                if time.monotonic() > end:
                    late = True
                    break
        finally:
            if process.poll() is None and reading:
                process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        out, err = (b"".join(parts).decode("utf-8", "replace") for parts in texts.values())
        message, offered = _words(err)
        if late:
            return Login(False, out, "no answer within %d seconds" % timeout, offered)
        return Login(process.returncode == 0, out, message, offered)


def _words(text: str) -> Tuple[str, str]:
    """From what ssh wrote: its last message that is not for debugging, and the ways of logging in that it was told."""
    found = re.search(r"^debug1: Authentications that can continue: ([a-z0-9@.,-]+)", text, re.MULTILINE)
    noise = ("debug1:", "OpenSSH_", "Authenticated to ", "Transferred: ", "Bytes per second: ", "Warning: Permanently")
    rows = [row.strip() for row in text.splitlines() if row.strip() and not row.startswith(noise)]
    return (rows[-1] if rows else ""), (found.group(1) if found else "")


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
    """The whole script; wait: how many seconds the boot may still take."""
    return FACTS % {"rest": shlex.quote(REST % {"wait": wait})}


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


def fingerprint(line: str) -> str:
    """A public key line as `ssh-keygen -l` names it, without its length: "SHA256:… (ED25519)"; empty for no key."""
    words = line.split()
    try:
        blob = base64.b64decode(words[1].encode("ascii"), validate=True) if len(words) > 1 else b""
    except (binascii.Error, ValueError):
        return ""
    if not blob:
        return ""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")
    kind = words[0].split("@")[0].replace("ssh-", "").split("-")[0].upper()
    return "SHA256:%s (%s)" % (digest, {"DSS": "DSA"}.get(kind, kind))


def first(facts: Dict[str, List[str]], name: str) -> str:
    """The first line of a section, empty where there is none."""
    return facts.get(name, [""])[0].strip() if facts.get(name) else ""
