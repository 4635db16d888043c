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


#: What a version manager's shim prints for an interpreter that it does not have.
SHIM = """pyenv: python3.13: command not found

The `python3.13' command exists in these Python versions:
  3.13.1

Note: See 'pyenv help global' for tips on allowing both
      python2 and python3 to be found at the same time.
"""


INTERPRETER = "; set ansible_python_interpreter of this host to a Python that it has"


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
            "the audit failed: failed (b: python: not found)" + INTERPRETER,
        ),
        (
            {"msg": "Module result deserialization failed: No start of json char found", "module_stderr": SHIM},
            "the audit failed: Module result deserialization failed: No start of json char found "
            "(pyenv: python3.13: command not found)" + INTERPRETER,
        ),
        (
            {
                "msg": "The module interpreter '/opt/python3' was not found.",
                "module_stderr": "sh: /opt/python3: not found",
            },
            "the audit failed: The module interpreter '/opt/python3' was not found. (sh: /opt/python3: not found)"
            + INTERPRETER,
        ),
        (
            {"msg": "x", "module_stderr": "Traceback (most recent call last):\n  File 'error.py'\nValueError: no\n"},
            "the audit failed: x (ValueError: no)",
        ),
        (
            {"module_stderr": "warning: setlocale: cannot change locale\nShared connection to vm closed.\n"},
            "the audit failed",
        ),
        ({"module_stderr": "one\ntwo\n"}, "the audit failed: one"),
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


def lines_of(results: list[tuple[str, Any]], width: int = 100) -> list[str]:
    return [line for line, _colour in report.table(report.report(results, "recommended", ""), width)]


def test_hosts_with_the_same_findings_are_told_together() -> None:
    """Up to the limit each set of findings stands once, with the evidence, and then each host has its line."""
    other = ("other", result(finding("BOOT-01", "fail", evidence="/boot/grub.cfg:7")))
    lines = lines_of([(f"vm{number}", BAD[1]) for number in range(1, 9)] + [GOOD, GONE, other])
    text = "\n".join(lines)
    assert (
        lines[0] == "vm[1:8]  (Debian 12)" and text.count("Title of SSH-02") == 1 and text.count("sshd_config:3") == 1
    )
    assert "other  (Debian 12)" in lines and "/boot/grub.cfg:7" in text
    assert sum(bool(re.match(r"  vm\d +not ready +fail 2", line)) for line in lines) == 8
    assert lines[-1] == "  11 hosts: 1 ready, 9 not ready, 1 not looked at" and len(lines) < 32


def test_evidence_that_is_one_host_s_alone_says_whose_it_is() -> None:
    lines = lines_of([(name, result(finding("SSH-02", "fail", evidence=name))) for name in ("a", "b")])
    assert lines[0] == "a, b  (Debian 12)" and lines[2].strip() == "a: a"


def test_what_is_unknown_for_one_reason_is_told_once() -> None:
    rows = [finding(f"KERN-{n:02d}", "unknown", "recommended" if n % 2 else "required", "No kernel.") for n in range(9)]
    lines = lines_of([("vm", result(*rows, finding("SSH-02", "unknown", evidence="No sshd."), finding("A-1", "fail")))])
    text = "\n".join(lines)
    assert text.count("No kernel.") == 1 and re.search(r"unknown +SSH-02 +required +Title", text)
    assert re.search(r"  unknown  required: KERN-00, KERN-02, .*; recommended: KERN-01", text)
    assert all(f"KERN-{n:02d}" in text for n in range(9))


@pytest.mark.parametrize("number", [13, 50, 200])
def test_many_hosts_with_the_same_faults_take_a_screen(number: int) -> None:
    results = [(f"vm{index:03d}", BAD[1]) for index in range(number - 3)] + [
        GOOD,
        GONE,
        ("x" * 99, {"msg": "No root."}),
    ]
    lines = lines_of(results, 80)
    assert lines[2] == f"  {number} hosts: 1 ready, {number - 3} not ready, 2 not looked at"
    text = "\n".join(lines)
    assert "  ready, 1 host: good\n" in text
    assert f"  not ready, {number - 3} hosts: vm[000:{number - 4:03d}]\n      2 rules fail: BOOT-01, SSH-02\n" in text
    assert "      1 required rule unknown: KERN-01\n" in text
    assert "  not looked at: gone: unreachable: No route to host" in lines
    assert f"  not looked at: {'x' * 99}: the audit failed: No root." in lines
    assert re.search(rf"fail  BOOT-01 +required +{number - 3} of {number - 2}  Title of BOOT-01", text)
    assert text.index("BOOT-01") < text.index("SSH-02")
    assert len(lines) < 25


def test_the_worst_hosts_come_first_and_no_fleet_fills_more_than_a_few_screens() -> None:
    """200 hosts, no two alike, of 200 rules, with names that have nothing in common."""
    results: list[tuple[str, Any]] = []
    for index in range(200):
        rows = [finding(f"RULE-{rule:03d}", "fail" if rule <= index else "unknown") for rule in range(200)]
        name = f"{index * 7919 % 211:03d}-host-{index % 7}-{'x' * (index % 40)}"
        results.append((name, {"msg": f"reason {index} " + "y" * 2000} if index % 3 == 0 else result(*rows)))
    lines = lines_of(results, 80)
    assert len(lines) < 250, len(lines)
    assert "\n".join(lines).index("200 rules fail") < "\n".join(lines).index("198 rules fail")
    assert max(map(len, lines)) < 2000 and any("other sets of rules" in line for line in lines)
    assert sum(line.startswith("  not looked at: ") for line in lines) == 10
    assert any("not looked at for other reasons, 57 hosts" in line for line in lines)
    assert any("and 160 more rules fail" in line for line in lines)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["vm3", "vm1", "vm2"], ["vm[1:3]"]),
        (["vm1", "vm2"], ["vm1", "vm2"]),
        (["vm08", "vm09", "vm10"], ["vm[08:10]"]),
        (["vm8", "vm9", "vm10", "vm12"], ["vm[8:10]", "vm12"]),
        (["vm09", "vm10", "vm011"], ["vm09", "vm10", "vm011"]),
        (["web1.example.com", "web2.example.com", "web3.example.com"], ["web[1:3].example.com"]),
        (["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.4"], ["10.0.0.[1:3]", "10.0.1.4"]),
        (["a", "b", "localhost"], ["a", "b", "localhost"]),
        ([], []),
    ],
)
def test_names_are_written_as_inventories_write_them(names: list[str], expected: list[str]) -> None:
    assert report.compress(names) == expected


@given(st.sets(st.from_regex(r"(vm|a-)[0-9]{1,2}(b)?", fullmatch=True), max_size=40))
def test_no_name_is_lost_in_a_range(names: set[str]) -> None:
    """Read back as Ansible reads an inventory's range."""
    found: list[str] = []
    for word in report.compress(sorted(names)):
        match = re.fullmatch(r"(.*)\[(\d+):(\d+)\](.*)", word)
        if not match:
            found.append(word)
            continue
        head, first, last, tail = match.groups()
        width = len(first) if first.startswith("0") and len(first) > 1 else 0
        found += [f"{head}{number:0{width}d}{tail}" for number in range(int(first), int(last) + 1)]
    assert sorted(found) == sorted(names)


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
