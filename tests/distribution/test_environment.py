"""The definition of the execution environment as ansible-builder reads it, and what it finds in the collection."""

from __future__ import annotations

from pathlib import Path

import yaml
from conftest import ROOT, ansible

DEFINITION = ROOT / "execution-environment.yml"


def requirements(text: str) -> list[str]:
    """The lines that say something."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_builder_makes_a_context_of_the_definition(tmp_path: Path) -> None:
    context = tmp_path / "context"
    result = ansible("ansible-builder", "create", "-f", str(DEFINITION), "-c", str(context), cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    (recipe,) = [path for path in context.iterdir() if path.is_file()]
    definition = yaml.safe_load(DEFINITION.read_text())
    text = recipe.read_text()
    assert definition["images"]["base_image"]["name"] in text
    assert definition["dependencies"]["ansible_core"]["package_pip"] in text
    for name in ("requirements.txt", "bindep.txt"):
        assert (context / "_build" / name).read_text() == (ROOT / f"meta/ee-{name}").read_text()


def test_builder_refuses_a_definition_of_another_form(tmp_path: Path) -> None:
    broken = tmp_path / "execution-environment.yml"
    broken.write_text(DEFINITION.read_text().replace("python_path:", "python_file:"))
    result = ansible("ansible-builder", "create", "-f", str(broken), "-c", str(tmp_path / "context"), cwd=ROOT)
    assert result.returncode != 0 and "python_file" in result.stdout + result.stderr


def test_builder_finds_the_requirements_of_the_installed_collection(installed: Path, tmp_path: Path) -> None:
    result = ansible("ansible-builder", "introspect", str(installed), cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    found = yaml.safe_load(result.stdout)
    for kind, name in (("python", "requirements"), ("system", "bindep")):
        wanted = requirements((ROOT / f"meta/ee-{name}.txt").read_text())
        assert [line.split("  #")[0] for line in found[kind]] == wanted


def test_the_definition_allows_the_releases_that_are_supported() -> None:
    package = yaml.safe_load(DEFINITION.read_text())["dependencies"]["ansible_core"]["package_pip"]
    required = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"]
    assert required.removesuffix(".0") in package
