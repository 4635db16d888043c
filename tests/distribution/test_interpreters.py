"""The modules of the installed collection on other releases of Python than the tests' own: as many as there are here.

Each module's own code without Ansible, and on the newest Python all modules through Ansible too; `nox -s compat` runs
the integration targets through Ansible on all. Looked for are python3.X in PATH and pyenv's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, ansible

#: The oldest that the collection promises, one that many guests have, and the newest.
RELEASES = ("3.6", "3.9", "3.13")

FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
    "etc/waagent.conf": "Provisioning.Agent=auto\n",
    "etc/modprobe.d/cis.conf": "install udf /bin/true\n",
    "etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n",
    "etc/sudoers": "Defaults targetpw\nALL ALL=(ALL) ALL\n",
    "etc/passwd": "root:x:0:0::/root:/bin/bash\njoe:x:1000:1000::/home/joe:/bin/bash\n",
    "etc/fstab": "UUID=1 / ext4 defaults 0 1\n/swapfile none swap sw 0 0\n",
    "etc/chrony/chrony.conf": "pool 2.debian.pool.ntp.org iburst\n",
    "etc/cloud/cloud.cfg": "cloud_init_modules:\n - growpart\n - disk_setup\n",
    "etc/network/interfaces": "auto lo\niface lo inet loopback\nallow-hotplug ens3\niface ens3 inet dhcp\n",
    "home/joe/.bash_history": "ls\n",
    "boot/grub/grub.cfg": "menuentry 'x' {\n linux /vmlinuz root=UUID=1 quiet\n}\n",
}

#: What a module must be told besides its root.
OPTIONS: dict[str, dict[str, Any]] = {
    "deprovision": {"confirm": "localhost"},
    "vhd_align": {"path": "{image}"},
    "vhd_upload": {"path": "{image}", "url": "http://127.0.0.1:9/a/b/c.vhd?sig=x", "retry_seconds": 1},
    "first_boot": {"path": "{image}"},
    "sshd_option": {"name": "ClientAliveInterval", "value": "180"},
    "waagent_config": {"settings": {"ResourceDisk.Format": False}},
    "azure_packages": {"required": ["chrony"]},
}

#: Imports every module and all of module_utils, and runs those whose run() wants no more than a Host, without Ansible.
DIRECT = """
import importlib, json, pathlib, sys, types
base, root, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
sys.path.insert(0, base)
basic = types.ModuleType("ansible.module_utils.basic")
basic.AnsibleModule = object
for name in ("ansible", "ansible.module_utils"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["ansible.module_utils.basic"] = basic
plugins = pathlib.Path(base) / "ansible_collections/linuxvhd/azure/plugins"
package = "ansible_collections.linuxvhd.azure.plugins."
for path in sorted(plugins.glob("module_utils/**/*.py")):
    name = ".".join(path.relative_to(plugins).with_suffix("").parts)
    importlib.import_module(package + (name[: -len(".__init__")] if name.endswith(".__init__") else name))
host = importlib.import_module(package + "module_utils.host")
errors = importlib.import_module(package + "module_utils.errors")
said = {}
for path in sorted(plugins.glob("modules/*.py")):
    module = importlib.import_module(package + "modules." + path.stem)
    if not hasattr(module, "argument_spec") or "root" not in module.argument_spec():
        continue
    params = {key: value.get("default") for key, value in module.argument_spec().items()}
    params.update(options.get(path.stem, {}), root=root, inventory_hostname="localhost")
    try:
        result = module.run(params, host.Host(root), path.stem == "deprovision")
        said[path.stem] = "changed" if result["changed"] else "ok"
    except errors.AzurePrepError as exc:
        said[path.stem] = str(exc)
print(json.dumps(said))
"""


def interpreter(release: str) -> Path:
    """Where that Python is; the test is skipped where it is not."""
    found = [*sorted((Path.home() / ".pyenv/versions").glob(f"{release}.*/bin/python{release}"))]
    known = shutil.which(f"python{release}")
    found += [Path(known)] if known else []
    for path in found:
        # A version manager's shim may stand for an interpreter that it then refuses to start.
        if subprocess.run([str(path), "-c", "pass"], capture_output=True).returncode == 0:
            return path
    pytest.skip(f"there is no Python {release} here")


@pytest.fixture
def options(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """OPTIONS, with the tree and an image made."""
    for name, text in FILES.items():
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text(text)
    image = tmp_path / "image.raw"
    with image.open("wb") as stream:
        stream.write(b"x")
        stream.truncate((20 << 20) + 512)
    return {
        name: {key: str(image) if value == "{image}" else value for key, value in given.items()}
        for name, given in OPTIONS.items()
    }


@pytest.mark.parametrize("release", RELEASES)
def test_the_code_of_every_module_runs_without_ansible(
    release: str, installed: Path, tmp_path: Path, options: dict[str, dict[str, Any]]
) -> None:
    python = interpreter(release)
    done = subprocess.run(
        [str(python), "-I", "-S", "-B", "-c", DIRECT, str(installed), str(tmp_path / "root"), json.dumps(options)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert len(said) > 15
    assert {said[name] for name in ("azure_audit", "azure_profile_info")} == {"ok"}, said
    for name in ("waagent_config", "modprobe_allow", "sudoers_targetpw", "deprovision"):
        assert said[name] == "changed", (name, said[name])


def test_every_module_runs_through_ansible_on_the_newest(
    installed: Path, tmp_path: Path, options: dict[str, dict[str, Any]]
) -> None:
    python = interpreter(RELEASES[-1])
    # The report is written by an action on the controller.
    names = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py") if path.stem != "azure_audit_report")
    tasks = []
    for name in names:
        given = dict(options.get(name, {}))
        if '"root": {"type"' in (ROOT / f"plugins/modules/{name}.py").read_text():
            given["root"] = str(tmp_path / "root")
        tasks.append({"name": name, f"linuxvhd.azure.{name}": given, "ignore_errors": True, "register": name})
    # Last, once the others had something to read.
    tasks.sort(key=lambda task: task["name"] == "deprovision")
    results = "{{ dict(%s | zip([%s])) }}" % (names, ", ".join(names))
    tasks.append({"name": "Keep", "ansible.builtin.copy": {"content": results, "dest": str(tmp_path / "results.json")}})
    play = tmp_path / "play.yml"
    play.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    done = ansible(
        "ansible-playbook", "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={python}", str(play),
        cwd=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(installed), ANSIBLE_PIPELINING="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found) == set(names)
    for name, result in found.items():
        text = json.dumps(result)
        assert "Traceback" not in text and "module_stderr" not in result, f"{name}: {text[:3000]}"
        assert not result.get("failed") or len(result["msg"]) > 20, (name, result)
    worked = ("azure_audit", "azure_profile_info", "vhd_align", "waagent_config", "modprobe_allow", "sudoers_targetpw")
    assert [name for name in (*worked, "deprovision") if found[name].get("failed")] == [], found
