"""The guest-side modules on trees: check, run, again; every write can fail and leaves all of the old or the new."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import FaultAt, write_tree

from ansible_collections.linuxvhd.azure.plugins.module_utils import cloudinit_plan, swap, waagent_conf
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import CommandResult, Host
from ansible_collections.linuxvhd.azure.plugins.modules import (
    azure_profile_info,
    chrony_ptp,
    cloud_init_azure,
    fstab_uuid,
    modprobe_allow,
    os_disk_swap,
    sshd_option,
    sudoers_targetpw,
    waagent_config,
)

DEBIAN = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n'
UBUNTU = 'ID=ubuntu\nVERSION_ID="22.04"\nID_LIKE=debian\nPRETTY_NAME="Ubuntu 22.04"\n'

TREE = {
    "/etc/os-release": DEBIAN,
    "/etc/waagent.conf": "# head\nProvisioning.Agent=auto\nResourceDisk.Format=y\n",
    "/etc/modprobe.d/cis.conf": "install udf /bin/true\ninstall cramfs /bin/true\ninstall udf /bin/false\n",
    "/etc/modprobe.d/udf.conf": "blacklist udf\n",
    "/usr/lib/modprobe.d/vendor.conf": "blacklist hv_netvsc\n",
    "/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n",
    "/etc/ssh/sshd_config.d/60-cis.conf": "ClientAliveInterval 15\n",
    "/etc/sudoers": "Defaults targetpw\nALL ALL=(ALL) ALL\nroot ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    "/etc/sudoers.d/joe": "joe ALL=(ALL) ALL\n",
    "/etc/passwd": "root:x:0:0::/root:/bin/bash\njoe:x:1000:1000::/home/joe:/bin/bash\n",
    "/etc/group": "joe:x:1000:\n",
    "/etc/chrony/chrony.conf": "pool 2.debian.pool.ntp.org iburst\nmakestep 1 3\n",
    "/usr/lib/systemd/system/chrony.service": "[Service]\nExecStart=!/usr/sbin/chronyd $DAEMON_OPTS\n"
    "[Install]\nWantedBy=multi-user.target\n",
    "/etc/cloud/cloud.cfg": "cloud_init_modules:\n - growpart\n - disk_setup\n - mounts\n",
    "/etc/cloud/cloud.cfg.d/05_logging.cfg": "output: {all: '| tee -a /var/log/cloud-init-output.log'}\n",
    "/etc/cloud/cloud.cfg.d/90_dpkg.cfg": "datasource_list: [ NoCloud, None ]\n",
    "/etc/cloud/cloud.cfg.d/subiquity-disable-cloudinit-networking.cfg": "network: {config: disabled}\n",
    "/etc/cloud/cloud-init.disabled": "",
    "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n",
    "/etc/fstab": "UUID=1 / ext4 defaults 0 1\n# swap was on /dev/vda5\nUUID=2 none swap sw 0 0\n"
    "/swapfile none swap sw 0 0\n",
    "/swapfile": "\0" * 4086 + "SWAPSPACE2",
    "/etc/initramfs-tools/conf.d/resume": "RESUME=UUID=2\n",
    "/etc/systemd/zram-generator.conf": "[zram0]\n",
    "/etc/systemd/system/dev-vdb.swap": "[Swap]\nWhat=/dev/vdb\n",
    "/etc/systemd/system/swap.target.wants/dev-vdb.swap": "-> ../dev-vdb.swap",
}

CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "waagent_config": (waagent_config, {"provisioner": "cloud-init", "settings": {"ResourceDisk.Format": False}}),
    "modprobe_allow": (modprobe_allow, {}),
    "sshd_option": (sshd_option, {"name": "ClientAliveInterval", "value": "180"}),
    "sudoers_targetpw": (sudoers_targetpw, {"keep_user": "joe"}),
    "chrony_ptp": (chrony_ptp, {}),
    "cloud_init_azure": (cloud_init_azure, {}),
    "os_disk_swap": (os_disk_swap, {}),
}


def params_of(module: Any, given: dict[str, Any]) -> dict[str, Any]:
    found = {name: option.get("default") for name, option in module.argument_spec().items()}
    return {**found, **given}


def snapshot(host: Host) -> dict[str, str]:
    """All files and links below the root but backups, as one comparable value."""
    found = {}
    for folder, _folders, names in os.walk(host.root):
        for name in names:
            path = os.path.join(folder, name)
            inside = "/" + os.path.relpath(path, host.root)
            if inside.startswith("/var/backups"):
                continue
            found[inside] = "-> " + os.readlink(path) if os.path.islink(path) else Path(path).read_text()
    return found


@pytest.mark.parametrize("name", CASES)
def test_check_run_again(make_host, name: str) -> None:
    module, given = CASES[name]
    host = make_host(TREE)
    before = snapshot(host)
    planned = module.run(params_of(module, given), host, True)
    assert planned["changed"] and planned["diff"]
    assert snapshot(host) == before, "check mode wrote"
    done = module.run(params_of(module, given), host, False)
    assert done["changed"] and set(done) == set(planned)
    assert [entry["after"] for entry in done["diff"]] == [entry["after"] for entry in planned["diff"]]
    after = snapshot(host)
    again = module.run(params_of(module, given), host, False)
    assert not again["changed"] and not again["diff"]
    assert snapshot(host) == after


@pytest.mark.parametrize("name", CASES)
def test_a_failure_at_any_step_leaves_the_old_files(make_host, tmp_path, name: str) -> None:
    module, given = CASES[name]
    counter = FaultAt()
    host = make_host(TREE, fault=counter)
    before = snapshot(host)
    module.run(params_of(module, given), host, False)
    after = snapshot(host)
    assert counter.steps
    for number in range(len(counter.steps)):
        root = tmp_path / ("again%d" % number)
        root.mkdir()
        write_tree(root, TREE)
        broken = Host(str(root), fault=FaultAt(number, OSError(28, "No space left on device")))
        try:
            module.run(params_of(module, given), broken, False)
        except (AzurePrepError, OSError):
            left = snapshot(Host(str(root)))
            for path in set(left) | set(before):
                assert left.get(path) in (before.get(path), after.get(path)), (number, path)


def test_waagent_doubts(make_host) -> None:
    host = make_host({"/etc/waagent.conf": "Provisioning.Agent=waagent\nProvisioning.UseCloudInit=y\n", **cloud_init()})
    warnings = waagent_config.run(params_of(waagent_config, {}), host, True)["warnings"]
    assert any("both provision" in text for text in warnings) and any("UseCloudInit" in text for text in warnings)
    nobody = waagent_config.run(
        params_of(waagent_config, {"provisioner": "cloud-init"}), make_host_again(make_host), True
    )
    assert any("nobody would provision" in text for text in nobody["warnings"])


def make_host_again(make_host) -> Host:
    host = make_host({})
    host.remove("/usr/bin/cloud-init")
    return host


def cloud_init() -> dict[str, str]:
    return {
        "/usr/bin/cloud-init": "#!/bin/sh\n",
        "/usr/lib/systemd/system/cloud-init-local.service": "[Install]\nWantedBy=cloud-init.target\n",
        "/etc/systemd/system/cloud-init.target.wants/cloud-init-local.service": "-> /usr/lib/x",
    }


@pytest.fixture(autouse=True)
def executable(monkeypatch) -> None:
    """Files of a test tree are not executable; which() shall find them all the same, but for real commands."""
    original = Host.which

    def which(self: Host, name: str) -> str | None:
        if name == "cloud-init" and self.is_file("/usr/bin/cloud-init"):
            return "/usr/bin/cloud-init"
        return original(self, name)

    monkeypatch.setattr(Host, "which", which)


@pytest.mark.parametrize("before", [None, "-> /etc/gone.conf"])
def test_waagent_that_lost_its_file_gets_one(make_host: Any, before: str | None) -> None:
    tree = {"/etc/os-release": DEBIAN, "/usr/sbin/waagent": "#!/bin/sh\n"}
    host = make_host({**tree, **({"/etc/waagent.conf": before} if before else {})})
    given = params_of(waagent_config, {"provisioner": "cloud-init", "settings": {"ResourceDisk.Format": False}})
    with pytest.raises(AzurePrepError, match="install the agent"):
        waagent_config.run(given, host, False)
    os.chmod(host.path("/usr/sbin/waagent"), 0o755)
    assert azure_profile_info.run(params_of(azure_profile_info, {"root": host.root}), host, True)["installed"]["agent"]
    planned = waagent_config.run(given, host, True)
    done = waagent_config.run(given, host, False)
    assert planned == {**done, "backup_file": ""} and planned["changed"] and planned["settings_before"] == {}
    assert done["settings_after"] == {
        "Provisioning.Agent": "cloud-init",
        "Provisioning.MonitorHostName": "y",
        "ResourceDisk.Filesystem": "ext4",
        "ResourceDisk.Format": "n",
    }
    assert waagent_conf.settings(host.read("/etc/waagent.conf")) == done["settings_after"]
    assert not host.is_link("/etc/waagent.conf") and host.stat("/etc/waagent.conf").st_mode & 0o777 == 0o644
    assert not waagent_config.run(given, host, False)["changed"]
    with pytest.raises(AzurePrepError, match="name the file"):
        waagent_config.run({**given, "path": "/etc/agent.conf"}, host, False)


def test_waagent_two_provisioners_named_is_a_sentence(make_host) -> None:
    host = make_host(TREE)
    given = {"provisioner": "waagent", "settings": {"Provisioning.Agent": "auto"}}
    with pytest.raises(AzurePrepError, match="leave one of them out"):
        waagent_config.run(params_of(waagent_config, given), host, False)


@pytest.mark.parametrize(
    ("module", "given", "sentence"),
    [
        (waagent_config, {}, "install the agent"),
        (sshd_option, {"name": "ClientAliveInterval", "value": "180"}, "install the SSH server"),
        (sshd_option, {"name": "Bad Name", "value": "1"}, "no option of sshd_config"),
        (chrony_ptp, {}, "install chrony"),
        (cloud_init_azure, {}, "install cloud-init"),
        (modprobe_allow, {"modules": ["floppy"]}, "allowed and blacklisted"),
    ],
)
def test_what_is_missing_is_a_sentence(make_host, module: Any, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AzurePrepError, match=sentence):
        module.run(params_of(module, given), make_host({"/etc/os-release": DEBIAN}), False)


def test_modprobe_leaves_no_trace_of_the_name(make_host) -> None:
    host = make_host(TREE)
    result = modprobe_allow.run(params_of(modprobe_allow, {}), host, False)
    assert len(result["blocked_before"]) == 4
    assert host.read("/etc/modprobe.d/cis.conf") == "install cramfs /bin/true\n"
    assert not host.exists("/etc/modprobe.d/udf.conf")
    assert host.read("/etc/modprobe.d/vendor.conf").strip() == ""
    assert host.read("/usr/lib/modprobe.d/vendor.conf") == "blacklist hv_netvsc\n"
    assert "blacklist floppy" in host.read("/etc/modprobe.d/azure-blacklist.conf")


def test_modules_disabled_is_taken_out_of_every_file_of_sysctl(make_host) -> None:
    host = make_host(
        {
            "/etc/os-release": DEBIAN,
            "/etc/sysctl.conf": "# end\nkernel.modules_disabled=1\nvm.swappiness = 1\n",
            "/etc/sysctl.d/99-sysctl.conf": "-> ../sysctl.conf",
            "/etc/sysctl.d/10-hard.conf": "kernel/modules_disabled = 1\n",
            "/etc/sysctl.d/20-off.conf": "# kernel.modules_disabled = 1\nkernel.modules_disabled = 0\n",
            "/usr/lib/sysctl.d/50-vendor.conf": "-kernel.modules_disabled = 1\nkernel.sysrq = 16\n",
            "/usr/lib/sysctl.d/10-hard.conf": "kernel.modules_disabled = 1\n",
        }
    )
    params = params_of(modprobe_allow, {"blacklist": []})
    planned = modprobe_allow.run(params, host, True)
    result = modprobe_allow.run(params, host, False)
    assert planned["diff"] == result["diff"]
    assert {(block["path"], block["module"]) for block in result["blocked_before"]} == {
        ("/etc/sysctl.d/10-hard.conf", "*"),
        ("/usr/lib/sysctl.d/50-vendor.conf", "*"),
        ("/etc/sysctl.d/99-sysctl.conf", "*"),
    }
    assert host.read("/etc/sysctl.conf") == "# end\nvm.swappiness = 1\n"
    assert host.readlink("/etc/sysctl.d/99-sysctl.conf") == "../sysctl.conf"
    assert host.read("/etc/sysctl.d/10-hard.conf") == ""
    assert host.read("/etc/sysctl.d/50-vendor.conf") == "kernel.sysrq = 16\n"
    assert host.read("/etc/sysctl.d/20-off.conf").endswith("= 0\n")
    assert not modprobe_allow.run(params, host, False)["changed"]


def test_sudo_rule_for_the_connecting_user_comes_first(make_host) -> None:
    host = make_host(TREE)
    result = sudoers_targetpw.run(params_of(sudoers_targetpw, {"keep_user": "joe"}), host, False)
    assert result["rule_file"] == "/etc/sudoers.d/zz-azure-prep-joe"
    assert result["diff"][0]["after_header"] == result["rule_file"]
    assert "joe ALL=(ALL:ALL) NOPASSWD: ALL" in host.read(result["rule_file"])
    assert host.stat(result["rule_file"]).st_mode & 0o777 == 0o440


def test_sudo_user_with_a_rule_of_their_own_needs_none(make_host) -> None:
    host = make_host({**TREE, "/etc/sudoers.d/joe": "joe ALL=(ALL) NOPASSWD:ALL\n"})
    assert sudoers_targetpw.run(params_of(sudoers_targetpw, {"keep_user": "joe"}), host, False)["rule_file"] == ""


def test_sudo_refuses_to_lock_out(make_host) -> None:
    host = make_host({**TREE, "/etc/sudoers": "Defaults targetpw\nALL ALL=(ALL) ALL\n"})
    with pytest.raises(AzurePrepError, match="lock the user j:oe out"):
        sudoers_targetpw.run(params_of(sudoers_targetpw, {"keep_user": "j:oe"}), host, False)


def test_cloud_init_on_debian(make_host) -> None:
    host = make_host(TREE)
    result = cloud_init_azure.run(params_of(cloud_init_azure, {}), host, False)
    assert result["datasources_before"] == ["NoCloud", "None"]
    text = host.read("/etc/cloud/cloud.cfg.d/91-azure_datasource.cfg")
    assert "datasource_list: [ Azure ]\n" in text and "apply_network_config: False" in text
    assert result["removed"] == ["/etc/cloud/cloud.cfg.d/subiquity-disable-cloudinit-networking.cfg"]
    assert not host.exists("/etc/cloud/cloud-init.disabled")
    assert host.is_file("/etc/cloud/cloud.cfg.d/10-azure-kvp.cfg")


def test_cloud_init_on_ubuntu_keeps_its_network(make_host) -> None:
    host = make_host({**TREE, "/etc/os-release": UBUNTU})
    cloud_init_azure.run(params_of(cloud_init_azure, {}), host, False)
    assert host.read("/etc/cloud/cloud.cfg.d/90_dpkg.cfg").endswith("datasource_list: [ Azure ]\n")
    assert not host.exists("/etc/cloud/cloud.cfg.d/91-azure_datasource.cfg")


def test_cloud_init_is_switched_on_again(make_host: Any) -> None:
    system = "/etc/systemd/system/"
    host = make_host(
        {
            **OLD_CLOUD_INIT,
            "/etc/systemd/system-generators/cloud-init-generator": "-> /dev/null",
            system + "cloud-init.target": "-> ../../../dev/null",
            system + "cloud-init.service": "",
            system + "cloud-final.service": "[Service]\n",
            system + "cloud-config.service": "-> /usr/lib/systemd/system/cloud-config.service",
            "/etc/default/cloud-init": "# KERNEL_CMDLINE=cloud-init=disabled\nA=b\n"
            'KERNEL_CMDLINE="cloud-init=disabled"\n',
            "/etc/environment": "export KERNEL_CMDLINE=cloud-init=disabled\nKERNEL_CMDLINE=quiet\n",
        }
    )
    before = snapshot(host)
    planned = cloud_init_azure.run(params_of(cloud_init_azure, {}), host, True)
    assert snapshot(host) == before
    done = cloud_init_azure.run(params_of(cloud_init_azure, {}), host, False)
    assert done["diff"] == planned["diff"]
    assert not host.glob("/etc/systemd/system-generators/*") and not host.glob(system + "cloud-init.[st]*e*")
    assert host.read(system + "cloud-final.service") == "[Service]\n" and host.is_link(system + "cloud-config.service")
    assert host.read("/etc/default/cloud-init") == "# KERNEL_CMDLINE=cloud-init=disabled\nA=b\n"
    assert host.read("/etc/environment") == "KERNEL_CMDLINE=quiet\n"
    assert not cloud_init_azure.run(params_of(cloud_init_azure, {}), host, False)["changed"]


def test_cloud_init_wins_over_a_file_that_is_read_later(make_host) -> None:
    host = make_host({**TREE, "/etc/cloud/cloud.cfg.d/99-lab.cfg": "datasource_list:\n  - NoCloud\n"})
    cloud_init_azure.run(params_of(cloud_init_azure, {}), host, False)
    assert "[ Azure ]" in host.read("/etc/cloud/cloud.cfg.d/zzz-azure_datasource.cfg")


def test_cloud_init_old_module_order_and_swap(make_host) -> None:
    host = make_host(
        {
            **TREE,
            **cloud_init(),
            "/usr/lib/python3/dist-packages/cloudinit/version.py": '__VERSION__ = "21.4"\n',
            "/etc/cloud/cloud.cfg": "cloud_init_modules:\n  - migrator\ncloud_config_modules:\n  - mounts\n",
        }
    )
    result = cloud_init_azure.run(params_of(cloud_init_azure, {"swap": True}), host, False)
    assert result["version"] == "21.4"
    order = host.read(cloudinit_plan.MODULES_FILE)
    assert " - migrator\n - disk_setup\n - mounts\n" in order and order.endswith("cloud_config_modules: []\n")
    assert "x-systemd.requires=cloud-init.service" in host.read("/etc/cloud/cloud.cfg.d/00-azure-swap.cfg")
    assert "CLOUD_CFG=" in host.read("/etc/systemd/system/cloud-init-local.service.d/azure-swap.conf")


OLD_CLOUD_INIT = {
    "/etc/os-release": DEBIAN,
    "/usr/lib/python3/dist-packages/cloudinit/version.py": '__VERSION__ = "22.4.2"\n',
    "/etc/cloud/cloud.cfg": "cloud_init_modules: [disk_setup, mounts]\noutput: {all: x}\n",
}


@pytest.mark.parametrize(
    "text",
    [
        '{"datasource_list": ["NoCloud", "None"]}\n',
        '"datasource_list": [NoCloud, None]\n',
        "  datasource_list : [NoCloud]\n",
        "{% if v1 %}\ndatasource_list: [NoCloud]\n{% endif %}\n",
        "{datasource_list: &x [NoCloud]}\n",
    ],
)
def test_cloud_init_wins_over_a_file_of_any_form(make_host: Any, text: str) -> None:
    host = make_host({**OLD_CLOUD_INIT, "/etc/cloud/cloud.cfg.d/99-x.cfg": text})
    cloud_init_azure.run(params_of(cloud_init_azure, {}), host, False)
    assert "[ Azure ]" in host.read(cloudinit_plan.LAST_FILE)
    assert not cloud_init_azure.run(params_of(cloud_init_azure, {}), host, False)["changed"]


def test_cloud_init_leaves_what_it_cannot_win_over(make_host: Any) -> None:
    last = "/etc/cloud/cloud.cfg.d/zzzz.cfg"
    host = make_host({**OLD_CLOUD_INIT, last: "{% if v1 %}\nx: 1\n{% endif %}\n"})
    warnings = cloud_init_azure.run(params_of(cloud_init_azure, {}), host, False)["warnings"]
    assert [last in text for text in warnings] == [True, True]
    host = make_host({**OLD_CLOUD_INIT, last: "cloud_init_modules: [ssh]\n"})
    warnings = cloud_init_azure.run(params_of(cloud_init_azure, {}), host, False)["warnings"]
    assert "counts more" in warnings[0] and last in warnings[0]


def test_cloud_init_module_order_of_a_drop_in(make_host: Any) -> None:
    host = make_host({**OLD_CLOUD_INIT, "/etc/cloud/cloud.cfg.d/20-x.cfg": 'cloud_init_modules:\n - "ssh"\n'})
    params = params_of(cloud_init_azure, {})
    assert cloud_init_azure.run(params, host, False)["warnings"] == []
    assert "\n - ssh\n - disk_setup\n - mounts\n" in host.read(cloudinit_plan.MODULES_FILE)
    assert not cloud_init_azure.run(params, host, False)["changed"]
    host.write("/usr/lib/python3/dist-packages/cloudinit/version.py", '__VERSION__ = "23.1"\n')
    cloud_init_azure.run(params, host, False)
    assert not host.exists(cloudinit_plan.MODULES_FILE), "the package's own list has grown"


def test_chronyd_starts_where_the_clock_is_missing(make_host, tmp_path) -> None:
    host = make_host(TREE)
    chrony_ptp.run(params_of(chrony_ptp, {}), host, False)
    drop_in = host.read("/etc/systemd/system/chrony.service.d/azure.conf")
    assert "ExecStartPre=-+/usr/local/sbin/azure-chrony-config" in drop_in
    assert "refclock PHC /dev/ptp_hyperv" in host.read("/etc/chrony/chrony.conf")
    script = host.read("/usr/local/sbin/azure-chrony-config")
    assert host.stat("/usr/local/sbin/azure-chrony-config").st_mode & 0o777 == 0o755
    script = script.replace("conf=/etc", "conf=%s/etc" % host.root).replace("run=/run", "run=%s/run" % tmp_path)
    (tmp_path / "run").mkdir()
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "id").write_text('#!/bin/sh\n[ "$1" = _chrony ]\n')
    (commands / "chown").write_text('#!/bin/sh\necho "$@" >>"$0.log"\n')
    for name in ("id", "chown"):
        (commands / name).chmod(0o755)
    env = {"PATH": "%s:%s" % (commands, os.environ["PATH"]), "DAEMON_OPTS": "-F 1"}
    for _start in range(2):
        subprocess.run(["sh", "-c", script], env=env, check=True)
    assert (tmp_path / "run/chrony/azure.env").read_text().startswith('DAEMON_OPTS="-F 1 -f ')
    assert "ptp_hyperv" not in (tmp_path / "run/chrony/azure.conf").read_text()
    # chronyd's own, once: else it goes without its command socket, and ifup fails with chronyc (Debian 11).
    assert (tmp_path / "run/chrony").stat().st_mode & 0o777 == 0o750
    assert (commands / "chown.log").read_text() == "_chrony: %s/run/chrony\n" % tmp_path
    # The last -f counts: ours follows one that names the same file; another file is somebody else's.
    for given, ours in ((host.root + "/etc/chrony/chrony.conf", True), ("/etc/other.conf", False)):
        (tmp_path / "run/chrony/azure.env").unlink()
        subprocess.run(["sh", "-c", script], env={**env, "DAEMON_OPTS": "-f " + given}, check=True)
        assert (tmp_path / "run/chrony/azure.env").exists() is ours, given


def test_fstab_by_uuid(make_host, monkeypatch) -> None:
    text = "/dev/vda1 / ext4 defaults 0 1\nLABEL=data /data xfs nofail 0 0\n/dev/vdz1 /gone ext4 nofail 0 0\n"
    host = make_host({"/etc/fstab": text})
    blkid = "DEVNAME=/dev/vda1\nUUID=1-1\n\nDEVNAME=/dev/vdb1\nLABEL=data\nUUID=2-2\n"
    monkeypatch.setattr(host, "which", lambda name: "/usr/sbin/" + name)
    monkeypatch.setattr(host, "run", lambda argv, **_options: CommandResult(list(argv), 0, blkid, ""))
    planned = fstab_uuid.run({"root": host.root}, host, True)
    assert planned["changed"] and host.read("/etc/fstab") == text
    done = fstab_uuid.run({"root": host.root}, host, False)
    assert done["replaced"] == {"/dev/vda1": "UUID=1-1", "LABEL=data": "UUID=2-2"}
    assert done["unknown"] == ["/dev/vdz1"] and "stays as it is" in done["warnings"][0]
    assert host.read("/etc/fstab") == text.replace("/dev/vda1", "UUID=1-1").replace("LABEL=data", "UUID=2-2")
    assert not fstab_uuid.run({"root": host.root}, host, False)["changed"]


def test_swap_of_every_kind(make_host) -> None:
    host = make_host(TREE)
    result = os_disk_swap.run(params_of(os_disk_swap, {}), host, False)
    assert result["swap_before"] == ["/swapfile", "UUID=2"] and result["initramfs_stale"]
    assert host.read("/etc/fstab") == "UUID=1 / ext4 defaults 0 1\n"
    assert host.read("/etc/initramfs-tools/conf.d/resume") == "RESUME=none\n"
    assert not host.exists("/swapfile")
    assert "zram0" not in host.read("/etc/systemd/zram-generator.conf")
    assert not host.glob("/etc/systemd/system/*.swap") and not host.glob("/etc/systemd/system/swap.target.wants/*")


def test_zram_can_stay(make_host) -> None:
    host = make_host({"/etc/fstab": "/dev/zram0 none swap sw 0 0\n", "/etc/systemd/zram-generator.conf": "[zram0]\n"})
    assert not os_disk_swap.run(params_of(os_disk_swap, {"keep_zram": True}), host, False)["changed"]


def test_a_family_that_was_chosen_reaches_the_module(make_host: Any) -> None:
    """A derivative that calls itself something else, with azure_family: debian."""
    both = {"/etc/chrony/chrony.conf": "pool a\n", "/etc/chrony.conf": "pool b\n", "/etc/os-release": "ID=odd\n"}
    host = make_host(both)
    plain = chrony_ptp.run(params_of(chrony_ptp, {}), host, True)
    chosen = chrony_ptp.run(params_of(chrony_ptp, {"family": "debian"}), host, True)
    assert (plain["path"], chosen["path"]) == ("/etc/chrony.conf", "/etc/chrony/chrony.conf")
    assert modprobe_allow.run(params_of(modprobe_allow, {"family": "suse"}), host, True)["changed"]


def test_swap_by_units_of_the_administrators_own(make_host: Any) -> None:
    unit = "[Unit]\nDescription=x\n[Service]\n{}\n[Install]\nWantedBy=multi-user.target\n"
    wants = "/etc/systemd/system/multi-user.target.wants/"
    host = make_host(
        {
            "/etc/os-release": DEBIAN,
            "/etc/systemd/system/zram.service": unit.format("ExecStart=/bin/sh -c 'modprobe zram; swapon /dev/zram0'"),
            wants + "zram.service": "-> ../zram.service",
            "/etc/systemd/system/off.service": unit.format("ExecStart=swapon /x"),
            "/etc/systemd/system/stop.service": unit.format("ExecStop=swapon /x"),
            wants + "stop.service": "-> ../stop.service",
            "/etc/systemd/system/a.swap": "[Swap]\nWhat=/a\n",
            "/etc/systemd/system/x.target.requires/a.swap": "-> ../a.swap",
        }
    )
    result = os_disk_swap.run(params_of(os_disk_swap, {}), host, True)
    assert result["actions"] == [
        "edit /etc/systemd/system/x.target.requires/a.swap",
        "edit /etc/systemd/system/a.swap",
        "systemctl disable --now zram.service",
    ]
    kept = os_disk_swap.run(params_of(os_disk_swap, {"keep_zram": True}), host, True)
    assert "systemctl disable --now zram.service" not in kept["actions"]


def test_swap_by_services_scripts_and_cloud_init(make_host: Any, monkeypatch: Any) -> None:
    wants = "/etc/systemd/system/multi-user.target.wants/"
    area = "\0" * 4086 + "SWAPSPACE2"
    host = make_host(
        {
            "/etc/os-release": DEBIAN,
            "/usr/lib/systemd/system/dphys-swapfile.service": "[Install]\nWantedBy=multi-user.target\n",
            wants + "dphys-swapfile.service": "-> /usr/lib/systemd/system/dphys-swapfile.service",
            "/etc/dphys-swapfile": "#CONF_SWAPFILE=/a\nCONF_SWAPFILE=/srv/swap\n",
            "/srv/swap": area,
            "/var/swap": area,
            "/usr/lib/systemd/system/swapspace.service": "[Install]\nWantedBy=multi-user.target\n",
            wants + "swapspace.service": "-> /usr/lib/systemd/system/swapspace.service",
            "/var/lib/swapspace/1": area,
            "/var/lib/swapspace/2": "data",
            "/etc/rc.d/rc.local": "#!/bin/sh\n  swapon /swapfile # x\nexit 0\n",
            "/etc/rc.local": "-> rc.d/rc.local",
            "/etc/cloud/cloud.cfg": "users: []\n",
            "/etc/cloud/cloud.cfg.d/50-x.cfg": "swap:\n  filename: /swapfile\n  size: 1G\n",
        }
    )
    os.chmod(host.path("/etc/rc.d/rc.local"), 0o755)
    ran = []
    monkeypatch.setattr(host, "run", lambda argv, **_options: ran.append(argv) or CommandResult(argv, 0, "", ""))
    planned = os_disk_swap.run(params_of(os_disk_swap, {}), host, True)
    assert os_disk_swap.run(params_of(os_disk_swap, {}), host, False)["actions"] == planned["actions"]
    assert [argv[-1] for argv in ran if "disable" in argv] == ["dphys-swapfile.service", "swapspace.service"]
    assert host.read("/etc/rc.d/rc.local") == "#!/bin/sh\n  : # swapon /swapfile # x\nexit 0\n"
    assert host.stat("/etc/rc.d/rc.local").st_mode & 0o777 == 0o755 and host.is_link("/etc/rc.local")
    assert "size: 0" in host.read("/etc/cloud/cloud.cfg.d/zzz-azure_swap.cfg")
    assert [path for path in ("/srv/swap", "/var/lib/swapspace/1") if host.exists(path)] == []
    assert host.exists("/var/swap") and host.exists("/var/lib/swapspace/2")
    for unit in ("dphys-swapfile.service", "swapspace.service"):
        host.remove(wants + unit)
    assert not os_disk_swap.run(params_of(os_disk_swap, {}), host, False)["changed"]


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("swapon -a", ": # swapon -a"),
        ("/sbin/swapon \\\n  /x", ": # /sbin/swapon \n  # /x"),
        ("[ -f /x ] && swapon /x", ": # [ -f /x ] && swapon /x"),
        ("if [ -f /x ]; then swapon /x; fi", ": # if [ -f /x ]; then swapon /x; fi"),
        ("for f in /x; do swapon $f; done", ": # for f in /x; do swapon $f; done"),
        ("if true; then\n  swapon /x\nfi", "if true; then\n  : # swapon /x\nfi"),
        ("# swapon /x", None),
        ("if swapon /x; then\ntrue\nfi", None),
        ("if true\nthen swapon /x\nfi", None),
        ("if false; then true\nelse swapon /x\nfi", None),
        ("case x in\nx) swapon /x;;\nesac", None),
        ("swapon /x ||\n  true", None),
        ("f() { swapon /x\n}", None),
        ("echo 'a\nswapon' b", None),
        ("swap /x", None),
    ],
)
def test_swapon_in_a_script(line: str, after: str | None) -> None:
    for text in (line, "#!/bin/sh\n%s\nexit 0\n" % line):
        wanted = text.replace(line, line if after is None else after)
        assert swap.without_swapon(text) == wanted and swap.without_swapon(wanted) == wanted
        subprocess.run(["sh", "-n"], input=wanted, text=True, check=True)
    assert swap.without_swapon("swapon /dev/zram0\n", keep_zram=True) == "swapon /dev/zram0\n"


def test_zram_by_drop_ins_of_the_vendor(make_host: Any) -> None:
    vendor = "/usr/lib/systemd/zram-generator.conf.d/"
    own = "/etc/systemd/zram-generator.conf.d/"
    host = make_host(
        {
            "/usr/lib/systemd/system-generators/zram-generator": "",
            vendor + "10.conf": "[zram0]\n",
            "/usr/local/lib/systemd/zram-generator.conf.d/20.conf": "[zram1]\n",
            vendor + "30.conf": "[zram2]\n",
            own + "20.conf": "[zram1]\n",
            own + "30.conf": "-> /dev/null",
            own + "40.conf": "[zram3]\n",
        }
    )
    os_disk_swap.run(params_of(os_disk_swap, {}), host, False)
    assert host.listdir(own) == ["10.conf", "20.conf", "30.conf"] and host.is_link(own + "30.conf")
    assert not [name for name in ("10.conf", "20.conf") if "zram" in host.read(own + name)]
    assert "zram0" in host.read(vendor + "10.conf")
    assert not os_disk_swap.run(params_of(os_disk_swap, {}), host, False)["changed"]


def test_chrony_with_drop_ins_that_say_otherwise(make_host: Any) -> None:
    host = make_host(
        {
            "/etc/os-release": DEBIAN,
            "/etc/chrony/chrony.conf": "confdir /etc/chrony/conf.d\nsourcedir /etc/chrony/sources.d\nmakestep 1 3\n"
            "makestep 0.5 2\ninclude /etc/chrony/chrony.conf\ninclude /etc/chrony/more/*\n",
            "/etc/chrony/conf.d/cis.conf": "! old\nmakestep 1 3\nMakeStep 0.1 5\nrefclock PHC /dev/ptp0\nport 0\n",
            "/etc/chrony/conf.d/readme": "makestep 7 7\n",
            "/etc/chrony/more/a": "refclock PHC /dev/ptp_hyperv poll 2\n",
            "/etc/chrony/sources.d/x.sources": "server a.example.org\n",
        }
    )
    params = params_of(chrony_ptp, {})
    chrony_ptp.run(params, host, False)
    main = host.read("/etc/chrony/chrony.conf")
    assert main.count("makestep") == 1 and "makestep 1.0 -1" in main and main.count("refclock") == 1
    assert host.read("/etc/chrony/conf.d/cis.conf") == "! old\nport 0\n"
    assert host.read("/etc/chrony/conf.d/readme") and not host.exists("/etc/chrony/more/a")
    assert not chrony_ptp.run(params, host, False)["changed"]


def test_cloud_init_that_keeps_the_host_name_is_pointed_out(make_host: Any) -> None:
    files = {"/etc/os-release": DEBIAN, "/etc/cloud/cloud.cfg": "preserve_hostname: false\n"}
    extra = "/etc/cloud/cloud.cfg.d/99_hostname.cfg"
    host = make_host({**files, extra: "preserve_hostname: true # ours\n"})
    assert extra in cloud_init_azure.run(params_of(cloud_init_azure, {}), host, True)["warnings"][0]
    host.write(extra, "preserve_hostname: no\n")
    assert cloud_init_azure.run(params_of(cloud_init_azure, {}), host, True)["warnings"] == []
