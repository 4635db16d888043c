# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cloud-init's configuration as far as Azure needs it, read conservatively without a YAML library.

cloud-init merges /etc/cloud/cloud.cfg and then /etc/cloud/cloud.cfg.d/*.cfg in the order of their names; for a
top-level key the last file wins. ds-identify (a shell script) reads datasource_list only where the key is plain and the
whole list stands on one line. Files of ours are written whole, from the texts below.

Read are block mappings with plain and quoted keys, and a mapping in flow style as a whole file, which JSON is too.

Private to the collection: its interface may change in any release.
"""

import json
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

MAIN = "/etc/cloud/cloud.cfg"
FOLDER = "/etc/cloud/cloud.cfg.d"
KVP_FILE = FOLDER + "/10-azure-kvp.cfg"
LOGGING_FILE = FOLDER + "/05_logging.cfg"
SWAP_FILE = FOLDER + "/00-azure-swap.cfg"

SWAP_OFF_FILE = FOLDER + "/zzz-azure_swap.cfg"

HEADER = "# Written by the linuxvhd.azure collection.\n"

#: Files of installers that switch cloud-init's network or datasource off (CINIT-08).
LEFTOVERS = (
    FOLDER + "/50-curtin-networking.cfg",
    FOLDER + "/curtin-preserve-sources.cfg",
    FOLDER + "/99-installer.cfg",
    FOLDER + "/90-installer-network.cfg",
    FOLDER + "/subiquity-disable-cloudinit-networking.cfg",
    "/etc/cloud/ds-identify.cfg",
)

DISABLED_FILE = "/etc/cloud/cloud-init.disabled"

_KEY = re.compile(r"^(?:\"([^\"\\]+)\"|'([^']+)'|([A-Za-z_][\w.-]*))\s*:(?:\s+(.*))?$", re.S)
_QUOTED_KEY = re.compile(r"([\"'])([\w.-]+)\1(?=\s*:)")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'")

#: In the value of network:, what switches cloud-init's network configuration off.
NETWORK_DISABLED = re.compile(r"\bconfig[\"']?\s*:\s*['\"]?disabled\b")

#: What ds-identify finds (check_config in tools/ds-identify).
_PLAIN_LIST = re.compile(r"^datasource_list: +\[[^\]\n]*\]", re.M)

#: Between the parts of a value in flow style: blanks, line ends, comments.
_BLANK = re.compile(r"(?:\s|(?:(?<=\s)|^)#[^\n]*)*")
_PLAIN = re.compile(r"[^\s,\[\]{}\"'#:&*!|>%@`](?:[^,\[\]{}:#\n]|:(?![\s,\[\]{}])|(?<!\s)#)*")

#: Deeper than any configuration; keeps a hostile file from ending the program.
_DEEPEST = 20


class DatasourceList(NamedTuple):
    """A datasource_list in one file: its names, and whether it stands on one line (ds-identify reads no other)."""

    path: str
    names: List[str]
    one_line: bool


def datasource_text(apply_network_config: bool) -> str:
    """CINIT-02: Azure and nothing else, on one line."""
    text = HEADER + "datasource_list: [ Azure ]\n"
    if not apply_network_config:
        text += "datasource:\n  Azure:\n    apply_network_config: False\n"
    return text


def kvp_text() -> str:
    """CINIT-05: telemetry to the host; the key is lower case."""
    return HEADER + "reporting:\n  logging:\n    type: log\n  telemetry:\n    type: hyperv\n"


def logging_text() -> str:
    """CINIT-04: what cloud-init prints also goes to a file."""
    return HEADER + "output: {all: '| tee -a /var/log/cloud-init-output.log'}\n"


def swap_text(mount_point: str, unit: str) -> str:
    """SWAP-02: the temporary disk split into a file system and swap, waiting for `unit` (SWAP-06)."""
    return HEADER + (
        "disk_setup:\n"
        "  ephemeral0:\n"
        "    table_type: mbr\n"
        "    layout: [66, [33, 82]]\n"
        "    overwrite: True\n"
        "fs_setup:\n"
        "  - device: ephemeral0.1\n"
        "    filesystem: ext4\n"
        "  - device: ephemeral0.2\n"
        "    filesystem: swap\n"
        "mounts:\n"
        '  - ["ephemeral0.1", "%s"]\n'
        '  - ["ephemeral0.2", "none", "swap", "sw,nofail,x-systemd.requires=%s,x-systemd.device-timeout=2", "0", "0"]\n'
    ) % (mount_point, unit)


def swap_off_text() -> str:
    """SWAP-01: no swap file at first boot. Mappings are merged key by key, so that an empty one would change nothing;
    without a size cc_mounts makes none."""
    return HEADER + "# A swap file would be made on the disk of the operating system.\nswap: {size: 0}\n"


class _Unread(ValueError):
    """A text that this small reader does not understand."""


def _blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match is not None else at


def _scalar(text: str, at: int) -> Tuple[str, int]:
    match = _QUOTED.match(text, at) or _PLAIN.match(text, at)
    if match is None:
        raise _Unread(text[at : at + 20])
    word = match.group(0)
    if word.startswith('"'):
        try:
            return str(json.loads(word, strict=False)), match.end()
        except ValueError:
            raise _Unread(word)
    if word.startswith("'"):
        return word[1:-1].replace("''", "'"), match.end()
    return word.strip(), match.end()


def _flow(text: str, at: int, depth: int = 0, spans: Optional[Dict[str, str]] = None) -> Tuple[Any, int]:
    """The value in flow style (JSON is one) at `at`, scalars as texts, and where it ends.

    spans gets the text of each value of the outermost mapping.
    """
    at = _blank(text, at)
    opening = text[at : at + 1]
    if opening not in ("[", "{"):
        return _scalar(text, at)
    if depth > _DEEPEST:
        raise _Unread("too deep")
    closing = "]" if opening == "[" else "}"
    items: List[Any] = []
    pairs: Dict[str, Any] = {}
    at = _blank(text, at + 1)
    while text[at : at + 1] != closing:
        value, at = _flow(text, at, depth + 1)
        at = _blank(text, at)
        if opening == "[":
            items.append(value)
        elif text[at : at + 1] == ":" and isinstance(value, str):
            start = _blank(text, at + 1)
            pairs[value], at = _flow(text, start, depth + 1)
            if spans is not None:
                spans[value] = text[start:at]
            at = _blank(text, at)
        else:
            raise _Unread(text[at : at + 20])
        if text[at : at + 1] == ",":
            at = _blank(text, at + 1)
        elif text[at : at + 1] != closing:
            raise _Unread(text[at : at + 20])
    return (items if opening == "[" else pairs), at + 1


def _body(text: str) -> str:
    """The text from the first line that counts on, the indentation of that line taken from all."""
    lines = text.lstrip("\ufeff").replace("\r\n", "\n").split("\n")
    while lines:
        line = lines[0]
        if line.startswith("---") and line[3:4] in ("", " ", "\t"):
            lines[0] = line = line[3:].lstrip()
        if line.strip() and not line.lstrip().startswith("#") and not line.startswith("%"):
            break
        lines.pop(0)
    indent = len(lines[0]) - len(lines[0].lstrip(" ")) if lines else 0
    if indent:
        lines = [line[indent:] if not line[:indent].strip() else line for line in lines]
    return "\n".join(lines)


def _flow_file(body: str) -> Optional[Dict[str, str]]:
    """A file that is one mapping in flow style: its keys to the texts of their values; None where it cannot be read."""
    spans: Dict[str, str] = {}
    try:
        _value, at = _flow(body, 0, 0, spans)
    except _Unread:
        return None
    return spans if _blank(body, at) == len(body) else None


def is_unread(text: str) -> bool:
    """True for a file whose keys are not known here: a template, a merge key, flow style that is not understood."""
    body = _body(text)
    if body.startswith("{"):
        return _flow_file(body) is None
    return re.search(r"^(?:<<\s*:|\?(?:\s|$)|\{%)", body, re.M) is not None


def _depth(line: str) -> int:
    """How many brackets of flow style a line leaves open."""
    bare = re.sub(r"(^|\s)#.*", "", _QUOTED.sub("", line))
    return len(re.findall(r"[\[{]", bare)) - len(re.findall(r"[\]}]", bare))


def top_level(text: str) -> Dict[str, str]:
    """Top-level keys to the text that follows them (their own line and the indented lines below), comment lines left
    out, quotes taken from the keys in it."""
    body = _body(text)
    found: Dict[str, List[str]] = {}
    if body.startswith("{"):
        found = {key: value.split("\n") for key, value in (_flow_file(body) or {}).items()}
    else:
        current: Optional[List[str]] = None
        depth = 0
        for line in body.split("\n"):
            line = line.rstrip("\r")
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _KEY.match(line) if depth <= 0 else None
            if match is not None:
                value = match.group(4) or ""
                current = [value]
                found[match.group(1) or match.group(2) or match.group(3)] = current
                depth = _depth(value) if value[:1] in ("[", "{") else 0
            elif current is not None and (depth > 0 or line[0] in " \t-]}"):
                current.append(line)
                depth += _depth(line) if depth > 0 else 0
    return {
        key: _QUOTED_KEY.sub(r"\2", "\n".join(line for line in value if not line.lstrip().startswith("#")))
        for key, value in found.items()
    }


def looks_broken(text: str) -> bool:
    """True where a file is surely no YAML mapping: a tab as indentation, brackets or quotes left open at its end, a
    top-level line that is neither a key nor part of one. cloud-init then passes the whole file over, with a warning."""
    depth = 0
    inside_text = False
    for line in text.replace("\r", "").split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] not in " \t":
            inside_text = False
        if inside_text:
            continue
        if line.startswith("\t") or re.match(r" +\t", line):
            return True
        if line.startswith(("%", "---", "...")):
            continue
        if line[0] not in " -]}[{\"'" and not depth and not re.match(r"[^\s:#][^:]*:(\s|$)", line):
            return True
        bare = re.sub(r"(^|\s)#.*", "", _QUOTED.sub("", line))
        if re.search(r"[:-]\s+(?:[&!]\S+\s+)*[|>][+-]?\d?\s*$", bare):
            # A block of literal text follows.
            inside_text = True
            continue
        value = re.sub(r"^[\s-]*[\w.-]+\s*:\s*|^[\s-]*-\s+", "", bare).strip()
        if depth or value[:1] in ("[", "{"):
            depth += len(re.findall(r"[\[{]", bare)) - len(re.findall(r"[\]}]", bare))
            if depth < 0:
                return True
    return depth != 0


def _names(value: str) -> List[str]:
    value = re.sub(r"\s#.*", "", value)
    return [word.strip("'\"") for word in re.split(r"[\s,\[\]]+", value) if word and word != "-"]


def datasource_list(path: str, text: str) -> Optional[DatasourceList]:
    """The datasource_list that a file sets; None where it sets none."""
    value = top_level(text).get("datasource_list")
    if value is None:
        return None
    first = value.split("\n")[0].strip()
    whole = first.startswith("[") and "]" in first
    names = _names(first.split("]")[0] if whole else value)
    return DatasourceList(path, names, whole and bool(_PLAIN_LIST.search(text)))


def config_files(host: Host) -> List[str]:
    """cloud.cfg and the *.cfg of cloud.cfg.d in the order in which cloud-init merges them."""
    found = [MAIN] if host.is_file(MAIN) else []
    return found + [path for path in host.glob(FOLDER + "/*.cfg") if host.is_file(path)]


def effective_datasources(files: Sequence[Tuple[str, str]]) -> Optional[DatasourceList]:
    """The datasource_list that counts among (path, text) in merge order: the last; None where none is set."""
    result = None
    for path, text in files:
        found = datasource_list(path, text)
        if found is not None:
            result = found
    return result


def network_disabled(files: Sequence[Tuple[str, str]]) -> List[str]:
    """The files that say `network: {config: disabled}`."""
    return [path for path, text in files if NETWORK_DISABLED.search(top_level(text).get("network", ""))]


def swap_file(files: Sequence[Tuple[str, str]]) -> Optional[Tuple[str, str]]:
    """The swap file that cloud-init makes at first boot, /swap.img where none is named, and the last file of those that
    ask for it; None where none is made, or on the temporary disk. Files are (path, text) in merge order."""
    name, size, path, on = "/swap.img", "0", "", False
    for each, text in files:
        value = top_level(text).get("swap")
        if value is None:
            continue
        # A mapping is merged into those of other files; an empty value that counts most hides them all.
        on = value.strip() not in ("", "~", "null")
        named = re.search(r"filename\s*:\s*[\"']?([^\s,\"'}]+)", value)
        sized = re.search(r"(?<!max)size\s*:\s*[\"']?(\w+)", value)
        name = named.group(1) if named is not None else name
        size = sized.group(1) if sized is not None else size
        path = each
    return (path, name) if on and size != "0" and not name.startswith("/mnt/") else None


def keeps_hostname(files: Sequence[Tuple[str, str]]) -> str:
    """The file that makes cloud-init leave the host name alone (the last one that speaks of it); "" for none."""
    answer = ""
    for path, text in files:
        value = top_level(text).get("preserve_hostname")
        if value is not None:
            word = re.sub(r"\s#.*", "", value).strip().strip("'\"").lower()
            answer = path if word in ("true", "yes", "on", "1") else ""
    return answer


def logs_output(files: Sequence[Tuple[str, str]]) -> bool:
    """Whether some file sends the output of cloud-init to a log file already."""
    return any("output" in top_level(text) for _path, text in files)


def reports_kvp(files: Sequence[Tuple[str, str]]) -> bool:
    """Whether some file switches the Hyper-V telemetry on."""
    return any("hyperv" in top_level(text).get("reporting", "") for _path, text in files)


def parse_version(text: str) -> Tuple[int, ...]:
    """ "/usr/bin/cloud-init 22.4.2-1" or "cloud-init 0.7.9": the version as numbers, empty where there is none."""
    match = re.search(r"(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in match.group(1).split(".")) if match else ()


#: Where cloud-init's Python files may lie; meson_versions.py holds the version from 25.4 on.
VERSION_FILES = tuple(
    "/usr/lib/%s/cloudinit/%s" % (folder, name)
    for folder in ("python3*/*-packages", "python2*/*-packages")
    for name in ("meson_versions.py", "version.py")
)


def parse_version_file(text: str) -> Tuple[int, ...]:
    """The version in one of VERSION_FILES, empty where it leaves it to the other or cannot be read."""
    match = re.search(r"^\s*(?:__VERSION__|UPSTREAM_VERSION)\s*=\s*[\"']([^\"'@]+)[\"']", text, re.M)
    return parse_version(match.group(1)) if match else ()


class ModuleList(NamedTuple):
    """The modules of one stage, from the last file that names them; items None where their form is not understood."""

    path: str
    items: Optional[List[Any]]

    @property
    def names(self) -> List[str]:
        return [module_name(item) for item in self.items or []]


def module_name(item: Any) -> str:
    """mounts, [mounts, always] and {name: mounts} as cloud-init reads them (config/modules.py)."""
    if isinstance(item, list):
        item = item[0] if item else ""
    elif isinstance(item, dict):
        item = item.get("name", "")
    return item.strip().replace("-", "_") if isinstance(item, str) else ""


def _items(value: str) -> Optional[List[Any]]:
    """A list, in flow style or as a block of scalars and values in flow style; None where it is anything else."""
    value = value.strip("\n")
    try:
        if value.lstrip().startswith("["):
            items, at = _flow(value, 0)
            return items if isinstance(items, list) and _blank(value, at) == len(value) else None
        lines = [line for line in value.split("\n") if re.sub(r"^\s*#.*", "", line).strip()]
        if not lines or lines[0].strip() in ("null", "~"):
            return []
        lead = re.match(r"( *)- +(?=\S)", lines[0])
        if lead is None:
            return None
        parts: List[str] = []
        for line in lines:
            item = re.match(r"( *)-(?:\s+|$)", line)
            if item is not None and item.group(1) == lead.group(1):
                parts.append(line[item.end() :])
            elif parts:
                parts[-1] += "\n" + line
        found = []
        for part in parts:
            item_value, at = _flow(part, 0)
            if _blank(part, at) != len(part):
                return None
            found.append(item_value)
        return found
    except _Unread:
        return None


def module_list(files: Sequence[Tuple[str, str]], key: str) -> Optional[ModuleList]:
    """The list of modules that counts among (path, text) in merge order; None where no file has one."""
    result = None
    for path, text in files:
        value = top_level(text).get(key)
        if value is not None and not looks_broken(text):
            result = ModuleList(path, _items(value))
        elif value is None and is_unread(text):
            result = ModuleList(path, None)
    return result


INIT_MODULES = "cloud_init_modules"
CONFIG_MODULES = "cloud_config_modules"

#: CINIT-03: what has to run in the init stage.
EARLY = ("disk_setup", "mounts")


def _block(key: str, items: Sequence[Any]) -> str:
    words = [
        item if isinstance(item, str) and re.match(r"[A-Za-z][\w-]*$", item) else json.dumps(item) for item in items
    ]
    return "%s:\n%s" % (key, "".join(" - %s\n" % word for word in words)) if words else "%s: []\n" % key


def modules_text(files: Sequence[Tuple[str, str]]) -> Optional[str]:
    """CINIT-03 for cloud-init before 23: both lists as they count, with disk_setup and mounts in the init stage.

    None where they are there already, or where no list can be read.
    """
    init = module_list(files, INIT_MODULES)
    if init is None or not init.items or set(EARLY) <= set(init.names):
        return None
    missing = [name for name in EARLY if name not in init.names]
    config = module_list(files, CONFIG_MODULES)
    later = list(config.items or []) if config is not None else []
    moved = {module_name(item): item for item in reversed(later) if module_name(item) in missing}
    places = [index + 1 for index, name in enumerate(init.names) if name in ("growpart", "resizefs")]
    at = places[-1] if places else len(init.items)
    items = init.items[:at] + [moved.get(name, name) for name in missing] + init.items[at:]
    text = HEADER + "# The lists of %s, with %s in the init stage.\n" % (init.path, " and ".join(missing))
    text += _block(INIT_MODULES, items)
    if moved:
        text += _block(CONFIG_MODULES, [item for item in later if module_name(item) not in moved])
    return text
