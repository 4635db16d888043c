"""Configuration of the generators of initramfs images as it is met; a real shell says what a generator then sees."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import write_tree

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import Change
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import dracut, initramfs_tools, mkinitrd

HV = ["hv_vmbus", "hv_storvsc", "hv_netvsc"]


def apply(host: Host, changes: list[Change]) -> None:
    for change in changes:
        assert change.before == (host.read(change.path) if host.exists(change.path) else None)
        host.write(change.path, change.after)


def sourced(questions: list[tuple[Path, list[str], str]]) -> list[list[str]]:
    """For each (root, files, variable) its words once bash has sourced the files in this order, as dracut and mkinitrd
    do. One shell answers them all, each in a subshell of its own."""
    script = ""
    for root, paths, variable in questions:
        files = "; ".join(f". ./{shlex.quote(path.lstrip('/'))}" for path in paths)
        script += f'(cd {shlex.quote(str(root))}; {files or ":"}; printf "%s\\0" "{variable}")\n'
    done = subprocess.run(["bash", "-ec", script], capture_output=True, check=True, timeout=300)
    return [answer.split() for answer in done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]]


#: Files of dracut's configuration, in the order in which it sources them, and drivers named before ours.
DRACUT: dict[str, tuple[dict[str, str], list[str]]] = {
    "nothing": ({}, []),
    "documented": ({"/etc/dracut.conf.d/azure.conf": 'add_drivers+=" hv_vmbus hv_netvsc hv_storvsc "\n'}, []),
    "documented, in the main file": ({"/etc/dracut.conf": 'add_drivers+=" hv_vmbus hv_netvsc hv_storvsc "\n'}, []),
    "some only": ({"/etc/dracut.conf.d/azure.conf": 'add_drivers+=" hv_vmbus "\n'}, []),
    "dashes": ({"/etc/dracut.conf.d/10-hv.conf": 'add_drivers+=" hv-vmbus hv-storvsc "\n'}, []),
    "no blanks": ({"/etc/dracut.conf.d/10-a.conf": 'add_drivers+="nvme"\n'}, ["nvme"]),
    "glued to the one before": (
        {
            "/etc/dracut.conf.d/10-a.conf": 'add_drivers+="nvme"\n',
            "/etc/dracut.conf.d/20-b.conf": 'add_drivers+="hv_vmbus"',
        },
        ["nvmehv_vmbus"],
    ),
    "no last line break": ({"/etc/dracut.conf.d/azure.conf": 'add_drivers+=" nvme "'}, ["nvme"]),
    "a comment without one": ({"/etc/dracut.conf.d/azure.conf": "# hv_vmbus hv_storvsc hv_netvsc \u00e4\udcff"}, []),
    "commented out": ({"/etc/dracut.conf": '#add_drivers+=" hv_vmbus hv_storvsc hv_netvsc "\n# end\n'}, []),
    "single quotes": ({"/etc/dracut.conf.d/10-a.conf": "add_drivers+=' nvme ' # 'x\n"}, ["nvme"]),
    "a variable": ({"/etc/dracut.conf.d/10-a.conf": 'MORE="nvme hv_vmbus"\nadd_drivers+=" $MORE "\n'}, ["nvme"]),
    "plain assignment before": ({"/etc/dracut.conf.d/10-a.conf": 'add_drivers=" nvme "\n'}, ["nvme"]),
    "forced": ({"/etc/dracut.conf.d/10-a.conf": 'force_drivers+=" hv_vmbus hv_storvsc hv_netvsc "\n'}, []),
    "two lines": ({"/etc/dracut.conf": 'add_drivers+=" nvme \\\n  ahci "\nhostonly="yes"\n'}, ["nvme", "ahci"]),
    "a later file": ({"/etc/dracut.conf.d/zz.conf": 'add_drivers+="nvme"\n'}, ["nvme"]),
    "a name hidden by /etc": (
        {
            "/usr/lib/dracut/dracut.conf.d/01-dist.conf": 'add_drivers+=" hv_vmbus hv_storvsc hv_netvsc "\n',
            "/etc/dracut.conf.d/01-dist.conf": "",
        },
        [],
    ),
    "the distribution's own": (
        {"/usr/lib/dracut/dracut.conf.d/01-azure.conf": 'add_drivers+=" hv_vmbus hv_storvsc hv_netvsc "\n'},
        [],
    ),
    "line continued at the end": ({"/etc/dracut.conf.d/azure.conf": 'add_drivers+=" nvme "\\\n'}, ["nvme"]),
}


def host_with(base: Path, files: dict[str, str]) -> Host:
    base.mkdir()
    write_tree(base, files)
    return Host(str(base))


def test_dracut_sees_every_driver(tmp_path: Path) -> None:
    hosts = []
    for number, (files, _kept) in enumerate(DRACUT.values()):
        host = host_with(tmp_path / str(number), files)
        apply(host, dracut.configure(host, HV))
        assert dracut.configure(host, HV) == []
        for path, text in files.items():
            assert host.read(path).startswith(text)
        hosts.append(host)
    answers = sourced([(Path(host.root), dracut.files(host), "$add_drivers $force_drivers") for host in hosts])
    for (name, (_files, kept)), words in zip(DRACUT.items(), answers, strict=True):
        assert set(HV) <= {word.replace("-", "_") for word in words}, name
        assert set(kept) <= set(words) and "add_drivers+=" not in words, name


def test_dracut_configuration_that_would_lose_a_driver_is_refused(make_host: Callable[..., Host]) -> None:
    host = make_host({"/etc/dracut.conf.d/zz.conf": 'add_drivers="nvme"\n'})
    with pytest.raises(AzurePrepError, match="sets add_drivers anew and loses hv_vmbus"):
        dracut.configure(host, HV)
    host = make_host({"/etc/dracut.conf.d/zz.conf": 'omit_drivers+=" hv-netvsc "\n'})
    with pytest.raises(AzurePrepError, match="told to leave out hv_netvsc"):
        dracut.configure(host, HV)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "hv_vmbus\nhv_storvsc\nhv_netvsc\n"),
        (
            "# List of modules\u00e9\n#\n# raid1\n",
            "# List of modules\u00e9\n#\n# raid1\nhv_vmbus\nhv_storvsc\nhv_netvsc\n",
        ),
        ("hv_vmbus\nhv_storvsc\nhv_netvsc", "hv_vmbus\nhv_storvsc\nhv_netvsc"),
        (
            "hv-vmbus # bus\n  hv_storvsc  storvsc_ringbuffer_size=1\n",
            "hv-vmbus # bus\n  hv_storvsc  storvsc_ringbuffer_size=1\nhv_netvsc\n",
        ),
        ("#hv_vmbus\r\next4\r\n", "#hv_vmbus\r\next4\r\nhv_vmbus\r\nhv_storvsc\r\nhv_netvsc\r\n"),
        ("ext4", "ext4\nhv_vmbus\nhv_storvsc\nhv_netvsc\n"),
    ],
)
def test_the_modules_file_of_initramfs_tools(before: str, after: str) -> None:
    assert initramfs_tools.edit(before, HV) == after
    assert initramfs_tools.edit(after, HV) == after


SYSCONFIG = {
    "as SLES 11 has it": '## Type: string\nINITRD_MODULES="ata_piix ext3"\n## next\nDOMU_INITRD_MODULES="xennet"\n',
    "single quotes": "INITRD_MODULES='ext3'\n",
    "bare": "INITRD_MODULES=ext3\n",
    "empty": 'INITRD_MODULES=""\nMODULES_LOADED_ON_BOOT=""',
    "twice": 'INITRD_MODULES="old"\nINITRD_MODULES="ext3"\n',
    "two lines": 'INITRD_MODULES="ext3 \\\n jbd"\n',
    "built on itself": 'INITRD_MODULES="ext3"\nINITRD_MODULES="$INITRD_MODULES jbd"\n',
    "no line break, a comment": "# INITRD_MODULES=x \u00e4\nINITRD_MODULES=",
    "only a comment": "# INITRD_MODULES=x",
    "has some": 'INITRD_MODULES="hv-vmbus thermal hv_netvsc"\n',
}


def test_initrd_modules_of_suse(tmp_path: Path) -> None:
    hosts = [host_with(tmp_path / str(n), {mkinitrd.SYSCONFIG: text}) for n, text in enumerate(SYSCONFIG.values())]
    questions = [(Path(host.root), [mkinitrd.SYSCONFIG], "$INITRD_MODULES") for host in hosts]
    before = sourced(questions)
    for host in hosts:
        apply(host, mkinitrd.configure_suse(host, HV))
        assert mkinitrd.configure_suse(host, HV) == []
    for name, old, new in zip(SYSCONFIG, before, sourced(questions), strict=True):
        assert new[: len(old)] == old and set(HV) <= {word.replace("-", "_") for word in new}, name


def test_modprobe_conf_of_release_5(make_host: Callable[..., Host]) -> None:
    host = make_host(
        {"/etc/modprobe.conf": "alias eth0 e1000\nalias scsi_hostadapter ata_piix\n#alias scsi_hostadapter1 hv_vmbus"}
    )
    apply(host, mkinitrd.configure_redhat(host, HV))
    text = host.read("/etc/modprobe.conf")
    assert text.endswith(
        "#alias scsi_hostadapter1 hv_vmbus\nalias scsi_hostadapter1 hv_vmbus\nalias scsi_hostadapter2 hv_storvsc\n"
    )
    assert mkinitrd.configure_redhat(host, HV) == []
