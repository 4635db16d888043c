# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deprovisioning from beginning to end: plan, main phase, gate, commit phase, checks; and what follows the result.

Private to the collection: its interface may change in any release.
"""

import os
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import units
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import context as ctx_module
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import engine, remnants
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import Context
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.engine import Check, Entry
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.items import ITEMS, Item
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.live import Live
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

Note = Callable[[str], None]

#: How often what running programs write again is taken away before it counts as left.
RETRIES = 3

_SPECIALIZED = "A specialised image: this machine keeps its identity.\n"


def _silent(_text: str) -> None:
    return


def describe_plan(context: Context) -> Dict[str, Any]:
    """The result of check mode: what would go, and what the checks would have to say about it."""
    planned = engine.plan(context)
    obstacles = ["%s: %s." % (check.id, check.evidence) for check in engine.obstacles(context, ITEMS)]
    result = _result(context, planned, planned, [], [], obstacles)
    result["checks"] = [
        Check(
            item.id,
            item.rule,
            True,
            "kept" if context.kept(item) else ("planned" if context.holds(item.when) else "not_applicable"),
            "%d to do" % len([entry for entry in planned if entry.id == item.id]),
        ).as_dict()
        for item in ITEMS
    ]
    result["changed"] = bool(planned)
    return result


def _unique(entries: Sequence[Entry]) -> List[Entry]:
    """Each path once, as it went first: what running programs wrote again meanwhile is the same thing."""
    found: Dict[Tuple[bool, str], Entry] = {}
    for entry in entries:
        found.setdefault((entry.kind == "account", entry.path), entry)
    return list(found.values())


def _result(
    context: Context,
    planned: Sequence[Entry],
    done: Sequence[Entry],
    checks: Sequence[Check],
    actions: Sequence[str],
    warnings: Sequence[str],
) -> Dict[str, Any]:
    return {
        "changed": bool(done),
        "removed": [entry.as_dict() for entry in done],
        "removed_bytes": sum(entry.bytes for entry in done),
        "accounts": [account.name for account in context.removed_accounts],
        "checks": [check.as_dict() for check in checks],
        "actions": list(actions),
        "notes": list(context.warnings) + list(warnings),
        "diff": {
            "before_header": "present",
            "after_header": "after deprovisioning",
            "before": "".join("%s %s (%d bytes)\n" % (e.action, e.path, e.bytes) for e in planned),
            "after": "",
        },
    }


def _gone(context: Context, planned: Sequence[Entry], done: Sequence[Entry]) -> List[Entry]:
    """What went: what we did, and what was planned and is done by the agent's or cloud-init's hand."""

    def key(entry: Entry) -> Tuple[bool, str]:
        return entry.kind == "account", entry.path

    mine = {key(entry) for entry in done}
    # Of a text that an agent's tool changed before us, what was planned says what went.
    texts = {key(entry): entry for entry in planned if entry.kind == "text"}
    done = [texts.get(key(entry), entry) if entry.kind == "text" else entry for entry in done]
    left = {key(entry) for item in ITEMS for entry in engine.find(context, item)}
    return [entry for entry in planned if key(entry) not in mine and key(entry) not in left] + _unique(done)


def run(
    host: Host,
    context: Context,
    live: Optional[Live] = None,
    note: Note = _silent,
) -> Dict[str, Any]:
    """Do it all; the checks say what holds now. What takes the way in is not begun before the rest holds.

    live is None for a mounted image: files only, no tools, no services.
    """
    actions: List[str] = live.actions if live is not None else []
    planned = engine.plan(context)
    done: List[Entry] = []
    problems: List[str] = []
    warnings: List[str] = []
    if planned or live is not None:
        # Also where nothing is left to do: cloud-init clean takes the administrators' scripts along all the same.
        context.save_state()
    if live is not None:
        note("stopping timers, jobs and the agent")
        live.quiesce()
        if context.options.unregister and live.tools:
            note("giving back subscriptions")
            live.unregister()
        live.kill_sessions(context, spare=True)
        if context.cloud_init and live.tools and not _kept(context, "cloud_init_state"):
            note("cloud-init clean")
            live.clean_cloud_init(context)
    _apply(context, engine.MAIN_ITEMS, note, done, problems)
    _restore_scripts(context)
    checks = _settled(context, engine.MAIN_ITEMS, live, note, done, problems)
    checks += engine.obstacles(context, engine.COMMIT_ITEMS)
    if not all(check.ok for check in checks):
        result = _result(context, planned, _gone(context, planned, done), checks, actions, warnings)
        result["stopped"] = (
            "Stopped before host keys and the account in use were touched, so that you can still log in. "
            "Repair the cause and run again."
        )
        return result
    if live is not None:
        live.before_commit()
        note("logs go to memory from here on")
        live.silence_logs()
        if context.options.run_agent and live.tools and not _kept(context, "agent_state"):
            note("waagent -deprovision")
            warnings.extend(live.run_agent(context))
    _apply(context, engine.COMMIT_ITEMS, note, done, problems)
    note("checking")
    checks += _settled(context, engine.COMMIT_ITEMS, live, note, done, problems)
    note("looking for names and files that stay")
    warnings.extend(remnants.sentences(context))
    if live is None and all(check.ok for check in checks):
        host.remove(ctx_module.STATE_FILE)
    result = _result(context, planned, _gone(context, planned, done), checks, actions, warnings)
    if live is not None and not all(check.ok for check in checks):
        live.let_others_go_on()
        result["stopped"] = (
            "The way in is gone by now, and the machine was not powered off: repair the cause at its console, or reset "
            "it; where it runs systemd, the next boot tries once more and powers off."
        )
    return result


def _kept(context: Context, name: str) -> bool:
    return any(context.kept(item) for item in ITEMS if item.id == name)


def _apply(context: Context, items: Sequence[Any], note: Note, done: List[Entry], problems: List[str]) -> None:
    these, sentences = engine.apply_items(context, items, note)
    done.extend(these)
    problems.extend(sentences)


def _settled(
    context: Context,
    items: Sequence[Item],
    live: Optional[Live],
    note: Note,
    done: List[Entry],
    problems: List[str],
) -> List[Check]:
    """The checks of these items. What running programs wrote again between the cleaning and the look (a log line, what
    sudo notes in a home directory when somebody comes back for the result) is taken away a few times more."""
    checks = [engine.check(context, item, done, problems) for item in items]
    for _attempt in range(RETRIES):
        left = [item for item, found in zip(items, checks) if not found.ok and item.again]
        if live is None or not left:
            break
        if items is engine.COMMIT_ITEMS:
            live.stop_writers()
            live.stop_others(context)
        _apply(context, left, note, done, problems)
        checks = [engine.check(context, item, done, problems) for item in items]
    return checks


def _restore_scripts(context: Context) -> None:
    """Put the administrators' scripts back that cloud-init clean took along."""
    for path, (mode, text) in sorted(context.state.get("scripts", {}).items()):
        if not context.host.exists(path):
            context.host.write(path, text, mode=mode)


