# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker that outlives the SSH session, and the one that waits for it.

The module copies its own code into /run (memory, never the disk), starts the worker in a unit of its own, and waits
for the result file. Whoever waits may be killed at any time: the worker goes on, prints its result on the serial
console, and powers off when asked to.

Private to the collection: its interface may change in any release.
"""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from typing import Any, Dict, List, Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import process
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import STATE_FILE, Context, Options
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.live import Live, Process, lineage, processes
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

RUN_DIRECTORY = "/run/azure-deprovision"

#: Seconds in which a worker must have taken its lock after it was started.
START_TIMEOUT = 60.0

#: Seconds after which a worker that is gone, and was not begun again by systemd, counts as dead.
DEAD_TIMEOUT = 15.0

#: Seconds that the session keeps after the result was picked up, for it to travel and for Ansible to tidy up.
GRACE = 3.0

#: First word of the line on the serial console.
CONSOLE_MARK = "AZURE-DEPROVISION-RESULT"

_PACKAGE = "ansible_collections"

_WORKER = """\
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, %r)
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import detached
detached.%s(%r)
"""

#: From the first step that takes the way in to the very end, the work can also be completed by the next boot: nobody
#: can log in to do it. This much lies on the disk then, and goes with the last step.
RESUME_DIRECTORY = "/var/lib/azure-deprovision"
RESUME_UNIT = "azure-deprovision-resume.service"

_RESUME_UNIT_TEXT = """\
[Unit]
Description=Complete a deprovisioning that was cut off, and power off
DefaultDependencies=no
After=sysinit.target
Before=basic.target ssh.service sshd.service getty.target
ConditionPathExists=%s

[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=%s -B -E -s %s/worker.py

[Install]
WantedBy=basic.target
"""


class Spool:
    """The files in /run that worker and waiter share. directory: another one in tests."""

    def __init__(self, directory: str = RUN_DIRECTORY) -> None:
        self.directory = directory

    def file(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def read(self, name: str) -> Optional[Dict[str, Any]]:
        try:
            with open(self.file(name), "rb") as stream:
                value = json.loads(stream.read().decode("utf-8"))
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def write(self, name: str, value: Dict[str, Any]) -> None:
        temporary = self.file(".%s.%d" % (name, os.getpid()))
        with open(temporary, "wb") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(json.dumps(value, sort_keys=True).encode("ascii"))
        os.rename(temporary, self.file(name))

    def is_locked(self) -> bool:
        """True while a worker lives."""
        try:
            with open(self.file("lock"), "rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as exc:
            return exc.errno in (errno.EAGAIN, errno.EACCES)
        return False


def copy_code(target: str) -> None:
    """Write the sources of this package's loaded modules below target, wherever they were loaded from (a zip)."""
    for name, module in sorted(sys.modules.items()):
        if name != _PACKAGE and not name.startswith(_PACKAGE + "."):
            continue
        loader = getattr(getattr(module, "__spec__", None), "loader", None)
        if loader is None or not hasattr(loader, "get_source"):
            continue
        is_package = hasattr(module, "__path__")
        if not is_package and ".module_utils." not in name:
            continue
        try:
            source = "" if name.count(".") < 5 and is_package else (loader.get_source(name) or "")
        except (ImportError, OSError):
            continue
        parts = name.split(".")
        path = os.path.join(target, *parts)
        path = os.path.join(path, "__init__.py") if is_package else path + ".py"
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o700)
        with open(path, "wb") as stream:
            stream.write(source.encode("utf-8"))


def start(spool: Spool, spec: Dict[str, Any], host: Host) -> str:
    """Start the worker in a unit of its own, or in a session of its own without systemd. Returns how."""
    shutil.rmtree(spool.directory, ignore_errors=True)
    os.makedirs(spool.directory, 0o700)
    copy_code(spool.file("lib"))
    spool.write("spec.json", spec)
    with open(spool.file("worker.py"), "w") as stream:
        stream.write(_WORKER % (spool.file("lib"), "work", spool.directory))
    # -I would drop the environment and the user's site directory, but also forbid sys.path[0]; -E -s is what is meant.
    argv = [sys.executable or "/usr/bin/python3", "-B", "-E", "-s", spool.file("worker.py")]
    if os.path.isdir("/run/systemd/system") and host.which("systemd-run"):
        unit = "azure-deprovision-" + str(spec.get("token", ""))[:16]
        # A worker that is killed begins again by itself; what it had done is found done.
        again = ["-p", "Restart=on-abnormal", "-p", "RestartSec=1"]
        for extra in (["--collect", "--no-block"] + again, ["--collect", "--no-block"], ["--no-block"], []):
            line = ["systemd-run", "--quiet", "--unit", unit] + extra + argv
            if host.run(line, check=False, timeout=60).rc == 0:
                return "systemd-run, unit %s" % unit
    with open(os.devnull, "r+b") as null:
        subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, close_fds=True, start_new_session=True, cwd="/")
    return "a session of its own"


