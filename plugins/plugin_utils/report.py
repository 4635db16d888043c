# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit found, as a table for the terminal, JSON, JUnit XML and one self-contained HTML page.

Pure functions over the results of module azure_audit; nothing here knows Ansible. Everything that came from a
host is untrusted text: it is escaped for HTML, made valid for XML, and stripped of control characters elsewhere.

Private to the collection: its interface may change in any release.
"""

import html
import json
import re
import textwrap
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.catalogue import LEVELS, SOURCES

PASS = "pass"
FAIL = "fail"
WAIVED = "waived"
NOT_APPLICABLE = "not_applicable"
UNKNOWN = "unknown"

#: Statuses in the order in which a reader wants them.
ORDER = (FAIL, UNKNOWN, WAIVED, PASS, NOT_APPLICABLE)

WORDS = {
    FAIL: "fail",
    UNKNOWN: "unknown",
    WAIVED: "waived",
    PASS: "pass",
    NOT_APPLICABLE: "not applicable",
}

#: Colours of the terminal, by Ansible's names.
COLOURS = {FAIL: "red", UNKNOWN: "yellow", WAIVED: "cyan", PASS: "green", NOT_APPLICABLE: "dark gray"}

READY, NOT_READY, UNSEEN = "ready", "not ready", "not looked at"

#: Up to so many hosts the terminal shows evidence and a line for each host.
MANY = 12

#: Of more hosts it shows at most so many rules that fail, groups of hosts (or of reasons), names in one list.
MANY_RULES, MANY_GROUPS, MANY_NAMES = 40, 10, 24

#: So many characters of the reason why a host could not be looked at, where there are many.
ERROR = 300

#: So many rules that are unknown for one and the same reason are shown as one.
ALIKE = 3

#: What a finding consists of (module azure_audit).
KEYS = ("id", "title", "level", "phase", "status", "evidence", "remedy", "source")

#: The layout of the JSON report.
VERSION = 1


class HostReport(NamedTuple):
    """One host: its findings, or why it could not be looked at (then findings is empty and error says it)."""

    name: str
    ready: bool
    error: str
    findings: List[Dict[str, str]]
    summary: Dict[str, int]
    blocking: List[str]
    system: Dict[str, Any]

    @property
    def verdict(self) -> str:
        if self.error:
            return UNSEEN
        return READY if self.ready else NOT_READY


class Report(NamedTuple):
    """All hosts, the profile that was judged, and when (ISO 8601, UTC)."""

    hosts: List[HostReport]
    profile: str
    created: str

    @property
    def ready(self) -> bool:
        """Every host was looked at and none breaks a rule of the profile."""
        return bool(self.hosts) and all(host.verdict == READY for host in self.hosts)


def clean(value: Any) -> str:
    """Text that can be shown: no control characters but blanks, no lone surrogates."""
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return "".join(
        char if char == "\t" or char >= " " and char != "\x7f" and not "\x80" <= char < "\xa0" else " " for char in text
    )


def host_report(name: str, result: Any) -> HostReport:
    """One host's report from what the module returned, or from whatever else came instead."""
    findings = result.get("findings") if isinstance(result, Mapping) else None
    if not isinstance(findings, (list, tuple)) or not findings:
        return HostReport(clean(name), False, _why(result), [], dict.fromkeys(ORDER, 0), [], {})
    kept = []
    for finding in findings:
        row = {key: clean(finding.get(key, "")) for key in KEYS}
        if row["status"] not in ORDER:
            row["status"] = UNKNOWN
        if row["level"] not in LEVELS:
            row["level"] = LEVELS[-1]
        kept.append(row)
    counts = {status: sum(1 for finding in kept if finding["status"] == status) for status in ORDER}
    system = result.get("system") or {}
    return HostReport(
        clean(name),
        bool(result.get("ready")) and not counts[FAIL],
        "",
        kept,
        counts,
        [clean(item) for item in result.get("blocking") or []],
        {clean(key): clean(value) for key, value in dict(system).items()},
    )


def _why(result: Any) -> str:
    if not isinstance(result, Mapping):
        return "The host gave no result; the play ended for it before the audit."
    text = clean(result.get("msg") or "")
    said = _telling_line(str(result.get("module_stderr") or ""))
    if said:
        text = "%s (%s)" % (text, clean(said)) if text else clean(said)
    if _NO_INTERPRETER.search("%s %s" % (result.get("msg") or "", said)):
        text += "; set ansible_python_interpreter of this host to a Python that it has"
    kind = "unreachable" if result.get("unreachable") else "the audit failed"
    return "%s: %s" % (kind, text) if text else kind


#: What a shell, ssh or sudo prints on the way that is not the reason.
_NOISE = re.compile(
    r"(?i)setlocale|^\W*warning\b|post-quantum|^Shared connection to|^Connection to .* closed|^debug\d|^OpenSSH_"
)

#: What a line says that names a reason.
_REASON = re.compile(
    r"(?i)not found|no such file|denied|not permitted|cannot|can't|could not|unable|fail|error|refused|no space|"
    r"read-only|killed|not allowed|must have a tty|is not in the sudoers"
)

#: The interpreter that was found, or was named, does not start on the host.
_NO_INTERPRETER = re.compile(
    r"(?i)python[\w.]*'?:? (?:was |command )?not found|python[\w.]*'?: no such file|"
    r"no such file or directory: .*python|python[\w.]*'?: (?:cannot execute|permission denied|exec format)|"
    r"bad interpreter"
)


