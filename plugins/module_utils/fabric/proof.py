# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof: boot an overlay of the image on the simulated fabric, watch it provision, judge, clean up.

Private to the collection: its interface may change in any release.
"""

import ctypes
import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import (
    checks,
    deployment,
    diagnosis,
    guest,
    image,
    ovf_env,
    page,
    pcap,
    qemu,
    udf,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.console import Console, screen_text
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.server import Fabric

#: Said in every result: what a passed proof does not cover.
NOT_PROVEN = (
    "A passed proof shows that the image boots and provisions; it does not show Hyper-V's own devices (their "
    "drivers in the initramfs are initrd_hyperv's matter), the platform's extension handlers, or accelerated "
    "networking."
)

#: How often the watch looks, in seconds.
TICK = 0.25

#: Bounds of what a guest may write to the host.
MAX_SERIAL = 64 * 1024 * 1024
MAX_PACKETS = 64 * 1024 * 1024

#: More restarts than this during the first boot are a loop (a SELinux relabel takes one, cloud-init may take one).
MAX_RESTARTS = 3

#: Share of one processor below which a guest counts as idle.
IDLE_LOAD = 0.12

#: How long an idle guest may still come round, in seconds: by what it has done so far. Units that wait for the
#: network give up after at most two minutes (systemd-networkd-wait-online), and the provisioner may follow them.
IDLE_LIMITS = {"boot": 140.0, "up": 140.0, "network": 75.0, "asked": 30.0}

#: How long an initramfs may look for the root file system on disks that are there, in seconds. rootdelay=300, which
#: Azure's guides ask for, would have it look for five minutes; disks here do not come late.
ROOT_LIMIT = 40.0

#: How long after its first failure an agent may still come to report ready, in seconds.
CRASH_LIMIT = 80.0

#: How long a boot loader may read nothing and say nothing before it is taken to wait for a person, in seconds.
LOADER_LIMIT = 60.0

#: How long an agent that has an address may fail to reach the WireServer, which always answers here, in seconds.
WIRE_LIMIT = 120.0

#: A report that is refused this often will not be taken later: the goal state never changes here.
MAX_REFUSED = 3

#: How long the key may be denied after ready, in seconds. cloud-init reports before it makes the user, but sshd
#: starts after that; whoever is denied for so long stays outside.
DENIED_LIMIT = 60.0

#: How long port 22 may stay silent after ready was reported, and the console asks for a login or the server has failed
#: to start, in seconds.
SILENT_LIMIT = 90.0

PR_SET_PDEATHSIG = 1


class Options(NamedTuple):
    """What the caller asks for; the meaning of each is in the documentation of the module first_boot."""

    path: str
    provisioner: str = "auto"
    generation: str = "auto"
    accel: str = "auto"
    bus: str = "virtio-scsi"
    hostname: str = "azureproof"
    user: str = "azureuser"
    ssh_public_key: str = ""
    password: str = ""
    resource_disk_gib: int = 0
    memory_mib: int = 1024
    cpus: int = 1
    timeout: int = 900
    second_boot: bool = True
    certificates: bool = False
    artifacts: str = ""
    qemu: str = ""


class Event(NamedTuple):
    """A point of the timeline: seconds since power-on, a stable name, a sentence."""

    seconds: float
    name: str
    text: str


class Interrupted(BaseException):
    """A signal asked us to stop; everything started is ended on the way out."""


def _raise_interrupted(number: int, _frame: Any) -> None:
    raise Interrupted("signal %d" % number)


def _die_with_parent() -> Optional[Callable[[], None]]:
    """A function for the child: the kernel kills it when we are gone, even by SIGKILL. None where not offered."""
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None

    def apply() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return apply


def _no_room(folder: str, exc: Exception) -> AzurePrepError:
    """What the host refused, as a sentence: most often room for the proof's private folder."""
    if not isinstance(exc, OSError):
        return AzurePrepError("The proof ended early: %s." % str(exc).rstrip("."))
    reasons = {
        errno.ENOSPC: "the file system is full; free some space",
        errno.EDQUOT: "the disk quota is used up; free some space",
        errno.EROFS: "the file system is mounted read-only; remount it read-write",
        errno.EACCES: "permission denied; let this user write there",
        errno.EPERM: "not permitted; let this user write there",
    }
    reason = reasons.get(exc.errno or 0, str(exc.strerror or exc).lower())
    place = folder or os.environ.get("TMPDIR", "/tmp")
    return AzurePrepError(
        "Cannot keep the proof's files in %s: %s, or name another directory by TMPDIR. The guest was ended."
        % (place, reason)
    )


