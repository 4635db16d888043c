"""The page on support says what the data say, and the data name tests that exist."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import results

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


JUNIT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_supported" name="a"/>
<testcase classname="tests.unit.test_supported.TestX" name="b"/>
<testcase classname="tests.unit.test_repository" name="c"><skipped/></testcase>
<testcase classname="tests.unit.test_repository" name="d"><failure/></testcase>
<testcase classname="" name="tests.unit.gone"><error/></testcase></testsuite></testsuites>
"""


def test_results_are_recorded_and_shown_beside_what_was_typed(tmp_path: Path, maker: ModuleType) -> None:
    (tmp_path / "junit.xml").write_text(JUNIT)
    path = tmp_path / "results.jsonl"
    results.record([results.entry("tests/unit", 1, 0, 0), results.entry("molecule/default", 0, 1, 0)], path)
    results.record(results.of_junit("tests/unit", tmp_path / "junit.xml"), path)
    found = results.latest(path)
    numbers = {name: (each["passed"], each["failed"], each["skipped"]) for name, each in found.items()}
    assert numbers == {
        "tests/unit": (2, 2, 1),
        "tests/unit/test_supported.py": (2, 0, 0),
        "tests/unit/test_repository.py": (0, 1, 1),
        "molecule/default": (0, 1, 0),
    }
    rows = [line for line in maker.page(found).splitlines() if line.startswith("|")]
    unit = next(row for row in rows if "| `tests/unit` |" in row)
    assert "| passed | `tests/unit` | 2 passed, 2 failed, 1 skipped (" in unit and "ansible-core " in unit
    roles = next(row for row in rows if "| `tests/roles` |" in row)
    assert roles.endswith("| passed | `tests/roles` | not recorded |")
    assert "recorded" not in maker.page()
