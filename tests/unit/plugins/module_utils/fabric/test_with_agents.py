"""The fabric's documents, read by the parsers of the real agent and of cloud-init where these can be imported.

Both come as Debian packages below /usr/lib/python3/dist-packages; AZURE_AGENT_PATH names other directories to look
in (for instance packages of several releases, unpacked), separated by colons. Each runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import deployment, imds, ovf_env, wireserver
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.deployment import Request

PLACES = [*filter(None, os.environ.get("AZURE_AGENT_PATH", "").split(":")), "/usr/lib/python3/dist-packages"]
KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 proof"

AGENT = """
import json, sys
from azurelinuxagent.common.protocol.goal_state import HostingEnv
from azurelinuxagent.common.protocol.ovfenv import OvfEnv
from azurelinuxagent.common.protocol.wire import _build_health_report
from azurelinuxagent.common.utils.textutil import find, findtext, parse_doc
data = json.load(sys.stdin)
ovf = OvfEnv(data["ovf"])
goal = parse_doc(data["goal"])
role = find(goal, "RoleInstance")
env = HostingEnv(data["hosting"])
report = _build_health_report(
    findtext(goal, "Incarnation"), findtext(find(goal, "Container"), "ContainerId"), findtext(role, "InstanceId"),
    "Ready", None, None)
print(json.dumps({
    "host": ovf.hostname, "user": ovf.username, "password": ovf.user_password, "key": ovf.ssh_pubkeys[0][2],
    "no_password": ovf.disable_ssh_password_auth, "agent": ovf.provision_guest_agent,
    "config": findtext(find(role, "Configuration"), "ConfigName"), "vm": env.vm_name, "report": report}))
"""

CLOUD_INIT = """
import json, sys
from cloudinit.sources import DataSourceAzure
from cloudinit.sources.helpers import azure
data = json.load(sys.stdin)
ovf = azure.OvfEnvXml.parse_text(data["ovf"])
class Client:
    def get(self, url, secure=False):
        raise AssertionError(url)
goal = azure.GoalState(data["goal"], Client(), need_certificate=False)
report = azure.GoalStateHealthReporter(goal, Client(), "168.63.129.16").build_report(
    incarnation=goal.incarnation, container_id=goal.container_id, instance_id=goal.instance_id, status="Ready")
print(json.dumps({
    "host": ovf.hostname, "user": ovf.username, "password": ovf.password, "key": ovf.public_keys[0]["value"],
    "no_password": ovf.disable_ssh_password_auth, "report": report if isinstance(report, str) else report.decode()}))
"""


def places(package: str) -> list[str]:
    return [place for place in PLACES if (Path(place) / package).is_dir()]


def ask(package: str, script: str, data: dict[str, str]) -> list[dict[str, object]]:
    """What each copy of the package makes of the documents; skipped where there is none that works."""
    answers, reasons = [], []
    for place in places(package):
        done = subprocess.run(
            [os.environ.get("AZURE_AGENT_PYTHON", "/usr/bin/python3"), "-c", script],
            input=json.dumps(data),
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": place},
        )
        if done.returncode == 0:
            answers.append(json.loads(done.stdout.splitlines()[-1]))
        elif "ModuleNotFoundError" in done.stderr:
            reasons.append(done.stderr.strip().splitlines()[-1])
        else:
            pytest.fail(done.stderr)
    if not answers:
        pytest.skip("%s cannot be imported on this machine %s" % (package, reasons or ""))
    return answers


@pytest.mark.parametrize(("package", "script"), [("azurelinuxagent", AGENT), ("cloudinit", CLOUD_INIT)])
@pytest.mark.parametrize("password", ["", "Tr1cky <&> \"word'"])
def test_real_parsers_read_what_was_meant(package: str, script: str, password: str) -> None:
    one = deployment.new_deployment(1, "proofhost", "azureuser", (KEY,), password)
    headers = {"x-ms-version": "2012-11-30"}
    goal, _none = wireserver.respond(one, Request("GET", "/machine/?comp=goalstate", headers, b""))
    data = {
        "ovf": ovf_env.render(one),
        "goal": goal.body.decode(),
        "hosting": wireserver.hosting_environment_document(one).decode(),
    }
    for answer in ask(package, script, data):
        assert (answer["host"], answer["user"], answer["key"]) == ("proofhost", "azureuser", KEY)
        assert answer["password"] == (password or None)
        assert answer["no_password"] is (not password)
        if "vm" in answer:
            assert answer["vm"] == "proofhost"
            assert answer["agent"] == "true"
            assert answer["config"] == wireserver.role_config_name(one)
        report = wireserver.read_report(str(answer["report"]).encode(), one)
        assert report.accepted, report.reason


def test_the_metadata_is_what_cloud_init_indexes() -> None:
    one = deployment.new_deployment(2, "proofhost", "azureuser", (KEY,))
    target = "/metadata/instance?api-version=2021-08-01&extended=true"
    body = imds.respond(one, Request("GET", target, {"metadata": "true"}, b"")).body
    script = """
import json, sys
from cloudinit.sources import DataSourceAzure as ds
md = json.load(sys.stdin)
print(json.dumps({"host": ds._hostname_from_imds(md), "user": ds._username_from_imds(md),
                  "off": ds._disable_password_from_imds(md), "keys": len(md["compute"]["publicKeys"])}))
"""
    for answer in ask("cloudinit", script, json.loads(body)):
        assert answer == {"host": "proofhost", "user": "azureuser", "off": True, "keys": 1}
