"""Host: paths stay inside root, writes are whole or not at all, errors are sentences."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest
from conftest import FaultAt, Killed

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import TEMPORARY_PREFIX, Host, parse_os_release


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID=debian\nVERSION_ID="12"\n', ("debian", [], (12,), 12)),
        (
            'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n',
            ("rocky", ["rhel", "centos", "fedora"], (9, 4), 9),
        ),
        ("ID='arch'\n# comment\nBROKEN\nNAME=\"a b\n", ("arch", [], (), 0)),
        ("", ("", [], (), 0)),
    ],
)
def test_os_release(text: str, expected: tuple) -> None:
    release = parse_os_release(text)
    assert (release.id, release.id_like, release.version, release.major) == expected


def test_links_stay_inside_root(make_host) -> None:
    host = make_host(
        {"/usr/etc/fstab": "inside\n", "/etc/fstab": "-> /usr/etc/fstab", "/up": "-> ../../../../usr/etc/fstab"}
    )
    assert host.read("/etc/fstab") == "inside\n"
    assert host.read("/up") == "inside\n"
    assert host.resolve("/etc/fstab") == "/usr/etc/fstab"


def test_link_loop_is_a_sentence(make_host) -> None:
    host = make_host({"/a": "-> b", "/b": "-> a"})
    with pytest.raises(AzurePrepError, match="loop of symbolic links"):
        host.read("/a")


def test_write_keeps_mode_and_link(make_host) -> None:
    host = make_host({"/etc/real": "old", "/etc/link": "-> real"})
    os.chmod(host.path("/etc/real"), 0o440)
    backup = host.write("/etc/link", "new", backup=True)
    assert host.is_link("/etc/link")
    assert host.read("/etc/real") == "new"
    assert stat.S_IMODE(os.stat(host.path("/etc/real")).st_mode) == 0o440
    assert backup is not None
    assert host.read(backup) == "old"


def test_bytes_survive(make_host) -> None:
    raw = b"caf\xe9\r\nno newline"
    host = make_host({"/f": raw})
    host.write("/f", host.read("/f"))
    assert host.read_bytes("/f") == raw


def test_killed_at_every_step_leaves_old_or_new(make_host) -> None:
    counter = FaultAt()
    host = make_host({"/etc/f": "old"}, fault=counter)
    host.write("/etc/f", "new", backup=True)
    for number in range(len(counter.steps)):
        host = make_host({"/etc/f": "old"}, fault=FaultAt(number))
        with pytest.raises(Killed):
            host.write("/etc/f", "new", backup=True)
        assert host.read("/etc/f") in ("old", "new")
        assert not [name for name in host.listdir("/etc") if name.startswith(TEMPORARY_PREFIX)]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(errno.ENOSPC, "full; free some space"), (errno.EROFS, "read-only; remount"), (errno.EACCES, "run with become")],
)
def test_write_errors_are_sentences(make_host, number: int, sentence: str) -> None:
    host = make_host({"/etc/f": "old"}, fault=FaultAt(1, OSError(number, os.strerror(number))))
    with pytest.raises(AzurePrepError, match=sentence):
        host.write("/etc/f", "new")
    assert host.read("/etc/f") == "old"


def test_run_reports_exit_status_and_output() -> None:
    host = Host("/")
    assert host.run(["sh", "-c", "echo out; echo err >&2"]).stdout == "out\n"
    with pytest.raises(AzurePrepError, match="exit status 3: broken"):
        host.run(["sh", "-c", "echo broken >&2; exit 3"])
    with pytest.raises(AzurePrepError, match="no-such-command is not installed"):
        host.run(["no-such-command"])
    with pytest.raises(AzurePrepError, match="did not end within 1 seconds"):
        host.run(["sleep", "20"], timeout=1)


def test_glob(make_host) -> None:
    host = make_host({"/boot/vmlinuz-1": "", "/boot/vmlinuz-2": "", "/boot/.hidden": "", "/b": "-> boot"})
    assert host.glob("/b/vmlinuz-*") == ["/b/vmlinuz-1", "/b/vmlinuz-2"]
    assert host.glob("/boot/*") == ["/boot/vmlinuz-1", "/boot/vmlinuz-2"]
    assert host.glob("/boot/none") == []


def test_a_command_does_not_inherit_the_umask_of_a_hardened_login() -> None:
    old = os.umask(0o077)
    try:
        assert Host("/").run(["sh", "-c", "umask"]).stdout.strip() == "0022"
    finally:
        os.umask(old)


@pytest.mark.parametrize("kind", ["pipe", "socket", "endless", "huge", "directory"])
def test_what_is_no_file_of_sensible_size_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """A pipe would keep its reader for ever, /dev/zero would fill the memory."""
    place = tmp_path / "fstab"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
    elif kind == "endless":
        try:
            os.mknod(place, 0o644 | stat.S_IFCHR, os.makedev(1, 5))
            place.open("rb").close()
        except PermissionError:
            pytest.skip("only root can make a device that can be opened")
    elif kind == "huge":
        with place.open("wb") as stream:
            stream.truncate(1 << 40)
    else:
        place.mkdir()
    with pytest.raises(AzurePrepError, match="/fstab"):
        Host(str(tmp_path)).read("/fstab")


def test_a_masked_file_is_empty() -> None:
    assert Host("/").read("/dev/null") == ""
