"""grub_azure_cmdline on a disk that fills up and stays full."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import FaultAt, FaultFrom
from test_grub_azure_cmdline import make, snapshot

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.modules import grub_azure_cmdline


@pytest.mark.parametrize("name", ["debian12", "el8", "sles11"])
def test_a_disk_that_stays_full_does_not_keep_files_from_being_put_back(tmp_path: Path, name: str) -> None:
    counter = FaultAt()
    grub_azure_cmdline.run({}, make(tmp_path / "count", name, fault=counter), False)
    writes = [number for number, (step, _path) in enumerate(counter.steps) if step in ("create", "backup")]
    for number in writes:
        host = make(tmp_path / str(number), name, fault=FaultFrom(number))
        before = snapshot(host)
        with pytest.raises(AzurePrepError, match="Every file was put back"):
            grub_azure_cmdline.run({}, host, False)
        assert snapshot(host) == before, counter.steps[number]
