#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin azure_audit_report, which does its work on the controller."""

DOCUMENTATION = r"""
module: azure_audit_report
short_description: Show and write what azure_audit found on many hosts
version_added: 0.1.0
description:
  - Takes the registered results of M(linuxvhd.azure.azure_audit) from all hosts of the play, prints a table (every rule
    that is neither kept nor out of place, the hosts that have the same ones open together; then a line per host), and
    writes JSON, JUnit XML and one HTML page that needs nothing but itself.
  - Of more than twelve hosts the table is short, whatever their number. It has the totals, a line for each rule that
    fails somewhere, and the hosts with the same outcome together, their names written like V(vm[001:120]).
  - A host without a result (unreachable, failed) is reported as not looked at and counts as not ready.
  - Runs on the controller only; no host is contacted. Use it once per play.
options:
  result:
    description: The name of the variable that the hosts registered their result in.
    type: str
    required: true
  hosts:
    description: The hosts to report on. By default all hosts of the play, unreachable ones included.
    type: list
    elements: str
  profile:
    description: The profile that was judged, for the headings.
    type: str
    default: recommended
  path:
    description: The directory on the controller to write to. Without it nothing is written.
    type: path
  name:
    description: The file names without their suffix.
    type: str
    default: azure-audit
  formats:
    description: Which files to write. V(junit) has the suffix C(.xml).
    type: list
    elements: str
    choices: [json, junit, html]
    default: [json, junit, html]
  show:
    description: Print the table.
    type: bool
    default: true
  fail:
    description: Fail where a host is not ready or could not be looked at.
    type: bool
    default: true
extends_documentation_fragment:
  - linuxvhd.azure.attributes
attributes:
  check_mode:
    support: full
    details: In check mode the table is printed and no file is written.
  diff_mode:
    support: none
    details: There is nothing to compare.
  idempotent:
    support: full
    details: Only the time in the files differs.
  safe_file_operations:
    support: full
seealso:
  - module: linuxvhd.azure.azure_audit
author:
  - The linuxvhd.azure contributors (@linuxvhd)
"""

EXAMPLES = r"""
- name: Look at every host
  linuxvhd.azure.azure_audit:
  become: true
  ignore_unreachable: true
  register: audit

- name: Report on all of them
  linuxvhd.azure.azure_audit_report:
    result: audit
    path: azure-audit
  run_once: true
"""

RETURN = r"""
ready:
  description: Every host was looked at and breaks no rule of the profile.
  returned: always
  type: bool
  sample: false
msg:
  description: Which hosts are not ready, in one sentence.
  returned: when a host is not ready
  type: str
  sample: >-
    Not ready for Azure by profile recommended: web[1:3]. The lines above say why; waive a rule with azure_waive.
files:
  description: The files written (in check mode those that would be).
  returned: always
  type: list
  elements: str
  sample: [/home/me/azure-audit/azure-audit.html]
hosts:
  description: Per host its verdict (V(ready), V(not ready) or V(not looked at)), blocking rules, and counts by status.
  returned: always
  type: dict
  sample:
    web1: {verdict: ready, blocking: [], pass: 80, fail: 0, waived: 0, not_applicable: 61, unknown: 1}
"""