def wait(spool: Spool, token: str, timeout: float, poll: float = 0.2) -> Dict[str, Any]:
    """The result of the worker with this token. Raises where it died, or does not end in time."""
    begin = seen = time.monotonic()
    while True:
        result = spool.read("result.json")
        if result is not None and result.get("token") == token:
            spool.write("collected.json", {"pid": os.getpid()})
            return result
        progress = spool.read("progress.json") or {}
        age = time.monotonic() - begin
        if spool.is_locked():
            seen = time.monotonic()
        elif time.monotonic() - seen > (DEAD_TIMEOUT if progress else START_TIMEOUT):
            # Between result and unlock there is a moment: look once more before saying that it died.
            result = spool.read("result.json")
            if result is None or result.get("token") != token:
                raise AzurePrepError(
                    "The deprovisioning process ended too early, at: %s. Run again; it completes what is left. %s"
                    % (progress.get("step", "its start"), _tail(spool))
                )
        if age > timeout:
            raise AzurePrepError(
                "Deprovisioning is not done after %d seconds; it is at: %s. It goes on by itself and prints its result "
                "on the serial console." % (timeout, progress.get("step", "its start"))
            )
        time.sleep(poll)


def _tail(spool: Spool) -> str:
    try:
        with open(spool.file("worker.log"), "rb") as stream:
            return stream.read().decode("utf-8", "replace").strip()[-500:]
    except OSError:
        return ""


def collect_or_start(params: Dict[str, Any], host: Host, spool: Spool) -> Dict[str, Any]:
    """Wait for the run with this token if there is one (a link that was lost and came back), else begin it."""
    token = params["token"]
    known = spool.read("spec.json")
    finished = spool.read("result.json")
    if finished is not None and finished.get("token") == token:
        spool.write("collected.json", {"pid": os.getpid()})
        return finished
    if known is not None and known.get("token") == token:
        # Whoever asks again after a lost link must not be taken for a session that has to end, nor its code for a
        # temporary file.
        spool.write("waiting.json", {"pids": session_pids(), "paths": own_paths()})
        try:
            # Also while no worker lives: systemd may be about to begin it again.
            return wait(spool, token, params["timeout"])
        except AzurePrepError:
            if spool.is_locked():
                raise
    elif spool.is_locked():
        raise AzurePrepError(
            "Another deprovisioning of this machine is running (at: %s). Wait until it is done."
            % (spool.read("progress.json") or {}).get("step", "its start")
        )
    start(spool, params, host)
    return wait(spool, token, params["timeout"])


def own_paths() -> List[str]:
    """Where the module's own code lies now: it must stay until the module has ended."""
    found = []
    for path in {os.path.abspath(entry) for entry in sys.path if entry} | {os.path.abspath(sys.argv[0] or "/")}:
        parts = path.split("/")
        for base in (["", "tmp"], ["", "var", "tmp"]):
            if parts[: len(base)] == base and len(parts) > len(base):
                found.append("/".join(parts[: len(base) + 1]))
        for index, part in enumerate(parts):
            if part.startswith(("ansible-tmp-", "ansible_")):
                found.append("/".join(parts[: index + 1]))
    return sorted(set(found))


# -- the next boot ---------------------------------------------------------------------------------------------------


def arm_resume(spool: Spool, host: Host) -> None:
    """Lay down on the disk what completes the work at the next boot, should the machine be reset from here on."""
    if not host.is_dir("/run/systemd/system") or host.which("systemctl") is None:
        return
    real = host.path(RESUME_DIRECTORY)
    shutil.rmtree(real, ignore_errors=True)
    os.makedirs(real, 0o700)
    shutil.copytree(spool.file("lib"), os.path.join(real, "lib"))
    spec = dict(spool.read("spec.json") or {}, pids=[], protected=[], collect_timeout=0)
    Spool(real).write("spec.json", spec)
    code = _WORKER % (RESUME_DIRECTORY + "/lib", "resume", RESUME_DIRECTORY)
    host.write(RESUME_DIRECTORY + "/worker.py", code, mode=0o600)
    text = _RESUME_UNIT_TEXT % (STATE_FILE, sys.executable or "/usr/bin/python3", RESUME_DIRECTORY)
    host.write("/etc/systemd/system/" + RESUME_UNIT, text, mode=0o644)
    host.symlink("../" + RESUME_UNIT, "/etc/systemd/system/basic.target.wants/" + RESUME_UNIT)
    os.sync()


def disarm_resume(host: Host) -> None:
    """Take it away again, and last of all the state file."""
    shutil.rmtree(host.path(RESUME_DIRECTORY), ignore_errors=True)
    for path in ("basic.target.wants/" + RESUME_UNIT, RESUME_UNIT):
        host.remove("/etc/systemd/system/" + path)
    wants = "/etc/systemd/system/basic.target.wants"
    if host.is_dir(wants) and not host.listdir(wants):
        host.rmdir(wants)
    host.remove(STATE_FILE)


