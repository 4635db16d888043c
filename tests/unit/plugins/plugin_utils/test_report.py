"""The report: what it says of each host, and that hostile text stays text in every format."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.plugin_utils import report

HOSTILE = "<script>alert(1)</script>\"'&]]>\x00\x1b[31m\u2028\ud800é</code>"


def finding(rule: str, status: str, level: str = "required", evidence: str = "seen") -> dict[str, str]:
    return {
        "id": rule,
        "title": f"Title of {rule}",
        "level": level,
        "phase": "prepare",
        "status": status,
        "evidence": evidence,
        "remedy": "Do it.",
        "source": "Prepare Linux for imaging in Azure; Another document",
    }


def result(*findings: dict[str, str], ready: bool = False, **more: Any) -> dict[str, Any]:
    return {"findings": list(findings), "ready": ready, "blocking": [], "system": {"name": "Debian 12"}, **more}


def made(*results: tuple[str, Any]) -> report.Report:
    return report.report(list(results), "recommended", "2026-01-02 03:04 UTC")


GOOD = ("good", result(finding("BOOT-01", "pass"), finding("DISK-07", "waived", "recommended"), ready=True))
BAD = (
    "bad",
    result(
        finding("SSH-02", "fail", "recommended", "/etc/ssh/sshd_config:3"),
        finding("BOOT-01", "fail"),
        finding("KERN-01", "unknown"),
        finding("REPO-08", "unknown", "recommended"),
        finding("NET-02", "not_applicable"),
    ),
)
GONE = ("gone", {"unreachable": True, "msg": "No route to host"})


class Page(HTMLParser):
    """Collects tags, attributes and text, and refuses an end tag without its start."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words += data


def test_a_report_is_ready_only_when_every_host_is() -> None:
    assert made(GOOD).ready
    assert not made(GOOD, BAD).ready
    assert not made(GOOD, GONE).ready
    assert not made().ready


def test_a_host_that_says_ready_but_has_a_failure_is_not() -> None:
    assert not made(("h", result(finding("BOOT-01", "fail"), ready=True))).ready


@pytest.mark.parametrize(
    ("given_result", "expected"),
    [
        ({"unreachable": True, "msg": "No route"}, "unreachable: No route"),
        ({"msg": "There is no rule X to waive."}, "the audit failed: There is no rule X to waive."),
        (
            {"msg": "failed", "module_stderr": "a\nb: python: not found\n"},
            "the audit failed: failed (b: python: not found)",
        ),
        (None, "The host gave no result; the play ended for it before the audit."),
        ({"findings": []}, "the audit failed"),
    ],
)
def test_a_host_without_findings_says_why(given_result: Any, expected: str) -> None:
    host = made(("h", given_result)).hosts[0]
    assert (host.verdict, host.error) == ("not looked at", expected)


def test_the_table_has_a_line_for_what_is_not_in_order_and_a_summary() -> None:
    lines = [line for line, _colour in report.table(made(GOOD, BAD, GONE))]
    text = "\n".join(lines)
    assert re.search(r"fail +BOOT-01 +required +Title of BOOT-01", text)
    assert text.index("BOOT-01     required") < text.index("SSH-02"), "the required failure comes first"
    assert "/etc/ssh/sshd_config:3" in text
    assert "NET-02" not in text and "waived" in text
    summary = lines[lines.index("Azure audit, profile recommended") :]
    assert re.match(r"  good +ready +fail 0 +unknown 0 +waived 1 +pass 1", summary[1])
    assert re.match(r"  bad +not ready +fail 2 +unknown 2", summary[2])
    assert re.match(r"  gone +not looked at +unreachable: No route to host", summary[3])
    colours = dict(report.table(made(GOOD, BAD, GONE)))
    assert colours[summary[1]] == "green" and colours[summary[2]] == "red"


