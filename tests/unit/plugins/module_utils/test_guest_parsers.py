"""What all line-based parsers promise: any text is survived, and what needs no change is not changed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils import (
    chrony_conf,
    cloudinit_conf,
    fstab,
    modprobe,
    sshd_config,
    sudoers,
    waagent_conf,
)

WORDS = st.sampled_from(
    ["Match", "all", "Include", "ClientAliveInterval", "300", "blacklist", "install", "udf", "/bin/true", "\\\n", "#"]
    + ["Defaults", "targetpw", "ALL", "ALL=(ALL)", "refclock", "PHC", "/dev/ptp0", "makestep", "UUID=1", "/", "swap"]
    + ["/dev/sda1", "LABEL=x", "ext4", "\n", "\r\n", "\t", " ", "=", "y", "Provisioning.Agent", '"', "datasource_list:"]
    + ["[", "]", "Azure", "- mounts", "cloud_init_modules:", "{", "}", "'", ":", "\u2028", "\x0b", "\udcff", ",", "!"]
)
TEXTS = st.one_of(st.text(), st.lists(WORDS, max_size=30).map("".join), st.lists(WORDS, max_size=30).map(" ".join))


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_fstab(text: str) -> None:
    assert fstab.render(fstab.parse(text)) == text
    once = fstab.plan(text, lambda source: "1234-ABCD")
    again = fstab.plan(once.after, lambda source: "1234-ABCD")
    assert again.after == once.after
    assert not [entry for entry in fstab.parse(once.after).entries if fstab.is_volatile(entry.source)]
    fstab.parse_blkid(text)
    fstab.parse_swaps(text)


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_modprobe(text: str) -> None:
    once = modprobe.allow(text, ["udf"])
    assert not modprobe.blocked_lines(once, ["udf"])
    assert modprobe.allow(text, []) == text


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_sshd_config(text: str) -> None:
    once = sshd_config.set_in_text(text, "ClientAliveInterval", "180", insert=True)
    assert sshd_config.effective(sshd_config.parse(once), "clientaliveinterval") == "180"
    assert sshd_config.set_in_text(once, "ClientAliveInterval", "180", insert=True) == once


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_sudoers(text: str) -> None:
    once = sudoers.plan(text)
    assert not sudoers.findings(once)
    assert sudoers.plan(once) == once
    sudoers.needs_no_password([statement.text for statement in sudoers.statements(text)], sudoers.Caller("azureuser"))


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_waagent(text: str) -> None:
    assert waagent_conf.edit(text, {}) == text
    once = waagent_conf.edit(text, {"Provisioning.Agent": "cloud-init"})
    assert waagent_conf.settings(once)["Provisioning.Agent"] == "cloud-init"
    assert waagent_conf.edit(once, {"Provisioning.Agent": "cloud-init"}) == once
    waagent_conf.dead_keys(text)


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_chrony(text: str) -> None:
    once = chrony_conf.plan(text)
    assert chrony_conf.plan(once) == once
    clocks = [entry for entry in chrony_conf.parse(once) if chrony_conf.is_hyperv_clock(entry)]
    assert len(clocks) == 1


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_cloudinit(text: str) -> None:
    cloudinit_conf.datasource_list("/etc/cloud/cloud.cfg", text)
    cloudinit_conf.is_unread(text)
    once = cloudinit_conf.modules_text([("/a", text)])
    if once is not None:
        assert cloudinit_conf.modules_text([("/a", text), ("/b", once)]) is None
    cloudinit_conf.network_disabled([("/a", text)])
    cloudinit_conf.parse_version(text)
