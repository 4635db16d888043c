# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a proof for people: one self-contained HTML page, and the same in short as lines of text.

Everything that comes from the guest or the image is escaped. No script, nothing loaded from elsewhere.

Private to the collection: its interface may change in any release.
"""

from html import escape
from typing import Any, Dict, List

WIDTH = 960
LEFT = 12

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #59636e; --paper: #fff; --card: #f6f8fa; --line: #d1d9e0;
  --good: #1a7f37; --bad: #cf222e; --skip: #9a6700; --bar: #0969da; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9198a1; --paper: #0d1117; --card: #151b23;
  --line: #3d444d; --good: #3fb950; --bad: #f85149; --skip: #d29922; --bar: #4493f8; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.dim { color: var(--dim); } .pass { color: var(--good); } .fail { color: var(--bad); } .skipped { color: var(--skip); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; } th { color: var(--dim); font-weight: 600; }
td.status { font-weight: 600; }
td.status, td.rule { white-space: nowrap; } th.check { min-width: 16rem; }
@media (max-width: 45rem) { th.check { min-width: 0; } th, td { padding: .3rem .3rem; font-size: 13px; }
  td { word-break: break-word; } }
code, pre { font: 12.5px/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; white-space: pre-wrap; } svg { width: 100%; height: auto; } svg text { fill: var(--ink);
  font: 13px system-ui, sans-serif; } svg .dim { fill: var(--dim); } svg line { stroke: var(--line); }
svg rect { fill: var(--bar); } svg circle { fill: var(--bar); }
"""


def drawing(events: List[Dict[str, Any]]) -> str:
    """The timeline as SVG: one row per event, a bar from the event before it to itself."""
    if not events:
        return ""
    end = max(float(event["seconds"]) for event in events) or 1.0
    scale = (WIDTH - 2 * LEFT) * 0.5 / end
    rows = []
    before = 0.0
    for at, event in enumerate(events):
        seconds = float(event["seconds"])
        y = 24 + at * 26
        x0, x1 = LEFT + before * scale, LEFT + seconds * scale
        rows.append('<line x1="%d" y1="%d" x2="%d" y2="%d" />' % (LEFT, y + 13, WIDTH - LEFT, y + 13))
        rows.append('<rect x="%.1f" y="%d" width="%.1f" height="10" rx="2" />' % (x0, y - 5, max(2.0, x1 - x0)))
        label = '<text x="%.1f" y="%d">%s <tspan class="dim">%s s</tspan></text>'
        text = str(event["text"])
        text = text if len(text) <= 64 else text[:63] + "…"
        rows.append(label % (x1 + 10, y + 5, escape(text), event["seconds"]))
        before = seconds
    height = 24 + len(events) * 26
    return '<svg viewBox="0 0 %d %d" role="img" aria-label="timeline">%s</svg>' % (WIDTH, height, "".join(rows))


def lines(result: Dict[str, Any]) -> List[str]:
    """Verdict, timeline, checks and what was not proven, as a terminal shows them."""
    rows = ["%s: %s" % (result["image"]["path"], _verdict(result))]
    if result["diagnosis"]:
        cause = result["diagnosis"]
        rows.append("%s%s" % (cause["rule"] + ": " if cause["rule"] else "", cause["sentence"]))
        if cause["evidence"]:
            rows.append("    " + cause["evidence"])
    rows.append("")
    end = max([float(event["seconds"]) for event in result["timeline"]] + [1.0])
    for event in result["timeline"]:
        drawn = "#" * int(round(24 * float(event["seconds"]) / end))
        rows.append("%8.1f s  %-24s  %s" % (float(event["seconds"]), drawn, event["text"]))
    rows.append("")
    for check in result["checks"]:
        rows.append("%-8s %-12s %s: %s" % (check["status"], check["rule"], check["title"], check["evidence"][:160]))
    return rows + ["", result["not_proven"]]


def _verdict(result: Dict[str, Any]) -> str:
    if result["passed"]:
        return "boots and provisions"
    return "is ready, but not as it should be" if result["ready"] else "did not report ready"


def _rows(cells: List[List[str]]) -> str:
    return "".join("<tr>%s</tr>" % "".join(row) for row in cells)


def _cell(text: Any, name: str = "") -> str:
    return "<td%s>%s</td>" % (' class="%s"' % name if name else "", escape(str(text)))


def render(result: Dict[str, Any]) -> str:
    """The page for a result of first_boot."""
    image = result["image"]
    kind = "pass" if result["passed"] else "fail"
    facts = ["Gen%d" % result["generation"], result["accel"].upper(), image["release"], image["kernel"]]
    if result["ready_seconds"] is not None:
        facts.append("ready after %s s" % result["ready_seconds"])
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<title>Proof of %s</title><style>%s</style></head><body>" % (escape(str(image["path"])), STYLE),
        '<h1>The image <span class="%s">%s</span></h1>' % (kind, escape(_verdict(result))),
        '<p class="dim"><code>%s</code><br>%s</p>'
        % (escape(str(image["path"])), escape(" · ".join(str(fact) for fact in facts if fact))),
    ]
    cause = result["diagnosis"]
    if cause:
        rule = "<strong>%s</strong> " % escape(cause["rule"]) if cause["rule"] else ""
        text = escape(cause["sentence"])
        evidence = "<br><code>%s</code>" % escape(cause["evidence"]) if cause["evidence"] else ""
        parts.append('<p class="card">%s%s%s</p>' % (rule, text, evidence))
    parts.append('<p class="dim">%s</p>' % escape(result["not_proven"]))
    parts.append("<h2>Timeline</h2>" + drawing(result["timeline"]))
    head = "<tr><th>Result</th><th class='check'>Check</th><th>Rule</th><th>Evidence</th></tr>"
    checks = [
        [
            _cell(row["status"], "status " + row["status"]),
            _cell(row["title"]),
            _cell(row["rule"], "rule"),
            _cell(row["evidence"]),
        ]
        for row in result["checks"]
    ]
    parts.append("<h2>Checks</h2><table>%s%s</table>" % (head, _rows(checks)))
    if result["unknown_requests"]:
        rows = "\n".join(str(text) for text in result["unknown_requests"])
        parts.append("<h2>Asked for, but not simulated</h2><pre>%s</pre>" % escape(rows))
    head = "<tr><th>Seconds</th><th>Service</th><th>Request</th><th>Client</th><th>Answer</th></tr>"
    requests = [
        [
            _cell(row["seconds"]),
            _cell(row["service"]),
            _cell("%s %s" % (row["method"], row["target"])),
            _cell(row["agent"]),
            _cell("%s %s" % (row["status"], row["note"])),
        ]
        for row in result["requests"][:200]
    ]
    parts.append("<h2>Requests</h2><table>%s%s</table>" % (head, _rows(requests)))
    if len(result["requests"]) > 200:
        parts.append('<p class="dim">The first 200 of %d; all are in proof.json.</p>' % len(result["requests"]))
    parts.append("<h2>End of the serial console</h2><pre>%s</pre>" % escape("\n".join(result["serial_tail"])))
    parts.append("</body></html>\n")
    return "\n".join(parts)
