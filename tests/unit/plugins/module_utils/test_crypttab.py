"""crypttab: encrypted swap goes with fstab's line, other devices get their UUID."""

from __future__ import annotations

from ansible_collections.linuxvhd.azure.plugins.module_utils import crypttab, guest
from ansible_collections.linuxvhd.azure.plugins.modules import fstab_uuid, os_disk_swap

TEXT = """\
# name device key options
cryptswap /dev/sda5 /dev/urandom swap,cipher=aes-xts-plain64,size=256
swap2\t/dev/sda6 /etc/key luks
home  /dev/sda7\tnone luks,discard
data UUID=7 none
odd
"""
FSTAB = "UUID=1 / ext4 defaults 0 1\n/dev/mapper/cryptswap none swap sw 0 0\n/dev/mapper/swap2 none swap sw 0 0\n"


def test_swap_goes_with_its_line_in_fstab(make_host) -> None:
    host = make_host({"/etc/crypttab": TEXT, "/etc/fstab": FSTAB})
    params = {"root": "/", "keep_zram": False, "delete_files": True}
    planned = os_disk_swap.run(params, host, True)
    done = os_disk_swap.run(params, host, False)
    assert planned["diff"] == done["diff"] and "edit /etc/crypttab" in done["actions"]
    after = host.read("/etc/crypttab")
    assert after == TEXT.replace(TEXT.split("\n")[1] + "\n", "").replace(TEXT.split("\n")[2] + "\n", "")
    assert not os_disk_swap.run(params, host, False)["changed"]


def test_swap_that_an_interrupted_run_has_left_goes_too(make_host) -> None:
    host = make_host({"/etc/crypttab": TEXT})
    assert os_disk_swap.run({"root": "/", "keep_zram": False, "delete_files": True}, host, False)["changed"]
    assert "cryptswap" not in host.read("/etc/crypttab") and "swap2" in host.read("/etc/crypttab")


def test_other_devices_are_named_by_uuid(make_host, monkeypatch) -> None:
    found = {"/dev/sda7": "77", "/dev/sda5": "55"}
    monkeypatch.setattr(guest, "uuid_lookup", lambda _host: found.get)
    host = make_host({"/etc/crypttab": TEXT})
    planned = fstab_uuid.run({"root": "/"}, host, True)
    done = fstab_uuid.run({"root": "/"}, host, False)
    assert planned["diff"] == done["diff"] and done["initramfs_stale"]
    assert done["replaced"] == {"/dev/sda7": "UUID=77"} and done["unknown"] == ["/dev/sda6"]
    assert any("/etc/crypttab" in sentence and "/dev/sda6" in sentence for sentence in done["warnings"])
    assert host.read("/etc/crypttab") == TEXT.replace("/dev/sda7", "UUID=77")
    assert not fstab_uuid.run({"root": "/"}, host, False)["changed"]


def test_a_line_by_a_lasting_name_stays() -> None:
    text = "root UUID=1 none\nvg /dev/mapper/a none\nfile /srv/box none\n\n"
    assert crypttab.plan(text, lambda _source: "9").after == text
