"""publish-azure.yml against a recording az: which resources are made, with which bodies, and when none."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, playbook
from pageblob_server import PageBlobServer
from test_upload import SIZE, make_vhd

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000001"
GROUP = SUBSCRIPTION + "/resourceGroups/images"
COMPUTE = GROUP + "/providers/Microsoft.Compute"
ACCOUNT = GROUP + "/providers/Microsoft.Storage/storageAccounts/imagestore"
CONTAINER = ACCOUNT + "/blobServices/default/containers/images"

MANIFEST = {
    "manifest_version": 1,
    "guest": "web1",
    "captured_at": "2026-01-02T03:04:05Z",
    "virtual_size_bytes": SIZE,
    "sha256": "ab" * 32,
    "hyper_v_generation": "2",
    "architecture": "x86_64",
    "distribution": "Debian",
    "distribution_version": "12.8",
    "kernel": "6.1.0",
    "state": "generalized",
}

#: What the Azure Resource Manager REST reference allows below "properties" in the bodies that the role sends
#: (Microsoft.Compute 2023-04-02 to 2023-09-01, Microsoft.Storage 2023-01-01), as far as it is used: name to shape.
TEXT, NUMBER, FLAG, ID = "text", 0, True, {"id": "text"}
SHAPES: dict[str, Any] = {
    "resourceGroups": {"location": TEXT, "tags": {}},
    "storageAccounts": {
        "location": TEXT,
        "kind": TEXT,
        "sku": {"name": TEXT},
        "tags": {},
        "properties": {"minimumTlsVersion": TEXT, "supportsHttpsTrafficOnly": FLAG, "allowBlobPublicAccess": FLAG},
    },
    "containers": {"properties": {"publicAccess": TEXT}},
    "disks": {
        "location": TEXT,
        "sku": {"name": TEXT},
        "tags": {},
        "properties": {
            "osType": TEXT,
            "hyperVGeneration": TEXT,
            "supportedCapabilities": {"architecture": TEXT},
            "creationData": {"createOption": TEXT, "uploadSizeBytes": NUMBER},
        },
    },
    "images": {
        "location": TEXT,
        "tags": {},
        "properties": {
            "hyperVGeneration": TEXT,
            "sourceVirtualMachine": ID,
            "storageProfile": {
                "osDisk": {"osType": TEXT, "osState": TEXT, "caching": TEXT, "blobUri": TEXT, "managedDisk": ID}
            },
        },
    },
    "galleries": {"location": TEXT, "tags": {}, "properties": {}},
    "galleries/images": {
        "location": TEXT,
        "tags": {},
        "properties": {
            "osType": TEXT,
            "osState": TEXT,
            "hyperVGeneration": TEXT,
            "architecture": TEXT,
            "identifier": {"publisher": TEXT, "offer": TEXT, "sku": TEXT},
            "features": [{"name": TEXT, "value": TEXT}],
        },
    },
    "galleries/images/versions": {
        "location": TEXT,
        "tags": {},
        "properties": {
            "publishingProfile": {
                "replicaCount": NUMBER,
                "excludeFromLatest": FLAG,
                "targetRegions": [{"name": TEXT, "regionalReplicaCount": NUMBER}],
            },
            "storageProfile": {
                "source": {"virtualMachineId": TEXT},
                "osDiskImage": {"source": {"id": TEXT, "storageAccountId": TEXT, "uri": TEXT}},
            },
        },
    },
    "virtualMachines": {
        "location": TEXT,
        "tags": {},
        "properties": {
            "hardwareProfile": {"vmSize": TEXT},
            "storageProfile": {"imageReference": ID, "osDisk": {"createOption": TEXT, "deleteOption": TEXT}},
            "osProfile": {
                "computerName": TEXT,
                "adminUsername": TEXT,
                "allowExtensionOperations": FLAG,
                "linuxConfiguration": {
                    "provisionVMAgent": FLAG,
                    "disablePasswordAuthentication": FLAG,
                    "ssh": {"publicKeys": [{"path": TEXT, "keyData": TEXT}]},
                },
            },
            "networkProfile": {
                "networkApiVersion": TEXT,
                "networkInterfaceConfigurations": [
                    {
                        "name": TEXT,
                        "properties": {
                            "primary": FLAG,
                            "deleteOption": TEXT,
                            "ipConfigurations": [{"name": TEXT, "properties": {"subnet": ID}}],
                        },
                    }
                ],
            },
            "diagnosticsProfile": {"bootDiagnostics": {"enabled": FLAG}},
            "securityProfile": {"securityType": TEXT, "uefiSettings": {"secureBootEnabled": FLAG, "vTpmEnabled": FLAG}},
        },
    },
}


def check_shape(body: Any, shape: Any, where: str) -> None:
    if isinstance(shape, dict):
        assert isinstance(body, dict), where
        for name, value in body.items():
            if shape == {}:
                assert isinstance(value, str), f"{where}.{name} is {value!r}"
                continue
            assert name in shape, f"{where}.{name} is not in the REST reference"
            check_shape(value, shape[name], f"{where}.{name}")
    elif isinstance(shape, list):
        assert isinstance(body, list), where
        for value in body:
            check_shape(value, shape[0], where + "[]")
    else:
        assert type(body) is type(shape), f"{where} is {body!r}"
        assert body != "", f"{where} is empty"


def kind_of(path: str) -> str:
    """Resource type: the last type names of the path, as in SHAPES."""
    if "/providers/" not in path:
        return "resourceGroups"
    names = path.split("/providers/")[1].split("/")[1::2]
    return "containers" if names[-1] == "containers" else "/".join(names)


class Publish:
    """One working directory with a VHD, its manifest, a blob server and the recording az."""

    def __init__(self, folder: Path, server: PageBlobServer) -> None:
        self.folder, self.server = folder, server
        self.vhd = make_vhd(folder / "web1.vhd")
        self.manifest = folder / "web1.vhd.manifest.json"
        self.manifest.write_text(json.dumps(MANIFEST))
        self.state = folder / "state.json"
        self.state.write_text(json.dumps({"resources": {}, "calls": [], "url": server.url("web1.vhd")}))
        (folder / "bin").mkdir()
        shutil.copy(ROOT / "tests/upload/fake_az.py", folder / "bin/az")
        (folder / "bin/az").chmod(0o755)
        self.variables: dict[str, Any] = {
            "azure_publish_vhd": str(self.vhd),
            "azure_publish_resource_group": "images",
            "azure_publish_location": "westeurope",
            "azure_publish_storage_account": "imagestore",
            "azure_publish_control": "az",
            "azure_publish_auth": "sas",
            "azure_publish_poll_seconds": 0,
            "azure_publish_create_resource_group": True,
            "azure_publish_create_storage": True,
            "azure_publish_create_gallery": True,
        }

    def run(self, *arguments: str, path: str = "", **variables: Any) -> str:
        values = {**self.variables, **{"azure_" + name: value for name, value in variables.items()}}
        (self.folder / "vars.json").write_text(json.dumps(values))
        environment = {
            "FAKE_AZ_STATE": str(self.state),
            "PATH": path or f"{self.folder}/bin:{os.environ['PATH']}",
        }
        done = playbook(
            ["playbooks/publish-azure.yml", "-e", f"@{self.folder}/vars.json", *arguments], environment=environment
        )
        self.status = done.returncode
        return done.stdout

    def recorded(self) -> dict[str, Any]:
        return json.loads(self.state.read_text())

    def made(self) -> dict[str, dict[str, Any]]:
        """path -> body of every PUT, each checked against the REST reference."""
        found: dict[str, dict[str, Any]] = {}
        for call in self.recorded()["calls"]:
            if call[0] == "rest" and call[call.index("--method") + 1] == "put":
                path = call[call.index("--url") + 1].split("?")[0]
                body = json.loads(call[call.index("--body") + 1])
                check_shape(body, SHAPES[kind_of(path)], kind_of(path))
                found[path] = body
        return found

    def commands(self) -> list[str]:
        return [" ".join(call[:2]) for call in self.recorded()["calls"] if call[0] not in ("rest", "account")]


@pytest.fixture
def publish(tmp_path: Path, server: PageBlobServer) -> Publish:
    return Publish(tmp_path, server)


def test_managed_image_then_nothing(publish: Publish) -> None:
    out = publish.run()
    assert publish.status == 0, out
    made = publish.made()
    image = COMPUTE + "/images/web1"
    assert list(made) == [GROUP, ACCOUNT, CONTAINER, image]
    assert made[image] == {
        "location": "westeurope",
        "tags": {
            "linuxvhd-guest": "web1",
            "linuxvhd-captured-at": "2026-01-02T03:04:05Z",
            "linuxvhd-distribution": "Debian 12.8",
            "linuxvhd-kernel": "6.1.0",
            "linuxvhd-sha256": "ab" * 32,
        },
        "properties": {
            "hyperVGeneration": "V2",
            "storageProfile": {
                "osDisk": {
                    "osType": "Linux",
                    "osState": "Generalized",
                    "caching": "ReadWrite",
                    "blobUri": "https://imagestore.blob.core.windows.net/images/web1.vhd",
                }
            },
        },
    }
    assert publish.server.blob("web1.vhd").content() == publish.vhd.read_bytes()
    assert "sig=" not in out
    again = publish.run()
    assert publish.status == 0 and "changed=0" in again, again
    assert "was there already" in again


def test_check_says_what_would_be_made_and_makes_nothing(publish: Publish) -> None:
    out = publish.run("--check", "--diff", publish_gallery="pics", publish_target="gallery")
    assert publish.status == 0, out
    for name in ("resource group images", "storage account imagestore", "container images", "gallery pics"):
        assert f"Would create the {name} " in out
    assert "Would create the gallery image definition web1" in out
    assert "Would create the image version 1.0.0 of web1" in out
    assert "Would upload" in out
    assert publish.made() == {} and publish.server.seen == [] and publish.commands() == []


def test_gallery_version_specialized_with_security_type(publish: Publish) -> None:
    publish.manifest.write_text(json.dumps({**MANIFEST, "state": "specialized", "architecture": "aarch64"}))
    out = publish.run(
        publish_target="gallery",
        publish_gallery="pics",
        publish_security_type="TrustedLaunchSupported",
        publish_features={"DiskControllerTypes": "SCSI, NVMe"},
        publish_regions=["westeurope", "northeurope"],
        publish_replicas=2,
        publish_version="2.3.4",
        publish_tags={"team": "linux"},
    )
    assert publish.status == 0, out
    made = publish.made()
    definition = made[COMPUTE + "/galleries/pics/images/web1"]["properties"]
    assert (definition["osState"], definition["hyperVGeneration"], definition["architecture"]) == (
        "Specialized",
        "V2",
        "Arm64",
    )
    assert definition["features"] == [
        {"name": "SecurityType", "value": "TrustedLaunchSupported"},
        {"name": "DiskControllerTypes", "value": "SCSI, NVMe"},
    ]
    version = made[COMPUTE + "/galleries/pics/images/web1/versions/2.3.4"]
    assert version["tags"]["team"] == "linux"
    assert version["properties"]["publishingProfile"]["targetRegions"] == [
        {"name": "westeurope", "regionalReplicaCount": 2},
        {"name": "northeurope", "regionalReplicaCount": 2},
    ]
    assert version["properties"]["storageProfile"] == {
        "osDiskImage": {
            "source": {
                "storageAccountId": ACCOUNT,
                "uri": "https://imagestore.blob.core.windows.net/images/web1.vhd",
            }
        }
    }


def test_managed_disk_way(publish: Publish) -> None:
    publish.server.disk = True
    publish.server.add(SIZE + 512, "web1.vhd")
    out = publish.run(publish_via="managed_disk", publish_storage_account="")
    assert publish.status == 0, out
    made = publish.made()
    disk = COMPUTE + "/disks/web1-upload"
    assert list(made) == [GROUP, disk, COMPUTE + "/images/web1"]
    assert made[disk]["properties"]["creationData"] == {"createOption": "Upload", "uploadSizeBytes": SIZE + 512}
    assert made[COMPUTE + "/images/web1"]["properties"]["storageProfile"]["osDisk"]["managedDisk"] == {"id": disk}
    assert publish.commands() == ["disk grant-access", "disk revoke-access"]
    assert publish.server.blob("web1.vhd").content() == publish.vhd.read_bytes()
    assert "sig=" not in out


def test_access_is_taken_back_when_the_upload_fails(publish: Publish) -> None:
    publish.server.disk = True
    publish.server.add(SIZE + 1024 * 1024 + 512, "web1.vhd")
    out = publish.run("-vvvv", publish_via="managed_disk")
    assert publish.status != 0
    assert "--upload-size-bytes" in out
    assert publish.commands() == ["disk grant-access", "disk revoke-access"]
    assert "sig=" not in out


def test_nothing_is_created_unasked(publish: Publish) -> None:
    out = publish.run(publish_create_storage=False)
    assert publish.status != 0
    assert "The storage account imagestore does not exist. Create it, or set azure_publish_create_storage" in " ".join(
        out.split()
    )
    assert list(publish.made()) == [GROUP]


def test_a_definition_of_another_kind_is_refused(publish: Publish) -> None:
    definition = COMPUTE + "/galleries/pics/images/web1"
    state = publish.recorded()
    properties = {"osState": "Specialized", "hyperVGeneration": "V1"}
    state["resources"] = {COMPUTE + "/galleries/pics": {}, definition: {"properties": properties}}
    publish.state.write_text(json.dumps(state))
    out = publish.run(publish_target="gallery", publish_gallery="pics")
    assert publish.status != 0
    assert "is for Specialized, V1, x64, and the image is generalized, V2, x64" in " ".join(out.split())


def test_a_failed_creation_is_told(publish: Publish) -> None:
    state = publish.recorded()
    state["fails"] = "/images/web1"
    publish.state.write_text(json.dumps(state))
    out = publish.run()
    assert publish.status != 0
    assert "The managed image web1 is in the state Failed" in " ".join(out.split())


@pytest.mark.parametrize("variables", [{"publish_vhd": ""}, {"publish_source_vm": "builder"}])
def test_what_is_published_is_asked_before_anything_is_read(publish: Publish, variables: dict[str, Any]) -> None:
    out = publish.run(**variables)
    assert (
        publish.status != 0 and "Set azure_publish_vhd to the path of the fixed VHD, or azure_publish_source_vm" in out
    )
    assert "Look for the manifest" not in out and "Read the size" not in out, out


def test_without_manifest_variables_say_it(publish: Publish) -> None:
    publish.manifest.unlink()
    out = publish.run()
    assert publish.status != 0
    assert "Set azure_publish_generation (1 or 2)" in " ".join(out.split())
    assert publish.server.seen == [] and publish.made() == {}
    out = publish.run(publish_generation=1, publish_architecture="x86_64", publish_state="generalized")
    assert publish.status == 0, out
    assert publish.made()[COMPUTE + "/images/web1"]["properties"]["hyperVGeneration"] == "V1"


def test_manifest_of_another_disk(publish: Publish) -> None:
    publish.manifest.write_text(json.dumps({**MANIFEST, "virtual_size_bytes": SIZE * 2}))
    out = publish.run()
    assert publish.status != 0 and "speaks of a disk of" in out


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"state": "specialized"}, "A managed image is always generalized"),
        ({"architecture": "aarch64"}, "A managed image is always generalized"),
        ({"state": "unknown"}, "state (?)"),
    ],
)
def test_what_a_managed_image_cannot_be(publish: Publish, changes: dict[str, str], sentence: str) -> None:
    publish.manifest.write_text(json.dumps({**MANIFEST, **changes}))
    out = publish.run()
    assert publish.status != 0 and sentence in " ".join(out.split())


def test_vm_in_azure_without_agent(publish: Publish) -> None:
    """The no-agent article: deallocate, generalize, image create, and a VM with the agent declared absent."""
    options: dict[str, Any] = {
        "publish_vhd": "",
        "publish_source_vm": "builder",
        "publish_generation": 2,
        "publish_architecture": "x86_64",
        "publish_state": "generalized",
        "publish_vm": "try1",
        "publish_vm_subnet_id": GROUP + "/providers/Microsoft.Network/virtualNetworks/net/subnets/default",
        "publish_vm_ssh_public_key": "ssh-ed25519 AAAA me",
    }
    out = publish.run(**options)
    assert publish.status != 0 and "can never be started again" in out
    assert publish.commands() == []
    out = publish.run(**options, confirm_generalize="builder")
    assert publish.status == 0, out
    assert publish.commands() == ["vm deallocate", "vm generalize"]
    made = publish.made()
    image = COMPUTE + "/images/builder"
    assert made[image]["properties"] == {
        "hyperVGeneration": "V2",
        "sourceVirtualMachine": {"id": COMPUTE + "/virtualMachines/builder"},
    }
    vm = made[COMPUTE + "/virtualMachines/try1"]["properties"]
    assert vm["osProfile"]["linuxConfiguration"]["provisionVMAgent"] is False
    assert vm["osProfile"]["allowExtensionOperations"] is False
    assert vm["storageProfile"]["imageReference"] == {"id": image}


def test_no_control_plane_is_said_with_the_install_command(publish: Publish, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "python3", "rm", "mkdir", "cat", "ls", "chmod", "uname", "env", "mv", "touch", "id", "sleep"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    out = publish.run(publish_control="auto", path=str(tools))
    assert publish.status != 0
    words = " ".join(out.split())
    assert "pip install azure-cli" in words and "ansible-galaxy collection install azure.azcollection" in words
    out = publish.run(publish_control="azcollection", path=str(tools))
    assert publish.status != 0
    assert "ansible-galaxy collection install azure.azcollection" in " ".join(out.split())


def test_upload_only_needs_no_control_plane(publish: Publish) -> None:
    url = publish.server.url("only.vhd")
    out = publish.run("-vvvv", publish_control="none", publish_target="none", publish_url=url)
    assert publish.status == 0, out
    assert publish.server.blob("only.vhd").content() == publish.vhd.read_bytes()
    assert publish.recorded()["calls"] == []
    # The variable comes from a file of the caller's; nothing of ours repeats it.
    assert url.split("sig=")[1] not in out


STUB = """
from ansible.module_utils.basic import AnsibleModule
import json, os
def main():
    module = AnsibleModule(argument_spec=dict(url=dict(), api_version=dict(), subscription_id=dict(), method=dict(),
        body=dict(type="dict"), status_code=dict(type="list", elements="int")))
    path = os.environ["FAKE_AZ_STATE"]
    state = json.load(open(path))
    url = module.params["url"]
    argv = ["rest", "--method", "put", "--url", url, "--body", json.dumps(module.params["body"])]
    if module.params["method"]:
        state["resources"][url] = module.params["body"]
        state["calls"].append(argv)
        json.dump(state, open(path, "w"))
        module.exit_json(changed=True, response={})
    known = state["resources"].get(url)
    module.exit_json(status_code=200 if known is not None else 404, response=[known or {"error": {}}])
main()
"""


def test_azure_collection_is_used_when_it_is_there(publish: Publish, tmp_path: Path) -> None:
    """With stand-ins for its two modules: which one is called with what, and that az is not."""
    base = tmp_path / "collections/ansible_collections/azure/azcollection"
    (base / "plugins/modules").mkdir(parents=True)
    (base / "galaxy.yml").write_text("namespace: azure\nname: azcollection\nversion: 3.12.0\n")
    for name in ("azure_rm_resource", "azure_rm_resource_info"):
        (base / f"plugins/modules/{name}.py").write_text(STUB)
    paths = f"{ROOT}/.ansible/collections:{tmp_path}/collections"
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = paths
    try:
        out = publish.run(
            publish_control="auto",
            publish_subscription="00000000-0000-0000-0000-000000000001",
            publish_url=publish.server.url("web1.vhd"),
        )
    finally:
        del os.environ["ANSIBLE_COLLECTIONS_PATH"]
    assert publish.status == 0, out
    assert "With azure.azcollection, create" in out
    assert list(publish.made()) == [COMPUTE + "/images/web1"]
