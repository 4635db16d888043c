"""Hostile trees and images under the limits of setrlimit(2): little memory, few descriptors, a minute of processor.

What must hold: the audit has its findings, the others a result or a sentence; no traceback, and no process that the
kernel has to end. An image may come from somebody else, and is looked at as root.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boot_doubles import newc
from conftest import write_tree

MIB = 1 << 20

CODE = """
import json, resource, sys
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import common, reader
from ansible_collections.linuxvhd.azure.plugins.modules import azure_audit, deprovision
what, root = sys.argv[1:]
module = azure_audit if what == "audit" else deprovision
params = {name: option.get("default") for name, option in module.argument_spec().items()}
for limit, value in ((resource.RLIMIT_AS, 256 << 20), (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_CPU, 60)):
    resource.setrlimit(limit, (value, value))
try:
    if what == "audit":
        found = module.run({**params, "account": ""}, Host(root), False)
        result = {row["id"]: row["evidence"] for row in found["findings"]}
        assert len(result) > 100
    elif what == "image":
        # What takes the longest is bounded by the same code at a sixteenth of the bytes.
        reader.MAX_UNPACKED //= int(root.endswith("large")) * 15 + 1
        result = sorted(common.read_image(Host(root), "/boot/image").of("6.1"))
    else:
        params.update(confirm="x", inventory_hostname="x")
        result = module.run(params, Host(root), what == "plan")["checks"]
except AzurePrepError as exc:
    result = str(exc)
print(json.dumps(result))
"""

BASE = {
    "/etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\ncarol:x:1002:1002::/home/carol:/bin/sh\n",
    "/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n",
    "/home/carol/.bashrc": "",
    "/tmp/x": "",
    "/var/log/syslog": "x",
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
}

#: Texts that several rules and steps of the cleaning read.
TEXTS = ("etc/fstab", "etc/ssh/sshd_config", "etc/default/grub", "etc/waagent.conf", "etc/sudoers", "etc/hosts")


def limited(what: str, root: Path) -> Any:
    """What a process with these limits answers: the result, or its sentence."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", CODE, what, str(root)], env=env, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return json.loads(done.stdout)


def texts(content: bytes, length: int) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for name in TEXTS:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            with (root / name).open("wb") as stream:
                stream.write(content)
                stream.truncate(length)

    return make


def deep(root: Path) -> None:
    """Deeper than Python calls itself, than descriptors may be open, and than a path may be long."""
    for place in ("var/log", "tmp/build", "srv"):
        (root / place).mkdir(parents=True, exist_ok=True)
        here = os.open(root / place, os.O_RDONLY)
        for _level in range(1200):
            os.mkdir("long", dir_fd=here)
            below = os.open("long", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
        os.close(here)


def many(root: Path) -> None:
    for place in ("tmp", "etc/ssh/sshd_config.d", "etc/sudoers.d", "boot"):
        (root / place).mkdir(parents=True, exist_ok=True)
        for number in range(1000):
            (root / place / f"{number}.conf").touch()


def rings(root: Path) -> None:
    """Files that include each other."""
    write_tree(
        root,
        {
            "/etc/sudoers": "@include /etc/sudoers\n@includedir /etc/sudoers.d\n" * 30,
            "/etc/sudoers.d/x": "@include /etc/sudoers\n" * 30,
            **{f"/etc/ssh/sshd_config.d/{n:02}.conf": "Include /etc/ssh/sshd_config.d/*.conf\n" for n in range(30)},
            "/etc/default/grub": ". /etc/default/grub\n" * 30,
            "/boot/grub/grub.cfg": "source /boot/grub/grub.cfg\n" * 30 + "if true; then\n" * 5000,
        },
    )


TREES: dict[str, Callable[[Path], None]] = {
    "texts of 9 MiB of lines": texts(b"a b\n" * (9 * MIB // 4), 9 * MIB),
    "texts of 1 MiB without a line": texts(b"a", MIB),
    "texts of 128 KiB of lines": texts(b"a b\n" * (MIB // 32), MIB // 8),
    "deep directories": deep,
    "many files": many,
    "rings": rings,
}


@pytest.mark.parametrize("what", ["audit", "plan"])
@pytest.mark.parametrize("name", TREES)
def test_a_hostile_tree_gets_findings_and_sentences(tmp_path: Path, name: str, what: str) -> None:
    root = tmp_path / "root"
    write_tree(root, BASE)
    TREES[name](root)
    try:
        found = limited(what, root)
        assert found and "(MemoryError" not in str(found) and "(RecursionError" not in str(found), found
    finally:
        subprocess.run(["rm", "-rf", str(root)], check=True)


def test_what_is_deeper_than_python_can_call_itself_is_deleted(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(root, BASE)
    deep(root)
    try:
        checks = limited("run", root)
        assert [check for check in checks if not check["ok"]] == []
        assert list((root / "tmp").iterdir()) == []
        assert (root / "srv/long/long/long").is_dir()
    finally:
        subprocess.run(["rm", "-rf", str(root)], check=True)


# -- images ------------------------------------------------------------------------------------------------------------


def repeated(head: bytes, piece: bytes, times: int) -> bytes:
    """gzip data that unpacks to head and many times the piece; a small part of the work of packing all of it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + (packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)) * times


def header(name: bytes, size: int) -> bytes:
    """The head of one file in a cpio archive."""
    fields = [1, 0o100644, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name) + 1, 0]
    text = b"070701" + b"".join(b"%08x" % number for number in fields) + name + b"\0"
    return text + b"\0" * (-len(text) % 4)


MODULE = header(b"lib/modules/6.1/kernel/hv_vmbus.ko", 4) + b"code"
END = header(b"TRAILER!!!", 0)


IMAGES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a good one": (lambda: gzip.compress(newc({"lib/modules/6.1/kernel/hv_vmbus.ko": b"code"})), "['hv_vmbus']"),
    "one file of 4 GiB": (lambda: gzip.compress(header(b"etc/x", 0xFFFFFFFC) + bytes(MIB)), "more than 4 GiB"),
    "files of 64 MiB": (lambda: repeated(MODULE, header(b"etc/x", 1 << 26) + bytes(1 << 26), 9), "unpacks to more"),
    "zeros between archives": (lambda: repeated(MODULE + END, bytes(64 * MIB), 9), "unpacks to more"),
    "empty files": (lambda: repeated(MODULE, header(b"etc/x", 0) * 9000, 2000), "more than 300000 files"),
    "a dictionary of 1.5 GiB": (
        lambda: b"\x5d" + (0x60000000).to_bytes(4, "little") + b"\xff" * 8 + bytes(1000),
        "cannot be unpacked|more memory|cut off",
    ),
    "an xz stream that wants 200 MiB": (
        lambda: lzma.compress(MODULE + END, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 200 * MIB}]),
        "cannot be unpacked|more memory|hv_vmbus",
    ),
}


@pytest.mark.parametrize("name", IMAGES)
def test_a_hostile_initramfs_is_a_sentence(tmp_path: Path, name: str) -> None:
    make, words = IMAGES[name]
    root = tmp_path / ("large" if words.startswith("unpacks") else "root")
    write_tree(root, {"/boot/image": make()})
    answer = str(limited("image", root))
    assert any(word in answer for word in words.split("|")), answer


def test_an_initramfs_of_a_terabyte_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    with (tmp_path / "boot/image").open("wb") as stream:
        stream.truncate(1 << 40)
    assert "is larger than 4 GiB" in limited("image", tmp_path)
