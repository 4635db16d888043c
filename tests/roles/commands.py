"""commands.py NAME OPTIONS ARGUMENTS...: stand-ins for programs on a machine of machines.py.

Every call is noted in /var/log/calls. OPTIONS is a Python dictionary for the stand-in of the boot loader's generator.
"""

import ast
import os
import re
import shutil
import sys
from pathlib import Path

NAME, OPTIONS, ARGV = sys.argv[1], ast.literal_eval(sys.argv[2]), sys.argv[3:]
UNITS = Path("/etc/systemd/system")
FOLDERS = (UNITS, Path("/usr/lib/systemd/system"))


def note() -> None:
    Path("/var/log").mkdir(parents=True, exist_ok=True)
    with open("/var/log/calls", "a") as stream:
        stream.write(" ".join([NAME, *ARGV]) + "\n")


def state(unit: str) -> str:
    for folder in FOLDERS:
        path = folder / unit
        if path.is_symlink() and os.readlink(path) == "/dev/null":
            return "masked"
        if path.exists():
            return "enabled" if list(UNITS.glob(f"*.wants/{unit}")) else "disabled"
    return "not-found"


def systemctl() -> int:
    words = [word for word in ARGV if not word.startswith("-")]
    verb, units = words[0], words[1:]
    for unit in units:
        where = next((folder / unit for folder in FOLDERS if (folder / unit).exists()), None)
        if verb == "show":
            known = state(unit)
            load = {"not-found": "not-found", "masked": "masked"}.get(known, "loaded")
            print(
                f"Id={unit}\nLoadState={load}\nActiveState=inactive\nSubState=dead\nUnitFileState={known}\nCanReload=yes"
            )
        elif verb == "is-enabled":
            print(state(unit))
            return 0 if state(unit) == "enabled" else 1
        elif verb == "is-active":
            print("inactive")
            return 3
        elif verb == "enable":
            if where is None:
                print(f"Failed to enable unit: Unit file {unit} does not exist.", file=sys.stderr)
                return 1
            for target in re.findall(r"^WantedBy=(\S+)", where.read_text(), re.M):
                link = UNITS / f"{target}.wants" / unit
                link.parent.mkdir(parents=True, exist_ok=True)
                if not link.is_symlink():
                    link.symlink_to(where)
        elif verb == "disable":
            for link in UNITS.glob(f"*.wants/{unit}"):
                link.unlink()
        elif verb == "unmask":
            (UNITS / unit).unlink()
    return 0


def installed() -> "list[str]":
    return Path("/var/installed").read_text().split()


def install(names: "list[str]") -> int:
    for name in names:
        offer = Path("/var/offers") / name
        if not offer.is_dir():
            print(f"E: Unable to locate package {name}", file=sys.stderr)
            return 100
    for name in names:
        shutil.copytree(Path("/var/offers") / name / "files", "/", symlinks=True, dirs_exist_ok=True)
    remember(installed() + [name for name in names if name not in installed()])
    return 0


def remember(names: "list[str]") -> None:
    Path("/var/installed").write_text("\n".join(names) + "\n")
    status = Path("/var/lib/dpkg/status")
    if status.exists():
        status.write_text("".join(f"Package: {name}\nStatus: install ok installed\n\n" for name in names))


def remove(names: "list[str]") -> int:
    for name in names:
        for path in (Path("/var/offers") / name / "files").rglob("*"):
            if path.is_file():
                Path("/" + str(path.relative_to(Path("/var/offers") / name / "files"))).unlink(missing_ok=True)
    remember([name for name in installed() if name not in names])
    return 0


def packages() -> int:
    offers = [path.name for path in Path("/var/offers").iterdir()]
    plain = []
    skip = False
    for word in ARGV:
        if skip or word.startswith("-"):
            skip = word in ("-o", "--qf", "--type") and not skip
            continue
        plain.append(word)
    verb, names = (plain or [""])[0], plain[1:]
    if NAME == "rpm":
        for name in names if verb == "q" else plain:
            if name.startswith("%"):
                continue
            print(name if name in installed() else f"no package provides {name}")
        return 0
    if NAME == "apt-cache":
        for name in names:
            print(f"{name}:\n  Installed: (none)\n  Candidate: " + ("1.0" if name in offers else "(none)"))
        return 0
    if NAME == "repoquery" or verb == "repoquery":
        names = plain if NAME == "repoquery" else names
        print("\n".join(name for name in names if name in offers))
        return 0
    if verb == "search":
        print("S | Name\n" + "\n".join(f"  | {name} | x | package" for name in names if name in offers))
        return 0
    if verb == "install":
        conflict = "network-manager" in installed() and "waagent" in names
        if {"-s", "--dry-run", "--assumeno"} & set(ARGV):
            print("Remv network-manager [1.42.4-1]\n" if conflict else "")
            return 0
        if conflict:
            Path("/usr/lib/systemd/system/NetworkManager.service").unlink()
            remember([name for name in installed() if name != "network-manager"])
        return install(names)
    if verb in ("purge", "remove"):
        return remove(names)
    return 0


def disks() -> int:
    line = " ".join(ARGV)
    if NAME == "blkid":
        print("DEVNAME=/dev/vda1\nUUID=0a1b\nTYPE=ext4\n\nDEVNAME=/dev/vda5\nUUID=5w5w\nTYPE=swap\n")
    elif NAME == "lsblk" and "UUID" in line:
        print('NAME="/dev/vda" PKNAME="" UUID=""\nNAME="/dev/vda1" PKNAME="/dev/vda" UUID="0a1b"')
    elif NAME == "findmnt" and "--verify" in line:
        print("0 parse errors, 0 errors, 0 warnings")
    elif NAME == "findmnt" and "UUID" in line:
        print("0a1b" if ARGV[-1] == "/" else "")
    elif NAME == "swapoff":
        table = Path("/proc/swaps")
        table.write_text("".join(line for line in table.read_text().splitlines(True) if not line.startswith(ARGV[0])))
    return 0


def sudo() -> int:
    words = list(ARGV)
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in ("-u", "-p", "-g"):
            words.pop(0)
    os.execvp(words[0], words)


def generator() -> int:
    sys.path[:0] = ["/repository/tests/unit", "/repository/.ansible/collections"]
    from boot_doubles import ImageHost

    ImageHost("/", tools=[NAME], **OPTIONS).run([NAME, *ARGV])
    return 0


if NAME != "sudo":
    note()
if NAME == "systemctl":
    code = systemctl()
elif NAME in ("apt-get", "apt-cache", "dnf", "yum", "repoquery", "zypper", "rpm"):
    code = packages()
elif NAME in ("blkid", "lsblk", "findmnt", "swapoff"):
    code = disks()
elif NAME == "sudo":
    code = sudo()
elif NAME in ("sshd", "visudo", "swapon"):
    code = 0
elif NAME == "systemd-detect-virt":
    print("kvm")
    code = 0
else:
    code = generator()
sys.exit(code)
