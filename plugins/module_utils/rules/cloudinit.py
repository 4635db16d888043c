# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of cloud-init: its files merged as cloud-init merges them, its units, its switches.

Private to the collection: its interface may change in any release.
"""

import re
from typing import List, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import cloudinit_conf
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    Context,
    Outcome,
    Table,
    bad,
    dunno,
    join,
    na,
    ok,
    version,
)

CHECKS = Table()

SWAP_FILE = "/mnt/resource/swapfile"


def files(context: Context) -> List[Tuple[str, str]]:
    """(path, text) of cloud-init's configuration in merge order."""
    return [(path, context.text(path) or "") for path in cloudinit_conf.config_files(context.host)]


def _absent(context: Context) -> str:
    """Why cloud-init is not judged; "" where it is."""
    if context.provisioner != "cloud-init":
        return "cloud-init does not provision here (%s does)." % context.provisioner
    return ""


def cloud_init_version(context: Context) -> Tuple[int, ...]:
    """The version in cloud-init's own files, else of its package; () where it cannot be told."""
    for path in context.glob(*cloudinit_conf.VERSION_FILES):
        found = cloudinit_conf.parse_version_file(context.text(path) or "")
        if found:
            return found
    return version(context.packages.get("cloud-init", ""))


@CHECKS("CINIT-01")
def enabled(context: Context) -> Outcome:
    """The command cloud-init, and every stage's unit that exists: none disabled, none masked, one for each stage."""
    reason = _absent(context)
    if reason:
        return na(reason)
    if not context.has_command("cloud-init"):
        return bad("cloud-init is not installed")
    units = context.profile.units.get("cloud_init", ())
    states = [(unit, context.unit_state(unit)) for unit in units]
    off = ["%s is %s" % (unit, state) for unit, state in states if state in ("disabled", "masked")]
    there = [unit for unit, state in states if state in ("enabled", "static")]
    missing = [
        unit
        for unit in ("cloud-init-local.service", "cloud-config.service", "cloud-final.service")
        if unit not in there
    ]
    if not {"cloud-init.service", "cloud-init-network.service"} & set(there):
        missing.append("cloud-init.service (cloud-init-network.service)")
    if off or missing:
        return bad(
            join(
                off
                + [
                    "%s is not there" % unit
                    for unit in missing
                    if unit not in [u for u, _s in states if _s == "disabled"]
                ]
            )
        )
    return ok(join(there))


@CHECKS("CINIT-02")
def datasource(context: Context) -> Outcome:
    """datasource_list as merged from cloud.cfg and cloud.cfg.d: Azure alone, on one line; ds-identify.cfg agrees."""
    reason = _absent(context)
    if reason:
        return na(reason)
    broken = [path for path, text in files(context) if cloudinit_conf.looks_broken(text)]
    if broken:
        return bad("%s is no YAML, so that cloud-init leaves it out" % join(broken))
    for name, arguments in context.command_lines:
        for argument in arguments:
            match = re.match(r"(?:ds|ci\.ds|ci\.datasource)=([^;:,]*)", argument)
            if (match and match.group(1).lower() != "azure") or argument.startswith("ci.di.policy=disabled"):
                return bad("%s: %s" % (name, argument))
    found = cloudinit_conf.effective_datasources(files(context))
    for line in context.lines("/etc/cloud/ds-identify.cfg"):
        match = re.match(r"(policy|datasource)\s*:\s*(.*)", line.text)
        if match and (
            (match.group(1) == "policy" and "disabled" in match.group(2).split(",")[0])
            or (match.group(1) == "datasource" and match.group(2).strip("\"' ").lower() != "azure")
        ):
            return bad(line.evidence)
    unread = [
        path for path, text in files(context) if cloudinit_conf.is_unread(text) and (found is None or path > found.path)
    ]
    if unread and (found is None or found.names == ["Azure"]):
        return dunno("%s is written in a form that is not read here." % join(unread))
    if found is None:
        return bad("no file below /etc/cloud sets datasource_list")
    text = "%s: datasource_list: [ %s ]" % (found.path, ", ".join(found.names))
    if found.names != ["Azure"]:
        return bad(text)
    return ok(text) if found.one_line else bad(text + " over several lines, which ds-identify does not read")


