#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the time from the Azure host."""

DOCUMENTATION = r"""
---
module: chrony_ptp
short_description: Take the time from the Azure host
description:
  - Makes the host's PTP clock a reference clock of chrony, rules TIME-01 and TIME-02. Servers and pools stay as
    a fallback.
  - Writes the udev rule that gives the clock the stable name C(/dev/ptp_hyperv), unless the system brings one.
  - chronyd ends when its clock device is missing. A small helper of the unit therefore leaves the clock out where
    there is none, so that chronyd also runs on the build machine.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  path:
    description: The configuration file. Without it the distribution's own.
    type: path
  unit:
    description: The unit of chronyd, for the drop-in. Without it the one that is installed; an empty string for
      no drop-in.
    type: str
  family:
    description: The family whose values count. Without it the one that os-release names.
    type: str
    choices: [redhat, debian, ubuntu, suse, generic]
"""

EXAMPLES = r"""
- name: TIME-01 | Follow the host's clock
  linuxvhd.azure.chrony_ptp:
"""

RETURN = r"""
path:
  description: The configuration file.
  returned: success
  type: str
  sample: /etc/chrony/chrony.conf
unit:
  description: The unit that got the drop-in.
  returned: success
  type: str
  sample: chrony.service
backup_files:
  description: Copies of the old files.
  returned: success
  type: list
  elements: str
  sample: [/var/backups/linuxvhd-azure/etc/fstab.20260102T030405Z~]
"""

import re
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import chrony_conf, edits, guest, profiles, units
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish

UDEV_RULE = "/etc/udev/rules.d/99-ptp_hyperv.rules"
UDEV_TEXT = 'SUBSYSTEM=="ptp", ATTR{clock_name}=="hyperv", SYMLINK+="ptp_hyperv"\n'
HELPER = "/usr/local/sbin/azure-chrony-config"

#: %(conf)s the configuration, %(variable)s the unit's variable for chronyd's options.
HELPER_TEXT = """\
#!/bin/sh
# Written by the linuxvhd.azure collection. chronyd ends where its clock device is missing, as on any hypervisor but
# Hyper-V. There it gets the same configuration without that clock, so that it keeps time by the network.
conf=%(conf)s
run=/run/chrony
tries=0
while [ ! -e /dev/ptp_hyperv ] && [ $tries -lt 5 ] && [ "$(systemd-detect-virt --vm 2>/dev/null)" = microsoft ]; do
    tries=$((tries + 1))
    sleep 1
done
if [ -e /dev/ptp_hyperv ]; then
    rm -f "$run/azure.env" "$run/azure.conf"
    exit 0
fi
if [ ! -d "$run" ]; then
    # As chronyd makes it itself: a directory of another owner or of more rights is none for its command socket, and
    # chronyc, which Debian runs whenever a card comes up, would not be allowed to say anything.
    mkdir -m 0750 "$run" || exit 1
    for name in $(sed -n 's/^[[:space:]]*user[[:space:]]//p' "$conf" | tail -n 1) _chrony chrony; do
        if id "$name" >/dev/null 2>&1; then
            chown "$name:" "$run"
            break
        fi
    done
fi
grep -v '^refclock PHC /dev/ptp_hyperv' "$conf" >"$run/azure.conf" || exit 1
chmod 0644 "$run/azure.conf"
# Of several -f the last counts. One that names another file than ours is the administrator's own affair.
case " ${%(variable)s:-} " in
*" -f $conf "*) another= ;;
*" -f "*) another=yes ;;
*) another= ;;
esac
[ -n "$another" ] || echo "%(variable)s=\\"${%(variable)s:-} -f $run/azure.conf\\"" >"$run/azure.env"
# A confined chronyd reads there only what bears its label.
if command -v restorecon >/dev/null; then restorecon -R "$run"; fi
"""
DROP_IN = (
    "# Written by the linuxvhd.azure collection: starts without the host's clock where there is none.\n"
    "[Service]\nExecStartPre=-+%s\nEnvironmentFile=-/run/chrony/azure.env\n"
) % HELPER
CONDITION = (
    "# Written by the linuxvhd.azure collection: chronyd ends where /dev/ptp_hyperv is missing.\n"
    "[Unit]\nConditionVirtualization=microsoft\n"
)


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {
        "root": {"type": "path", "default": "/"},
        "path": {"type": "path"},
        "unit": {"type": "str"},
        "family": {"type": "str", "choices": list(profiles.RELEASES)},
    }


def has_udev_rule(host: Host) -> bool:
    """Whether the vendor, or we, already name the clock."""
    folders = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
    return any(
        "ptp_hyperv" in host.read(path)
        for folder in folders
        for path in host.glob(folder + "/*.rules")
        if host.is_file(path)
    )


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Configure the clock; see RETURN for the result."""
    profile = profiles.select(host.os_release(), family=params.get("family"))
    candidates = [profile.paths["chrony_conf"], "/etc/chrony/chrony.conf", "/etc/chrony.conf"]
    existing = [path for path in candidates if host.is_file(path)]
    path = params["path"] or (existing or candidates)[0]
    if not host.is_file(path):
        raise AzurePrepError("%s does not exist; install chrony first, or name the file in path." % path)
    unit = params["unit"]
    if unit is None:
        unit = units.first_existing(host, profile.units["chrony"])
    changes = edits.plan_file(host, path, chrony_conf.plan(host.read(path)))
    for other in chrony_conf.included(host, path):
        text = host.read(other)
        after = chrony_conf.plan_included(text)
        if after != text:
            changes += edits.plan_file(host, other, after if after.strip() else None)
    if not has_udev_rule(host):
        changes += edits.plan_file(host, UDEV_RULE, UDEV_TEXT)
    if unit:
        # The name of the option variable differs; a unit without one cannot be told another file.
        match = re.search(
            r"^ExecStart=.*\$\{?(DAEMON_OPTS|OPTIONS)\b", host.read(units.unit_file(host, unit), ""), re.M
        )
        drop_in = DROP_IN if match else CONDITION
        if match:
            helper = HELPER_TEXT % {"conf": path, "variable": match.group(1)}
            changes += edits.plan_file(host, HELPER, helper, 0o755)
        changes += edits.plan_file(host, "/etc/systemd/system/%s.d/azure.conf" % unit, drop_in)
    backups: List[str] = []
    if changes and not check_mode:
        backups = edits.apply(host, changes)
        guest.daemon_reload(host)
    return {
        "changed": bool(changes),
        "diff": edits.diffs(changes),
        "path": path,
        "unit": unit,
        "backup_files": backups,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
