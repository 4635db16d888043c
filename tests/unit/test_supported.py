"""The page on support says what the data say, and the data name tests that exist."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from guests import definitions

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_supported", ROOT / "docs/make_supported.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(maker: ModuleType) -> None:
    assert maker.PAGE.read_text() == maker.page(), "run python3 docs/make_supported.py"


def test_every_row_names_a_test_and_what_was_seen(maker: ModuleType) -> None:
    for run in maker.runs():
        assert run["seen"] in maker.SEEN, run
        assert "test" not in run or (ROOT / run["test"]).exists(), run


def test_every_scenario_has_a_row(maker: ModuleType) -> None:
    named = {run.get("test") for run in maker.runs()}
    for scenario in sorted(ROOT.glob("molecule/*/molecule.yml")):
        assert f"molecule/{scenario.parent.name}" in named, (
            f"say in docs/supported.yml what {scenario.parent.name} has shown"
        )


def test_every_scenario_names_a_guest() -> None:
    for scenario in sorted(ROOT.glob("molecule/*/molecule.yml")):
        name = scenario.read_text().split("MOLECULE_GUEST:")[1].split()[0]
        assert name in definitions.GUESTS, scenario
