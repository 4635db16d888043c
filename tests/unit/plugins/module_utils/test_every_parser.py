"""Every function called parse or parse_something, found by itself: no input makes it raise anything but a sentence.

Parsers have tests of their own for what they understand; this one makes sure that none is forgotten. `nox -s fuzz` runs
it, and every other test on generated input, again and again for a bounded time.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

FOLDER = Path(__file__).parents[4] / "plugins/module_utils"
PACKAGE = "ansible_collections.linuxvhd.azure.plugins.module_utils"

#: Arguments that are no input: names of places, for the sentence of an error.
PLACES = ("path", "where")

#: Answers of programs in JSON, with values that are none.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "0", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["virtual-size", "format-specific", "filename", "data"]), inner, max_size=4)
    ),
).map(json.dumps)
SCRAPS = [
    *(
        "\n",
        "\r\n",
        "\t",
        " ",
        "\\",
        "\\\n",
        '"',
        "'",
        "`",
        "$",
        "${",
        "}",
        "{",
        "[",
        "]",
        "(",
        ")",
        "<",
        ">",
        "#",
        ";",
    ),
    *(
        "=",
        ":",
        ",",
        "/",
        "|",
        "&",
        "%",
        "~",
        "!",
        "*",
        "-",
        "0",
        "1",
        "9" * 30,
        "é",
        "\0",
        "\udc80",
        "\u2028",
        "\ufeff",
    ),
    *("if", "fi", "menuentry", "linux", "root=", "Match", "Include", "install", "blacklist", "iface", "auto", "swap"),
    *("Defaults", "datasource_list", "version", "size", "true", "null", "-e", "<a>", "</a>", "%d", "{{", "}}"),
]
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(SCRAPS), max_size=40).map("".join), JSON)


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


BYTES = st.one_of(st.binary(max_size=2048), TEXTS.map(encoded))


def parsers() -> dict[str, Callable[..., Any]]:
    """Every parser by its name; those that want more than text or bytes have required arguments of other types."""
    found = {}
    for path in sorted(FOLDER.rglob("*.py")):
        name = ".".join(path.relative_to(FOLDER).with_suffix("").parts)
        module = importlib.import_module(f"{PACKAGE}.{name.removesuffix('.__init__')}")
        for attribute, value in vars(module).items():
            if attribute.split("_")[0] == "parse" and inspect.isfunction(value) and value.__module__ == module.__name__:
                found[f"{name}.{attribute}"] = value
    return found


PARSERS = parsers()


def arguments(parser: Callable[..., Any], data: st.DataObject) -> list[Any]:
    """Values for the required arguments."""
    values: list[Any] = []
    for argument in inspect.signature(parser).parameters.values():
        if argument.default is not argument.empty:
            continue
        if argument.name in PLACES:
            values.append("/etc/some/file")
        else:
            values.append(data.draw({str: TEXTS, bytes: BYTES}[argument.annotation]))
    return values


def test_there_are_parsers() -> None:
    assert len(PARSERS) > 20
    assert {"fstab.parse", "sshd_config.parse", "vhd.footer.parse", "host.parse_os_release"} <= set(PARSERS)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_input_is_a_traceback(name: str, data: st.DataObject) -> None:
    values = arguments(PARSERS[name], data)
    try:
        PARSERS[name](*values)
    except AzurePrepError as exc:
        assert len(str(exc)) > 20, "a sentence"


@pytest.mark.parametrize(
    "text", ['{"virtual-size": Infinity}', "[" * 100_000, '[{"virtual-size": 1}, 3]', '{"virtual-size": "1e99"}']
)
def test_an_odd_answer_of_qemu_img_is_a_sentence(text: str) -> None:
    with pytest.raises(AzurePrepError, match="nothing usable"):
        PARSERS["vhd.qemu.parse_info"](text, "/x")