def _telling_line(text: str) -> str:
    """The line of a module's error output that says what is wrong.

    The first that names a reason, since hints follow it (a version manager's shim); the last of a traceback, whose
    first lines say where.
    """
    lines = [line.strip() for line in text.split("\n") if line.strip() and not _NOISE.search(line.strip())]
    if not lines:
        return ""
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return lines[-1]
    return next((line for line in lines if _REASON.search(line)), lines[0])


def report(results: Sequence[Tuple[str, Any]], profile: str, created: str) -> Report:
    """A report over (host, result) pairs."""
    return Report([host_report(name, result) for name, result in results], clean(profile), clean(created))


# -- terminal --------------------------------------------------------------------------------------------------


def table(found: Report, width: int = 100) -> List[Tuple[str, str]]:
    """(line, colour) pairs of the summary.

    Up to MANY hosts: each set of rules that are neither kept nor out of place once, with the evidence, below the names
    of the hosts that have it; then a line for each host, and the totals. Of more: the totals, each broken rule with the
    number of its hosts, then the hosts, those with the same outcome together; the evidence is left to the files.
    """
    lines = _few(found, width) if len(found.hosts) <= MANY else _many(found, width)
    return [(line.rstrip(), colour) for line, colour in lines]


def compress(names: Sequence[str]) -> List[str]:
    """Names, those that differ in one number written as Ansible's inventories do: vm[001:004], web[1:3].example.com."""
    found: List[str] = []
    run: List[Tuple[str, str, str]] = []

    def close() -> None:
        if len(run) > 2:
            found.append("%s[%s:%s]%s" % (run[0][0], run[0][1], run[-1][1], run[0][2]))
        else:
            found.extend("".join(part) for part in run)
        del run[:]

    def key(name: str) -> Tuple[str, str, int, str]:
        head, number, tail = _numbered(name)
        return head, tail, int(number or 0), number

    for name in sorted(set(names), key=key):
        head, number, tail = _numbered(name)
        if run:
            last = run[-1][1]
            padded = "0" in (last[:1], number[:1]) and len(last) != len(number)
            follows = bool(number and last) and int(number) == int(last) + 1 and not padded
            if (head, tail) != (run[-1][0], run[-1][2]) or not follows:
                close()
        run.append((head, number, tail))
    close()
    return found


def _numbered(name: str) -> Tuple[str, str, str]:
    """A name cut at its last number; the number is empty where it has none."""
    match = re.match(r"^(.*?)([0-9]+)([^0-9]*)$", name, re.DOTALL)
    return match.groups() if match else (name, "", "")  # type: ignore[return-value]


def _some(words: Sequence[str], most: int) -> str:
    """The first words of a list, and how many more there are."""
    more = " and %d more" % (len(words) - most) if len(words) > most else ""
    return ", ".join(words[:most]) + more


def names(hosts: Sequence[str]) -> str:
    """Names for a sentence or a heading, as short as they can be told."""
    return _some(compress(hosts), MANY_NAMES)


def _fill(text: str, width: int, first: int, further: int) -> List[str]:
    """Text in lines of a width, with blanks before the first line and before the others."""
    # Names of hosts and rules are found by their hyphens; they stay whole.
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * first,
        subsequent_indent=" " * further,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _count(number: int, word: str) -> str:
    return "%d %s%s" % (number, word, "" if number == 1 else "s")


def _totals(found: Report) -> str:
    verdicts = [host.verdict for host in found.hosts]
    numbers = ", ".join("%d %s" % (verdicts.count(verdict), verdict) for verdict in (READY, NOT_READY, UNSEEN))
    return "%s: %s" % (_count(len(found.hosts), "host"), numbers)


def _open(host: HostReport) -> List[Dict[str, str]]:
    """What is neither kept nor out of place, worst first."""
    return [finding for finding in sorted_findings(host.findings) if finding["status"] not in (PASS, NOT_APPLICABLE)]


# -- terminal, few hosts


def _few(found: Report, width: int) -> List[Tuple[str, str]]:
    """Rules with their evidence, once for all hosts that have the same ones open; then the hosts, line by line."""
    lines: List[Tuple[str, str]] = []
    groups: Dict[Tuple[Tuple[str, str], ...], List[HostReport]] = {}
    for host in found.hosts:
        if host.findings:
            key = tuple((finding["id"], finding["status"]) for finding in _open(host))
            groups.setdefault(key, []).append(host)
    for hosts in groups.values():
        if not _open(hosts[0]):
            continue
        systems = {", ".join(word for word in (_of(h, "name"), _of(h, "kernel")) if word) for h in hosts}
        about = "  (%s)" % systems.pop() if len(systems) == 1 and any(systems) else ""
        head = _fill(names([host.name for host in hosts]) + about, width, 0, 2)
        lines += [(line, "bright blue") for line in head]
        lines += _open_rules(hosts, width)
    width_name = max([len(host.name) for host in found.hosts] + [4])
    lines += [("", ""), ("Azure audit, profile %s" % found.profile, "bright blue")]
    for host in found.hosts:
        numbers = "  ".join("%s %-3d" % (WORDS[status], host.summary[status]) for status in ORDER)
        colour = "green" if host.verdict == READY else "red"
        lines.append(("  %-*s  %-13s  %s" % (width_name, host.name, host.verdict, host.error or numbers), colour))
    if len(found.hosts) > 1:
        lines.append(("  " + _totals(found), "green" if found.ready else "red"))
    return lines


