"""docs/rules.md is what the catalogue says, and no rule comes without a check, a task or a reason."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import catalogue, engine

ROOT = Path(__file__).resolve().parents[5]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_rules", ROOT / "docs" / "make_rules.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def named(maker: ModuleType) -> dict[str, list[str]]:
    return maker.tasks()


def test_the_page_is_fresh(maker: ModuleType) -> None:
    text = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert text == maker.page(), "run: python3 docs/make_rules.py"


def test_every_area_has_a_title(maker: ModuleType) -> None:
    assert {rule.area for rule in catalogue.RULES.values()} == set(maker.AREAS)


def test_every_task_is_named_after_a_rule_that_exists(named: dict[str, list[str]]) -> None:
    assert set(named) <= set(catalogue.RULES)


@pytest.mark.parametrize("rule", catalogue.RULES.values(), ids=lambda rule: rule.id)
def test_a_rule_of_the_guest_has_a_task_or_a_reason(named: dict[str, list[str]], rule: catalogue.Rule) -> None:
    served = catalogue.SERVED_BY.get(rule.id)
    if rule.where != catalogue.GUEST:
        assert served is None
        return
    ways = [bool(named.get(rule.id)), served is not None, bool(rule.why_no_task)]
    assert any(ways), f"{rule.id}: no task, no rule that serves it, no why_no_task"
    if served is not None:
        assert named.get(served), f"{rule.id} is said to be served by {served}, which has no task"
    if rule.why_no_task:
        assert not named.get(rule.id), f"{rule.id} has a task and a reason why it has none"


def test_a_check_and_a_reason_exclude_each_other() -> None:
    for rule in catalogue.RULES.values():
        assert (rule.id in engine.CHECKS) != bool(rule.why_unchecked), rule.id