def resume(directory: str) -> None:
    """At boot, before anybody can log in: complete what a reset cut off. Ends with the power off, whatever was asked
    for: nobody can log in any more, and a machine that runs on makes itself an identity."""
    spool = Spool()
    shutil.rmtree(spool.directory, ignore_errors=True)
    shutil.copytree(directory, spool.directory)
    spec = dict(spool.read("spec.json") or {}, poweroff=True, resumed=True)
    spool.write("spec.json", spec)
    work(spool.directory)


# -- the worker -----------------------------------------------------------------------------------------------------


def work(directory: str) -> None:
    """The detached process: do it, hand over the result, then the end (see process.after_result)."""
    spool = Spool(directory)
    log = open(spool.file("worker.log"), "ab", buffering=0)  # noqa: SIM115  stays open for the life of the process
    for descriptor in (1, 2):
        os.dup2(log.fileno(), descriptor)
    lock = open(spool.file("lock"), "wb")  # noqa: SIM115  held for the life of the process
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    spec = spool.read("spec.json") or {}

    def note(step: str) -> None:
        spool.write("progress.json", {"token": spec.get("token"), "step": step, "time": time.time()})

    note("start")
    host = Host("/")
    live = Live(host, spec.get("pids", []))
    context = None
    try:
        if spec.get("specialized"):
            result = process.specialize(host, False)
        else:
            options = spec["options"]
            options = Options(**{key: tuple(v) if isinstance(v, list) else v for key, v in options.items()})
            context = Context(host, options, spec.get("protected", []))
            live.before_commit = lambda: arm_resume(spool, host)
            live.tools = not spec.get("resumed")
            live.waiting = lambda: [int(pid) for pid in (spool.read("waiting.json") or {}).get("pids", [])]
            context.protected_later = lambda: [
                str(path) for path in (spool.read("waiting.json") or {}).get("paths", [])
            ]
            result = process.run(host, context, live, note)
    except AzurePrepError as exc:
        result = {"error": str(exc), "checks": [], "removed": [], "changed": True, "actions": live.actions}
    except Exception as exc:  # whatever it is, whoever waits must hear of it, on the console too
        step = (spool.read("progress.json") or {}).get("step", "the start")
        sentence = "Deprovisioning broke off at: %s (%s: %s). Run again; it completes what is left." % (
            step,
            type(exc).__name__,
            exc,
        )
        traceback.print_exc()
        result = {"error": sentence, "checks": [], "removed": [], "changed": True, "actions": live.actions}
    result["token"] = spec.get("token")
    spool.write("result.json", result)
    good = "error" not in result and process.failure_sentence(result) is None
    _await_collection(spool, float(spec.get("collect_timeout", 60)))
    to_console(console_line(result))
    if good and context is not None:
        again = process.after_result(context, live, bool(spec.get("poweroff")), str(spec.get("free_space", "leave")))
        left = [check for check in again if not check.ok]
        if left:
            good = False
            to_console("%s %s" % (CONSOLE_MARK, json.dumps({"ok": False, "left": [c.evidence for c in left]})))
    if context is not None and (good or spec.get("resumed")):
        # A resumed run that failed is not tried at every boot.
        disarm_resume(host)
    if good and spec.get("poweroff"):
        live.power_off()
    if not spec.get("keep_spool"):
        shutil.rmtree(spool.directory, ignore_errors=True)


def _await_collection(spool: Spool, timeout: float) -> bool:
    """Wait until the result was picked up and the one who did has ended; False after the timeout."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        collected = spool.read("collected.json")
        if collected is not None:
            pid = int(collected.get("pid", 0))
            while time.monotonic() < end and pid > 1 and os.path.exists("/proc/%d" % pid):
                time.sleep(0.1)
            time.sleep(GRACE)
            return True
        time.sleep(0.2)
    return False


def console_line(result: Dict[str, Any]) -> str:
    """The result in one line of at most a few hundred bytes, ASCII."""
    failed = [check for check in result.get("checks", []) if not check["ok"]]
    summary = {
        "ok": "error" not in result and not failed,
        "checks": len(result.get("checks", [])),
        "failed": [check["id"] for check in failed],
        "removed": len(result.get("removed", [])),
        "removed_bytes": result.get("removed_bytes", 0),
    }
    if "error" in result:
        summary["error"] = str(result["error"])[:400]
    return "%s %s" % (CONSOLE_MARK, json.dumps(summary, sort_keys=True))


def to_console(line: str) -> None:
    """Write a line to the serial console without ever waiting for it."""
    for path in ("/dev/console", "/dev/ttyS0", "/dev/ttyAMA0"):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            os.write(descriptor, ("\r\n" + line + "\r\n").encode("ascii", "replace"))
        except OSError:
            # A console that nobody reads must not hold up the end.
            continue
        finally:
            os.close(descriptor)


def session_pids() -> List[int]:
    """The processes between this module and init: the session that waits for the result."""
    return lineage(os.getpid())


def session_processes() -> List[Process]:
    """The same, with their owners: the SSH server's process of a session runs under the account that is connected."""
    wanted = set(session_pids())
    return [info for info in processes() if info.pid in wanted]