def _of(host: HostReport, key: str) -> str:
    return str(host.system.get(key, ""))


def _open_rules(hosts: Sequence[HostReport], width: int) -> List[Tuple[str, str]]:
    """The open rules of hosts that have the same ones, each with the evidence. Of many that could not be looked at for
    one and the same reason only the identifiers, with the reason."""
    lines: List[Tuple[str, str]] = []
    rows = _open(hosts[0])
    reasons: Dict[str, List[Dict[str, str]]] = {}
    for finding in rows:
        if finding["status"] == UNKNOWN:
            reasons.setdefault(finding["evidence"], []).append(finding)
    everywhere = [{finding["id"]: finding["evidence"] for finding in host.findings} for host in hosts]
    for finding in rows:
        colour = COLOURS[finding["status"]]
        alike = reasons.get(finding["evidence"], []) if finding["status"] == UNKNOWN else []
        if len(alike) < ALIKE:
            lines.append((_head(finding), colour))
        elif alike[0] is not finding:
            continue
        else:
            text = "; ".join(
                "%s: %s" % (level, ", ".join(other["id"] for other in alike if other["level"] == level))
                for level in LEVELS
                if any(other["level"] == level for other in alike)
            )
            wrapped = _fill(text, width, 11, 11)
            wrapped[0] = "  %-8s " % WORDS[UNKNOWN] + wrapped[0].lstrip()
            lines += [(line, colour) for line in wrapped]
        text = finding["evidence"]
        if any(evidence.get(finding["id"]) != text for evidence in everywhere):
            text = "%s: %s" % (hosts[0].name, text)
        room = max(width - 11, 40)
        lines.append((" " * 11 + (text if len(text) <= room else text[: room - 1] + "…"), "dark gray"))
    return lines


# -- terminal, many hosts


def _many(found: Report, width: int) -> List[Tuple[str, str]]:
    """Totals, broken rules, and hosts of the same outcome together: a screen or two, however many hosts."""
    lines: List[Tuple[str, str]] = [("", ""), ("Azure audit, profile %s" % found.profile, "bright blue")]
    lines.append(("  " + _totals(found), "green" if found.ready else "red"))
    seen = [host for host in found.hosts if not host.error]
    lines += _rules_of_many(seen, width)
    good = [host.name for host in seen if host.verdict == READY]
    if good:
        text = "%s, %s: %s" % (READY, _count(len(good), "host"), names(good))
        lines += [("", "")] + [(line, "green") for line in _fill(text, width, 2, 4)]
    lines += _not_ready_of_many([host for host in seen if host.verdict == NOT_READY], width)
    errors: Dict[str, List[str]] = {}
    for host in found.hosts:
        if host.error:
            errors.setdefault(host.error, []).append(host.name)
    rows = sorted(errors.items(), key=lambda row: -len(row[1]))
    if rows:
        lines.append(("", ""))
    for error, hosts in rows[:MANY_GROUPS]:
        reason = error if len(error) <= ERROR else error[: ERROR - 1] + "…"
        lines.append(("  %s: %s: %s" % (UNSEEN, names(hosts), reason), "red"))
    rest = [name for _error, hosts in rows[MANY_GROUPS:] for name in hosts]
    if rest:
        text = "%s for other reasons, %s: %s" % (UNSEEN, _count(len(rest), "host"), names(rest))
        lines += [(line, "red") for line in _fill(text, width, 2, 4)]
    return lines


def _rules_of_many(hosts: Sequence[HostReport], width: int) -> List[Tuple[str, str]]:
    """A line for each rule that fails somewhere, with the number of hosts; of the others only the identifiers."""
    counts: Dict[Tuple[str, str], int] = {}
    findings: List[Dict[str, str]] = []
    for host in hosts:
        for finding in _open(host):
            key = (finding["id"], finding["status"])
            if key not in counts:
                findings.append(finding)
            counts[key] = counts.get(key, 0) + 1
    findings.sort(key=lambda finding: -counts[(finding["id"], finding["status"])])
    lines: List[Tuple[str, str]] = [("", "")] if findings else []
    failing = [finding for finding in sorted_findings(findings) if finding["status"] == FAIL]
    for finding in failing[:MANY_RULES]:
        some = "%d of %d" % (counts[(finding["id"], FAIL)], len(hosts))
        line = "  %-5s %-11s %-13s %*s  %s" % (
            WORDS[FAIL],
            finding["id"],
            finding["level"],
            2 * len(str(len(hosts))) + 4,
            some,
            finding["title"],
        )
        lines.append((line if len(line) <= width else line[: width - 1] + "…", COLOURS[FAIL]))
    if len(failing) > MANY_RULES:
        lines.append(("  and %d more rules fail on some host" % (len(failing) - MANY_RULES), COLOURS[FAIL]))
    for status in (UNKNOWN, WAIVED):
        for level in LEVELS:
            ids = [f["id"] for f in sorted_findings(findings) if f["status"] == status and f["level"] == level]
            if ids:
                text = "%s, %s (%s): %s" % (WORDS[status], level, _count(len(ids), "rule"), _some(ids, MANY_NAMES))
                lines += [(line, COLOURS[status]) for line in _fill(text, width, 2, 4)]
    return lines


