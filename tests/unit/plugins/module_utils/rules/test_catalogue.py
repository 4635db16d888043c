"""The catalogue of rules: complete in itself, and every tag it uses is a document."""

from __future__ import annotations

import re

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import catalogue


@pytest.mark.parametrize("rule", catalogue.RULES.values(), ids=lambda rule: rule.id)
def test_an_entry_is_complete(rule: catalogue.Rule) -> None:
    assert re.fullmatch(r"[A-Z]+-\d\d", rule.id)
    assert rule.title and not rule.title.endswith(".")
    assert rule.level in catalogue.LEVELS
    assert rule.where in (catalogue.GUEST, catalogue.IMAGE, catalogue.PLATFORM)
    assert rule.phase in (catalogue.PREPARE, catalogue.CAPTURE)
    assert rule.remedy
    assert rule.sources and rule.source
    assert set(rule.families) <= {"all", "redhat", "debian", "ubuntu", "suse", "generic"}


@pytest.mark.parametrize("rule", catalogue.RULES.values(), ids=lambda rule: rule.id)
def test_a_rule_outside_the_guest_says_why_it_is_not_checked(rule: catalogue.Rule) -> None:
    if rule.where != catalogue.GUEST:
        assert rule.why_unchecked


def test_a_profile_contains_the_smaller_one() -> None:
    boot, recommended, certification = (
        {rule.id for rule in catalogue.select(name)} for name in ("boot", "recommended", "certification")
    )
    assert boot < recommended < certification
    assert certification == {rule.id for rule in catalogue.RULES.values() if not rule.why_unchecked}


def test_every_source_is_used_and_has_an_address() -> None:
    used = {tag for rule in catalogue.RULES.values() for tag in rule.sources}
    assert used == set(catalogue.SOURCES)
    assert all(address.startswith("https://") for _title, address in catalogue.SOURCES.values())