class Idleness:
    """Since when a guest has done nothing: no processor time worth naming, nothing on the console, no request."""

    def __init__(self, proof: "Proof") -> None:
        self._proof = proof
        self.restart()

    def _marks(self) -> Tuple[int, int]:
        return self._proof.console.size, len(self._proof.fabric.entries()) if self._proof.fabric is not None else 0

    def restart(self) -> None:
        self._since, self._busy, self._mark = self._proof.seconds, self._proof.busy_seconds(), self._marks()

    def seconds(self) -> float:
        """For how many seconds it has been idle."""
        spent = self._proof.busy_seconds() - self._busy
        if self._marks() != self._mark or spent > IDLE_LOAD * (self._proof.seconds - self._since) + 0.7:
            self.restart()
        return self._proof.seconds - self._since


class Proof:
    """One proof. Use as a context manager: leaving it ends QEMU and the servers and removes the private folder."""

    def __init__(self, options: Options, say: Callable[[str], None] = lambda text: None) -> None:
        self.options = options
        self.say = say
        self.image = image.inspect(options.path)
        self.generation, self.generation_reason = image.choose_generation(options.generation, self.image)
        self.binary = qemu.find_binary(options.qemu)
        self.version = qemu.version_of(self.binary)
        self.firmware = qemu.find_firmware(self.generation)
        self.accel, self.accel_reason = qemu.choose_accel(options.accel, self.binary)
        self.console = Console()
        self.timeline: List[Event] = []
        self.buses: List[str] = [options.bus]
        self.restarts = 0
        self.resets = 0
        self.second = False
        #: How many requests the fabric had recorded when the first boot ended.
        self.first_entries = 0
        self.ready_seconds: Optional[float] = None
        self.facts: Dict[str, List[str]] = {}
        self.login: Optional[guest.Login] = None
        self.screen = ""
        self.traffic = pcap.NOTHING
        self.process: Optional["subprocess.Popen[bytes]"] = None
        self.fabric: Optional[Fabric] = None
        self.monitor: Optional[qemu.Monitor] = None
        self.client: Optional[guest.Client] = None
        self.folder = ""
        self.deployment: Optional[deployment.Deployment] = None
        self._serial_read = 0
        self._old_handlers: Dict[int, Any] = {}
        self._statistics: Dict[str, Tuple[int, int]] = {}
        self._started = 0.0
        self._threads: Dict[str, int] = {}

    # -- life ------------------------------------------------------------------------------------------------

    def __enter__(self) -> "Proof":
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            try:
                self._old_handlers[number] = signal.signal(number, _raise_interrupted)
            except ValueError:
                # Not the main thread: the caller deals with signals.
                break
        try:
            self._start()
        except (OSError, subprocess.SubprocessError) as exc:
            folder = self.folder
            self.close()
            raise _no_room(folder, exc)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_details: Any) -> None:
        self.close()

    def close(self) -> None:
        """End everything. May be called twice; signals wait until it is done."""
        for number in self._old_handlers:
            signal.signal(number, signal.SIG_IGN)
        try:
            if self.monitor is not None:
                self.monitor.close()
                self.monitor = None
            if self.process is not None:
                if self.process.poll() is None:
                    self.process.terminate()
                    try:
                        self.process.wait(timeout=5)
                    except subprocess.TimeoutExpired:
                        self.process.kill()
                        self.process.wait(timeout=30)
                self.process = None
            if self.fabric is not None:
                self.fabric.close()
        finally:
            if self.folder:
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder = ""
            for number, handler in self._old_handlers.items():
                signal.signal(number, handler)
            self._old_handlers = {}

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _start(self) -> None:
        options = self.options
        self.folder = tempfile.mkdtemp(prefix="azp-")
        key = guest.make_key(self.folder)
        keys = (key,) + ((options.ssh_public_key.strip(),) if options.ssh_public_key.strip() else ())
        self.deployment = deployment.new_deployment(
            self.generation, options.hostname, options.user, keys, options.password, b"", options.certificates
        )
        medium = udf.build(
            ovf_env.VOLUME_LABEL, {ovf_env.FILE_NAME: ovf_env.render(self.deployment).encode("utf-8")}, time.time()
        )
        descriptor = os.open(self.path("medium.img"), os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(medium)
        self._make_overlay()
        resource_disk = ""
        if options.resource_disk_gib:
            resource_disk = self.path("resource.img")
            with open(resource_disk, "wb") as stream:
                stream.truncate(options.resource_disk_gib << 30)
        if self.firmware[0]:
            shutil.copyfile(self.firmware[1], self.path("vars.fd"))
        self.fabric = Fabric(self.deployment, self.folder)
        forwards = self.fabric.bind()
        machine = qemu.Machine(
            binary=self.binary,
            version=self.version,
            accel=self.accel,
            generation=self.generation,
            bus=options.bus,
            disk=os.path.abspath(options.path),
            disk_size=self.image.virtual_size,
            overlay=self.path("os.qcow2"),
            medium=self.path("medium.img"),
            resource_disk=resource_disk,
            serial_log=self.path("serial.log"),
            packet_log=self.path("packets.pcap"),
            qmp_socket=self.path("qmp"),
            firmware_code=self.firmware[0],
            firmware_vars=self.path("vars.fd") if self.firmware[0] else "",
            mac=self.deployment.mac,
            system_uuid=self.deployment.system_uuid,
            hostname=options.hostname,
            memory_mib=options.memory_mib,
            cpus=options.cpus,
            forwards=forwards,
            frames_from_network=self.fabric.frame_sockets[0],
            frames_to_guest=self.fabric.frame_sockets[1],
            frames_from_guest=self.fabric.frame_sockets[2],
        )
        with open(self.path("qemu.log"), "wb") as log:
            self.process = subprocess.Popen(
                qemu.arguments(machine),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )
        self._started = time.monotonic()
        self.fabric.power_on()
        self.fabric.serve()
        try:
            self.monitor = qemu.Monitor(self.path("qmp"))
            port = None
            end = time.monotonic() + 10
            while port is None and time.monotonic() < end:
                port = qemu.parse_usernet(self.monitor.human("info usernet"))
            if port is None:
                raise AzurePrepError("QEMU did not tell the port of its SSH forwarding.")
        except AzurePrepError as exc:
            raise AzurePrepError("QEMU did not start: %s" % (self._qemu_words() or exc))
        self.client = guest.Client(self.folder, port, options.user, self._look)
        self._event("power_on", "power on: Gen%d, QEMU %s, %s (%s)" % (
            self.generation, ".".join(str(part) for part in self.version), self.accel, self.accel_reason
        ))  # fmt: skip

    def _make_overlay(self) -> None:
        program = shutil.which("qemu-img")
        if program is None:
            raise AzurePrepError("The command qemu-img is not installed on the host that runs the proof.")
        line = [program, "create", "-q", "-f", "qcow2", self.path("os.qcow2"), str(self.image.virtual_size)]
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False
        )
        if done.returncode != 0:
            raise AzurePrepError("qemu-img create failed: %s" % done.stdout.decode("utf-8", "replace").strip())

    def _qemu_words(self) -> str:
        """The last thing QEMU wrote, for an error sentence."""
        try:
            with open(self.path("qemu.log"), "r", encoding="utf-8", errors="replace") as stream:
                rows = [row.strip() for row in stream if row.strip() and "warning:" not in row]
        except OSError:
            return ""
        return rows[-1][:400] if rows else ""

    # -- looking -----------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Since power-on."""
        return time.monotonic() - self._started

    def _event(self, name: str, text: str, seconds: Optional[float] = None) -> None:
        if all(event.name != name for event in self.timeline):
            event = Event(self.seconds if seconds is None else seconds, name, text)
            self.timeline.append(event)
            self.say("%7.1f s  %s" % (event.seconds, text))

    def _look(self) -> None:
        """Take in what is new: console, packets, record, restarts."""
        if self.fabric is None or self.deployment is None:
            raise AssertionError("fabric, deployment must be set by now")
        try:
            with open(self.path("serial.log"), "rb") as stream:
                stream.seek(self._serial_read)
                data = stream.read(1024 * 1024)
        except OSError:
            data = b""
        self._serial_read += len(data)
        if data and self._serial_read <= MAX_SERIAL:
            words = {
                "loader": "boot loader",
                "kernel": "kernel",
                "root": "root file system mounted",
                "init": "init",
                "login": "login prompt",
            }
            for name in self.console.feed(data, self.seconds):
                if self.second and name in ("kernel", "login"):
                    self._event("second_" + name, "second boot: " + words[name])
                elif name in words:
                    self._event(name, words[name])
        if "ack" not in self.traffic.dhcp:
            self.traffic = self._packets()
            if "ack" in self.traffic.dhcp:
                self._event("network", "network: address by DHCP")
        for entry in self.fabric.entries():
            self._event(
                "provisioner",
                "provisioner: first request (%s, %s)" % (entry.topic, entry.agent or "unnamed"),
                entry.seconds,
            )
            if entry.report is not None and entry.report.accepted and entry.report.state == "Ready":
                if self.ready_seconds is None:
                    self.ready_seconds = entry.seconds
                self._event("ready", "ready reported to the WireServer", entry.seconds)
        self._poll_monitor()

    def _packets(self) -> pcap.Traffic:
        if self.fabric is None or self.deployment is None:
            raise AssertionError("fabric, deployment must be set by now")
        served = tuple("%s:%d" % (service.address, service.port) for service in self.fabric.services)
        try:
            with open(self.path("packets.pcap"), "rb") as stream:
                return pcap.read(stream.read(MAX_PACKETS), self.deployment.mac, served)
        except OSError:
            return pcap.NOTHING

    def _poll_monitor(self) -> None:
        """Count restarts and refresh block statistics; QEMU's end shows in the process, not here."""
        if self.monitor is None:
            return
        try:
            for device in self.monitor.command("query-blockstats"):
                stats = device.get("stats", {})
                name = device.get("node-name") or device.get("qdev", "")
                self._statistics[name] = (stats.get("rd_bytes", 0), stats.get("wr_bytes", 0))
        except AzurePrepError:
            self.monitor.close()
            self.monitor = None
            return
        for event in self.monitor.events:
            if event.get("event") == "BLOCK_IO_ERROR" and event.get("data", {}).get("action") == "stop":
                # QEMU holds the guest until there is room, and would hold it for ever.
                nospace = event["data"].get("nospace")
                reason = str(event["data"].get("reason", "")).lower()
                raise _no_room(self.folder, OSError(errno.ENOSPC if nospace else errno.EIO, reason))
            if event.get("event") == "RESET":
                self.resets += 1
                # A reset that the guest asked for; the other kind is ours.
                self.restarts += 1 if event.get("data", {}).get("guest") else 0
                if self.second:
                    self._event("second_power_on", "second boot: the machine restarts")
        self.monitor.events = []

    def _medium_read(self) -> int:
        return self._statistics.get("medium", (0, 0))[0]

    def _disk_read(self) -> int:
        return self._statistics.get("os", (0, 0))[0]

    def _disk_written(self) -> bool:
        return self._statistics.get("os", (0, 0))[1] > 0

    def _read_screen(self) -> str:
        """The text on the VGA screen, empty in graphics modes."""
        if self.monitor is None:
            return ""
        path = self.path("screen.bin")
        try:
            self.monitor.command("pmemsave", val=0xB8000, size=4000, filename=path)
            with open(path, "rb") as stream:
                return screen_text(stream.read())
        except (AzurePrepError, OSError):
            return ""

    def busy_seconds(self) -> float:
        """Time that QEMU's threads have run or waited for a processor (proc(5), schedstat).

        The waiting counts, so that a guest on a host that is overloaded does not look idle.
        """
        if self.process is None:
            return 0.0
        folder = "/proc/%d/task" % self.process.pid
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            try:
                with open(os.path.join(folder, name, "schedstat"), "r", encoding="ascii") as stream:
                    words = stream.read().split()
                # Kept when a thread ends, so that the sum never falls.
                self._threads[name] = int(words[0]) + int(words[1])
            except (OSError, ValueError, IndexError):
                continue
        # A kernel without these numbers: the guest then counts as busy, and the time limit decides.
        return sum(self._threads.values()) / 1e9 if self._threads else self.seconds

    # -- the first boot ----------------------------------------------------------------------------------------

    def watch(self) -> str:
        """Wait for the end: "ready", "fatal", "failed", "refused", "idle", "loop", "ended" or "timeout"."""
        if self.fabric is None or self.process is None:
            raise AssertionError("fabric, process must be set by now")
        idleness = Idleness(self)
        slow = 1.0 if self.accel == "kvm" else 1.5
        screen_at = 5.0
        offered = 0.0
        fatal_at = 0.0
        loaded, loaded_at = (0, 0), 0.0
        while True:
            self._look()
            now = self.seconds
            progress = (self._disk_read(), self.console.size)
            if progress != loaded:
                loaded, loaded_at = progress, now
            if self.ready_seconds is not None:
                return "ready"
            if self.process.poll() is not None:
                return "ended"
            if self.restarts > MAX_RESTARTS:
                return "loop"
            if now > self.options.timeout:
                return "timeout"
            reports = [entry.report for entry in self.fabric.entries() if entry.report is not None]
            if any(report.accepted and report.substatus == "ProvisioningFailed" for report in reports):
                return "failed"
            if sum(1 for report in reports if not report.accepted) >= MAX_REFUSED:
                return "refused"
            self._press_enter()
            if self.console.fatal:
                # A little longer, for the lines that follow the first sign.
                fatal_at = fatal_at or now
                if now - fatal_at > 3.0:
                    return "fatal"
            idle = idleness.seconds()
            if now > screen_at and "kernel" not in self.console.seen:
                screen_at = now + 5.0
                self.screen = self._read_screen() or self.screen
                if idle > 2 and ("No bootable device" in self.screen or "Kernel panic" in self.screen):
                    return "fatal"
                # GRUB is busy while it waits at its prompt.
                if re.search(r"^ *grub(?: rescue)?> *$", self.screen, re.MULTILINE):
                    return "fatal"
            if self._no_disk_found():
                # An initramfs that looks for its root file system is never idle, but says what it does.
                looking = now - self.console.seen["root_wait"].seconds if "root_wait" in self.console.seen else 0.0
                waited = max(idle, min(looking, now - offered) / slow)
                if waited > 10 and set(qemu.HOTPLUG_BUSES) - set(self.buses):
                    self._attach_elsewhere()
                    idleness.restart()
                    offered = self.seconds
                elif waited > 20:
                    return "idle"
            if idle > self._idle_limit() or self._waits_in_vain(slow):
                return "idle"
            if self._in_the_loader() and now - loaded_at > LOADER_LIMIT * slow:
                # Busy, for it polls the keyboard.
                return "idle"
            time.sleep(TICK)

    def _in_the_loader(self) -> bool:
        """Whether a boot loader was seen and nothing of what it starts."""
        seen = self.console.seen
        if "kernel" in seen or self._disk_written() or self.traffic.packets:
            return False
        # What it has loaded may be at work without a word.
        loading = "loading" in seen and "grub_error" not in seen
        return not loading and ("loader" in seen or "GNU GRUB" in self.screen)

    def _waits_in_vain(self, slow: float) -> bool:
        """Whether the guest waits, busily, for what will not come: see ROOT_LIMIT, an agent that fails again and again,
        one that reaches nobody, and one without cloud-init."""
        seen = self.console.seen
        if {"disk", "root_wait"} <= set(seen) and not {"root", "init"} & set(seen):
            return self.seconds > seen["root_wait"].seconds + ROOT_LIMIT * slow
        if "agent_crash" in seen and "cloud_init" not in seen:
            # It starts again every 15 seconds.
            return self.seconds > seen["agent_crash"].seconds + CRASH_LIMIT * slow
        if "wire_failed" in seen and "ack" in self.traffic.dhcp and self.fabric and not self.fabric.entries():
            # It would try for most of an hour.
            return self.seconds > seen["wire_failed"].seconds + WIRE_LIMIT * slow
        if "agent_waits" in seen and "cloud_init" not in seen:
            # It would say so for half an hour. An agent that believes in an enabled cloud-init may be right for a
            # while: cloud-init speaks before it, but the two lines may cross.
            patience = 20.0 if "cloud_init_off" in seen else 60.0 * slow
            since = max(seen[name].seconds for name in ("agent_waits", "cloud_init_off") if name in seen)
            return self.seconds > since + patience
        return False

    def _idle_limit(self) -> float:
        """For how long this guest may do nothing before it is given up, in seconds; see IDLE_LIMITS."""
        if self.fabric is None:
            raise AssertionError("fabric must be set by now")
        if not {"login", "multi_user"} & set(self.console.seen):
            stage = "boot"
        elif self.fabric.entries():
            stage = "asked"
        else:
            stage = "network" if "ack" in self.traffic.dhcp else "up"
        return IDLE_LIMITS[stage] * (1.0 if self.accel == "kvm" else 1.5)

    def _press_enter(self) -> None:
        """Start the boot loader's default entry now, where it counts down to it anyway."""
        if "countdown" not in self.console.seen or "kernel" in self.console.seen or self.monitor is None:
            return
        if all(event.name != "enter" for event in self.timeline):
            self._event("enter", "boot loader's countdown cut short (Enter)")
            try:
                self.monitor.command("send-key", keys=[{"type": "qcode", "data": "ret"}])
            except AzurePrepError:
                # It then starts a few seconds later by itself.
                return

    def _no_disk_found(self) -> bool:
        """Whether the kernel seems to be without a disk: nothing written, none named, and not yet in user space."""
        seen = self.console.seen
        if self._disk_written() or self.traffic.packets or self.generation_mismatch:
            return False
        if "kernel" in seen:
            return not {"disk", "root", "login", "multi_user"} & set(seen) and not self.console.fatal
        return False

    @property
    def generation_mismatch(self) -> bool:
        return bool(self.image.boots) and self.generation not in self.image.boots

    def _attach_elsewhere(self) -> None:
        """Offer the disk on one more controller, for an initramfs without a driver for the ones so far."""
        bus = next(name for name in qemu.HOTPLUG_BUSES if name not in self.buses)
        self.buses.append(bus)
        if self.monitor is None:
            return
        try:
            for device in qemu.disk_devices(bus, boot=False):
                self.monitor.command("device_add", **device)
        except AzurePrepError as exc:
            self._event("bus_" + bus, "the disk could not be attached as %s: %s" % (bus, exc))
            return
        self._event("bus_" + bus, "no disk found so far: attached as %s as well" % bus)

    @property
    def _patience(self) -> int:
        """Seconds that a started guest may take for one step, such as answering a login."""
        return 60 if self.accel == "kvm" else 120

    def inside(self, limit: float) -> None:
        """Log in with the key and collect the facts, all in one login; tries until `limit` seconds since power-on."""
        if self.client is None or self.process is None:
            raise AssertionError("client, process must be set by now")
        wait = self._patience
        self._wait_for_cloud_init(limit)
        since = self.seconds
        cut, denied, up = 0, 0.0, 0.0
        while True:
            self._look()
            self.login = self._ask(0 if cut else wait, wait + 120, lambda: self._event("ssh", "SSH login with the key"))
            found = guest.parse_facts(self.login.out)
            if "end" in found:
                self.facts = found
                return
            if "user" in found:
                # Half an answer would let checks pass that saw nothing.
                cut += 1
                words = "the login worked, but the guest did not answer all questions in time"
                self.login = guest.Login(False, "", words)
                if cut == 2:
                    return
            if self.seconds > limit or self.process.poll() is not None or self.console.fatal:
                return
            if "ssh_failed" in self.console.seen and self.seconds > since + SILENT_LIMIT:
                return
            if "Permission denied" in self.login.message:
                denied = denied or self.seconds
                if self.seconds > denied + DENIED_LIMIT:
                    return
            elif {"login", "multi_user"} & set(self.console.seen):
                up = up or self.seconds
                if self.seconds > up + SILENT_LIMIT and self._packets().ssh != "open":
                    return
            time.sleep(0.5)

    def _wait_for_cloud_init(self, limit: float) -> None:
        """Until it says on the console that it is done: a login before that would only take its processor time.

        It reports ready in its first stage of four, and sets up sshd in the third.
        """
        if self.process is None:
            raise AssertionError("process must be set by now")
        if "cloud_init" not in self.console.seen:
            return
        idleness = Idleness(self)
        while "cloud_init_done" not in self.console.seen:
            self._look()
            if self.seconds > limit or self.process.poll() is not None or self.console.fatal:
                return
            if idleness.seconds() > 20 or "ssh_failed" in self.console.seen:
                return
            time.sleep(TICK)

    def _ask(self, wait: int, timeout: float, started: Optional[Callable[[], None]] = None) -> guest.Login:
        """One login that runs the script of facts."""
        if self.client is None:
            raise AssertionError("client must be set by now")
        # The script goes as an argument, its input is the password: nothing secret stands in a process list.
        command = "exec sh -c " + shlex.quote(guest.facts_script(wait))
        return self.client.run([command], stdin=self.options.password + "\n", timeout=timeout, started=started)

    # -- the second boot ---------------------------------------------------------------------------------------

    def _as_root(self, script: str, timeout: float) -> None:
        """Run a shell script as root; the password goes in by the standard input."""
        if self.client is None:
            raise AssertionError("client must be set by now")
        command = "sudo -n sh -c %s || sudo -S -p '' sh -c %s" % (shlex.quote(script), shlex.quote(script))
        self.client.run(["exec sh -c " + shlex.quote(command)], stdin=self.options.password + "\n", timeout=timeout)

    def reboot(self) -> Optional[Dict[str, List[str]]]:
        """Restart without the provisioning medium, as Azure does; the facts afterwards, None where it came not back."""
        if self.client is None or self.process is None or self.fabric is None:
            raise AssertionError("client, process, fabric must be set by now")
        before, resets = guest.first(self.facts, "boot_id"), self.resets
        wait = self._patience
        rooted = guest.first(self.facts, "sudo") == "root"
        if rooted:
            self._as_root(guest.SETTLE % {"wait": wait}, wait + 60)
        self._look()
        # Judged with what the first boot did to its end.
        self.first_entries = len(self.fabric.entries())
        self.second = True
        self.console.restart()
        if self.monitor is not None:
            try:
                self.monitor.command("eject", id="cd0", force=True)
            except AzurePrepError:
                # The guest has ejected it already.
                self._event("eject", "the provisioning medium had been ejected by the guest")
        if rooted:
            self._as_root("reboot", 30)
        elif self.monitor is not None:
            # Without root inside, the button; what was written is on the disk before.
            self.client.run(["sync"], timeout=60)
            try:
                self.monitor.command("system_reset")
            except AzurePrepError:
                return None
        self._event("reboot", "restart asked for, without the provisioning medium")
        asked = self.seconds
        end = self.seconds + self.options.timeout
        while self.seconds < end and self.process.poll() is None and not self.console.fatal:
            self._look()
            # Until it has gone down the old boot may still answer; a kernel that starts the next one itself (kexec)
            # shows no reset.
            if self.resets > resets or self.seconds > asked + 90:
                found = guest.parse_facts(self._ask(wait, wait + 120).out)
                if "end" in found and guest.first(found, "boot_id") != before:
                    self._look()
                    self._event("second_boot", "second boot judged")
                    return found
            time.sleep(0.5)
        return None

    # -- all -----------------------------------------------------------------------------------------------------

    def run(self) -> Dict[str, Any]:
        """The whole proof; the module's result."""
        if self.fabric is None or self.client is None:
            raise AssertionError("fabric, client must be set by now")
        options = self.options
        outcome = self.watch()
        if outcome in ("ready", "idle", "timeout", "failed", "refused"):
            grace = 180.0 if self.accel == "kvm" else 360.0
            self.inside(self.seconds + (grace if outcome == "ready" else 5.0))
        if not self.screen:
            self.screen = self._read_screen() if outcome != "ready" else ""
        self.traffic = self._packets()
        password_login: Optional[guest.Login] = None
        offered = self.login.offered if self.login is not None else ""
        if self.facts and options.password:
            password_login = self.client.password_login(options.password)
        elif guest.first(self.facts, "waited") not in ("", "0"):
            # The login came before the end of the boot, and cloud-init sets up sshd late.
            offered = self.client.offered_methods()
        story = self._story(outcome)
        verdict = self.seconds
        self._event("verdict", "first boot judged")
        self.first_entries = len(self.fabric.entries())
        errors = self.console.errors()
        second: Optional[Dict[str, List[str]]] = None
        tried_second = options.second_boot and bool(self.facts) and outcome == "ready"
        seen = dict(self.console.seen)
        if tried_second:
            second = self.reboot()
        evidence = checks.Evidence(
            options=options,
            deployment=self.fabric.deployment,
            generation=self.generation,
            seen=seen,
            traffic=self.traffic,
            entries=self.fabric.entries()[: self.first_entries],
            later_entries=self.fabric.entries()[self.first_entries :],
            facts=self.facts,
            login=self.login,
            password_login=password_login,
            offered=offered,
            medium_read=story.medium_read,
            buses=tuple(self.buses),
            tried_second=tried_second,
            second=second,
        )
        judged = checks.judge(evidence)
        ready = outcome == "ready"
        cause: Optional[diagnosis.Diagnosis] = None
        if not ready or (not self.facts and self.console.fatal):
            cause = diagnosis.diagnose(story)
        elif not self.facts:
            # Ready may be reported early; what keeps a user out afterwards is then the cause.
            cause = diagnosis.locked_out(story)
        result = self.result(ready, judged, cause, verdict, errors)
        if options.artifacts:
            self._write_artifacts(result)
        return result

    def _story(self, outcome: str) -> diagnosis.Story:
        if self.fabric is None:
            raise AssertionError("fabric must be set by now")
        return diagnosis.Story(
            outcome=outcome,
            generation=self.generation,
            boots=self.image.boots,
            seen=dict(self.console.seen),
            console_bytes=self.console.size,
            screen=self.screen,
            traffic=self.traffic,
            entries=self.fabric.entries(),
            medium_read=self._medium_read(),
            disk_written=self._disk_written(),
            buses=tuple(self.buses),
            login=bool(self.facts),
            timeout=self.options.timeout,
        )

    def result(
        self,
        ready: bool,
        judged: List[checks.Check],
        cause: Optional[diagnosis.Diagnosis],
        verdict: float,
        errors: List[str],
    ) -> Dict[str, Any]:
        """The module's result."""
        if self.fabric is None:
            raise AssertionError("fabric must be set by now")
        failed = [check for check in judged if check.status == "fail"]
        if cause is None and failed:
            worst = failed[0]
            cause = diagnosis.Diagnosis(
                worst.id,
                worst.rule,
                "Ready was reported, but this does not hold: %s (%s)." % (worst.title, worst.evidence.rstrip(".")),
                worst.evidence,
            )
        entries = self.fabric.entries()
        values: Dict[str, Any] = {
            "ready": ready,
            "passed": ready and not failed,
            "ready_seconds": round(self.ready_seconds, 1) if self.ready_seconds is not None else None,
            "verdict_seconds": round(verdict, 1),
            "generation": self.generation,
            "accel": self.accel,
            "provisioned": checks.provisioned(self.facts, judged),
            "checks": [dict(check._asdict()) for check in judged],
            "timeline": [
                {"seconds": round(event.seconds, 1), "name": event.name, "text": event.text}
                for event in sorted(self.timeline, key=lambda event: event.seconds)
            ],
            "boot_errors": errors,
            "diagnosis": dict(cause._asdict()) if cause is not None else None,
            "requests": [deployment.entry_as_dict(entry) for entry in entries],
            "unknown_requests": deployment.unknown_requests(entries) + self.fabric.faults,
            "serial_log": os.path.join(self.options.artifacts, "serial.log") if self.options.artifacts else "",
            "serial_tail": self.console.tail(),
            "not_proven": NOT_PROVEN,
            "image": {
                "path": self.image.path,
                "format": self.image.format,
                "virtual_size_bytes": self.image.virtual_size,
                "boots": list(self.image.boots),
                "evidence": self.image.evidence,
                "release": checks.release_name(self.facts),
                "kernel": guest.first(self.facts, "kernel"),
            },
        }
        values["report"] = page.lines(values)
        return values

    def _write_artifacts(self, result: Dict[str, Any]) -> None:
        folder = self.options.artifacts
        try:
            os.makedirs(folder, exist_ok=True)
            shutil.copyfile(self.path("serial.log"), os.path.join(folder, "serial.log"))
            shutil.copyfile(self.path("packets.pcap"), os.path.join(folder, "packets.pcap"))
            with open(os.path.join(folder, "proof.json"), "w", encoding="utf-8") as stream:
                json.dump(result, stream, indent=2, sort_keys=True)
                stream.write("\n")
            with open(os.path.join(folder, "proof.html"), "w", encoding="utf-8") as stream:
                stream.write(page.render(result))
        except OSError as exc:
            raise AzurePrepError("Cannot write into %s: %s." % (folder, (exc.strerror or str(exc)).lower()))


def prove(options: Options, say: Callable[[str], None] = lambda text: None) -> Dict[str, Any]:
    """Run one proof from start to end; nothing of it is left behind but the artifacts."""
    with Proof(options, say) as proof:
        try:
            return proof.run()
        except (OSError, subprocess.SubprocessError) as exc:
            raise _no_room(proof.folder, exc)


def rehearse(options: Options) -> Dict[str, Any]:
    """Look at the image and for the tools, without booting: the same keys, nothing judged."""
    proof = Proof(options)
    proof.fabric = Fabric(
        deployment.new_deployment(proof.generation, options.hostname, options.user, ()), options.artifacts
    )
    result = proof.result(False, [], None, 0.0, [])
    words = "%s: would be booted as Gen%d under %s; nothing was judged" % (options.path, proof.generation, proof.accel)
    return dict(result, serial_log="", report=[words])