def _not_ready_of_many(hosts: Sequence[HostReport], width: int) -> List[Tuple[str, str]]:
    """Hosts that are not ready for the same rules, together; the worst first."""
    groups: Dict[Tuple[Tuple[str, ...], Tuple[str, ...]], List[HostReport]] = {}
    for host in hosts:
        failing = tuple(finding["id"] for finding in _open(host) if finding["status"] == FAIL)
        unseen = tuple(f["id"] for f in _open(host) if f["status"] == UNKNOWN and f["level"] == LEVELS[0])
        groups.setdefault((failing, unseen), []).append(host)

    def badness(row: Tuple[Tuple[Tuple[str, ...], Tuple[str, ...]], List[HostReport]]) -> Tuple[int, ...]:
        (failing, unseen), members = row
        required = sum(1 for f in members[0].findings if f["status"] == FAIL and f["level"] == LEVELS[0])
        return (-required, -len(failing), -len(unseen), -len(members))

    lines: List[Tuple[str, str]] = []
    rows = sorted(groups.items(), key=badness)
    for (failing, unseen), members in rows[:MANY_GROUPS]:
        text = "%s, %s: %s" % (NOT_READY, _count(len(members), "host"), names([host.name for host in members]))
        lines += [("", "")] + [(line, "red") for line in _fill(text, width, 2, 4)]
        parts = [
            "%s fail%s: %s" % (_count(len(failing), "rule"), "s" * (len(failing) == 1), _some(failing, MANY_NAMES))
        ]
        if unseen:
            word = "required rule" if len(unseen) == 1 else "required rules"
            parts.append("%d %s unknown: %s" % (len(unseen), word, _some(unseen, 6)))
        for part in parts[0 if failing else 1 :]:
            lines += [(line, "dark gray") for line in _fill(part, width, 6, 8)]
    rest = [host.name for _key, members in rows[MANY_GROUPS:] for host in members]
    if rest:
        text = "%s for %d other sets of rules, %s: %s" % (
            NOT_READY,
            len(rows) - MANY_GROUPS,
            _count(len(rest), "host"),
            names(rest),
        )
        lines += [("", "")] + [(line, "red") for line in _fill(text, width, 2, 4)]
    return lines


def _head(finding: Dict[str, str]) -> str:
    return "  %-8s %-11s %-13s %s" % (WORDS[finding["status"]], finding["id"], finding["level"], finding["title"])


def sorted_findings(findings: Sequence[Dict[str, str]]) -> List[Dict[str, str]]:
    """Worst first: by status, then by level; the catalogue's order is kept within."""

    def key(finding: Dict[str, str]) -> Tuple[int, int]:
        status, level = finding["status"], finding["level"]
        return (
            ORDER.index(status) if status in ORDER else len(ORDER),
            LEVELS.index(level) if level in LEVELS else len(LEVELS),
        )

    return sorted(findings, key=key)


# -- JSON ------------------------------------------------------------------------------------------------------


def to_json(found: Report) -> str:
    """The whole report; version 1 of its layout."""
    data = {
        "version": VERSION,
        "profile": found.profile,
        "created": found.created,
        "ready": found.ready,
        "hosts": [
            {
                "name": host.name,
                "verdict": host.verdict,
                "ready": host.ready,
                "error": host.error,
                "summary": host.summary,
                "blocking": host.blocking,
                "system": host.system,
                "findings": host.findings,
            }
            for host in found.hosts
        ],
    }
    return json.dumps(data, indent=2, ensure_ascii=False, sort_keys=False) + "\n"


# -- JUnit -----------------------------------------------------------------------------------------------------


def _xml(text: str) -> str:
    """Escaped, without the characters that XML 1.0 forbids."""
    text = re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)
    return html.escape(text, quote=True)


def to_junit(found: Report) -> str:
    """JUnit XML: a suite per host, a case per rule. unknown is an error at the required level, else skipped."""
    suites = []
    totals = [0, 0, 0, 0]
    for host in found.hosts:
        cases = []
        counts = [0, 0, 0, 0]
        if host.error:
            counts = [1, 0, 1, 0]
            cases.append(
                '    <testcase classname="%s" name="audit"><error message="%s"/></testcase>'
                % (_xml(host.name), _xml(host.error))
            )
        for finding in host.findings:
            counts[0] += 1
            status = finding["status"]
            inner = ""
            message = _xml("%s: %s" % (WORDS.get(status, status), finding["evidence"]))
            if status == FAIL:
                counts[1] += 1
                inner = '<failure message="%s">%s</failure>' % (message, _xml("Remedy: " + finding["remedy"]))
            elif status == UNKNOWN and finding["level"] == LEVELS[0]:
                counts[2] += 1
                inner = '<error message="%s"/>' % message
            elif status != PASS:
                counts[3] += 1
                inner = '<skipped message="%s"/>' % message
            area = finding["id"].rsplit("-", 1)[0]
            cases.append(
                '    <testcase classname="%s.%s" name="%s">%s</testcase>'
                % (_xml(host.name), _xml(area), _xml("%s %s" % (finding["id"], finding["title"])), inner)
            )
        totals = [left + right for left, right in zip(totals, counts)]
        suites.append(
            '  <testsuite name="%s" tests="%s" failures="%s" errors="%s" skipped="%s" timestamp="%s">'
            "\n%s\n  </testsuite>" % ((_xml(host.name),) + tuple(counts) + (_xml(found.created), "\n".join(cases)))
        )
    head = '<testsuites name="Azure audit" tests="%d" failures="%d" errors="%d" skipped="%d">' % tuple(totals)
    return '<?xml version="1.0" encoding="UTF-8"?>\n%s\n%s\n</testsuites>\n' % (head, "\n".join(suites))


