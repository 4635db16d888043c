# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan that makes cloud-init provision on Azure and nowhere else (CINIT-02 to CINIT-10, SWAP-02, SWAP-03).

Private to the collection: its interface may change in any release.
"""

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import cloudinit_conf, edits, profiles, units
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: Used only where a file of somebody else names another datasource and is read later than ours, or may do so.
LAST_FILE = cloudinit_conf.FOLDER + "/zzz-azure_datasource.cfg"

#: CINIT-03: the lists of modules as they count, where disk_setup and mounts had to move.
MODULES_FILE = cloudinit_conf.FOLDER + "/zzz-azure_modules.cfg"
LOGGING_EXTRA = cloudinit_conf.FOLDER + "/06-azure-logging.cfg"

#: From this release on the packaged module order is right (CINIT-03).
ORDER_FIXED = (23,)

#: From this release on the network configuration that cloud-init makes up (apply_network_config: False) asks for DHCPv6
#: too (generate_fallback_config in cloudinit/net/__init__.py). ifupdown waits for that answer without end: where no
#: DHCPv6 server is, networking.service fails after five minutes, and cloud-init hangs in `ifup`.
ASKS_DHCPV6 = (24, 1)

NETWORK_FILE = cloudinit_conf.FOLDER + "/92-azure-network.cfg"
NETWORK_TEXT = (
    cloudinit_conf.HEADER
    + """# ifupdown waits without end for the DHCPv6 server that cloud-init's own configuration asks for. The image's
# configuration, DHCP on the first card, is kept instead.
network: {config: disabled}
"""
)

#: From this version on one process runs all stages.
SINGLE_PROCESS = (24, 3)

ELSEWHERE_NAME = "azure-elsewhere.conf"
#: Why cloud-init must know that it is not on Azure (read_runtime_config and _find_networking_config in
#: cloudinit/stages.py, override_ds_detect in cloudinit/sources/__init__.py):
#:
#: - From 23.2 on a datasource that is named alone is not asked whether it is there. cloud-init tries for 20 minutes to
#:   reach Azure's services, and where it gets as far as reporting its failure for longer, all before the network is up:
#:   nobody can log in to the build machine after a restart.
#: - Older ones find no datasource, and then write a network configuration that is tied to the build machine's card by
#:   its address, over the one that prepare has left, at every start.
#:
#: Azure is recognised as cloud-init does it: chassis asset tag, or a seed. A tag that cannot be read counts as Azure,
#: and on Azure nothing is written.
ELSEWHERE_TEXT = (
    cloudinit_conf.HEADER
    + """# Elsewhere than on Azure cloud-init waits for Azure's services before the network is up, or ties the network
# to this machine's card. So there it is told that there is no datasource, and to leave the network alone.
[Service]
ExecStartPre=-/bin/sh -c '[ ! -r /sys/class/dmi/id/chassis_asset_tag ] || \
 grep -q @TAG@ /sys/class/dmi/id/chassis_asset_tag || \
 [ -e /var/lib/cloud/seed/azure/ovf-env.xml ] || \
 { mkdir -p /run/cloud-init && \\
 printf "datasource_list: [ None ]\\nnetwork: {config: disabled}\\n" > /run/cloud-init/cloud.cfg; }'
""".replace("@TAG@", profiles.AZURE_ASSET_TAG)
)


#: CINIT-10: what starts cloud-init, masked by a link to /dev/null or an empty file (systemd.generator(7)).
GENERATOR = "/etc/systemd/system-generators/cloud-init-generator"
TARGET = "cloud-init.target"

#: Where the generator may get KERNEL_CMDLINE from, which it takes in place of the kernel's own command line.
ENVIRONMENTS = ("/etc/default/cloud-init", "/etc/environment")
_KERNEL_CMDLINE = re.compile(r"[^#]*KERNEL_CMDLINE.*cloud-init=disabled")


class Plan(NamedTuple):
    """changes to make; removed are the installers' files among them."""

    changes: List[edits.Change]
    version: Tuple[int, ...]
    datasources_before: List[str]
    removed: List[str]
    warnings: List[str]


