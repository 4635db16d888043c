"""Everything that reads foreign input, found by itself: no input makes it raise anything but a sentence.

That is every function called parse or parse_something, and every public one that takes a text or bytes; those that
read files or an image have a table. They have tests of their own for what they understand; this one makes sure that
none is forgotten. `nox -s fuzz` runs it, and every other test on generated input, again and again for a bounded time.
"""

from __future__ import annotations

import importlib
import inspect
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils import apt_sources, efi, sshd_config, units
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import loaders, systemd_boot
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import context
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import deployment
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import common
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import detect, foreign, gpt

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


#: What a function calls the foreign text or bytes that it takes.
CONTENT = ("text", "data", "body", "packed", "head", "line", "lines", "row", "stanza")

#: A deployment, for what the guest reports of it, and the variables of a boot loader.
DEPLOYMENT = deployment.new_deployment(2, "azureproof", "azureuser", ())

#: More arguments of functions, by name of the argument, where every value of its type would not do.
GIVEN: dict[str, Any] = {
    **dict.fromkeys(PLACES, "/etc/some/file"),
    "mac": "00:0d:3a:01:02:03",
    "deployment": DEPLOYMENT,
    "limit": 4096,
    "quoting": "grub",
    "family": "debian",
    "suse": True,
}

#: Functions whose contract is another than a sentence: the exception that it names.
OTHERWISE: dict[str, type[Exception]] = {
    "initramfs.reader.unpack_lz4_block": ValueError,
    "initramfs.reader.unpack_lzo1x": ValueError,
}

#: What is not called with made-up values, and why.
ELSEWHERE = {
    "initramfs.reader.read": "FILES calls it, by read_image",
    "fabric.deployment.swap_uuid": "takes the UUID of our own deployment",
    "fabric.wireserver.certificates_document": "takes the base64 of our own server",
}

#: Files that are read together through Host, and what reads them.
FILES: dict[str, tuple[tuple[str, ...], Callable[[Host], Any]]] = {
    "units": (
        ("/etc/systemd/system/a.service", "/proc/cmdline", "/etc/cloud/cloud-init.disabled", "/proc/1/environ"),
        lambda host: (units.state(host, "a.service"), units.cloud_init_enabled(host), units.is_container(host)),
    ),
    "efi": (
        ("/boot/efi/EFI/debian/shimx64.efi", "/boot/efi/EFI/debian/grub.cfg", "/etc/fstab", "/proc/mounts"),
        lambda host: efi.plan(host, efi.find_esp(host) or "/boot/efi"),
    ),
    "apt sources": (
        ("/etc/apt/sources.list",),
        lambda host: apt_sources.use_mirror(host.read("/etc/apt/sources.list"), "http://azure.archive.ubuntu.com"),
    ),
    "systemd-boot": (
        ("/boot/loader/loader.conf", "/boot/loader/entries/a.conf", "/etc/kernel/cmdline"),
        lambda host: (systemd_boot.find(host, True), loaders.read_entries(host)),
    ),
    "grub": (
        ("/etc/default/grub", "/boot/grub/grub.cfg", "/boot/grub/grubenv", "/boot/grub/custom.cfg"),
        loaders.read_entries,
    ),
    "entries of grub": (
        ("/boot/grub2/grub.cfg", "/boot/grub2/grubenv", "/boot/loader/entries/a.conf", "/etc/default/grub"),
        loaders.read_entries,
    ),
    "grub legacy": (("/boot/grub/menu.lst", "/boot/grub/grub.conf"), loaders.read_entries),
    "sshd": (("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/a.conf"), sshd_config.flatten_host),
    "deprovision's state": (("/var/lib/azure-deprovision/state.json", context.STATE_FILE), context.read_state),
    "initramfs": (("/boot/image",), lambda host: common.read_image(host, "/boot/image")),
    "os-release": (("/etc/os-release", "/etc/redhat-release"), lambda host: host.os_release()),
}

#: Readers of disk images, given the whole content.
IMAGES: dict[str, Callable[[bytes], Any]] = {
    "vhd.detect.detect": lambda data: detect.detect(at(data), len(data), "/x", "auto", False),
    "vhd.detect.detect, repair": lambda data: detect.detect(at(data), len(data), "/x", "vpc", True),
    "vhd.gpt.inspect": lambda data: gpt.inspect(at(data), len(data)),
    **{
        f"vhd.foreign.inspect, {name}": lambda data, name=name: foreign.inspect(name, at(data), len(data), "/x")
        for name in ("qcow2", "vmdk", "vhdx")
    },
}