# -- HTML ------------------------------------------------------------------------------------------------------

_ICONS = {FAIL: "✕", UNKNOWN: "?", WAIVED: "–", PASS: "✓", NOT_APPLICABLE: "○"}

_CSS = """
:root{color-scheme:light dark;--bg:#f4f6f9;--card:#fff;--ink:#17202b;--soft:#5a6878;--line:#dde3ea;--accent:#0b63c5;
--shade:#eef2f7;--fail:#b3261e;--fail-bg:#fdecea;--unknown:#8a5300;--unknown-bg:#fff3dc;--waived:#00677a;
--waived-bg:#e0f4f8;--pass:#18703a;--pass-bg:#e5f5ea;--na:#5a6878;--na-bg:#edf0f4;
--shadow:0 1px 2px rgba(20,30,45,.06),0 4px 16px rgba(20,30,45,.06)}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){--bg:#0f141b;--card:#19212b;--ink:#e7edf4;
--soft:#9fb0c2;
--line:#2b3644;--accent:#6db3ff;--shade:#212b37;--fail:#ff8f86;--fail-bg:#40201f;--unknown:#ffc268;
--unknown-bg:#3b2d14;
--waived:#6fd3e6;--waived-bg:#12343c;--pass:#7ad79a;--pass-bg:#163523;--na:#9fb0c2;--na-bg:#263140;--shadow:none}}
:root[data-theme=dark]{--bg:#0f141b;--card:#19212b;--ink:#e7edf4;--soft:#9fb0c2;--line:#2b3644;--accent:#6db3ff;
--shade:#212b37;
--fail:#ff8f86;--fail-bg:#40201f;--unknown:#ffc268;--unknown-bg:#3b2d14;--waived:#6fd3e6;--waived-bg:#12343c;
--pass:#7ad79a;
--pass-bg:#163523;--na:#9fb0c2;--na-bg:#263140;--shadow:none;color-scheme:dark}
:root[data-theme=light]{color-scheme:light}
*{box-sizing:border-box}html{scroll-behavior:smooth;scroll-padding-top:5.5rem}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Ubuntu,sans-serif;
-webkit-text-size-adjust:100%}
a{color:var(--accent)}code,.id{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:6px}
.skip{position:absolute;left:-9999px}.skip:focus{left:1rem;top:1rem;background:var(--card);padding:.6rem 1rem;
z-index:9}
.wrap{max-width:1120px;margin:0 auto;padding:0 1.25rem}
header.top{padding-top:2.25rem;padding-bottom:1.25rem}
.brand{display:flex;justify-content:space-between;gap:1rem;align-items:flex-start;flex-wrap:wrap}
h1{font-size:clamp(1.5rem,3.4vw,2.1rem);line-height:1.2;margin:0;letter-spacing:-.015em}
.sub{color:var(--soft);margin:.35rem 0 0}
.theme{background:var(--card);border:1px solid var(--line);color:var(--ink);border-radius:999px;padding:.4rem .9rem;
font:inherit;
font-size:.88rem;cursor:pointer}
.verdict{display:flex;align-items:center;gap:1.1rem;background:var(--card);border:1px solid var(--line);
border-left:6px solid var(--pass);
border-radius:14px;padding:1.1rem 1.3rem;margin:1.4rem 0 1rem;box-shadow:var(--shadow)}
.verdict.no{border-left-color:var(--fail)}.verdict .big{font-size:1.25rem;font-weight:650;line-height:1.3}
.verdict .mark{flex:none;width:2.6rem;height:2.6rem;border-radius:50%;display:grid;place-items:center;font-weight:700;
font-size:1.25rem;
background:var(--pass-bg);color:var(--pass)}.verdict.no .mark{background:var(--fail-bg);color:var(--fail)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(250px,1fr));gap:.8rem;margin:0 0 1.2rem;padding:0;
list-style:none}
.cards a{display:block;height:100%;background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:.85rem 1rem;text-decoration:none;color:inherit;
box-shadow:var(--shadow)}.cards a:hover{border-color:var(--accent)}
.cards .name{font-weight:620;display:flex;flex-wrap:wrap;justify-content:space-between;gap:.6rem;align-items:center;
overflow-wrap:anywhere}
.cards small{color:var(--soft);display:block;margin:.1rem 0 .55rem;overflow-wrap:anywhere}
.bar{display:flex;height:8px;border-radius:99px;overflow:hidden;background:var(--na-bg);gap:2px}
.bar i{display:block;min-width:3px}
.bar .fail{background:var(--fail)}.bar .unknown{background:var(--unknown)}.bar .waived{background:var(--waived)}
.bar .pass{background:var(--pass)}
.bar .not_applicable{background:var(--line)}
.tools{position:sticky;top:0;z-index:5;background:var(--bg);border-bottom:1px solid var(--line);padding:.7rem 0}
.tools .row{display:flex;flex-wrap:wrap;gap:.45rem .55rem;align-items:center}
.tools fieldset{border:0;padding:0;margin:0;display:flex;flex-wrap:wrap;gap:.35rem;align-items:center}
.tools legend{float:left;font-size:.82rem;color:var(--soft);padding:0;margin-right:.45rem;line-height:2rem}
.chip{font:inherit;font-size:.86rem;line-height:1.25;border:1px solid var(--line);background:transparent;
color:var(--soft);border-radius:999px;
padding:.3rem .75rem;cursor:pointer;white-space:nowrap}
.chip[aria-pressed=true]{background:var(--card);color:var(--ink);border-color:var(--soft);font-weight:560}
.chip b{font-weight:650;font-variant-numeric:tabular-nums}.chip[aria-pressed=true].fail b{color:var(--fail)}
.chip[aria-pressed=true].unknown b{color:var(--unknown)}
.chip[aria-pressed=true].waived b{color:var(--waived)}.chip[aria-pressed=true].pass b{color:var(--pass)}
input[type=search]{font:inherit;font-size:.9rem;padding:.32rem .8rem;border:1px solid var(--line);border-radius:999px;
background:var(--card);color:var(--ink);
flex:1 1 11rem;min-width:8rem;max-width:20rem}
section.host{margin:1.6rem 0 2.4rem}
.hosthead{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.5rem 1rem;align-items:baseline;
margin-bottom:.7rem}
h2{font-size:1.3rem;margin:0;letter-spacing:-.01em;overflow-wrap:anywhere}
.facts{color:var(--soft);font-size:.92rem;margin:.15rem 0 0;overflow-wrap:anywhere}
.badge{display:inline-block;border-radius:999px;padding:.15rem .7rem;font-size:.82rem;font-weight:620;
white-space:nowrap}
.badge.yes{background:var(--pass-bg);color:var(--pass)}.badge.no{background:var(--fail-bg);color:var(--fail)}
.counts{display:flex;flex-wrap:wrap;gap:.3rem 1rem;font-size:.88rem;color:var(--soft);margin:.5rem 0 .9rem;padding:0;
list-style:none}
.counts b{color:var(--ink);font-variant-numeric:tabular-nums}
.list{background:var(--card);border:1px solid var(--line);border-radius:14px;box-shadow:var(--shadow);overflow:hidden}
.f{border-top:1px solid var(--line)}.f:first-child{border-top:0}
.f summary{display:grid;grid-template-columns:6.6rem 6.6rem 1fr auto 1.1rem;gap:.2rem .9rem;align-items:center;
padding:.62rem 1rem;cursor:pointer;list-style:none}
.f summary::-webkit-details-marker{display:none}.f summary:hover{background:var(--shade)}
.f summary::after{content:"";width:.5rem;height:.5rem;border-right:2px solid var(--soft);
border-bottom:2px solid var(--soft);transform:rotate(45deg);justify-self:end;transition:transform .15s}
.f[open] summary::after{transform:rotate(-135deg)}
.pill{display:inline-flex;align-items:center;gap:.35rem;border-radius:7px;padding:.12rem .5rem;font-size:.8rem;
font-weight:620;white-space:nowrap;justify-self:start}
.pill.fail{background:var(--fail-bg);color:var(--fail)}
.pill.unknown{background:var(--unknown-bg);color:var(--unknown)}
.pill.waived{background:var(--waived-bg);color:var(--waived)}
.pill.pass{background:var(--pass-bg);color:var(--pass)}.pill.not_applicable{background:var(--na-bg);color:var(--na)}
.id{font-size:.88rem;white-space:nowrap}.title{min-width:0;overflow-wrap:anywhere}
.peek{display:block;color:var(--soft);font-size:.86rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;
max-width:100%}
.f[open] .peek{display:none}.level{font-size:.8rem;color:var(--soft);white-space:nowrap}
.body{padding:.2rem 1rem 1rem;display:grid;grid-template-columns:6.6rem 1fr;gap:.45rem .9rem;font-size:.93rem}
.body dt{color:var(--soft)}.body dd{margin:0;min-width:0;overflow-wrap:anywhere}
.body code{background:var(--shade);border-radius:6px;padding:.1rem .4rem;font-size:.87em;white-space:pre-wrap;
-webkit-box-decoration-break:clone;box-decoration-break:clone;line-height:1.75}
.error{background:var(--fail-bg);color:var(--fail);border-radius:12px;padding:1rem 1.2rem;overflow-wrap:anywhere}
.none{color:var(--soft);padding:1rem 1.2rem;margin:0}.hide{display:none!important}
footer{color:var(--soft);font-size:.88rem;padding:0 0 3rem}
@media (max-width:720px){.wrap{padding:0 .9rem}header.top{padding-top:1.3rem}.tools{position:static}
html{scroll-padding-top:1rem}
.f summary{grid-template-columns:auto auto 1fr 1rem;padding:.7rem .9rem}.f .title{grid-column:1/-1;grid-row:2}
.f .level{justify-self:end}
.f summary::after{grid-column:4;grid-row:1}
.peek{white-space:normal;display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical}
.body{grid-template-columns:1fr;gap:.1rem;padding:.1rem .9rem 1rem}.body dt{margin-top:.5rem;font-size:.84rem}
input[type=search]{max-width:none;flex-basis:100%}
.verdict{padding:1rem}.verdict .big{font-size:1.08rem}}
@media print{:root,:root[data-theme=dark]{--bg:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--shade:#f2f2f2;
--shadow:none;--fail:#9c1b14;--pass:#14602f;
--unknown:#7a4a00;--waived:#005667;--fail-bg:#fff;--pass-bg:#fff;--unknown-bg:#fff;--waived-bg:#fff;--na-bg:#fff;
color-scheme:light}
.tools,.theme,.skip{display:none}body{font-size:10.5pt}.f,.verdict,.cards li{break-inside:avoid}
.f summary::after{display:none}
section.host{break-before:page}.peek{display:none}.pill{border:1px solid currentColor}a{color:inherit}}
@media (prefers-reduced-motion:reduce){*{scroll-behavior:auto!important;transition:none!important}}
"""