def test_of_many_hosts_each_rule_lists_its_hosts() -> None:
    bad = BAD[1]
    results = [(f"vm{number:03d}", bad) for number in range(199)] + [GONE]
    found = report.report(results, "recommended", "2026-01-02 03:04 UTC")
    lines = [line for line, _colour in report.table(found)]
    broken = {
        (entry["id"], entry["status"]) for entry in bad["findings"] if entry["status"] not in ("pass", "not_applicable")
    }
    # Two for each rule, one for each host, a heading with a blank line before it, and the totals.
    assert len(lines) == 2 * len(broken) + 200 + 3
    assert sum("199 of 200 hosts: vm000, vm001, vm002, vm003, vm004 and 194 more" in line for line in lines) == len(
        broken
    )
    assert lines[-1] == "  200 hosts: 0 ready, 199 not ready, 1 not looked at"
    assert any(line.startswith("  gone ") and "not looked at" in line for line in lines)
    few = [line for line, _colour in report.table(report.report(results[: report.MANY], "recommended", ""))]
    assert not any(" of 12 hosts" in line for line in few) and few[-1].startswith("  12 hosts: ")


def test_json_holds_everything() -> None:
    data = json.loads(report.to_json(made(GOOD, BAD, GONE)))
    assert [host["verdict"] for host in data["hosts"]] == ["ready", "not ready", "not looked at"]
    assert data["ready"] is False and data["profile"] == "recommended"
    assert data["hosts"][1]["findings"][0]["evidence"] == "/etc/ssh/sshd_config:3"


def test_junit_counts_and_kinds() -> None:
    root = ElementTree.fromstring(report.to_junit(made(GOOD, BAD, GONE)))
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "8",
        "failures": "2",
        "errors": "2",
        "skipped": "3",
    }
    case = root.find(".//testcase[@name='BOOT-01 Title of BOOT-01'][@classname='bad.BOOT']")
    assert case is not None and case.find("failure") is not None
    assert root.find(".//testsuite[@name='gone']/testcase/error") is not None


def test_the_page_is_whole_and_fetches_nothing() -> None:
    page = Page(report.to_html(made(GOOD, BAD, GONE)))
    assert page.open == []
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "onclick", "onload"} & set(attributes)
        assert not (attributes.get("href") or "#").startswith(("http:", "//", "javascript:"))
    assert "1 of 3 hosts are ready for Azure" in page.words
    assert "Title of SSH-02" in page.words and "No route to host" in page.words
    style = report.to_html(made(GOOD))
    assert "@import" not in style and "url(" not in style
    assert sum(1 for tag, _attributes in page.tags if tag == "section") == 3
    ids = [attributes["id"] for _tag, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("key", ["id", "title", "level", "status", "evidence", "remedy", "source"])
def test_hostile_text_stays_text(key: str) -> None:
    one = finding("BOOT-01", "fail")
    one[key] = HOSTILE
    found = made((HOSTILE, result(one, system={"name": HOSTILE, "kernel": HOSTILE})), (HOSTILE, {"msg": HOSTILE}))
    text = report.to_html(found)
    page = Page(text)
    assert [tag for tag, _attributes in page.tags].count("script") == 1
    assert page.open == []
    assert "\x1b" not in text and "\x00" not in text
    ElementTree.fromstring(report.to_junit(found))
    json.loads(report.to_json(found))
    assert not any("\x1b" in line or "\n" in line for line, _colour in report.table(found))
    text.encode("utf-8")


@given(st.text(max_size=60), st.text(max_size=200), st.sampled_from(report.ORDER))
def test_no_text_breaks_a_format(name: str, evidence: str, status: str) -> None:
    found = made((name, result(finding("BOOT-01", status, evidence=evidence))), (name, {"msg": evidence}))
    assert Page(report.to_html(found)).open == []
    ElementTree.fromstring(report.to_junit(found).encode("utf-8"))
    assert json.loads(report.to_json(found))["hosts"][0]["name"] == report.clean(name)
