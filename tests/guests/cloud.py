"""A cloud image of one's own as a test guest: a NoCloud seed gives it our user and key.

The seed is a small FAT file system with the volume label CIDATA (cloud-init's documented NoCloud source).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from guests import build
from guests.errors import GuestError

SEED_BYTES = 1024 * 1024


def user_data(user: str, key: str) -> str:
    """The #cloud-config document: one user with a key and sudo. JSON is YAML."""
    account = {
        "name": user,
        "ssh_authorized_keys": [key],
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "shell": "/bin/bash",
        "lock_passwd": True,
    }
    return "#cloud-config\n" + json.dumps({"users": [account], "ssh_pwauth": False}, indent=2) + "\n"


def make_seed(directory: Path, user: str, key: str) -> Path:
    """Write seed.img into directory; needs mkfs.vfat and mcopy."""
    files = directory / "seed"
    files.mkdir(exist_ok=True)
    (files / "user-data").write_text(user_data(user, key))
    (files / "meta-data").write_text(json.dumps({"instance-id": "test-guest", "local-hostname": "own-image"}) + "\n")
    seed = directory / "seed.img"
    with seed.open("wb") as handle:
        handle.truncate(SEED_BYTES)
    env = build.system_environment()
    names = [str(files / "user-data"), str(files / "meta-data")]
    for argv in (["mkfs.vfat", "-n", "CIDATA", str(seed)], ["mcopy", "-i", str(seed), *names, "::"]):
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
        except FileNotFoundError:
            raise GuestError(f"A cloud image needs a seed disk, and {argv[0]} is not installed.") from None
        if done.returncode:
            raise GuestError(f"{argv[0]} could not write {seed}: {done.stderr.strip()[-200:]}")
    return seed


def image_format(image: Path) -> str:
    """qcow2 or raw, told by the file's first bytes; GuestError when there is no such file."""
    try:
        with image.open("rb") as handle:
            return "qcow2" if handle.read(4) == b"QFI\xfb" else "raw"
    except OSError as exc:
        raise GuestError(f"The cloud image {image} is not readable: {exc.strerror}.") from None