_JS = """
(function(){
var root=document.documentElement,pressed=function(b){return b.getAttribute('aria-pressed')==='true'};
var chips=[].slice.call(document.querySelectorAll('.chip')),search=document.getElementById('q');
function apply(){
 var on={status:{},level:{}},words=search.value.toLowerCase().split(/\\s+/).filter(Boolean),shown=0;
 chips.forEach(function(c){on[c.dataset.kind][c.dataset.value]=pressed(c)});
 [].forEach.call(document.querySelectorAll('.list'),function(list){
  var seen=0;
  [].forEach.call(list.querySelectorAll('.f'),function(f){
   var text=f.textContent.toLowerCase();
   var show=on.status[f.dataset.status]&&on.level[f.dataset.level]&&words.every(function(w){return text.indexOf(w)>=0});
   f.classList.toggle('hide',!show);if(show){seen++}
  });
  shown+=seen;list.querySelector('.none').classList.toggle('hide',seen>0);
 });
 document.getElementById('shown').textContent=shown+(shown===1?' finding shown':' findings shown');
}
chips.forEach(function(c){c.addEventListener('click',function(){c.setAttribute('aria-pressed',pressed(c)?'false':'true');apply()})});
search.addEventListener('input',apply);
document.getElementById('fold').addEventListener('click',function(){
 var open=this.getAttribute('aria-expanded')!=='true';this.setAttribute('aria-expanded',open);
 this.textContent=open?'Fold all':'Unfold all';
 [].forEach.call(document.querySelectorAll('.f:not(.hide)'),function(f){f.open=open});
});
document.getElementById('theme').addEventListener('click',function(){
 var dark=root.dataset.theme?root.dataset.theme==='dark':matchMedia('(prefers-color-scheme:dark)').matches;
 root.dataset.theme=dark?'light':'dark';
});
var folded=[];
addEventListener('beforeprint',function(){folded=[].slice.call(document.querySelectorAll('.f:not([open])'));folded.forEach(function(f){if(f.dataset.status!=='pass'&&f.dataset.status!=='not_applicable'){f.open=true}})});
addEventListener('afterprint',function(){folded.forEach(function(f){f.open=false})});
[].forEach.call(document.querySelectorAll('.needs-js'),function(e){e.classList.remove('hide')});
apply();
})();
"""


