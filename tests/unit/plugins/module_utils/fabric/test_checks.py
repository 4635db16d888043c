"""What a proof judges, from facts as a guest prints them; the page; the options of the module."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import checks, deployment, guest, page, pcap, proof
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.console import Seen
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.deployment import Entry, Report
from ansible_collections.linuxvhd.azure.plugins.modules import first_boot

FACTS = """@@user
azureuser
@@sudo
root
@@hostname
azureproof
@@machine_id
577a1a31ba074b6ea2e8097d4e5db4df
@@boot_id
e0f6
@@boot_time
1700000000
@@now
1700000090
@@changed
1700000030 /etc/machine-id
1700000050 /etc/ssh/ssh_host_ed25519_key
@@host_keys
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE root@azureproof
@@accounts
azureuser
@@keys
ssh-rsa AAAA azure-proof
@@system
running
@@failed
@@mounts
/dev/sda1 / ext4 rw 0 0
@@swaps
Filename Type Size Used Priority
@@release
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
@@kernel
6.1.0-50-amd64
@@ovf
<ns0:Environment><ns1:KmsServerHostname>kms.core.windows.net</ns1:KmsServerHostname>
@@end
"""
SEEN = {
    "kernel": Seen(1.0, "Linux version 6.1"),
    "init": Seen(2.0, "systemd[1]: systemd 252 running in system mode"),
    "root": Seen(2.0, "EXT4-fs (sda1): mounted filesystem"),
}
UP = pcap.Traffic(9, ("discover", "offer", "request", "ack"), 1.0, ("160.0.0.15",), ())


def ready(agent: str = "Cloud-Init/22.4.2") -> Entry:
    report = Report("Ready", "", "", "1", "c", "i", True, "")
    return Entry(30.0, "wireserver", "POST", "/machine?comp=health", agent, 200, "health", "Ready", True, report)


def evidence(text: str = FACTS, **changes: Any) -> checks.Evidence:
    facts = guest.parse_facts(text)
    base = checks.Evidence(
        options=proof.Options("x.vhd"),
        deployment=deployment.new_deployment(1, "azureproof", "azureuser", ()),
        generation=1,
        seen=SEEN,
        traffic=UP,
        entries=[ready()],
        later_entries=[],
        facts=facts,
        login=guest.Login(True, text, ""),
        password_login=None,
        offered="publickey",
        medium_read=70000,
        buses=("virtio-scsi",),
        tried_second=True,
        second=guest.parse_facts(text),
    )
    return base._replace(**changes)


def status(found: list[checks.Check]) -> dict[str, str]:
    return {check.id: check.status for check in found}


def test_a_good_boot_passes_everything_but_the_resource_disk() -> None:
    found = status(checks.judge(evidence()))
    assert found.pop("resource_disk") == "skipped"
    assert set(found.values()) == {"pass"}
    assert len(found) == 14


BROKEN = [
    ("console", evidence(seen={})),
    ("network", evidence(traffic=pcap.NOTHING)),
    ("configuration", evidence(FACTS.replace("KmsServerHostname", "ConfigurationSetType"))),
    ("ready", evidence(entries=[])),
    ("ready", evidence(entries=[ready(), ready()])),
    ("provisioner", evidence(options=proof.Options("x", provisioner="waagent"))),
    ("user", evidence(FACTS.replace("azureuser\n@@sudo", "other\n@@sudo"))),
    ("user", evidence("", facts={}, login=guest.Login(False, "", "Permission denied (publickey)."))),
    ("user", evidence(options=proof.Options("x", ssh_public_key="ssh-ed25519 BBBB me"))),
    ("accounts", evidence(FACTS.replace("@@accounts\n", "@@accounts\nbuilder\n"))),
    ("hostname", evidence(FACTS.replace("@@hostname\nazureproof", "@@hostname\nlocalhost"))),
    ("host_keys", evidence(FACTS.replace("1700000050", "1600000000"))),
    ("host_keys", evidence(FACTS.replace("1700000050", "1700003650"))),
    ("machine_id", evidence(FACTS.replace("1700000030", "1600000000"))),
    ("machine_id", evidence(FACTS.replace("1700000030", "1700003630"))),
    ("machine_id", evidence(FACTS.replace("577a1a31ba074b6ea2e8097d4e5db4df", "uninitialized"))),
    ("machine_id", evidence(FACTS.replace("@@end", "@@cmdline\nroot=UUID=1 systemd.machine_id=577a1a31ba074b\n@@end"))),
    ("password", evidence(offered="publickey,password")),
    ("password", evidence(options=proof.Options("x", password="p"), password_login=guest.Login(False, "", "denied"))),
    ("units", evidence(FACTS.replace("@@failed\n", "@@failed\nnginx.service loaded failed failed web\n"))),
    ("second_boot", evidence(second=None)),
    ("second_boot", evidence(second=guest.parse_facts(FACTS.replace("AAAAIE root", "AAAAIF root")))),
    ("second_boot", evidence(later_entries=[ready()])),
]


@pytest.mark.parametrize(("name", "found"), BROKEN, ids=["%s-%d" % (case[0], at) for at, case in enumerate(BROKEN)])
def test_each_fault_fails_its_own_check(name: str, found: checks.Evidence) -> None:
    assert status(checks.judge(found))[name] == "fail"


def test_without_a_login_nothing_inside_passes() -> None:
    found = status(checks.judge(evidence("", facts={}, login=None, second=None, tried_second=False)))
    inside = ("user", "accounts", "hostname", "host_keys", "machine_id", "password", "units", "second_boot")
    assert {found[name] for name in inside} == {"skipped"}


def test_units_that_need_hyperv_are_told_and_not_judged() -> None:
    text = FACTS.replace("@@failed\n", "@@failed\nhv-kvp-daemon.service loaded failed failed x\nchrony.service x\n")
    check = next(check for check in checks.judge(evidence(text)) if check.id == "units")
    assert check.status == "pass"
    assert "hv-kvp-daemon.service (needs Hyper-V's devices)" in check.evidence


def test_two_provisioners_may_each_report_once() -> None:
    found = status(checks.judge(evidence(entries=[ready(), ready("WALinuxAgent/2.7.3.0")])))
    assert found["ready"] == "pass"


@pytest.mark.parametrize(
    ("agent", "state", "status_of_check"),
    [
        # An agent that provisioning is switched off in says at every start that it is ready.
        ("WALinuxAgent/2.7.3.0", "Ready", "pass"),
        ("WALinuxAgent/2.7.3.0", "NotReady", "fail"),
        ("Cloud-Init/22.4.2", "Ready", "fail"),
        ("curl/7.88.1", "Ready", "fail"),
    ],
)
def test_reports_of_the_second_boot(agent: str, state: str, status_of_check: str) -> None:
    report = Report(state, "", "", "1", "c", "i", True, "")
    later = ready(agent)._replace(report=report, note=state)
    assert status(checks.judge(evidence(later_entries=[later])))["second_boot"] == status_of_check


def test_an_agent_that_fails_beside_cloud_init_is_no_success() -> None:
    report = Report("NotReady", "ProvisioningFailed", "cloud-init appears to be installed", "1", "c", "i", True, "")
    later = ready("WALinuxAgent/2.12.0.2")._replace(report=report, note="NotReady")
    found = next(check for check in checks.judge(evidence(entries=[ready(), later])) if check.id == "ready")
    assert (found.status, found.rule) == ("fail", "AGENT-04")
    assert "cloud-init appears" in found.evidence


def asked(topic: str) -> Entry:
    return Entry(20.0, "imds", "GET", "/metadata/" + topic, "", 200, topic, "", True, None)


@pytest.mark.parametrize(
    ("agent", "topics", "message", "wanted"),
    [
        # The article's program: it reports ready, takes the host name at most, and leaves accounts alone.
        ("", ["instance/compute/name"], "Permission denied (publickey).", "skipped"),
        ("", ["instance/compute/osProfile/adminUsername"], "Permission denied (publickey).", "fail"),
        ("", ["instance/compute/publicKeys/0/keyData"], "Permission denied (publickey).", "fail"),
        ("", ["instance"], "Permission denied (publickey).", "fail"),
        ("", [], "Connection refused", "fail"),
        ("Cloud-Init/22.4.2", [], "Permission denied (publickey).", "fail"),
    ],
)
def test_a_program_that_makes_no_user(agent: str, topics: list[str], message: str, wanted: str) -> None:
    entries = [*[asked(topic) for topic in topics], ready(agent)]
    found = evidence("", facts={}, entries=entries, login=guest.Login(False, "", message))
    assert status(checks.judge(found))["user"] == wanted


def test_passwords_are_no_business_of_an_agentless_program() -> None:
    found = evidence(offered="publickey,password", entries=[asked("instance"), ready("curl/7.88.1")])
    assert status(checks.judge(found))["password"] == "skipped"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Cloud-Init/25.1", "cloud-init"),
        ("WALinuxAgent/2.12", "waagent"),
        ("WALinuxAgent", "waagent"),
        ("curl/7.88.1", "agentless"),
        ("", "agentless"),
    ],
)
def test_who_reported(agent: str, name: str) -> None:
    assert checks.agent_name(evidence(entries=[ready(agent)])) == name


def result() -> dict[str, Any]:
    return {
        "ready": True,
        "passed": False,
        "ready_seconds": 30.0,
        "generation": 1,
        "accel": "tcg",
        "checks": [check._asdict() for check in checks.judge(evidence(seen={}))],
        "timeline": [
            {"seconds": 0.1, "name": "power_on", "text": "power <on>"},
            {"seconds": 9.0, "name": "x", "text": "y" * 90},
        ],
        "diagnosis": {"cause": "c", "rule": "BOOT-01", "sentence": "<b>No</b> console.", "evidence": "&"},
        "requests": [deployment.entry_as_dict(ready("<script>alert(1)</script>"))] * 201,
        "unknown_requests": ["imds GET /<x>"],
        "serial_tail": ["</pre><script>alert(2)</script>"],
        "not_proven": proof.NOT_PROVEN,
        "image": {"path": "/x/<i>.vhd", "release": "Debian", "kernel": "6.1"},
    }


def test_the_page_stands_alone_and_escapes_what_the_guest_says() -> None:
    text = page.render(result())
    assert "<script" not in text and "<b>No</b>" not in text
    assert "http://" not in text and "https://" not in text
    assert text.count("<svg") == 1 and "prefers-color-scheme: dark" in text
    assert "The first 200 of 201" in text
    assert proof.NOT_PROVEN.split(";")[0] in text


def test_the_lines_hold_verdict_timeline_checks_and_limits() -> None:
    rows = page.lines(result())
    assert rows[0] == "/x/<i>.vhd: is ready, but not as it should be"
    assert rows[1] == "BOOT-01: <b>No</b> console."
    assert any(row.startswith("     0.1 s") for row in rows)
    assert sum(row.startswith(("pass ", "fail ", "skipped ")) for row in rows) == 15
    assert rows[-1] == proof.NOT_PROVEN


def params(**changes: Any) -> dict[str, Any]:
    values = {name: spec.get("default") for name, spec in first_boot.argument_spec().items()}
    return dict(values, path="x.vhd", **changes)


def test_the_modules_options_are_the_proofs() -> None:
    assert first_boot.read_options(params()) == proof.Options("x.vhd")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hostname": "a b"}, "hostname is 'a b'"),
        ({"hostname": "x\n"}, "hostname"),
        ({"user": "root"}, "not root"),
        ({"user": "a/b"}, "lower-case"),
        ({"ssh_public_key": "no key"}, "no public key line"),
        ({"password": "a\nb"}, "control characters"),
        ({"timeout": 0}, "timeout is 0; it must be between 10 and 86400"),
        ({"memory_mib": 1}, "memory_mib"),
    ],
)
def test_a_wrong_option_gets_a_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AzurePrepError, match=sentence):
        first_boot.read_options(params(**change))
