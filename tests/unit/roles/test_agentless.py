"""The agentless program against a small WireServer and metadata service of its own."""

from __future__ import annotations

import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[3] / "roles/provision_agentless/files/azure-provisioning"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMadeUpKey anna@example.org"

GOAL_STATE = (
    '<?xml version="1.0" encoding="utf-8"?>\r\n<GoalState xmlns:xsi="x">\r\n<Version>2012-11-30</Version>\r\n'
    "<Incarnation>7</Incarnation>\r\n<Container>\r\n<ContainerId>c-1</ContainerId>\r\n<RoleInstanceList><RoleInstance>"
    "<InstanceId>i-1</InstanceId></RoleInstance></RoleInstanceList>\r\n</Container>\r\n</GoalState>\r\n"
)

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="the agentless program needs curl")


class Fabric(http.server.ThreadingHTTPServer):
    """Answers from a table of path to a list of (status, body); the last one repeats."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, dict[str, str], str]] = []
        self.answers: dict[str, list[tuple[int, str]]] = {
            "/machine/?comp=goalstate": [(200, GOAL_STATE)],
            "/machine/?comp=health": [(200, "")],
            "compute/name": [(200, "vm-1")],
            "compute/osProfile/computerName": [(200, "web1")],
            "compute/osProfile/adminUsername": [(200, "anna")],
            "compute/publicKeys/0/keyData": [(200, KEY + "\r\n")],
        }

    def reports(self) -> list[str]:
        return [body for method, path, _headers, body in self.seen if method == "POST"]

    def states(self) -> list[str]:
        return [match for body in self.reports() for match in re.findall(r"<State>(\w+)<", body)]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Fabric

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers, body))
        key = self.path
        if key.startswith("/metadata/instance/"):
            assert headers["metadata"] == "true" and "format=text" in self.path
            key = key.removeprefix("/metadata/instance/").split("?")[0]
        else:
            assert headers["x-ms-version"] == "2012-11-30" and headers["x-ms-agent-name"]
        answers = self.server.answers.get(key, [(404, "<html>not here</html>")])
        status, text = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_arguments: Any) -> None:
        return


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    server = Fabric()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(
    fabric: Fabric, tmp_path: Path, mode: str = "report", program: Path = PROGRAM, **variables: str
) -> subprocess.CompletedProcess[str]:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{fabric.server_address[1]}"
    environment = {
        "AZURE_WIRESERVER": url,
        "AZURE_IMDS": url,
        "AZURE_ROOT": str(root),
        "AZURE_WORK": str(tmp_path / "work"),
        "AZURE_DEADLINE": "30",
        "AZURE_FIRST_DELAY": "0",
        "http_proxy": "http://192.0.2.1:9",
        **variables,
    }
    shell = shutil.which("dash") or "sh"
    return subprocess.run(
        [shell, str(program), mode], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_ready(fabric: Fabric, tmp_path: Path) -> None:
    result = run(fabric, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    root = tmp_path / "root"
    assert fabric.states() == ["Ready"]
    body = fabric.reports()[0]
    for part in ("<GoalStateIncarnation>7<", "<ContainerId>c-1<", "<InstanceId>i-1<"):
        assert part in body
    assert fabric.seen[-1][2]["content-type"] == "text/xml;charset=utf-8"
    assert (root / "etc/hostname").read_text() == "web1\n"
    assert (root / "home/anna/.ssh/authorized_keys").read_text() == KEY + "\n"
    assert (root / "etc/sudoers.d/azure-provisioning").read_text() == "anna ALL=(ALL) NOPASSWD: ALL\n"
    assert (root / "var/lib/azure-provisioning/provisioned").read_text() == "i-1\n"
    count = len(fabric.seen)
    assert run(fabric, tmp_path).returncode == 0
    assert len(fabric.seen) == count, "provisioned twice"


def test_answers_that_pass_are_tried_again(fabric: Fabric, tmp_path: Path) -> None:
    fabric.answers["/machine/?comp=goalstate"] = [(503, ""), (429, ""), (200, "<GoalState/>"), (200, GOAL_STATE)]
    fabric.answers["/machine/?comp=health"] = [(500, ""), (410, ""), (202, "")]
    result = run(fabric, tmp_path)
    assert result.returncode == 0, result.stdout
    assert fabric.states() == ["Ready"] * 3


def test_the_older_metadata_version(fabric: Fabric, tmp_path: Path) -> None:
    fabric.answers["compute/osProfile/computerName"] = [(400, "bad version"), (200, "old1")]
    assert run(fabric, tmp_path).returncode == 0
    assert (tmp_path / "root/etc/hostname").read_text() == "old1\n"


@pytest.mark.parametrize("status", [400, 401, 418])
def test_an_answer_that_will_not_change_ends_it(fabric: Fabric, tmp_path: Path, status: int) -> None:
    fabric.answers["/machine/?comp=goalstate"] = [(status, "no")]
    result = run(fabric, tmp_path)
    assert result.returncode == 1 and str(status) in result.stdout
    assert not (tmp_path / "root/var/lib/azure-provisioning/provisioned").exists()


def test_retries_are_bounded(fabric: Fabric, tmp_path: Path) -> None:
    fabric.answers["/machine/?comp=goalstate"] = [(503, "")]
    result = run(fabric, tmp_path, AZURE_DEADLINE="2", AZURE_FIRST_DELAY="1")
    assert result.returncode == 1 and "within 2 seconds" in result.stdout
    assert fabric.states() == []


def test_a_refused_report_leaves_the_unit_on(fabric: Fabric, tmp_path: Path) -> None:
    fabric.answers["/machine/?comp=health"] = [(400, "")]
    assert run(fabric, tmp_path).returncode == 1
    assert not (tmp_path / "root/var/lib/azure-provisioning/provisioned").exists()


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("compute/osProfile/adminUsername", (200, "root")),
        ("compute/osProfile/adminUsername", (200, "a b; rm -rf /")),
        ("compute/osProfile/adminUsername", (404, "")),
        ("compute/osProfile/adminUsername", (200, "ALL")),
        ("compute/publicKeys/0/keyData", (404, "")),
        ("compute/publicKeys/0/keyData", (200, "\r\n")),
    ],
)
def test_nobody_could_log_in_is_a_failure(fabric: Fabric, tmp_path: Path, path: str, answer: tuple[int, str]) -> None:
    fabric.answers[path] = [answer]
    assert run(fabric, tmp_path).returncode == 1
    assert fabric.states() == ["NotReady"]
    assert "<SubStatus>ProvisioningFailed</SubStatus>" in fabric.reports()[0]


@pytest.mark.parametrize("name", ["", "<html>", "-x", "a b", "x" * 65, "a\nb"])
def test_a_host_name_that_is_none_is_not_used(fabric: Fabric, tmp_path: Path, name: str) -> None:
    fabric.answers["compute/osProfile/computerName"] = fabric.answers["compute/name"] = [(200, name)]
    result = run(fabric, tmp_path)
    assert result.returncode == 0 and "no usable host name" in result.stdout
    assert not (tmp_path / "root/etc/hostname").exists()


@pytest.mark.parametrize("answer", [(200, ""), (200, "a b"), (404, "")])
def test_without_a_computer_name_the_vm_gives_its_own(fabric: Fabric, tmp_path: Path, answer: tuple[int, str]) -> None:
    fabric.answers["compute/osProfile/computerName"] = [answer]
    assert run(fabric, tmp_path).returncode == 0
    assert (tmp_path / "root/etc/hostname").read_text() == "vm-1\n"


def test_metadata_that_come_late_are_waited_for(fabric: Fabric, tmp_path: Path) -> None:
    fabric.answers["compute/name"] = [(404, ""), (500, ""), (404, ""), (200, "vm-1")]
    fabric.answers["compute/osProfile/computerName"] = [(404, "")]
    assert run(fabric, tmp_path).returncode == 0
    assert (tmp_path / "root/etc/hostname").read_text() == "vm-1\n"


def test_the_settings_of_root_for_curl_do_not_count(fabric: Fabric, tmp_path: Path) -> None:
    assert run(fabric, tmp_path / "without").returncode == 0
    count = len(fabric.seen)
    (tmp_path / ".curlrc").write_text("fail\n")
    assert run(fabric, tmp_path / "with", HOME=str(tmp_path)).returncode == 0
    assert len(fabric.seen) == 2 * count


def test_elsewhere_than_on_azure_nothing_happens(fabric: Fabric, tmp_path: Path) -> None:
    tag = tmp_path / "root/sys/class/dmi/id/chassis_asset_tag"
    tag.parent.mkdir(parents=True)
    tag.write_text("\n")
    result = run(fabric, tmp_path)
    assert result.returncode == 0 and "not Azure" in result.stdout
    assert fabric.seen == []
    tag.write_text("7783-7084-3265-9085-8269-3286-77\n")
    assert run(fabric, tmp_path).returncode == 0
    assert fabric.states() == ["Ready"]


def with_commands(tmp_path: Path, commands: dict[str, str], **replaced: str) -> Path:
    """A copy of the program that finds these commands first; each call is noted in the file called."""
    folder = tmp_path / "commands"
    folder.mkdir(parents=True)
    for name, body in commands.items():
        (folder / name).write_text(f"#!/bin/sh\necho {name} $* >>{tmp_path}/called\n{body}\n")
        (folder / name).chmod(0o755)
    text = PROGRAM.read_text()
    for old, new in {"PATH=/": f"PATH={folder}:/", **replaced}.items():
        assert old in text
        text = text.replace(old, new)
    copy = tmp_path / "program"
    copy.write_text(text)
    return copy


#: A drive that appears at the third look.
LATE_DRIVE = (
    'called=${0%/*}/../called; [ "$(grep -c sr0 "$called")" -ge 3 ] || exit 1; for last; do :; done\n'
    'echo "<a:ProvisioningSection><a:HostName>web2</a:HostName>" >"$last/ovf-env.xml"'
)


@pytest.mark.parametrize(("tag", "name"), [("7783-7084-3265-9085-8269-3286-77\n", "web2\n"), (None, "")])
def test_the_medium_is_waited_for_on_azure_only(fabric: Fabric, tmp_path: Path, tag: str | None, name: str) -> None:
    program = with_commands(tmp_path, {"mount": LATE_DRIVE, "umount": "", "sleep": ""})
    root = tmp_path / "root"
    if tag:
        (root / "sys/class/dmi/id").mkdir(parents=True)
        (root / "sys/class/dmi/id/chassis_asset_tag").write_text(tag)
    result = run(fabric, tmp_path, "early", program)
    assert result.returncode == 0, result.stderr
    hostname = root / "etc/hostname"
    assert (hostname.read_text() if hostname.exists() else "") == name
    called = (tmp_path / "called").read_text()
    assert called.count("sleep") == (2 if tag else 0) and called.count("umount") == (1 if tag else 0)
    assert ("no provisioning medium" in result.stdout) is (tag is None)


def test_the_wait_for_the_medium_ends(fabric: Fabric, tmp_path: Path) -> None:
    program = with_commands(tmp_path, {"mount": "exit 1", "sleep": ""})
    tag = tmp_path / "root/sys/class/dmi/id/chassis_asset_tag"
    tag.parent.mkdir(parents=True)
    tag.write_text("7783-7084-3265-9085-8269-3286-77\n")
    result = run(fabric, tmp_path, "early", program)
    assert result.returncode == 0 and "no provisioning medium" in result.stdout
    assert (tmp_path / "called").read_text().count("sleep 1\n") == 9


ACTIVE = 'case "$*" in "is-active --quiet {}") ;; is-active*) exit 3 ;; esac'
FORWARD = 'shift; exec "$@"'


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (
            {"networkctl": "", "nmcli": "", "systemctl": ACTIVE.format("systemd-networkd")},
            "networkctl reconfigure ens3",
        ),
        (
            {"networkctl": "exit 1", "systemctl": ACTIVE.format("systemd-networkd")},
            "systemctl restart systemd-networkd",
        ),
        (
            {"networkctl": "", "nmcli": "", "systemctl": ACTIVE.format("NetworkManager")},
            "nmcli device modify ens3 ipv4.dhcp-hostname web2",
        ),
        ({"wicked": "", "dhclient": "", "systemctl": "exit 3"}, "wicked ifup ens3"),
        ({"dhclient": "", "dhcpcd": "", "systemctl": "exit 3"}, "dhclient -1 ens3"),
        ({"dhcpcd": "", "systemctl": "exit 3"}, "dhcpcd --rebind ens3"),
        ({"dhcpcd": "exit 1", "systemctl": "exit 3"}, "could not be renewed"),
        ({}, "could not be renewed"),
    ],
)
def test_the_client_in_charge_asks_again_with_the_new_name(
    tmp_path: Path, commands: dict[str, str], expected: str
) -> None:
    routes = tmp_path / "route"
    routes.write_text("Iface Destination Gateway\nens4 0000A8C0 0\nens3 00000000 0100A8C0\n")
    program = with_commands(tmp_path, {**commands, "timeout": FORWARD}, **{"/proc/net/route": str(routes)})
    # What the machine of the tests has is out of reach: only the shell, head and these commands.
    (tmp_path / "commands/head").symlink_to(shutil.which("head") or "")
    functions = program.read_text().split("\nmkdir -p")[0]
    script = re.sub(r"PATH=\S+", f"PATH={tmp_path}/commands", functions.replace("START=$(now)", "START=0"), count=1)
    shell = shutil.which("dash") or shutil.which("sh") or ""
    result = subprocess.run(
        [shell, "-c", script + "\nrenew_dhcp web2"], env={}, capture_output=True, text=True, timeout=60, check=False
    )
    log = tmp_path / "called"
    called = log.read_text() if log.exists() else ""
    assert expected in called + result.stdout, called + result.stdout + result.stderr
    assert ("could not be renewed" in result.stdout) is (expected == "could not be renewed")


def test_wrong_use(fabric: Fabric, tmp_path: Path) -> None:
    assert run(fabric, tmp_path, "").returncode == 2