def after_result(context: Context, live: Live, poweroff: bool, free_space: str) -> List[Check]:
    """Once the result is out: end the sessions, take away what they and the collecting left, free space.

    Returns the checks of the items that were done again.
    """
    live.kill_sessions(context, spare=False)
    if poweroff:
        live.stop_network_writers()
    live.stop_writers()
    live.stop_others(context)
    for path in context.protected + context.protected_later():
        # Ansible's own directory of this task, where the link was lost before it could tidy up.
        if os.path.basename(path).startswith(("ansible-tmp-", "ansible_")):
            engine.remove_tree(context.host, path, context.mounts)
    context.protected = []
    context.protected_later = list
    done, problems = engine.apply_items(context, engine.AGAIN_ITEMS, _silent)
    live.free_space(free_space)
    if not poweroff:
        live.let_others_go_on()
    return [engine.check(context, item, done, problems) for item in engine.AGAIN_ITEMS]


# -- a specialised image -----------------------------------------------------------------------------------------------


def specialize(host: Host, check_mode: bool) -> Dict[str, Any]:
    """Keep the machine's identity: nothing is cleaned, and nobody provisions at the next boot (CLEAN-14)."""
    actions: List[str] = []
    before = after = ""
    for path, text, wanted in _specialized_files(host):
        if text != wanted:
            lines = [line for line in text.split("\n") if line and line not in wanted.split("\n")]
            before += "".join("%s: %s\n" % (path, line) for line in lines)
            lines = [line for line in wanted.split("\n") if line and line not in text.split("\n")]
            after += "".join("%s: %s\n" % (path, line) for line in lines)
            if not check_mode:
                host.write(path, wanted)
            actions.append("%s %s" % ("would write" if check_mode else "wrote", path))
    checks = []
    for path, text, wanted in _specialized_files(host):
        ok = check_mode or text == wanted
        evidence = "%s tells the provisioner to leave the machine as it is" % path
        checks.append(Check("specialized", "CLEAN-14", ok, "done" if ok else "left", evidence).as_dict())
    if not checks:
        checks.append(Check("specialized", "CLEAN-14", True, "not_applicable", "nobody provisions").as_dict())
    return {
        "changed": bool(actions),
        "removed": [],
        "removed_bytes": 0,
        "accounts": [],
        "checks": checks,
        "actions": actions,
        "notes": [],
        "diff": {"before_header": "present", "after_header": "specialised", "before": before, "after": after},
    }


def _specialized_files(host: Host) -> List[Tuple[str, str, str]]:
    """(path, text, wanted text) of the files that stop the agent, cloud-init and our own program from provisioning."""
    found = []
    path = "/etc/waagent.conf"
    if host.is_file(path):
        text = host.read(path)
        lines = []
        seen = False
        for line in text.split("\n"):
            if line.split("=")[0].strip() == "Provisioning.Agent":
                if seen:
                    continue
                seen = True
                line = "Provisioning.Agent=disabled"
            lines.append(line)
        wanted = "\n".join(lines)
        if not seen:
            wanted = wanted + ("" if wanted.endswith("\n") or not wanted else "\n") + "Provisioning.Agent=disabled\n"
        found.append((path, text, wanted))
    if host.which("cloud-init"):
        path = "/etc/cloud/cloud-init.disabled"
        text = host.read(path, "") if host.is_file(path) else ""
        found.append((path, text, text or _SPECIALIZED))
    if units.unit_file(host, ctx_module.AGENTLESS_UNITS[-1]):
        path = "/var/lib/azure-provisioning/provisioned"
        text = host.read(path, "")
        found.append((path, text, text or _SPECIALIZED))
    return found


def failure_sentence(result: Dict[str, Any]) -> Optional[str]:
    """One sentence where a check does not hold; None where all do."""
    failed = [check for check in result["checks"] if not check["ok"]]
    if not failed:
        return None
    named = "; ".join("%s: %s" % (check["id"], check["evidence"]) for check in failed[:5])
    more = " (and %d more)" % (len(failed) - 5) if len(failed) > 5 else ""
    return "Deprovisioning left something behind. %s%s. %s" % (
        named,
        more,
        result.get("stopped", "Not powered off; repair the cause and run again."),
    )


def raise_for(result: Dict[str, Any]) -> None:
    """Turn a result with a failed check into the error that main() reports."""
    sentence = failure_sentence(result)
    if sentence is not None:
        raise AzurePrepError(sentence, **result)