@CHECKS("CINIT-03")
def init_modules(context: Context) -> Outcome:
    """cloud-init before 23: disk_setup and mounts in cloud_init_modules as merged from cloud.cfg and cloud.cfg.d."""
    reason = _absent(context)
    if reason:
        return na(reason)
    number = cloud_init_version(context)
    if number >= (23,):
        return na("cloud-init %s sees to it." % ".".join(str(part) for part in number))
    if context.text(cloudinit_conf.MAIN) is None:
        return na("There is no %s." % cloudinit_conf.MAIN)
    found = cloudinit_conf.module_list(files(context), cloudinit_conf.INIT_MODULES)
    if found is None:
        return dunno("No file below /etc/cloud sets cloud_init_modules.")
    if found.items is None:
        return dunno("cloud_init_modules of %s has a form that is not read here." % found.path)
    missing = [name for name in cloudinit_conf.EARLY if name not in found.names]
    if missing:
        return bad("%s: cloud_init_modules lacks %s" % (found.path, join(missing)))
    return ok("%s: cloud_init_modules has both" % found.path)


@CHECKS("CINIT-04")
def output(context: Context) -> Outcome:
    """output: in cloud.cfg or cloud.cfg.d."""
    reason = _absent(context)
    if reason:
        return na(reason)
    found = [path for path, text in files(context) if cloudinit_conf.logs_output([(path, text)])]
    return ok(join(found)) if found else bad("no file below /etc/cloud sets output")


@CHECKS("CINIT-05")
def telemetry(context: Context) -> Outcome:
    """reporting: with a handler of type hyperv in cloud.cfg or cloud.cfg.d; the key is lower case."""
    reason = _absent(context)
    if reason:
        return na(reason)
    found = [path for path, text in files(context) if cloudinit_conf.reports_kvp([(path, text)])]
    if found:
        return ok(join(found))
    wrong = [path for path, text in files(context) if "Reporting" in cloudinit_conf.top_level(text)]
    return bad(
        "%s writes Reporting, which cloud-init ignores" % wrong[0]
        if wrong
        else "no file below /etc/cloud sets reporting"
    )


@CHECKS("CINIT-07")
def old_swap_file(context: Context) -> Outcome:
    """/mnt/resource/swapfile, /mnt/swapfile and lines of /etc/fstab that name them."""
    found = [path for path in (SWAP_FILE, "/mnt/swapfile") if context.exists(path)]
    found += [
        line.evidence for line in context.lines("/etc/fstab") if line.text.split()[0] in (SWAP_FILE, "/mnt/swapfile")
    ]
    return bad(join(found)) if found else ok("no swap file of the agent")


@CHECKS("CINIT-08")
def installer_files(context: Context) -> Outcome:
    """The files with which installers switch off cloud-init's network or datasource."""
    found = [path for path in cloudinit_conf.LEFTOVERS if context.exists(path)]
    if context.live or context.host.is_dir("/etc/cloud"):
        return bad(join(found)) if found else ok("none of the installers' files is there")
    return na("cloud-init is not installed.")


@CHECKS("CINIT-09")
def mirror(context: Context) -> Outcome:
    """system_info with azure.archive.ubuntu.com in cloud.cfg or cloud.cfg.d (arm64: ports.ubuntu.com)."""
    reason = _absent(context)
    if reason:
        return na(reason)
    wanted = "ports.ubuntu.com" if context.architecture in ("aarch64", "arm64") else "azure.archive.ubuntu.com"
    found = [path for path, text in files(context) if wanted in cloudinit_conf.top_level(text).get("system_info", "")]
    return ok(join(found)) if found else bad("no file below /etc/cloud names %s" % wanted)


@CHECKS("CINIT-10")
def not_disabled(context: Context) -> Outcome:
    """/etc/cloud/cloud-init.disabled, cloud-init=disabled on the command line, masked units."""
    reason = _absent(context)
    if reason:
        return na(reason)
    found = [cloudinit_conf.DISABLED_FILE] if context.exists(cloudinit_conf.DISABLED_FILE) else []
    for name, arguments in context.command_lines:
        found += ["%s: %s" % (name, argument) for argument in arguments if argument == "cloud-init=disabled"]
    for folder in ("/etc/systemd/system-generators", "/run/systemd/system-generators"):
        path = folder + "/cloud-init-generator"
        if context.host.is_link(path) and context.host.readlink(path) == "/dev/null":
            found.append("%s is masked: nothing starts cloud-init" % path)
    for unit in context.profile.units.get("cloud_init", ()) + ("cloud-init.target",):
        if context.unit_state(unit) == "masked":
            found.append("%s is masked" % unit)
    for line in context.lines("/etc/default/cloud-init") + context.lines("/etc/environment"):
        if "KERNEL_CMDLINE" in line.text and "cloud-init=disabled" in line.text:
            found.append(line.evidence)
    if found:
        return bad(join(found))
    if context.live:
        context.all_entries_seen()
    return ok("nothing disables cloud-init")


