# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When deprovisioning must not begin: the wrong machine, a container, the machine that runs Ansible, no root rights.

Private to the collection: its interface may change in any release.
"""

import os
from typing import List, Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.accounts import SYSTEM_DIRECTORIES
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.items import IDS, RULES
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.profiles import AZURE_ASSET_TAG

#: Directories that are never emptied by a wildcard right below them.
_NEVER_WHOLE = frozenset(["etc", "usr", "var", "boot", "bin", "sbin", "lib", "lib32", "lib64", "run"])


def check_confirm(confirm: str, inventory_hostname: Optional[str]) -> None:
    """The consent must name the machine as the inventory does, so that a wrong --limit cannot do harm."""
    if not inventory_hostname:
        raise AzurePrepError(
            "The name of the host in the inventory is not known. Call the module by its full name, "
            "linuxvhd.azure.deprovision, so that its action plugin can add it."
        )
    if confirm != inventory_hostname:
        raise AzurePrepError(
            "confirm is %r, but this host is %r in the inventory. Deprovisioning takes away all access to the machine; "
            "set confirm (azure_confirm_capture in the playbooks) to exactly that name." % (confirm, inventory_hostname)
        )


def check_keep(keep: List[str]) -> None:
    """Unknown names in `keep` are refused: a misspelt one would delete what was to stay."""
    unknown = [name for name in keep if name not in IDS and name not in RULES]
    if unknown:
        raise AzurePrepError(
            "keep names %s, which is no item. Items: %s. Rules: %s."
            % (", ".join(unknown), ", ".join(IDS), ", ".join(RULES))
        )


def check_paths(paths: List[str]) -> None:
    """remove_paths takes absolute patterns below a directory, never a directory that the system lives in."""
    for path in paths:
        parts = [part for part in path.split("/") if part and part != "."]
        if not path.startswith("/") or ".." in parts or len(parts) < 2 or set(parts[0]) <= set("*?"):
            raise AzurePrepError(
                "remove_paths names %r; give an absolute path with at least two components and without '..'." % path
            )
        everything = set(parts[1]) <= set("*?") and parts[0] in _NEVER_WHOLE
        if everything or "/" + "/".join(parts) in SYSTEM_DIRECTORIES or parts[0] in ("proc", "sys", "dev"):
            raise AzurePrepError("remove_paths names %r, which the system itself needs; name less." % path)


def check_target(host: Host, allow_azure: bool, controller_boot_id: Optional[str]) -> None:
    """Refuse containers, the controller itself, and (unless allowed) a VM that runs on Azure already."""
    if os.geteuid() != 0:
        raise AzurePrepError("Deprovisioning needs root rights; run with become.")
    boot_id = _first_line("/proc/sys/kernel/random/boot_id")
    if controller_boot_id and boot_id and controller_boot_id == boot_id:
        raise AzurePrepError(
            "This is the machine that runs Ansible (same kernel, same boot). It would lose its keys and accounts; "
            "deprovisioning it is refused."
        )
    container = container_type(host)
    if container:
        raise AzurePrepError(
            "This is a container (%s), not a virtual machine; there is no disk of its own to capture." % container
        )
    if not allow_azure and _first_line("/sys/class/dmi/id/chassis_asset_tag") == AZURE_ASSET_TAG:
        raise AzurePrepError(
            "This VM runs on Azure already (chassis asset tag %s). Set allow_azure: true if you mean to make "
            "an image of it; the extensions of the VM must be deleted first." % AZURE_ASSET_TAG
        )


def container_type(host: Host) -> Optional[str]:
    """The kind of container that this is, or None."""
    named = _first_line("/run/systemd/container")
    if named:
        return named
    for marker, name in (("/.dockerenv", "docker"), ("/run/.containerenv", "podman")):
        if os.path.exists(marker):
            return name
    named = _container_environment()
    if named:
        return named
    for line in _text("/proc/1/cgroup").split("\n"):
        for name in ("docker", "lxc", "kubepods", "libpod", "machine.slice/systemd-nspawn"):
            if "/" + name in line:
                return name
    if host.which("systemd-detect-virt"):
        result = host.run(["systemd-detect-virt", "--container"], check=False, timeout=20)
        if result.rc == 0 and result.stdout.strip() not in ("", "none"):
            return result.stdout.strip()
    return None


def _container_environment() -> str:
    """What the container manager told init, in its environment; empty where that is nothing or may not be read."""
    try:
        with open("/proc/1/environ", "rb") as stream:
            for word in stream.read().split(b"\0"):
                if word.startswith(b"container="):
                    return os.fsdecode(word[10:])
    except OSError:
        return ""
    return ""


def _text(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _first_line(path: str) -> str:
    return _text(path).split("\n")[0].strip().strip("\0")