#: Beginnings that make a reader go on: of disk images and of what packs an initramfs.
MAGICS = (
    b"", b"conectix", b"QFI\xfb\0\0\0\3", b"vhdxfile", b"KDMV\1\0\0\0", b"# Disk DescriptorFile\n", b"070701", b"BZh9",
    b"\0" * 512 + b"EFI PART", b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"\x5d\0\0", b"\x02\x21\x4c\x18",
    b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd",
    b"\x89LZO\0\r\n\x1a\n", b"cxsparse", b"LUKS\xba\xbe", b"\xfa".ljust(510, b"\x90") + b"\x55\xaa",
)  # fmt: skip


def at(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length] if offset >= 0 and length >= 0 else b""


def image_bytes() -> st.SearchStrategy[bytes]:
    footer = st.builds(lambda tail: b"conectix" + tail.ljust(504, b"\0")[:504], st.binary(max_size=504))
    return st.builds(lambda *parts: b"".join(parts), st.sampled_from(MAGICS), BYTES, st.just(b"") | footer)


def public_functions() -> dict[str, Callable[..., Any]]:
    """Every public function of module_utils, by module and name."""
    found = {}
    for path in sorted(FOLDER.rglob("*.py")):
        name = ".".join(path.relative_to(FOLDER).with_suffix("").parts)
        module = importlib.import_module(f"{PACKAGE}.{name.removesuffix('.__init__')}")
        for attribute, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__ and not attribute.startswith("_"):
                found[f"{name}.{attribute}"] = value
    return found


def readers() -> dict[str, Callable[..., Any]]:
    """Those that take a text or bytes, and whose other arguments can be made up."""
    found = {}
    for name, function in public_functions().items():
        required = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
        takes = any(one.name in CONTENT and one.annotation in (str, bytes) for one in required)
        if takes and all(one.name in GIVEN or one.annotation in (str, bytes) for one in required):
            found[name] = function
    return {name: function for name, function in found.items() if name not in PARSERS and name not in ELSEWHERE}


READERS = readers()


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


def test_every_reader_is_called() -> None:
    """Whose name says that it reads, and who takes a text or bytes, is among them, or excused."""
    words = {"parse", "read", "decode", "detect", "lex", "unpack"}
    missing = []
    for name, function in public_functions().items():
        types = [one.annotation for one in inspect.signature(function).parameters.values() if one.name not in GIVEN]
        if words & set(name.split(".")[-1].split("_")) and {str, bytes} & set(types):
            covered = name in PARSERS or name in READERS or name in IMAGES or name in ELSEWHERE
            missing += [] if covered else [name]
    assert missing == [], "add them to a table here"
    assert not set(ELSEWHERE) & (set(PARSERS) | set(READERS) | set(IMAGES))
    assert set(OTHERWISE) <= set(READERS)
    assert {"fabric.wireserver.read_report", "fabric.pcap.read", "bootloaders.grub_cfg.lex"} <= set(READERS)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_text_is_a_traceback(name: str, data: st.DataObject) -> None:
    values = []
    for one in inspect.signature(READERS[name]).parameters.values():
        if one.default is one.empty:
            made = one.name not in GIVEN
            values.append(data.draw({str: TEXTS, bytes: BYTES}[one.annotation]) if made else GIVEN[one.name])
    try:
        READERS[name](*values)
    except (AzurePrepError, OTHERWISE.get(name, AzurePrepError)) as exc:
        assert name in OTHERWISE or len(str(exc)) > 20, "a sentence"


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_file_is_a_traceback(name: str, data: st.DataObject) -> None:
    paths, read = FILES[name]
    with tempfile.TemporaryDirectory() as root:
        for path in paths:
            place = Path(root + path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data.draw(image_bytes() if name in ("initramfs", "efi") else BYTES))
        try:
            read(Host(root))
        except AzurePrepError as exc:
            assert len(str(exc)) > 20, "a sentence"


@pytest.mark.parametrize("name", IMAGES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=image_bytes())
def test_no_image_is_a_traceback(name: str, data: bytes) -> None:
    try:
        IMAGES[name](data)
    except AzurePrepError as exc:
        assert len(str(exc)) > 20, "a sentence"


@pytest.mark.parametrize(
    "text", ['{"virtual-size": Infinity}', "[" * 100_000, '[{"virtual-size": 1}, 3]', '{"virtual-size": "1e99"}']
)
def test_an_odd_answer_of_qemu_img_is_a_sentence(text: str) -> None:
    with pytest.raises(AzurePrepError, match="nothing usable"):
        PARSERS["vhd.qemu.parse_info"](text, "/x")
