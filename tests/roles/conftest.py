"""The machines of a test run: made once, prepared in check mode, prepared, prepared again."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

import machines

PLAYBOOK = "playbooks/prepare-azure.yml"


@pytest.fixture(scope="session")
def workshop() -> Iterator[Path]:
    """A directory in memory: overlays need a file system that can hold one, and there are many small writes."""
    reason = machines.why_not()
    if reason:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="azure-roles-", dir="/dev/shm") as folder:
        yield Path(folder)
        # The overlay's work directory may hold directories without permissions.
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir(exist_ok=True)


@pytest.fixture(scope="session")
def prepared(workshop: Path, request: pytest.FixtureRequest) -> machines.Prepared:
    """Every machine that a collected test asks for, prepared."""
    names = sorted(
        {
            item.callspec.params["name"]
            for item in request.session.items
            if "name" in getattr(item, "callspec", _None).params
        }
    )
    place = workshop / "families"
    place.mkdir()
    made = {name: machines.Machine(place, name) for name in names}
    inventory = machines.inventory(list(made.values()), place)
    # Nothing in the inventory says become: root is who connects.
    # All machines at once, each at its own pace: they must not meet on the controller.
    check = machines.play(inventory, PLAYBOOK, "--check", "--diff", strategy="free", forks=50)
    first = machines.play(inventory, PLAYBOOK, "--diff")
    return machines.Prepared(made, check, first, machines.play(inventory, PLAYBOOK, "--diff"))


class _None:
    params: dict[str, str] = {}
