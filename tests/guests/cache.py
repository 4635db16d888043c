"""Where built guests, their packages and remembered answers lie, shared by all clones of one user.

    ${LINUXVHD_CACHE:-${XDG_CACHE_HOME:-~/.cache}/linuxvhd-azure}/
        key, key.pub              the SSH key of every guest of this user
        debs/SUITE/*.deb          packages, so that a second build downloads nothing
        guests/NAME-HASH/         disk.raw, vars.fd (UEFI), guest.json, build.log
        accel.json                whether KVM works here

A guest is built in a directory beside its place and renamed when it is whole, under a lock: two builders never
collide, an interrupted build leaves nothing that looks finished.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from guests.definitions import OFFERED_PACKAGES, Definition

#: Raised by hand when build.py itself changes what is built (the scripts' contents count by themselves).
BUILDER_VERSION = 1

HERE = Path(__file__).resolve().parent


def root() -> Path:
    """The cache directory, made when missing, readable by its owner alone (it holds a private key)."""
    named = os.environ.get("LINUXVHD_CACHE")
    path = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "linuxvhd-azure"
    path = path.absolute()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def key_of(definition: Definition) -> str:
    """Twelve hex digits that change whenever the guest would come out differently."""
    digest = hashlib.sha256()
    digest.update(repr((BUILDER_VERSION, definition, definition.all_packages(), OFFERED_PACKAGES)).encode())
    for script in (definition.scripts[0], "finish.sh", *definition.scripts[1:]):
        digest.update((HERE / script).read_bytes())
    return digest.hexdigest()[:12]


def guest_directory(definition: Definition) -> Path:
    """Where the built guest lies, whether it is there or not."""
    return root() / "guests" / f"{definition.name}-{key_of(definition)}"


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock called name; waits for its holder, and the kernel frees it when a holder dies."""
    directory = root() / "locks"
    directory.mkdir(mode=0o700, exist_ok=True)
    with (directory / name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def private_key() -> Path:
    """The SSH key that opens every guest of this user; made at first use."""
    path = root() / "key"
    with lock("key"):
        if not path.exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test-guests", "-f", str(path)], check=True
            )
    return path