def _e(text: str) -> str:
    return html.escape(text, quote=True)


def _anchor(number: int) -> str:
    return "host-%d" % (number + 1)


def _bar(counts: Mapping[str, int]) -> str:
    """A bar whose parts are as long as the counts; the numbers stand in the text beside it."""
    parts = ["<i class=%s style=flex-grow:%d></i>" % (status, counts[status]) for status in ORDER if counts[status]]
    return "<div class=bar aria-hidden=true>%s</div>" % "".join(parts)


def _sources(text: str) -> str:
    """The documents, each as a link where its address is known."""
    links = dict(SOURCES.values())
    found = []
    for title in [part for part in text.split("; ") if part]:
        if title in links:
            found.append('<a href="%s" rel="noopener noreferrer">%s</a>' % (_e(links[title]), _e(title)))
        else:
            found.append(_e(title))
    return "<br>".join(found)


def _finding(finding: Dict[str, str]) -> str:
    status, level = finding["status"], finding["level"]
    rows = [("Evidence", "<code>%s</code>" % _e(finding["evidence"]) if finding["evidence"] else "none")]
    if status not in (PASS, NOT_APPLICABLE):
        rows.append(("Remedy", _e(finding["remedy"])))
    rows.append(("Source", _sources(finding["source"])))
    body = "".join("<dt>%s</dt><dd>%s</dd>" % row for row in rows)
    return (
        '<details class=f data-status="%s" data-level="%s"><summary>'
        '<span class="pill %s"><span aria-hidden=true>%s</span>%s</span><span class=id>%s</span>'
        "<span class=title>%s<span class=peek>%s</span></span><span class=level>%s</span></summary>"
        "<dl class=body>%s</dl></details>"
        % (
            status,
            level,
            status,
            _ICONS[status],
            "n/a" if status == NOT_APPLICABLE else WORDS[status],
            _e(finding["id"]),
            _e(finding["title"]),
            _e(finding["evidence"]) if status != PASS else "",
            _e(level),
            body,
        )
    )


def _badge(host: HostReport) -> str:
    kind = "yes" if host.verdict == READY else "no"
    return "<span class='badge %s'>%s</span>" % (kind, _e(host.verdict))


def _facts(host: HostReport) -> str:
    system = host.system
    words = [system.get("name", ""), system.get("architecture", "")]
    words.append("kernel " + system["kernel"] if system.get("kernel") else "")
    words.append("provisioned by " + system["provisioner"] if system.get("provisioner") else "")
    if system.get("privileged") == "False":
        words.append("looked at without root")
    return " · ".join(word for word in words if word)


