# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: runs the checks of a profile against one Context and sums up.

Private to the collection: its interface may change in any release.
"""

import difflib
from typing import Any, Dict, List, Sequence

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import (
    access,
    agent,
    boot,
    clean,
    cloudinit,
    disk,
    features,
    images,
    initrd,
    kernel,
    network,
    packages,
    timesync,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.catalogue import (
    PREPARE,
    REQUIRED,
    RULES,
    Rule,
    select,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    WAIVED,
    Context,
    Outcome,
    na,
    shorten,
)

#: Every area's table of checks, rule to function.
CHECKS: Dict[str, Any] = {}
for _area in (
    access,
    agent,
    boot,
    clean,
    cloudinit,
    disk,
    features,
    images,
    initrd,
    kernel,
    network,
    packages,
    timesync,
):
    CHECKS.update(_area.CHECKS)

#: The statuses in the order of a summary.
STATUSES = (PASS, FAIL, WAIVED, NOT_APPLICABLE, UNKNOWN)


def judge(rule: Rule, context: Context, strict: bool = False) -> Outcome:
    """What a rule's check finds on a system.

    A failure to look (any AzurePrepError) is "unknown". So is a defect of a check itself, unless strict: one
    broken check must not cost the other findings, and must not look like a pass.
    """
    if "all" not in rule.families and context.family not in rule.families:
        return na("It concerns %s; this is %s." % (", ".join(rule.families), context.family))
    try:
        found = CHECKS[rule.id](context)
    except AzurePrepError as exc:
        found = Outcome(UNKNOWN, str(exc))
    except PermissionError as exc:
        found = Outcome(UNKNOWN, "%s may be read by root only; run the audit with become." % exc.filename)
    except MemoryError:
        found = Outcome(UNKNOWN, "There is not enough memory to look: a file is far larger than such files are.")
    except RecursionError:
        found = Outcome(UNKNOWN, "Something that the check looks through is nested too deeply to be looked through.")
    except Exception as exc:  # pylint: disable=broad-except
        if strict:
            raise
        found = Outcome(UNKNOWN, "The check itself failed (%s: %s); please report this." % (type(exc).__name__, exc))
    return Outcome(found.status, shorten(found.evidence))


def check_waivers(waive: Sequence[str]) -> List[str]:
    """The identifiers to waive, in capitals; an unknown one is an error that names the nearest."""
    wanted = []
    for name in waive:
        rule_id = name.strip().upper()
        if rule_id not in RULES:
            near = difflib.get_close_matches(rule_id, RULES, 1)
            hint = " Did you mean %s?" % near[0] if near else " docs/rules.md lists them."
            raise AzurePrepError("There is no rule %s to waive.%s" % (name, hint))
        wanted.append(rule_id)
    return wanted


def audit(context: Context, profile: str, waive: Sequence[str] = (), strict: bool = False) -> Dict[str, Any]:
    """The result of module azure_audit: findings, summary, ready.

    ready: no rule of the profile fails, and every required one could be looked at.
    """
    waived = check_waivers(waive)
    findings = []
    summary = dict.fromkeys(STATUSES, 0)
    ready = True
    blocking = []
    for rule in select(profile):
        found = judge(rule, context, strict)
        status = found.status
        evidence = found.evidence
        if rule.id in waived and status in (FAIL, UNKNOWN):
            evidence = "%s (was %s)" % (evidence, status)
            status = WAIVED
        summary[status] += 1
        if status == FAIL or (status == UNKNOWN and rule.level == REQUIRED):
            ready = False
            if rule.level == REQUIRED and rule.phase == PREPARE:
                blocking.append(rule.id)
        findings.append(
            {
                "id": rule.id,
                "title": rule.title,
                "level": rule.level,
                "phase": rule.phase,
                "status": status,
                "evidence": evidence,
                "remedy": rule.remedy,
                "source": rule.source,
            }
        )
    return {"findings": findings, "summary": summary, "ready": ready, "blocking": blocking}
