"""The console's signs, and for every kind of failure the cause that is named, from recorded console lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import console, diagnosis, pcap
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.deployment import Entry, Report

KERNEL = "[    0.000000] Linux version 6.1.0-50-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP Debian\n"
DISK = "[    8.068434] sd 2:0:0:0: [sda] Attached SCSI disk\n"
ROOT = "[   15.943604] EXT4-fs (sda1): mounted filesystem with ordered data mode. Quota mode: none.\n"
INIT = "[   17.1] systemd[1]: systemd 252.39-1~deb12u1 running in system mode (+PAM +AUDIT)\n"
MULTI = "[\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mmulti-user.target\x1b[0m - Multi-User System.\n"
LOGIN = "\nDebian GNU/Linux 12 localhost ttyS0\n\nlocalhost login: "
BOOTED = KERNEL + DISK + ROOT + INIT + MULTI + LOGIN
RENAMED = "[    7.731053] virtio_net virtio2 ens5: renamed from eth0\n"
UP = pcap.Traffic(9, ("discover", "offer", "request", "ack"), 1.0, ("160.0.0.15",), (), "open")
QUIET = pcap.NOTHING


def read(text: str) -> console.Console:
    found = console.Console()
    found.feed(text.encode(), 1.0)
    return found


def entry(topic: str, note: str = "", report: Report | None = None, service: str = "wireserver") -> Entry:
    return Entry(1.0, service, "GET", "/machine?comp=" + topic, "agent", 200, topic, note, True, report)


def story(text: str, traffic: pcap.Traffic = QUIET, **changes: object) -> diagnosis.Story:
    found = read(text)
    base = diagnosis.Story(
        outcome="fatal" if found.fatal else "idle",
        generation=1,
        boots=(1,),
        seen=found.seen,
        console_bytes=found.size,
        screen="",
        traffic=traffic,
        entries=[],
        medium_read=0,
        disk_written="root" in found.seen,
        buses=("virtio-scsi",),
        login=False,
        timeout=900,
    )
    return base._replace(**changes)


def refused() -> Entry:
    report = Report("Ready", "", "", "2", "c", "i", False, "GoalStateIncarnation is '2', the goal state says '1'")
    return entry("health", report.reason, report)


def failed() -> Entry:
    report = Report("NotReady", "ProvisioningFailed", "Failed to mount dvd device", "1", "c", "i", True, "")
    return entry("health", "NotReady", report)


CASES = [
    (
        "no initramfs, and the kernel waits as rootdelay= says",
        story(KERNEL + "[    6.1] Waiting 300 sec before mounting root device...\n"),
        ("root_not_found", "INIT-02"),
    ),
    (
        "the agent waits for a cloud-init that is off",
        story(
            BOOTED + "INFO Daemon Waiting for cloud-init to copy ovf-env.xml to /x\nWARNING cloud-init does not appear "
            "to be enabled\n",
            UP,
        ),
        ("agent_waits_for_cloud_init", "AGENT-04"),
    ),
    (
        "the same, and cloud-init was to configure the network",
        story(
            BOOTED + "INFO Daemon Waiting for cloud-init to copy ovf-env.xml to /x\nINFO cloud-init is enabled: True\n"
        ),
        ("agent_waits_for_cloud_init", "AGENT-04"),
    ),
    (
        "no network, though cloud-init runs",
        story(
            BOOTED
            + "Cloud-init v. 22.4.2 running 'init-local'\nINFO Daemon Waiting for cloud-init to copy ovf-env.xml\n"
        ),
        ("no_dhcp", "NET-01"),
    ),
    (
        "an agent that fails",
        story(
            BOOTED + "AttributeError: 'array.array' object has no attribute 'tostring'\n"
            "2026-11-21T20:51:33.826481Z WARNING Daemon Daemon Daemon ended with exception -- Sleep 15 seconds\n",
            UP,
            entries=[entry("goal_state")],
        ),
        ("agent_crashed", "AGENT-04"),
    ),
    (
        "an agent without eject",
        story(
            BOOTED + "2026-11-21T22:58:22.167029Z ERROR Daemon Daemon Event: name=WALA, op=UnhandledError, message=T\n"
            "FileNotFoundError: [Errno 2] No such file or directory: 'eject'\n"
            "TypeError: format_exception() got an unexpected keyword argument 'etype'\n",
            UP,
        ),
        ("agent_crashed", "PKG-12"),
    ),
    (
        "an agent that may not provision",
        story(
            BOOTED + "INFO Daemon Daemon Provisioning is disabled, skipping.\n"
            "[FAILED] Failed to start ssh.service - OpenBSD Secure Shell server.\n",
            UP,
            outcome="ready",
        ),
        ("nobody_provisioned", "AGENT-04"),
    ),
    (
        "nothing to boot: made for the other generation",
        story(
            "",
            boots=(2,),
            screen="SeaBIOS (version 1.16.2)\n\nBooting from Hard Disk...\nNo bootable device.",
            outcome="fatal",
        ),
        ("generation_mismatch", "DISK-15"),
    ),
    (
        "nothing to boot on Gen2 because made for Gen1",
        story('BdsDxe: failed to load Boot0001 "UEFI Msft Virtual Disk": Not Found\n', generation=2),
        ("generation_mismatch", "DISK-15"),
    ),
    (
        "Gen2 without a fallback loader",
        story("BdsDxe: No bootable option or device was found.\nBdsDxe: Press any key\n", generation=2, boots=(2,)),
        ("no_loader", "DISK-16"),
    ),
    ("GRUB stops", story("GNU GRUB  version 2.06\n\ngrub> "), ("boot_loader", "BOOT-13")),
    (
        "no initramfs",
        story(
            KERNEL
            + "[    2.1] VFS: Cannot open root device\n[    2.2] Kernel panic - not syncing: VFS: Unable to mount\n"
        ),
        ("root_not_found", "INIT-02"),
    ),
    (
        "panic",
        story(KERNEL + "[    2.2] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009\n"),
        ("kernel_panic", ""),
    ),
    (
        "panic on the screen only",
        story("", screen="[    2.2] Kernel panic - not syncing: stack-protector", outcome="fatal"),
        ("kernel_panic", ""),
    ),
    (
        "initramfs shell without a disk",
        story(KERNEL + "ALERT!  UUID=11111111 does not exist.  Dropping to a shell!\n(initramfs) "),
        ("initramfs_shell", "INIT-02"),
    ),
    (
        "initramfs shell with a disk: root= is wrong",
        story(KERNEL + DISK + "ALERT!  UUID=11111111 does not exist.  Dropping to a shell!\n(initramfs) "),
        ("root_not_found", "DISK-12"),
    ),
    (
        "dracut's shell",
        story(KERNEL + "Entering emergency mode. Exit the shell to continue.\ndracut:/# "),
        ("initramfs_shell", "INIT-02"),
    ),
    (
        "root file system larger than its partition",
        story(KERNEL + DISK + "[ 9.2] EXT4-fs (sda1): bad geometry: block count 769531 exceeds size\n(initramfs) "),
        ("root_broken", "DISK-03"),
    ),
    (
        "fstab names what is not there",
        story(
            KERNEL + DISK + ROOT + INIT + "[ TIME ] Timed out waiting for device /dev/sdx1.\n"
            'You are in emergency mode. After logging in, type "journalctl -xb"\n'
        ),
        ("emergency_mode", "DISK-12"),
    ),
    ("restarts for ever", story(KERNEL + DISK + ROOT + INIT, outcome="loop"), ("boot_loop", "")),
    ("switched itself off", story(KERNEL + DISK + ROOT + INIT, outcome="ended"), ("powered_off", "")),
    ("report refused", story(BOOTED, UP, entries=[entry("goal_state"), refused()]), ("report_refused", "NOAGENT-04")),
    ("reported as failed", story(BOOTED, UP, entries=[failed()]), ("provisioning_failed", "KERN-06")),
    ("reported, and read", story(BOOTED, UP, entries=[failed()], medium_read=4096), ("udf", "KERN-06")),
    (
        "fixed address",
        story(BOOTED, pcap.Traffic(3, (), None, ("192.168.7.5",), ())),
        ("static_address", "NET-01"),
    ),
    (
        "card of another MAC pinned by udev",
        story(KERNEL + "[ 7.7] virtio_net virtio2 eth1: renamed from eth0\n" + DISK + ROOT + INIT + LOGIN),
        ("mac_pinned", "NET-07"),
    ),
    (
        "card of another MAC pinned by ifcfg",
        story(BOOTED + "\nDevice eth0 has different MAC address than expected, ignoring.\n"),
        ("mac_pinned", "NET-01"),
    ),
    ("no DHCP", story(KERNEL + RENAMED + DISK + ROOT + INIT + LOGIN), ("no_dhcp", "NET-01")),
    (
        "DHCP without end",
        story(BOOTED, pcap.Traffic(4, ("discover", "discover"), None, (), ())),
        ("dhcp_unanswered", "NET-01"),
    ),
    (
        "cloud-init off on the command line",
        story(KERNEL + "[ 0.0] Command line: root=UUID=1 cloud-init=disabled\n" + DISK + ROOT + INIT + LOGIN, UP),
        ("cloud_init_disabled", "CINIT-10"),
    ),
    (
        "another data source",
        story(
            BOOTED
            + "\n[ 60.1] cloud-init[590]: Cloud-init v. 22.4.2 finished at x. Datasource DataSourceNone.  Up 60\n",
            UP,
        ),
        ("datasource", "CINIT-02"),
    ),
    (
        "udf not available",
        story(BOOTED + "\nmount: /mnt/cdrom/secure: unknown filesystem type 'udf'.\n", UP, medium_read=65536),
        ("udf", "KERN-06"),
    ),
    (
        "no driver for the CD-ROM",
        story(BOOTED + "\nFailed to get dvd device from /dev\n", UP, medium_read=0),
        ("no_cdrom", "KERN-08"),
    ),
    (
        "the agent waits for a cloud-init that is not there",
        story(BOOTED + "\nINFO Daemon Waiting for cloud-init to copy ovf-env.xml [retry=10]\n", UP, medium_read=4096),
        ("agent_waits_for_cloud_init", "AGENT-04"),
    ),
    (
        "the agent believes in a cloud-init that is off by its file",
        story(
            BOOTED + "\nDaemon cloud-init is enabled: True\nDaemon Waiting for cloud-init to copy ovf-env.xml to /x\n",
            UP,
        ),
        ("agent_waits_for_cloud_init", "AGENT-04"),
    ),
    ("nobody provisions", story(BOOTED, UP), ("no_provisioner", "AGENT-01")),
    (
        "nobody provisions, and something calls home",
        story(BOOTED, UP._replace(refused=("20.1.2.3:443",))),
        ("no_provisioner", "AGENT-01"),
    ),
    (
        "the agent asks a proxy",
        story(
            BOOTED + "\nINFO Daemon Daemon Azure Linux Agent Version:2.7.3.0\n", UP._replace(refused=("10.1.2.3:3128",))
        ),
        ("firewall", "NET-14"),
    ),
    (
        "the agent runs and asks nobody",
        story(BOOTED + "\nINFO Daemon Daemon Azure Linux Agent Version:2.7.3.0\n", UP),
        ("provisioner_silent", "AGENT-04"),
    ),
    (
        "a firewall",
        story(BOOTED + "\ncloud-init[512]: Polling IMDS failed attempt 1 with exception\n", UP),
        ("firewall", "NET-14"),
    ),
    (
        "a route that keeps the agent from the WireServer",
        story(
            BOOTED
            + "\n2026-11-22T00:10:06.103057Z INFO Daemon Daemon WireServer is not responding. Reset dhcp endpoint\n"
            "2026-11-22T00:10:06.114434Z INFO Daemon Daemon Protocol endpoint not found: [ProtocolError] [Wireserver\n",
            UP,
        ),
        ("firewall", "NET-14"),
    ),
    (
        "provisioned but not reported",
        story(BOOTED, UP, entries=[entry("goal_state")], login=True),
        ("not_reported", "NOAGENT-04"),
    ),
    (
        "ready, but the SSH server did not start",
        story(BOOTED + "\n[FAILED] Failed to start ssh.service - OpenBSD Secure Shell server.\n", UP, outcome="ready"),
        ("sshd", "SSH-01"),
    ),
    (
        "ready, but nothing listens for SSH",
        story(BOOTED, UP._replace(ssh="closed"), outcome="ready"),
        ("sshd", "SSH-01"),
    ),
    (
        "ready, and then no answer any more",
        story(BOOTED, UP._replace(ssh=""), outcome="ready"),
        ("unreachable", "NET-01"),
    ),
    (
        "the menu names a kernel that is not there",
        story(
            "GNU GRUB  version 2.06\nBooting `Debian GNU/Linux'\n\nLoading Linux 6.1.0-50-amd64 ...\n"
            "error: file `/boot/vmlinuz-6.1.0-50-amd64' not found.\n"
        ),
        ("boot_loader", "BOOT-13"),
    ),
    (
        "the same on the screen only",
        story("", screen="  Booting `Debian GNU/Linux'\n\nerror: file `/boot/vmlinuz' not found.\nGNU GRUB"),
        ("boot_loader", "BOOT-13"),
    ),
    ("the menu waits for ever", story("GNU GRUB  version 2.06\n"), ("boot_menu", "BOOT-14")),
    (
        "GRUB starts a kernel of which nothing is heard",
        story("GNU GRUB  version 2.06\n  Booting `Debian GNU/Linux'\n\nLoading Linux 6.1.0-50-amd64 ...\n"),
        ("no_console", "BOOT-01"),
    ),
    (
        "GRUB complains and starts a kernel that says nothing",
        story(
            "GNU GRUB  version 2.06\nerror: file `/boot/grub/fonts/unicode.pf2' not found.\n",
            UP._replace(dhcp=()),
            disk_written=True,
        ),
        ("no_dhcp", "NET-01"),
    ),
    (
        "the root file system holds no init",
        story(KERNEL + DISK + ROOT + "No init found. Try passing init= bootarg.\n\n(initramfs) "),
        ("no_init", ""),
    ),
    (
        "klibc's words for it",
        story(
            KERNEL + DISK + ROOT + "run-init: /sbin/init: No such file or directory\n"
            "/bin/sh: 0: can't access tty; job control turned off\n# ",
            outcome="fatal",
        ),
        ("no_init", ""),
    ),
    (
        "the kernel finds no init",
        story(KERNEL + DISK + ROOT + "[ 3.1] Kernel panic - not syncing: No working init found.  Try passing init=\n"),
        ("no_init", ""),
    ),
    (
        "a root file system that only a person may repair",
        story(
            KERNEL + DISK + "/dev/sda1: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n"
            "The root filesystem on /dev/sda1 requires a manual fsck\n\n(initramfs) "
        ),
        ("root_broken", "DISK-03"),
    ),
    (
        "the passphrase of initramfs-tools",
        story(KERNEL + DISK + "Please unlock disk sda3_crypt: "),
        ("passphrase", ""),
    ),
    (
        "systemd's passphrase",
        story(KERNEL + DISK + INIT + "Please enter passphrase for disk luks-1 on /: (press TAB for no echo) "),
        ("passphrase", ""),
    ),
    (
        "questions at the first boot",
        story(KERNEL + DISK + ROOT + INIT + "Welcome to your new installation of Debian GNU/Linux!\n"),
        ("questions", ""),
    ),
    ("no console", story("", UP._replace(dhcp=()), disk_written=True), ("no_dhcp", "NET-01")),
    ("silent", story(""), ("silent", "BOOT-01")),
    ("slow", story(BOOTED, outcome="timeout", traffic=UP, entries=[], login=False), ("no_provisioner", "AGENT-01")),
    ("slow boot", story(KERNEL + DISK, outcome="timeout"), ("timeout", "")),
]


@pytest.mark.parametrize(("found", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_cause(found: diagnosis.Story, expected: tuple[str, str]) -> None:
    answer = diagnosis.diagnose(found)
    assert (answer.cause, answer.rule) == expected
    assert answer.sentence.endswith((".", ")"))


RECORDED = Path(__file__).parents[3] / "fixtures" / "console"


@pytest.mark.parametrize(
    ("name", "changes", "cause", "rule"),
    [
        ("no_initramfs", {}, "root_not_found", "INIT-02"),
        ("no_initramfs_rootdelay", {}, "root_not_found", "INIT-02"),
        ("agent_waits", {"traffic": UP}, "agent_waits_for_cloud_init", "AGENT-04"),
        ("wrong_root", {}, "root_not_found", "DISK-12"),
        ("fstab_device_missing", {"traffic": UP, "entries": [entry("goal_state")]}, "emergency_mode", "DISK-12"),
        ("datasource_none", {"traffic": UP}, "datasource", "CINIT-02"),
        ("cloud_init_off", {}, "cloud_init_disabled", "CINIT-10"),
    ],
)
def test_recorded_consoles(name: str, changes: dict[str, object], cause: str, rule: str) -> None:
    text = (RECORDED / (name + ".log")).read_bytes().decode()
    answer = diagnosis.diagnose(story(text)._replace(**changes))
    assert (answer.cause, answer.rule) == (cause, rule)


@pytest.mark.parametrize("name", ["good_gen2", "udf_blacklisted"])
def test_a_recorded_boot_to_the_end_has_no_fatal_sign(name: str) -> None:
    found = read((RECORDED / (name + ".log")).read_bytes().decode())
    assert found.fatal is None
    assert {"kernel", "root", "init", "login", "cloud_init"} <= set(found.seen)
    assert "GRUB" not in found.seen["init"].line


def test_a_fixed_address_after_ready_is_what_keeps_users_out() -> None:
    found = story(BOOTED, UP._replace(sources=("160.0.0.15", "192.0.2.10")), outcome="ready")
    for cause in (diagnosis.locked_out(found), diagnosis.diagnose(found)):
        assert cause is not None and (cause.cause, cause.rule) == ("static_address", "NET-01")
    assert diagnosis.locked_out(found._replace(login=True)) is None
    assert diagnosis.locked_out(story(BOOTED, UP, outcome="ready")) is None


def test_the_countdown_is_seen_and_a_menu_that_waits_is_none() -> None:
    line = "   The highlighted entry will be executed automatically in 5s. "
    assert "countdown" in read(line).seen
    assert "countdown" not in read(line.replace("5s", "0s")).seen
    assert "countdown" not in read("Use the ^ and v keys to select which entry is highlighted.\n").seen


def test_the_name_of_the_card_is_explained() -> None:
    answer = diagnosis.diagnose(story(KERNEL + RENAMED + DISK + ROOT + INIT + LOGIN))
    assert "called ens5 here and eth0 on Hyper-V" in answer.sentence


def test_a_good_boot_has_no_fatal_sign_and_no_error() -> None:
    found = read(BOOTED)
    assert found.fatal is None
    assert found.errors() == []
    assert {"kernel", "disk", "root", "init", "multi_user", "login"} <= set(found.seen)


def test_the_console_comes_in_pieces_of_any_size() -> None:
    whole, pieces = read(BOOTED), console.Console()
    for at, byte in enumerate(BOOTED.encode()):
        pieces.feed(bytes([byte]), float(at))
    assert set(pieces.seen) == set(whole.seen)
    assert pieces.text() == whole.text()
    assert pieces.seen["kernel"].seconds < pieces.seen["root"].seconds < pieces.seen["login"].seconds


def test_terminal_sequences_are_removed() -> None:
    assert console.clean("\x1b[0;1;31mred\x1b[0m\x07 \x1b]0;title\x07x\x1b[2J") == "red x"


def test_errors_are_quoted_once() -> None:
    found = read("[FAILED] Failed to start foo.service - Foo.\n" * 3 + "[  1.0] BUG: unable to handle page fault\n")
    assert found.errors() == ["[FAILED] Failed to start foo.service - Foo.", "[  1.0] BUG: unable to handle page fault"]


def test_the_screen_is_read_and_graphics_are_not_taken_for_text() -> None:
    memory = b"".join(bytes([code, 7]) for code in b"No bootable device.".ljust(80) + b" " * 80 * 24)
    assert console.screen_text(memory) == "No bootable device."
    assert console.screen_text(bytes(range(256)) * 16) == ""
    assert console.screen_text(b"") == ""


@given(st.lists(st.binary(max_size=120), max_size=20))
def test_no_console_raises(chunks: list[bytes]) -> None:
    found = console.Console()
    for chunk in chunks:
        found.feed(chunk, 1.0)
    diagnosis.diagnose(story("")._replace(seen=found.seen, screen=found.text()))