def version(host: Host) -> Tuple[int, ...]:
    """The installed version, read from the package's own files (starting it takes seconds); empty if unknown."""
    for pattern in cloudinit_conf.VERSION_FILES:
        for path in host.glob(pattern):
            found = cloudinit_conf.parse_version_file(host.read(path, ""))
            if found:
                return found
    # What has one process for all stages is 24.3 or newer, whatever its files are.
    return SINGLE_PROCESS if units.state(host, "cloud-init-main.service") != "absent" else ()


def _texts(host: Host) -> Dict[str, str]:
    return {path: host.read(path) for path in cloudinit_conf.config_files(host)}


def _merged(texts: Dict[str, str]) -> List[Tuple[str, str]]:
    """(path, text) in the order in which cloud-init merges."""
    main = [(path, text) for path, text in texts.items() if path == cloudinit_conf.MAIN]
    return main + sorted((path, text) for path, text in texts.items() if path != cloudinit_conf.MAIN)


def _doubtful(texts: Dict[str, str]) -> List[str]:
    """Files of which it is not known here what cloud-init takes from them."""
    return [
        path for path, text in _merged(texts) if cloudinit_conf.is_unread(text) or cloudinit_conf.looks_broken(text)
    ]


def is_azure_only(texts: Dict[str, str]) -> bool:
    found = cloudinit_conf.effective_datasources(_merged(texts))
    return found is not None and found.one_line and found.names == ["Azure"]


def leaves_network(host: Host, installed: Tuple[int, ...], apply_network: bool) -> bool:
    """Whether cloud-init must keep off the network: it would make up a configuration on which ifupdown hangs."""
    eni = host.is_file("/etc/network/interfaces") and bool(host.which("ifup")) and not host.which("netplan")
    return eni and not apply_network and installed >= ASKS_DHCPV6


def network_managed(host: Host) -> bool:
    """Whether cloud-init will write the network configuration at first boot."""
    if leaves_network(host, version(host), profiles.select(host.os_release()).apply_network_config):
        return False
    return not cloudinit_conf.network_disabled(_merged(_texts(host)))


def _swap(host: Host, mount_point: str) -> List[edits.Change]:
    """SWAP-02, and SWAP-03 as a drop-in of cloud-init's units alone."""
    names = ("cloud-init-main.service", "cloud-init-local.service", "cloud-init-network.service", "cloud-init.service")
    present = [name for name in names if units.state(host, name) != "absent"]
    waits_for = "cloud-init-network.service" if "cloud-init-network.service" in present else "cloud-init.service"
    changes = edits.plan_file(host, cloudinit_conf.SWAP_FILE, cloudinit_conf.swap_text(mount_point, waits_for))
    drop_in = "[Service]\nEnvironment=CLOUD_CFG=%s\n" % cloudinit_conf.SWAP_FILE
    for name in present + ["cloud-config.service", "cloud-final.service"]:
        changes += edits.plan_file(host, "/etc/systemd/system/%s.d/azure-swap.conf" % name, drop_in)
    return changes


def _elsewhere(host: Host, installed: Tuple[int, ...]) -> List[edits.Change]:
    """CINIT-02, NET-07: the drop-in for the first of cloud-init's units that reads the configuration."""
    single = units.state(host, "cloud-init-main.service") != "absent"
    changes: List[edits.Change] = []
    for name in ("cloud-init-main.service", "cloud-init-local.service"):
        needed = bool(installed) and (name == "cloud-init-main.service") == single
        path = "/etc/systemd/system/%s.d/%s" % (name, ELSEWHERE_NAME)
        changes += edits.plan_file(host, path, ELSEWHERE_TEXT if needed else None)
    return changes


def _module_order(installed: Tuple[int, ...], texts: Dict[str, str]) -> Tuple[Optional[str], List[str]]:
    """CINIT-03: the text of MODULES_FILE, None where it is not needed, and what could not be done."""
    if not installed or installed >= ORDER_FIXED:
        return None, []
    files = _merged({path: text for path, text in texts.items() if path != MODULES_FILE})
    text = cloudinit_conf.modules_text(files)
    if text is not None:
        files = _merged(dict(files, **{MODULES_FILE: text}))
    found = cloudinit_conf.module_list(files, cloudinit_conf.INIT_MODULES)
    if found is None:
        # Without any list cloud-init has no modules at all to run.
        return text, []
    if found.items is None:
        return text, [
            "%s: cloud_init_modules has a form that is not read here; see that disk_setup and mounts are in it."
            % found.path
        ]
    if not set(cloudinit_conf.EARLY) <= set(found.names):
        return text, [
            "%s: disk_setup and mounts are not in cloud_init_modules, and this file counts more than %s; add them by "
            "hand." % (found.path, MODULES_FILE)
        ]
    return text, []


