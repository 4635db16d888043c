# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cloud-init's configuration as far as Azure needs it, read conservatively without a YAML library.

cloud-init merges /etc/cloud/cloud.cfg and then /etc/cloud/cloud.cfg.d/*.cfg in the order of their names; for a
top-level key the last file wins. ds-identify (a shell script) reads datasource_list only where the whole list
stands on one line. Files of ours are written whole, from the texts below.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

MAIN = "/etc/cloud/cloud.cfg"
FOLDER = "/etc/cloud/cloud.cfg.d"
KVP_FILE = FOLDER + "/10-azure-kvp.cfg"
LOGGING_FILE = FOLDER + "/05_logging.cfg"
SWAP_FILE = FOLDER + "/00-azure-swap.cfg"

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

_KEY = re.compile(r"^([A-Za-z_][\w.-]*)\s*:(?:\s+(.*))?$", re.S)


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


def top_level(text: str) -> Dict[str, str]:
    """Top-level keys to the text that follows them (their own line and the indented lines below)."""
    found: Dict[str, List[str]] = {}
    current: Optional[List[str]] = None
    for line in text.split("\n"):
        line = line.rstrip("\r")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _KEY.match(line)
        if match is not None:
            current = [match.group(2) or ""]
            found[match.group(1)] = current
        elif current is not None and (line[0] in " \t-]}" or line.startswith("- ")):
            current.append(line)
    return {key: "\n".join(value) for key, value in found.items()}


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
        bare = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'", "", line)
        bare = re.sub(r"(^|\s)#.*", "", bare)
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
    one_line = first.startswith("[") and "]" in first
    return DatasourceList(path, _names(first.split("]")[0] if one_line else value), one_line)


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
    pattern = re.compile(r"\bconfig\s*:\s*['\"]?disabled\b")
    return [path for path, text in files if pattern.search(top_level(text).get("network", ""))]


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


def modules_in_init(text: str) -> List[str]:
    """The module names in the block list cloud_init_modules of cloud.cfg."""
    return [item[0] for item in _module_items(text, "cloud_init_modules")]


def _module_items(text: str, key: str) -> List[Tuple[str, int]]:
    """(name, line) of the plain items in a block list below a top-level key."""
    found = []
    inside = False
    for index, line in enumerate(text.split("\n")):
        match = _KEY.match(line)
        if match is not None and not line.startswith("-"):
            inside = match.group(1) == key
            continue
        if not inside:
            continue
        item = re.match(r"^\s*-\s+([\w-]+)\s*(#.*)?$", line)
        nested = re.match(r"^\s*-\s+\[\s*([\w-]+)\s*[,\]]", line)
        if item is not None:
            found.append((item.group(1), index))
        elif nested is not None:
            found.append((nested.group(1), index))
    return found


def move_modules(text: str, names: Sequence[str] = ("disk_setup", "mounts")) -> str:
    """CINIT-03 for cloud-init before 23: the modules run in the init stage, written as their neighbours are.

    Only a block list is edited, item by item with its neighbours' own indentation; a text of another form is
    returned unchanged.
    """
    lines: List[Optional[str]] = list(text.split("\n"))
    init = _module_items(text, "cloud_init_modules")
    if not init:
        return text
    present = {name.replace("-", "_") for name, _index in init}
    missing = [name for name in names if name not in present]
    if not missing:
        return text
    for name, index in _module_items(text, "cloud_config_modules"):
        if name.replace("-", "_") in missing:
            lines[index] = None
    anchor = init[-1][1]
    for name, index in init:
        if name in ("growpart", "resizefs"):
            anchor = index
    prefix = re.match(r"^(\s*-\s+)", lines[anchor] or " - ")
    lead = prefix.group(1) if prefix is not None else " - "
    lines[anchor] = "\n".join([lines[anchor] or ""] + [lead + name for name in missing])
    return "\n".join(line for line in lines if line is not None)