@CHECKS("CINIT-11")
def executable_tmp(context: Context) -> Outcome:
    """The mount options of /tmp and /var/tmp, now and by /etc/fstab, with cloud-init before 22.4."""
    reason = _absent(context)
    if reason:
        return na(reason)
    number = cloud_init_version(context)
    if not number:
        return na("cloud-init is not installed.")
    if number >= (22, 4):
        return na("cloud-init %s does not execute there." % ".".join(str(part) for part in number))
    found = []
    for path in ("/tmp", "/var/tmp"):
        mount = context.options_of(path)
        if mount is not None and "noexec" in mount.options:
            found.append("%s on %s (%s)" % (path, mount.target, ",".join(mount.options)))
    return bad(join(found)) if found else ok("/tmp and /var/tmp may execute programs")


def declared_swap(context: Context) -> List[str]:
    """The files below cloud.cfg.d that declare swap on ephemeral0."""
    return [
        path
        for path, text in files(context)
        if "swap" in cloudinit_conf.top_level(text).get("fs_setup", "") and "ephemeral0" in text
    ]


@CHECKS("SWAP-02")
def swap_declared(context: Context) -> Outcome:
    """Where swap is declared for cloud-init: disk_setup, fs_setup and mounts, each naming ephemeral0."""
    found = declared_swap(context)
    if not found and "swap" not in context.features:
        return na("Swap is not declared for cloud-init, nor asked for (features: [swap]).")
    if not found:
        return bad("no file below /etc/cloud/cloud.cfg.d declares swap on ephemeral0")
    for path in found:
        parts = cloudinit_conf.top_level(context.text(path) or "")
        missing = [key for key in ("disk_setup", "fs_setup", "mounts") if "ephemeral0" not in parts.get(key, "")]
        if "swap" not in parts.get("mounts", "") and "mounts" not in missing:
            missing.append("a swap line in mounts")
        if missing:
            return bad("%s lacks %s" % (path, join(missing)))
    return ok(join(found))


@CHECKS("SWAP-03")
def swap_wins(context: Context) -> Outcome:
    """Where swap is declared: CLOUD_CFG for the manager or for a cloud-init unit names the file."""
    found = declared_swap(context)
    if not found:
        return na("Swap is not declared for cloud-init.")
    for path in context.glob("/etc/systemd/system.conf", "/etc/systemd/system.conf.d/*.conf"):
        for line in context.lines(path):
            if re.match(r"DefaultEnvironment=.*\bCLOUD_CFG=", line.text):
                return ok(line.evidence)
            if "DefaultEnvironment" in line.text and "CLOUD_CFG=" in line.text:
                return bad(line.evidence + " is not understood by systemd")
    units = [unit for unit in context.profile.units.get("cloud_init", ()) if "CLOUD_CFG=" in context.unit_text(unit)]
    if units:
        return ok(join(units))
    return bad("nothing sets CLOUD_CFG: the datasource's own disk layout beats %s" % join(found))


@CHECKS("SWAP-04")
def swap_script(context: Context) -> Outcome:
    """/var/lib/cloud/scripts/per-boot/swap.sh, where there is one: may be executed."""
    path = "/var/lib/cloud/scripts/per-boot/swap.sh"
    if not context.exists(path):
        return na("There is no %s." % path)
    status = context.host.stat(path)
    return ok(path) if status is not None and status.st_mode & 0o111 else bad("%s may not be executed" % path)


@CHECKS("SWAP-05")
def agent_swap(context: Context) -> Outcome:
    """ResourceDisk.EnableSwap=y: ResourceDisk.SwapSizeMB above 0 and ResourceDisk.Format=y."""
    options = context.agent_options
    if options.get("ResourceDisk.EnableSwap", "n").lower() != "y":
        return na("The agent makes no swap.")
    size = options.get("ResourceDisk.SwapSizeMB", "0")
    fine = size.isdigit() and int(size) > 0 and options.get("ResourceDisk.Format", "n").lower() == "y"
    text = "ResourceDisk.SwapSizeMB=%s, ResourceDisk.Format=%s" % (size, options.get("ResourceDisk.Format", "n"))
    return ok(text) if fine else bad(text)


@CHECKS("SWAP-06")
def swap_unit(context: Context) -> Outcome:
    """Where swap is declared: x-systemd.requires= names a unit that exists."""
    for path in declared_swap(context):
        for unit in re.findall(r"x-systemd\.requires=([\w@.-]+)", context.text(path) or ""):
            if context.unit_file(unit) is None:
                return bad("%s waits for %s, which does not exist" % (path, unit))
            return ok("%s waits for %s" % (path, unit))
    return na("No declared swap waits for a unit.")