def _switched_on(host: Host, names: Sequence[str]) -> List[edits.Change]:
    """CINIT-10: no mask on the generator, the target and the units, no assignment that switches cloud-init off."""
    changes: List[edits.Change] = []
    for path in [GENERATOR] + ["/etc/systemd/system/" + name for name in (TARGET,) + tuple(names)]:
        null = host.resolve(path) == "/dev/null" if host.is_link(path) else edits.read_optional(host, path) == ""
        if null:
            changes += edits.plan_file(host, path, None)
    for path in ENVIRONMENTS:
        text = edits.read_optional(host, path)
        if text is not None:
            kept = [line for line in text.split("\n") if not _KERNEL_CMDLINE.match(line)]
            changes += edits.plan_file(host, path, "\n".join(kept))
    return changes


def plan(host: Host, params: Dict[str, Any]) -> Plan:
    """What has to change; params are the options of the module cloud_init_azure."""
    profile = profiles.select(host.os_release())
    apply_network = params.get("apply_network_config")
    if apply_network is None:
        apply_network = profile.apply_network_config
    installed = version(host)
    texts = _texts(host)
    before = cloudinit_conf.effective_datasources(_merged(texts))
    wanted: Dict[str, str] = {}
    wanted[params.get("datasource_file") or profile.datasource_file] = cloudinit_conf.datasource_text(apply_network)
    removed = [path for path in cloudinit_conf.LEFTOVERS if host.exists(path) or host.is_link(path)]
    if params.get("telemetry", True) and not cloudinit_conf.reports_kvp(_merged(texts)):
        wanted[cloudinit_conf.KVP_FILE] = cloudinit_conf.kvp_text()
    if leaves_network(host, installed, apply_network):
        wanted[NETWORK_FILE] = NETWORK_TEXT
    if not cloudinit_conf.logs_output(_merged(texts)):
        target = LOGGING_EXTRA if cloudinit_conf.LOGGING_FILE in texts else cloudinit_conf.LOGGING_FILE
        wanted[target] = cloudinit_conf.logging_text()
    warnings: List[str] = []
    after = {path: text for path, text in texts.items() if path not in removed}
    after.update(wanted)
    if not is_azure_only(after) or _doubtful(after) or LAST_FILE in texts:
        wanted[LAST_FILE] = after[LAST_FILE] = cloudinit_conf.datasource_text(apply_network)
    hidden = [path for path in _doubtful(after) if path > LAST_FILE]
    if hidden:
        warnings.append("%s: what it says is not known here; see that it names no datasource." % ", ".join(hidden))
    order, doubt = _module_order(installed, after)
    warnings += doubt
    changes: List[edits.Change] = edits.plan_file(host, MODULES_FILE, order)
    for path in sorted(wanted):
        changes += edits.plan_file(host, path, wanted[path])
    for path in removed + [cloudinit_conf.DISABLED_FILE]:
        changes += edits.plan_file(host, path, None)
    changes += _switched_on(host, profile.units.get("cloud_init", ()))
    changes += _elsewhere(host, installed)
    if params.get("swap"):
        changes += _swap(host, params.get("mount_point") or profile.resource_mount_point)
    disabled = cloudinit_conf.network_disabled(_merged(after))
    if apply_network and disabled:
        warnings.append(
            "%s keeps cloud-init from configuring the network; the image relies on its own DHCP configuration."
            % ", ".join(disabled)
        )
    keeper = cloudinit_conf.keeps_hostname(_merged(after))
    if keeper:
        warnings.append(
            "%s says preserve_hostname: a VM on Azure keeps the image's host name instead of its own; take it out, "
            "or set it to false." % keeper
        )
    return Plan(changes, installed, list(before.names) if before else [], removed, warnings)


def verify(host: Host) -> None:
    """AzurePrepError unless the files as they stand name Azure alone, on one line."""
    if not is_azure_only(_texts(host)):
        raise AzurePrepError(
            "cloud-init's merged configuration does not name Azure as its only datasource; the old files were put back."
        )
