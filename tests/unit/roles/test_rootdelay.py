"""rootdelay= on initramfs-tools: no sleep at every boot, but the same longest wait for the root device."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

FILES = Path(__file__).parents[3] / "roles/common/files"

#: What initramfs-tools' init does, in its order: scripts run as children, param.conf is read after each of them.
INIT = """
export ROOTDELAY={delay}
run() {{ sh "$1"; [ -e {conf} ] && . {conf}; }}
run {top}
slept=${{ROOTDELAY:-0}}
run {premount}
echo "$slept ${{ROOTDELAY:-30}}"
"""


@pytest.mark.parametrize(("delay", "expected"), [("300", "0 300"), ("", "0 30"), ("1", "0 1"), ("1.5", "1.5 1.5")])
def test_the_delay_is_a_limit_and_no_sleep(tmp_path: Path, delay: str, expected: str) -> None:
    conf = tmp_path / "param.conf"
    scripts = []
    for name in ("azure-rootdelay-off", "azure-rootdelay-on"):
        script = tmp_path / name
        script.write_text((FILES / name).read_text().replace("/conf/param.conf", str(conf)))
        scripts.append(script)
    text = INIT.format(delay=delay, conf=conf, top=scripts[0], premount=scripts[1])
    assert subprocess.run(["sh", "-c", text], check=True, capture_output=True, text=True).stdout.strip() == expected


@pytest.mark.parametrize("name", ["azure-rootdelay-off", "azure-rootdelay-on"])
def test_mkinitramfs_asks_for_what_must_run_before(name: str) -> None:
    answer = subprocess.run(["sh", str(FILES / name), "prereqs"], check=True, capture_output=True, text=True)
    assert answer.stdout == "\n"