def _host(host: HostReport, number: int) -> str:
    head = (
        "<section class=host id=%s aria-labelledby=%s-h><div class=hosthead><div><h2 id=%s-h>%s</h2>"
        "<p class=facts>%s</p></div>%s</div>"
        % (_anchor(number), _anchor(number), _anchor(number), _e(host.name), _e(_facts(host)), _badge(host))
    )
    if host.error:
        return head + "<p class=error>%s</p></section>" % _e(host.error)
    counts = "".join(
        "<li><b>%d</b> %s</li>" % (host.summary[status], WORDS[status]) for status in ORDER if host.summary[status]
    )
    rows = "".join(_finding(finding) for finding in sorted_findings(host.findings))
    nothing = "<p class='none hide'>Nothing matches the filters.</p>"
    lists = "<ul class=counts>%s</ul><div class=list>%s%s</div>" % (counts, rows, nothing)
    return head + _bar(host.summary) + lists + "</section>"


def _verdict(found: Report) -> Tuple[str, str]:
    """The sentence on top of the page, and the smaller one below it."""
    total = len(found.hosts)
    good = sum(1 for host in found.hosts if host.verdict == READY)
    unseen = sum(1 for host in found.hosts if host.verdict == UNSEEN)
    broken = [finding for host in found.hosts for finding in host.findings if finding["status"] == FAIL]
    failing = {finding["id"] for finding in broken}
    required = {finding["id"] for finding in broken if finding["level"] == LEVELS[0]}
    sentences = {
        READY: "%s is ready for Azure",
        NOT_READY: "%s is not ready for Azure",
        UNSEEN: "%s could not be looked at",
    }
    if total == 1:
        first = sentences[found.hosts[0].verdict] % found.hosts[0].name
    else:
        first = "%d of %d hosts are ready for Azure" % (good, total)
    notes = []
    if failing:
        some = "%d rule%s fail%s" % (len(failing), "" if len(failing) == 1 else "s", "s" if len(failing) == 1 else "")
        notes.append("%s, %d of them required" % (some, len(required)))
    if unseen and total > 1:
        notes.append("%d host%s could not be looked at" % (unseen, "" if unseen == 1 else "s"))
    if not notes:
        notes.append("No rule of the profile fails" if good else "Nothing was judged")
    return first, "; ".join(notes) + "."


def to_html(found: Report) -> str:
    """One page that needs nothing but itself: styles and script are inside, no address is fetched."""
    totals = {status: sum(host.summary[status] for host in found.hosts) for status in ORDER}
    every = [finding["level"] for host in found.hosts for finding in host.findings]
    levels = {level: every.count(level) for level in LEVELS}
    cards = ""
    for number, host in enumerate(found.hosts):
        about = host.error or host.system.get("name", "")
        parts = (_anchor(number), _e(host.name), _badge(host), _e(about), _bar(host.summary))
        cards += "<li><a href=#%s><span class=name>%s %s</span><small>%s</small>%s</a></li>" % parts
    statuses = "".join(
        '<button type=button class="chip %s" data-kind=status data-value=%s aria-pressed=%s>%s <b>%d</b></button>'
        % (status, status, "false" if status == NOT_APPLICABLE else "true", WORDS[status], totals[status])
        for status in ORDER
    )
    level_chips = "".join(
        "<button type=button class=chip data-kind=level data-value=%s aria-pressed=true>%s <b>%d</b></button>"
        % (level, level, levels[level])
        for level in LEVELS
        if levels[level]
    )
    first, second = _verdict(found)
    good = found.ready
    return (
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width,initial-scale=1">\n'
        "<meta http-equiv=Content-Security-Policy "
        "content=\"default-src 'none';style-src 'unsafe-inline';script-src 'unsafe-inline'\">\n"
        "<meta name=referrer content=no-referrer>\n<title>Azure audit: %s</title>\n<style>%s</style>\n</head>\n<body>\n"
        "<a class=skip href=#findings>Skip to the findings</a>\n"
        "<header class='top wrap'><div class=brand><div><h1>Azure readiness audit</h1>"
        "<p class=sub>Profile <strong>%s</strong> · %s</p></div>"
        "<button type=button id=theme class='theme needs-js hide'>Light or dark</button></div>"
        "<div class='verdict %s'><span class=mark aria-hidden=true>%s</span>"
        "<div><div class=big>%s</div><div class=sub>%s</div></div></div>"
        "<ul class=cards aria-label=Hosts>%s</ul></header>\n"
        "<nav class='tools needs-js hide' aria-label=Filters><div class='wrap row'>"
        "<fieldset><legend>Status</legend>%s</fieldset>"
        "<fieldset><legend>Level</legend>%s</fieldset>"
        "<input type=search id=q placeholder='Search rules and evidence' aria-label='Search rules and evidence'>"
        "<button type=button class=theme id=fold aria-expanded=false>Unfold all</button></div></nav>\n"
        "<main class=wrap id=findings>%s</main>\n"
        "<footer class=wrap><p><span id=shown aria-live=polite></span></p>"
        "<p>Written by azure_audit of the collection linuxvhd.azure. "
        "A rule that is unknown could not be looked at and never counts as kept.</p></footer>\n"
        "<script>%s</script>\n</body>\n</html>\n"
        % (
            _e(first),
            _CSS,
            _e(found.profile),
            _e(found.created),
            "yes" if good else "no",
            "✓" if good else "✕",
            _e(first),
            _e(second),
            cards,
            statuses,
            level_chips,
            "".join(_host(host, number) for number, host in enumerate(found.hosts)),
            _JS,
        )
    )
