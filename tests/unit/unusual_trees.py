"""Trees of boot configuration as they are met, each with the arguments that its entries shall end up with.

Written from what the distributions' installers, packages and cloud images leave behind, with the oddities that people
and tools add. CASES are changed by the module, with a generator as in boot_doubles; READ are grub.cfg files as they
stand on disks, whose entries are only read. ALL stands for what Azure wants everywhere, EL for what it wants there.
"""

# ruff: noqa: E501  (lines of files are kept whole)

from __future__ import annotations

from typing import Any, NamedTuple

ALL = ["console=tty1", "console=ttyS0,115200n8", "earlyprintk=ttyS0,115200", "rootdelay=300"]
EL = [*ALL, "net.ifnames=0"]


class Case(NamedTuple):
    """A tree: files, how its generator behaves (boot_doubles), the module's parameters where not the default, where
    grub.cfg is, and for each entry its title and its arguments afterwards."""

    name: str
    files: dict[str, str]
    entries: list[tuple[str, list[str]]]
    generator: dict[str, Any]
    params: dict[str, Any] = {}
    config: str = ""


def environment(text: str) -> str:
    """A GRUB environment block with these lines."""
    return ("# GRUB Environment Block\n" + text).ljust(1024, "#")


CASES = [
    Case(
        "deb9 plain",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                "GRUB_DEFAULT=0\n"
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`\n"
                'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n'
                'GRUB_CMDLINE_LINUX=""\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "deb13 distributor in parentheses",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                "GRUB_DISTRIBUTOR=`( . /etc/os-release; echo ${NAME:-Debian} ) 2>/dev/null || echo Debian`\n"
                'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n'
                'GRUB_CMDLINE_LINUX="net.ifnames=0 biosdevname=0"\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "net.ifnames=0", "biosdevname=0", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "net.ifnames=0", "biosdevname=0", *ALL]),
            (
                "GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)",
                ["root=UUID=0a1b", "ro", "single", "net.ifnames=0", "biosdevname=0", *ALL],
            ),
        ],
        {},
    ),
    Case(
        "ubu kdump drop-in",
        {
            "/etc/os-release": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT_STYLE=hidden\n"
                "GRUB_TIMEOUT=0\n"
                'GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\n'
                'GRUB_CMDLINE_LINUX=""\n'
            ),
            "/etc/default/grub.d/kdump-tools.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=512M-:192M"\n',
            "/etc/default/grub.d/50-cloudimg.cfg": (
                'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"\nGRUB_TERMINAL=console\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL, "crashkernel=512M-:192M"]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL, "crashkernel=512M-:192M"]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "ubu override by literal",
        {
            "/etc/os-release": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": ('GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\nGRUB_CMDLINE_LINUX="a=1"\n'),
            "/etc/default/grub.d/99-x.cfg": ("GRUB_CMDLINE_LINUX='b=2 quiet'\nGRUB_CMDLINE_LINUX_DEFAULT=\"splash\"\n"),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "b=2", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "b=2", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", "b=2", *ALL]),
        ],
        {},
    ),
    Case(
        "ubu recovery off",
        {
            "/etc/os-release": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                'GRUB_CMDLINE_LINUX_DEFAULT="quiet splash vt.handoff=7"\n'
                'GRUB_CMDLINE_LINUX="cgroup_enable=memory"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "cgroup_enable=memory", "vt.handoff=7", *ALL]),
            (
                "GNU/Linux, with Linux 6.1.0-9-amd64",
                ["root=UUID=0a1b", "ro", "cgroup_enable=memory", "vt.handoff=7", *ALL],
            ),
        ],
        {},
    ),
    Case(
        "plus equals bash",
        {
            "/etc/os-release": (
                'NAME="CentOS Linux"\nVERSION="7 (Core)"\nID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\n'
            ),
            "/boot/vmlinuz-3.10.0-1160.el7.x86_64": "k",
            "/boot/initramfs-3.10.0-1160.el7.x86_64.img": "i",
            "/etc/default/grub": 'GRUB_CMDLINE_LINUX="crashkernel=auto rhgb quiet"\n',
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *EL]),
            ("GNU/Linux, with Linux 3.10.0-1160.el7.x86_64", ["root=UUID=0a1b", "ro", *EL]),
            ("GNU/Linux, with Linux 3.10.0-1160.el7.x86_64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False},
    ),
    Case(
        "later assignment wins",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": ('GRUB_CMDLINE_LINUX="quiet one=1"\nGRUB_CMDLINE_LINUX="two=2"\n'),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "two=2", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "two=2", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", "two=2", *ALL]),
        ],
        {},
    ),
    Case(
        "braces and quotes",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                "A='x=\"y z\"'\n"
                'GRUB_CMDLINE_LINUX="${A} quiet"\n'
                'GRUB_CMDLINE_LINUX_DEFAULT=\'splash\'" lang=\\"de at\\""\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "x=y z", *ALL, "lang=de at"]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "x=y z", *ALL, "lang=de at"]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", "x=y z", *ALL]),
        ],
        {},
    ),
    Case(
        "unquoted and export",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                "export GRUB_CMDLINE_LINUX=audit=1\n"
                "export GRUB_CMDLINE_LINUX_DEFAULT\n"
                "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n"
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "audit=1", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "audit=1", *ALL]),
            (
                "GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)",
                ["root=UUID=0a1b", "ro", "single", "audit=1", *ALL],
            ),
        ],
        {},
    ),
    Case(
        "escaped dollar",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": ('GRUB_CMDLINE_LINUX_DEFAULT="quiet \\$vt_handoff"\nGRUB_CMDLINE_LINUX=""\n'),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "tabs and newline in value",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": 'GRUB_CMDLINE_LINUX="a=1\tquiet\tb=2"\n',
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "a=1", "b=2", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "a=1", "b=2", *ALL]),
            (
                "GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)",
                ["root=UUID=0a1b", "ro", "single", "a=1", "b=2", *ALL],
            ),
        ],
        {},
    ),
    Case(
        "continuation lines",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": ('GRUB_CMDLINE_LINUX="a=1 \\\nquiet \\\nb=2"\nGRUB_TIMEOUT=1'),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "a=1", "b=2", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "a=1", "b=2", *ALL]),
            (
                "GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)",
                ["root=UUID=0a1b", "ro", "single", "a=1", "b=2", *ALL],
            ),
        ],
        {},
    ),
    Case(
        "commented assignments",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                '#GRUB_CMDLINE_LINUX="quiet"\n'
                "# GRUB_TERMINAL=console\n"
                'GRUB_CMDLINE_LINUX_DEFAULT="quiet" #GRUB_CMDLINE_LINUX_DEFAULT="splash"\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "non-ascii",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": ('# Größe – “zitiert” \udcff\nGRUB_CMDLINE_LINUX="quiet name=müller"\n# \u2028 ende'),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "name=müller", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "name=müller", *ALL]),
            (
                "GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)",
                ["root=UUID=0a1b", "ro", "single", "name=müller", *ALL],
            ),
        ],
        {},
    ),
    Case(
        "crlf",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                'GRUB_TIMEOUT=5\r\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\r\nGRUB_CMDLINE_LINUX="a=1"\r\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "a=1", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "a=1", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", "a=1", *ALL]),
        ],
        {},
    ),
    Case(
        # To 10_linux, which compares with "true" to the letter, that carriage return makes it another word.
        "crlf, recovery off by intent",
        {
            "/etc/os-release": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                'GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\r\nGRUB_CMDLINE_LINUX=""\r\nGRUB_DISABLE_RECOVERY="true"\r\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "default from linux",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                'GRUB_CMDLINE_LINUX="a=1"\nGRUB_CMDLINE_LINUX_DEFAULT="${GRUB_CMDLINE_LINUX} quiet"\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "a=1", *ALL, "a=1"]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "a=1", *ALL, "a=1"]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", "a=1", *ALL]),
        ],
        {},
    ),
    Case(
        "conditional",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                'GRUB_CMDLINE_LINUX="quiet"\nif [ -e /nonexistent ]; then\n  GRUB_CMDLINE_LINUX="never=1"\nfi\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "conditional true",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                'GRUB_CMDLINE_LINUX="quiet a=1"\n'
                'if true; then GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX b=2 splash"; fi\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "a=1", "b=2", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "a=1", "b=2", *ALL]),
            (
                "GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)",
                ["root=UUID=0a1b", "ro", "single", "a=1", "b=2", *ALL],
            ),
        ],
        {},
    ),
    Case(
        "several kernels",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/boot/vmlinuz-5.10.0-8-amd64": "k",
            "/boot/initrd.img-5.10.0-8-amd64": "i",
            "/boot/vmlinuz-4.19.0-27-amd64": "k",
            "/boot/initrd.img-4.19.0-27-amd64": "i",
            "/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet crashkernel=384M-:128M"\n',
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL, "crashkernel=384M-:128M"]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL, "crashkernel=384M-:128M"]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
            ("GNU/Linux, with Linux 5.10.0-8-amd64", ["root=UUID=0a1b", "ro", *ALL, "crashkernel=384M-:128M"]),
            ("GNU/Linux, with Linux 5.10.0-8-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
            ("GNU/Linux, with Linux 4.19.0-27-amd64", ["root=UUID=0a1b", "ro", *ALL, "crashkernel=384M-:128M"]),
            ("GNU/Linux, with Linux 4.19.0-27-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "terminal gfx",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                'GRUB_TERMINAL="gfxterm"\n'
                "GRUB_TERMINAL_OUTPUT=gfxterm\n"
                "GRUB_GFXMODE=auto\n"
                'GRUB_SERIAL_COMMAND="serial --unit=1 --speed=9600"\n'
                "GRUB_TIMEOUT=-1\n"
                'GRUB_CMDLINE_LINUX=""\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "terminal ok",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                'GRUB_TERMINAL="console serial"\n'
                'GRUB_SERIAL_COMMAND="serial --speed=115200 --unit=0 --word=8 --parity=no --stop=1"\n'
                "GRUB_TIMEOUT=30\n"
                'GRUB_CMDLINE_LINUX="console=tty1 console=ttyS0,115200n8 earlyprintk=ttyS0,115200 rootdelay=300"\n'
                'GRUB_CMDLINE_LINUX_DEFAULT=""\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "hidden timeout 16.04",
        {
            "/etc/os-release": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": (
                "GRUB_HIDDEN_TIMEOUT=0\n"
                "GRUB_HIDDEN_TIMEOUT_QUIET=true\n"
                "GRUB_TIMEOUT=10\n"
                'GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "empty file",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": "",
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "two dashes",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": ('GRUB_CMDLINE_LINUX="quiet"\nGRUB_CMDLINE_LINUX_DEFAULT="splash -- single quiet"\n'),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", *ALL, "--", "single", "quiet"]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", *ALL, "--", "single", "quiet"]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {},
    ),
    Case(
        "crashkernel kept",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": 'GRUB_CMDLINE_LINUX="crashkernel=auto crashkernel=256M"\n',
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "crashkernel=256M", *ALL]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "crashkernel=256M", *ALL]),
            (
                "GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)",
                ["root=UUID=0a1b", "ro", "single", "crashkernel=256M", *ALL],
            ),
        ],
        {},
    ),
    Case(
        "module.parameter dashes",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-6.1.0-9-amd64": "k",
            "/boot/initrd.img-6.1.0-9-amd64": "i",
            "/etc/default/grub": 'GRUB_CMDLINE_LINUX="nvme-core.io_timeout=30 nvme_core.io_timeout=60"\n',
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "nvme_core.io_timeout=240"]),
            ("GNU/Linux, with Linux 6.1.0-9-amd64", ["root=UUID=0a1b", "ro", "nvme_core.io_timeout=240"]),
            (
                "GNU/Linux, with Linux 6.1.0-9-amd64 (recovery mode)",
                ["root=UUID=0a1b", "ro", "single", "nvme_core.io_timeout=240"],
            ),
        ],
        {},
        {"set": ["nvme_core.io_timeout=240"], "remove": []},
    ),
    Case(
        "el7 uefi",
        {
            "/etc/os-release": (
                'NAME="CentOS Linux"\nVERSION="7 (Core)"\nID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\n'
            ),
            "/boot/vmlinuz-3.10.0-1160.el7.x86_64": "k",
            "/boot/initramfs-3.10.0-1160.el7.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="crashkernel=auto rd.lvm.lv=centos/root rd.lvm.lv=centos/swap rhgb quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
            ),
            "/etc/grub2-efi.cfg": "-> ../boot/efi/EFI/centos/grub.cfg",
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "rd.lvm.lv=centos/root", "rd.lvm.lv=centos/swap", *EL]),
            (
                "GNU/Linux, with Linux 3.10.0-1160.el7.x86_64",
                ["root=UUID=0a1b", "ro", "rd.lvm.lv=centos/root", "rd.lvm.lv=centos/swap", *EL],
            ),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False},
        {},
        "/boot/efi/EFI/centos/grub.cfg",
    ),
    Case(
        "el8 kernelopts",
        {
            "/etc/os-release": ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\n'),
            "/boot/vmlinuz-4.18.0-553.el8_10.x86_64": "k",
            "/boot/initramfs-4.18.0-553.el8_10.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="crashkernel=auto resume=/dev/mapper/rl-swap rd.lvm.lv=rl/root rhgb quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/grub2/grubenv": environment(
                (
                    "saved_entry=x\n"
                    "kernelopts=root=/dev/mapper/rl-root ro crashkernel=auto resume=/dev/mapper/rl-swap rd.lvm.lv=rl/root rhgb quiet local=1 \n"
                    "boot_success=0\n"
                )
            ),
            "/boot/loader/entries/abc-4.18.0-553.el8_10.x86_64.conf": (
                "title T\n"
                "version 4.18.0-553.el8_10.x86_64\n"
                "linux /vmlinuz-4.18.0-553.el8_10.x86_64\n"
                "initrd /initramfs-4.18.0-553.el8_10.x86_64.img $tuned_initrd\n"
                "options $kernelopts $tuned_params\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
        },
        [
            (
                "T",
                ["root=/dev/mapper/rl-root", "ro", "resume=/dev/mapper/rl-swap", "rd.lvm.lv=rl/root", "local=1", *EL],
            ),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True},
    ),
    Case(
        "el8 no kernelopts in grubenv",
        {
            "/etc/os-release": ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\n'),
            "/boot/vmlinuz-4.18.0-553.el8_10.x86_64": "k",
            "/boot/initramfs-4.18.0-553.el8_10.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="rhgb quiet a=1"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/grub2/grubenv": environment("saved_entry=x\n"),
            "/boot/loader/entries/abc-4.18.0-553.el8_10.x86_64.conf": (
                "title T\n"
                "version 4.18.0-553.el8_10.x86_64\n"
                "linux /vmlinuz-4.18.0-553.el8_10.x86_64\n"
                "initrd /initramfs-4.18.0-553.el8_10.x86_64.img\n"
                "options $kernelopts\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
        },
        [
            ("T", ["root=UUID=0a1b", "ro", "a=1", *EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True},
    ),
    Case(
        "el8 uefi env on esp",
        {
            "/etc/os-release": ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\n'),
            "/boot/vmlinuz-4.18.0-553.el8_10.x86_64": "k",
            "/boot/initramfs-4.18.0-553.el8_10.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="rhgb quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/grub2/grubenv": "-> ../efi/EFI/rocky/grubenv",
            "/boot/efi/EFI/rocky/grubenv": environment("kernelopts=root=/dev/sda2 ro rhgb quiet \n"),
            "/boot/loader/entries/abc-4.18.0-553.el8_10.x86_64.conf": (
                "title T\n"
                "version 4.18.0-553.el8_10.x86_64\n"
                "linux /vmlinuz-4.18.0-553.el8_10.x86_64\n"
                "initrd /initramfs-4.18.0-553.el8_10.x86_64.img\n"
                "options $kernelopts\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
        },
        [
            ("T", ["root=/dev/sda2", "ro", *EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True},
        {},
        "/boot/efi/EFI/rocky/grub.cfg",
    ),
    Case(
        "el8 tuned",
        {
            "/etc/os-release": ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\n'),
            "/boot/vmlinuz-4.18.0-553.el8_10.x86_64": "k",
            "/boot/initramfs-4.18.0-553.el8_10.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/grub2/grubenv": environment(
                ("kernelopts=root=/dev/sda2 ro quiet\ntuned_params=skew_tick=1 quiet console=ttyS0,9600\n")
            ),
            "/boot/loader/entries/abc-4.18.0-553.el8_10.x86_64.conf": (
                "title T\n"
                "version 4.18.0-553.el8_10.x86_64\n"
                "linux /vmlinuz-4.18.0-553.el8_10.x86_64\n"
                "initrd /initramfs-4.18.0-553.el8_10.x86_64.img\n"
                "options ${kernelopts} ${tuned_params}\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
        },
        [
            (
                "T",
                [
                    "root=/dev/sda2",
                    "ro",
                    "earlyprintk=ttyS0,115200",
                    "rootdelay=300",
                    "net.ifnames=0",
                    "skew_tick=1",
                    "console=tty1",
                    "console=ttyS0,115200n8",
                ],
            ),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True},
    ),
    Case(
        "el9 inline",
        {
            "/etc/os-release": ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n'),
            "/boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64": "k",
            "/boot/initramfs-5.14.0-427.13.1.el9_4.x86_64.img": "i",
            "/boot/efi/EFI/rocky/grub.cfg": (
                "search --no-floppy --fs-uuid --set=dev 12-34\n"
                "set prefix=($dev)/grub2\n"
                "export $prefix\n"
                "configfile $prefix/grub.cfg\n"
            ),
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M resume=UUID=s rhgb quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/grub2/grubenv": environment(
                ("saved_entry=x\nmenu_auto_hide=1\nboot_success=1\nboot_indeterminate=0\n")
            ),
            "/etc/kernel/cmdline": "root=UUID=0a1b ro crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M resume=UUID=s rhgb quiet\n",
            "/boot/loader/entries/abc-5.14.0-427.13.1.el9_4.x86_64.conf": (
                "title T\n"
                "version 5.14.0-427.13.1.el9_4.x86_64\n"
                "linux /vmlinuz-5.14.0-427.13.1.el9_4.x86_64\n"
                "initrd /initramfs-5.14.0-427.13.1.el9_4.x86_64.img\n"
                "options root=UUID=0a1b ro crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M resume=UUID=s rhgb quiet $tuned_params\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
            "/boot/vmlinuz-0-rescue-abc": "k",
            "/boot/initramfs-0-rescue-abc.img": "i",
            "/boot/loader/entries/abc-0-rescue.conf": (
                "title T\n"
                "version 0-rescue-abc\n"
                "linux /vmlinuz-0-rescue-abc\n"
                "initrd /initramfs-0-rescue-abc.img\n"
                "options root=UUID=0a1b ro quiet\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
        },
        [
            ("T", ["root=UUID=0a1b", "ro", *EL]),
            ("T", ["root=UUID=0a1b", "ro", "crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M", "resume=UUID=s", *EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True, "newer_bls": True},
    ),
    Case(
        "el90 generator rewrites",
        {
            "/etc/os-release": ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n'),
            "/boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64": "k",
            "/boot/initramfs-5.14.0-427.13.1.el9_4.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/loader/entries/abc-5.14.0-427.13.1.el9_4.x86_64.conf": (
                "title T\n"
                "version 5.14.0-427.13.1.el9_4.x86_64\n"
                "linux /vmlinuz-5.14.0-427.13.1.el9_4.x86_64\n"
                "initrd /initramfs-5.14.0-427.13.1.el9_4.x86_64.img\n"
                "options root=UUID=0a1b ro quiet only=here\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
        },
        [
            ("T", ["root=UUID=0a1b", "ro", "only=here", *EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True, "rewrite_bls": True},
    ),
    Case(
        "el9 stale entry",
        {
            "/etc/os-release": ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n'),
            "/boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64": "k",
            "/boot/initramfs-5.14.0-427.13.1.el9_4.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/loader/entries/abc-5.14.0-427.13.1.el9_4.x86_64.conf": (
                "title T\n"
                "version 5.14.0-427.13.1.el9_4.x86_64\n"
                "linux /vmlinuz-5.14.0-427.13.1.el9_4.x86_64\n"
                "initrd /initramfs-5.14.0-427.13.1.el9_4.x86_64.img\n"
                "options root=UUID=0a1b ro quiet\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
            "/boot/loader/entries/abc-5.14.0-1.el9.x86_64.conf": (
                "title T\n"
                "version 5.14.0-1.el9.x86_64\n"
                "linux /vmlinuz-5.14.0-1.el9.x86_64\n"
                "initrd /initramfs-5.14.0-1.el9.x86_64.img\n"
                "options root=UUID=0a1b ro quiet\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
        },
        [
            ("T", ["root=UUID=0a1b", "ro", *EL]),
            ("T", ["root=UUID=0a1b", "ro", *EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True, "newer_bls": True},
    ),
    Case(
        "el10 entry crlf, no newline",
        {
            "/etc/os-release": ('ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.0"\n'),
            "/boot/vmlinuz-6.12.0-55.el10.x86_64": "k",
            "/boot/initramfs-6.12.0-55.el10.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/loader/entries/a.conf": (
                "title A\r\n"
                "linux /vmlinuz-6.12.0-55.el10.x86_64\r\n"
                "initrd /initramfs-6.12.0-55.el10.x86_64.img\r\n"
                "options root=UUID=0a1b ro quiet"
            ),
        },
        [
            ("A", ["root=UUID=0a1b", "ro", *EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True, "newer_bls": True},
    ),
    Case(
        "el10 two options lines, tab, comment",
        {
            "/etc/os-release": ('ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.0"\n'),
            "/boot/vmlinuz-6.12.0-55.el10.x86_64": "k",
            "/boot/initramfs-6.12.0-55.el10.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/loader/entries/a.conf": (
                "# ä\n"
                "title\tA\n"
                "linux\t/vmlinuz-6.12.0-55.el10.x86_64\n"
                "initrd\t/initramfs-6.12.0-55.el10.x86_64.img\n"
                "options\troot=UUID=0a1b ro\n"
                'options\tquiet dyndbg="file a +p"\n'
            ),
        },
        [
            ("A", ["root=UUID=0a1b", "ro", "dyndbg=file a +p", *EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True, "newer_bls": True},
    ),
    Case(
        "el9 no options line",
        {
            "/etc/os-release": ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n'),
            "/boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64": "k",
            "/boot/initramfs-5.14.0-427.13.1.el9_4.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/loader/entries/a.conf": (
                "title A\n"
                "linux /vmlinuz-5.14.0-427.13.1.el9_4.x86_64\n"
                "initrd /initramfs-5.14.0-427.13.1.el9_4.x86_64.img\n"
            ),
        },
        [
            ("A", [*EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True, "newer_bls": True},
    ),
    Case(
        "el9 multi-line kernel cmdline",
        {
            "/etc/os-release": ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n'),
            "/boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64": "k",
            "/boot/initramfs-5.14.0-427.13.1.el9_4.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/loader/entries/abc-5.14.0-427.13.1.el9_4.x86_64.conf": (
                "title T\n"
                "version 5.14.0-427.13.1.el9_4.x86_64\n"
                "linux /vmlinuz-5.14.0-427.13.1.el9_4.x86_64\n"
                "initrd /initramfs-5.14.0-427.13.1.el9_4.x86_64.img\n"
                "options root=UUID=0a1b ro quiet\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
            "/etc/kernel/cmdline": ("# kept\nroot=UUID=0a1b ro\nquiet\n"),
        },
        [
            ("T", ["root=UUID=0a1b", "ro", *EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True, "newer_bls": True},
    ),
    Case(
        "el9 without grub.cfg",
        {
            "/etc/os-release": ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n'),
            "/boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64": "k",
            "/boot/initramfs-5.14.0-427.13.1.el9_4.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/loader/entries/abc-5.14.0-427.13.1.el9_4.x86_64.conf": (
                "title T\n"
                "version 5.14.0-427.13.1.el9_4.x86_64\n"
                "linux /vmlinuz-5.14.0-427.13.1.el9_4.x86_64\n"
                "initrd /initramfs-5.14.0-427.13.1.el9_4.x86_64.img\n"
                "options root=UUID=0a1b ro quiet\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
        },
        [
            ("T", ["root=UUID=0a1b", "ro", *EL]),
        ],
        {"tools": []},
    ),
    Case(
        "el6 two kernels",
        {
            "/etc/redhat-release": "CentOS release 6.5 (Final)\n",
            "/boot/vmlinuz-2.6.32-431.el6.x86_64": "k",
            "/boot/initramfs-2.6.32-431.el6.x86_64.img": "i",
            "/boot/vmlinuz-2.6.32-754.el6.x86_64": "k",
            "/boot/initramfs-2.6.32-754.el6.x86_64.img": "i",
            "/boot/grub/grub.conf": (
                "# grub.conf generated by anaconda\n"
                "#boot=/dev/sda\n"
                "default=0\n"
                "timeout=5\n"
                "splashimage=(hd0,0)/grub/splash.xpm.gz\n"
                "hiddenmenu\n"
                "password --md5 $1$x\n"
                "title CentOS (2.6.32-431.el6.x86_64)\n"
                "\troot (hd0,0)\n"
                "\tkernel /vmlinuz-2.6.32-431.el6.x86_64 ro root=UUID=77 rd_NO_LUKS LANG=en_US.UTF-8 KEYTABLE=us crashkernel=auto rhgb quiet\n"
                "\tinitrd /initramfs-2.6.32-431.el6.x86_64.img\n"
                "title CentOS (2.6.32-754.el6.x86_64)\n"
                "\troot (hd0,0)\n"
                "\tkernel /vmlinuz-2.6.32-754.el6.x86_64 ro root=UUID=77 numa=off rhgb quiet\n"
                "\tinitrd /initramfs-2.6.32-754.el6.x86_64.img\n"
                "title Other\n"
                "\trootnoverify (hd0,1)\n"
                "\tchainloader +1"
            ),
            "/boot/grub/menu.lst": "-> ./grub.conf",
            "/etc/grub.conf": "-> ../boot/grub/grub.conf",
        },
        [
            (
                "CentOS (2.6.32-431.el6.x86_64)",
                ["ro", "root=UUID=77", "rd_NO_LUKS", "LANG=en_US.UTF-8", "KEYTABLE=us", *ALL, "numa=off"],
            ),
            ("CentOS (2.6.32-754.el6.x86_64)", ["ro", "root=UUID=77", *ALL]),
        ],
        {"tools": []},
    ),
    Case(
        "el6 efi",
        {
            "/etc/redhat-release": "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n",
            "/boot/vmlinuz-2.6.32-754.el6.x86_64": "k",
            "/boot/initramfs-2.6.32-754.el6.x86_64.img": "i",
            "/boot/efi/EFI/redhat/grub.conf": (
                "default=0\n"
                "timeout=0\n"
                "title RHEL\n"
                "\tkernel /vmlinuz-2.6.32-754.el6.x86_64 ro root=/dev/vg/r quiet\n"
                "\tinitrd /initramfs-2.6.32-754.el6.x86_64.img\n"
            ),
        },
        [
            ("RHEL", ["ro", "root=/dev/vg/r", *ALL]),
        ],
        {"tools": []},
    ),
    Case(
        "el5 xen",
        {
            "/etc/redhat-release": "CentOS release 6.5 (Final)\n",
            "/boot/vmlinuz-2.6.18-398.el5xen": "k",
            "/boot/xen.gz-2.6.18-398.el5": "x",
            "/boot/grub/grub.conf": (
                "default=0\n"
                "serial --unit=1 --speed=9600\n"
                "terminal --timeout=3 console\n"
                "title Xen\n"
                "\troot (hd0,0)\n"
                "\tkernel /xen.gz-2.6.18-398.el5 dom0_mem=1G\n"
                "\tmodule /vmlinuz-2.6.18-398.el5xen ro root=LABEL=/ rhgb quiet\n"
                "\tmodule /initrd-2.6.18-398.el5xen.img\n"
            ),
        },
        [
            ("Xen", ["ro", "root=LABEL=/", *ALL, "numa=off"]),
        ],
        {"tools": []},
    ),
    Case(
        "debian grub-legacy",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/vmlinuz-2.6.26-2-amd64": "k",
            "/boot/initrd.img-2.6.26-2-amd64": "i",
            "/boot/grub/menu.lst": (
                "default\t\t0\n"
                "timeout\t\t5\n"
                "color cyan/blue white/blue\n"
                "### BEGIN AUTOMAGIC KERNELS LIST\n"
                "## ## Start Default Options ##\n"
                "## default kernel options\n"
                "# kopt=root=/dev/sda1 ro\n"
                "## Setup crashdump menu entries\n"
                "# defoptions=quiet splash\n"
                "# lockalternative=false\n"
                "# altoptions=(single-user mode) single\n"
                "## ## End Default Options ##\n"
                "\n"
                "title\t\tDebian\n"
                "root\t\t(hd0,0)\n"
                "kernel\t\t/boot/vmlinuz-2.6.26-2-amd64 root=/dev/sda1 ro quiet splash\n"
                "initrd\t\t/boot/initrd.img-2.6.26-2-amd64\n"
                "\n"
                "title\t\tDebian (single-user mode)\n"
                "root\t\t(hd0,0)\n"
                "kernel\t\t/boot/vmlinuz-2.6.26-2-amd64 root=/dev/sda1 ro single\n"
                "initrd\t\t/boot/initrd.img-2.6.26-2-amd64\n"
                "### END DEBIAN AUTOMAGIC KERNELS LIST\n"
            ),
        },
        [
            ("Debian", ["root=/dev/sda1", "ro", *ALL, "numa=off"]),
            ("Debian (single-user mode)", ["root=/dev/sda1", "ro", "single", *ALL, "numa=off"]),
        ],
        {"tools": []},
    ),
    Case(
        "sles11",
        {
            "/etc/SuSE-release": ("SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n"),
            "/boot/vmlinuz-3.0.101-108.13-default": "k",
            "/boot/initrd-3.0.101-108.13-default": "i",
            "/boot/grub/menu.lst": (
                "# Modified by YaST2. Last modification on ä\n"
                "default 0\n"
                "timeout 8\n"
                "gfxmenu (hd0,0)/message\n"
                "##YaST - activate\n"
                "\n"
                "###Don't change this comment - YaST2 identifier: Original name: linux###\n"
                "title SUSE Linux Enterprise Server 11 SP4 - 3.0.101-108.13-default\n"
                "    root (hd0,0)\n"
                "    kernel /vmlinuz-3.0.101-108.13-default root=/dev/disk/by-id/ata-X-part2 resume=/dev/disk/by-id/ata-X-part1 splash=silent crashkernel=256M-:128M showopts vga=0x317\n"
                "    initrd /initrd-3.0.101-108.13-default\n"
                "\n"
                "###Don't change this comment - YaST2 identifier: Original name: failsafe###\n"
                "title Failsafe\n"
                "    root (hd0,0)\n"
                "    kernel /vmlinuz-3.0.101-108.13-default root=/dev/disk/by-id/ata-X-part2 showopts ide=nodma apm=off noresume edd=off powersaved=off nohz=off highres=off processor.max_cstate=1 nomodeset x11failsafe vga=0x317\n"
                "    initrd /initrd-3.0.101-108.13-default\n"
            ),
            "/etc/sysconfig/bootloader": (
                'LOADER_TYPE="grub"\n'
                'DEFAULT_APPEND="resume=/dev/disk/by-id/ata-X-part1 splash=silent quiet showopts"\n'
                'FAILSAFE_APPEND="showopts ide=nodma"\n'
                'XEN_KERNEL_APPEND=""\n'
                'CYCLE_DETECTION="no"'
            ),
        },
        [
            (
                "SUSE Linux Enterprise Server 11 SP4 - 3.0.101-108.13-default",
                [
                    "root=/dev/disk/by-id/ata-X-part2",
                    "resume=/dev/disk/by-id/ata-X-part1",
                    "crashkernel=256M-:128M",
                    "showopts",
                    "vga=0x317",
                    *ALL,
                ],
            ),
            (
                "Failsafe",
                [
                    "root=/dev/disk/by-id/ata-X-part2",
                    "showopts",
                    "ide=nodma",
                    "apm=off",
                    "noresume",
                    "edd=off",
                    "powersaved=off",
                    "nohz=off",
                    "highres=off",
                    "processor.max_cstate=1",
                    "nomodeset",
                    "x11failsafe",
                    "vga=0x317",
                    *ALL,
                ],
            ),
        ],
        {"tools": []},
    ),
    Case(
        "legacy crlf equals",
        {
            "/etc/redhat-release": "CentOS release 6.5 (Final)\n",
            "/boot/vmlinuz-2.6.32-754.el6.x86_64": "k",
            "/boot/initramfs-2.6.32-754.el6.x86_64.img": "i",
            "/boot/grub/grub.conf": (
                "default=0\r\n"
                "timeout=5\r\n"
                "title A\r\n"
                "\tkernel=/vmlinuz-2.6.32-754.el6.x86_64 ro root=/dev/sda1 quiet\r\n"
                "\tinitrd=/initramfs-2.6.32-754.el6.x86_64.img"
            ),
        },
        [
            ("A", ["ro", "root=/dev/sda1", *ALL]),
        ],
        {"tools": []},
    ),
    Case(
        "sles12",
        {
            "/etc/os-release": ('ID="sles"\nVERSION_ID="12.5"\n'),
            "/boot/vmlinuz-4.12.14-122-default": "k",
            "/boot/initrd-4.12.14-122-default": "i",
            "/etc/default/grub": (
                "GRUB_DISTRIBUTOR=\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_HIDDEN_TIMEOUT=0\n"
                "GRUB_HIDDEN_TIMEOUT_QUIET=true\n"
                "GRUB_TIMEOUT=8\n"
                'GRUB_CMDLINE_LINUX_DEFAULT="splash=silent resume=/dev/sda1 quiet crashkernel=163M,high crashkernel=72M,low"\n'
                'GRUB_CMDLINE_LINUX=""\n'
                'GRUB_TERMINAL="gfxterm"\n'
                'GRUB_GFXMODE="auto"\n'
            ),
            "/etc/sysconfig/bootloader": ('LOADER_TYPE="grub2"\nSECURE_BOOT="no"\n'),
            "/boot/efi/EFI/sles/grub.cfg": (
                'set btrfs_relative_path="yes"\n'
                "search --fs-uuid --set=root 0a1b\n"
                "set prefix=(${root})/boot/grub2\n"
                'source "${prefix}/grub.cfg"\n'
            ),
        },
        [
            (
                "GNU/Linux",
                ["root=UUID=0a1b", "ro", *ALL, "resume=/dev/sda1", "crashkernel=163M,high", "crashkernel=72M,low"],
            ),
            (
                "GNU/Linux, with Linux 4.12.14-122-default",
                ["root=UUID=0a1b", "ro", *ALL, "resume=/dev/sda1", "crashkernel=163M,high", "crashkernel=72M,low"],
            ),
            ("GNU/Linux, with Linux 4.12.14-122-default (recovery mode)", ["root=UUID=0a1b", "ro", "single", *ALL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False},
    ),
    Case(
        "leap failsafe",
        {
            "/etc/os-release": ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n'),
            "/boot/vmlinuz-6.4.0-150600.21-default": "k",
            "/boot/initrd-6.4.0-150600.21-default": "i",
            "/etc/default/grub": (
                'GRUB_CMDLINE_LINUX_DEFAULT="splash=silent mitigations=auto quiet security=apparmor"\n'
                'GRUB_CMDLINE_LINUX_RECOVERY="single ide=nodma"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_BACKGROUND=/boot/grub2/themes/x.png\n"
                'SUSE_BTRFS_SNAPSHOT_BOOTING="true"\n'
            ),
        },
        [
            ("GNU/Linux", ["root=UUID=0a1b", "ro", "mitigations=auto", "security=apparmor", *ALL]),
            (
                "GNU/Linux, with Linux 6.4.0-150600.21-default",
                ["root=UUID=0a1b", "ro", "mitigations=auto", "security=apparmor", *ALL],
            ),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False},
    ),
    Case(
        "el8 environment block full",
        {
            "/etc/os-release": ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\n'),
            "/boot/vmlinuz-4.18.0-553.el8_10.x86_64": "k",
            "/boot/initramfs-4.18.0-553.el8_10.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/grub2/grubenv": environment(
                (
                    "saved_entry=x\n"
                    "kernelopts=root=/dev/sda2 ro quiet\n"
                    "long=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"
                )
            ),
            "/boot/loader/entries/abc-4.18.0-553.el8_10.x86_64.conf": (
                "title T\n"
                "version 4.18.0-553.el8_10.x86_64\n"
                "linux /vmlinuz-4.18.0-553.el8_10.x86_64\n"
                "initrd /initramfs-4.18.0-553.el8_10.x86_64.img\n"
                "options $kernelopts\n"
                "grub_users $grub_users\n"
                "grub_arg --unrestricted\n"
                "grub_class kernel\n"
            ),
        },
        [
            ("T", ["root=/dev/sda2", "ro", *EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True},
    ),
    Case(
        "el9 default_kernelopts",
        {
            "/etc/os-release": ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n'),
            "/boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64": "k",
            "/boot/initramfs-5.14.0-427.13.1.el9_4.x86_64.img": "i",
            "/etc/default/grub": (
                "GRUB_TIMEOUT=5\n"
                "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                "GRUB_DEFAULT=saved\n"
                "GRUB_DISABLE_SUBMENU=true\n"
                'GRUB_TERMINAL_OUTPUT="console"\n'
                'GRUB_CMDLINE_LINUX="quiet"\n'
                'GRUB_DISABLE_RECOVERY="true"\n'
                "GRUB_ENABLE_BLSCFG=true\n"
            ),
            "/boot/loader/entries/a.conf": (
                "title A\n"
                "linux /vmlinuz-5.14.0-427.13.1.el9_4.x86_64\n"
                "initrd /initramfs-5.14.0-427.13.1.el9_4.x86_64.img\n"
            ),
            "/boot/grub2/grubenv": environment("default_kernelopts=root=UUID=0a1b ro quiet\n"),
        },
        [
            ("A", ["root=UUID=0a1b", "ro", *EL]),
        ],
        {"tools": ["grub2-mkconfig"], "drop_ins": False, "bls": True, "newer_bls": True},
    ),
    Case(
        "sd-boot with counter",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/efi/loader/loader.conf": "timeout 3\n",
            "/efi/deb/6.1.0-9-amd64/linux": "k",
            "/efi/deb/6.1.0-9-amd64/initrd.img": "i",
            "/efi/loader/entries/deb-6.1.0-9-amd64+3-0.conf": (
                "title Debian\n"
                "version 6.1.0-9-amd64\n"
                "options    root=UUID=0a1b ro quiet systemd.machine_id=abc\n"
                "linux      /deb/6.1.0-9-amd64/linux\n"
                "initrd     /deb/6.1.0-9-amd64/initrd.img\n"
            ),
            "/etc/kernel/cmdline": "root=UUID=0a1b ro quiet",
        },
        [
            ("Debian", ["root=UUID=0a1b", "ro", "systemd.machine_id=abc", *ALL]),
        ],
        {"tools": []},
    ),
]

#: The entries of grub.cfg files as they stand: title and arguments now.
READ = [
    Case(
        "ubuntu 20.04 without an initrd first",
        {
            "/etc/os-release": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n'),
            "/boot/grub/grub.cfg": (
                'set default="0"\n'
                "function initrdfail {\n"
                '    if [ -n "${have_grubenv}" ]; then if [ -n "${partuuid}" ]; then\n'
                '      if [ -z "${initrdfail}" ]; then\n'
                "        set initrdfail=1\n"
                "      fi; fi; fi\n"
                "}\n"
                "### BEGIN /etc/grub.d/10_linux ###\n"
                "function gfxmode {\n"
                '\tset gfxpayload="${1}"\n'
                '\tif [ "${1}" = "keep" ]; then\n'
                "\t\tset vt_handoff=vt.handoff=7\n"
                "\telse\n"
                "\t\tset vt_handoff=\n"
                "\tfi\n"
                "}\n"
                "set partuuid=\n"
                "menuentry 'Ubuntu' --class ubuntu $menuentry_id_option 'gnulinux-simple-UUID' {\n"
                "\trecordfail\n"
                '\tif [ "${initrdfail}" = 1 ]; then\n'
                "\t  echo\t'GRUB_FORCE_PARTUUID set, initrdless boot failed. Attempting with initrd.'\n"
                "\t  linux\t/boot/vmlinuz-5.4.0-26-generic root=PARTUUID=aa-01 ro  console=tty1 console=ttyS0\n"
                "\t  initrd\t/boot/initrd.img-5.4.0-26-generic\n"
                "\telse\n"
                "\t  echo\t'GRUB_FORCE_PARTUUID set, attempting initrdless boot.'\n"
                "\t  linux\t/boot/vmlinuz-5.4.0-26-generic root=PARTUUID=aa-01 ro  console=tty1 console=ttyS0 panic=-1\n"
                "\tfi\n"
                "\tinitrdfail\n"
                "}\n"
                "submenu 'Advanced options for Ubuntu' $menuentry_id_option 'gnulinux-advanced-UUID' {\n"
                "\tmenuentry 'Ubuntu, with Linux 5.4.0-26-generic (recovery mode)' {\n"
                "\t\tlinux\t/boot/vmlinuz-5.4.0-26-generic root=PARTUUID=aa-01 ro recovery nomodeset dis_ucode_ldr $vt_handoff\n"
                "\t\tinitrd\t/boot/initrd.img-5.4.0-26-generic\n"
                "\t}\n"
                "}\n"
                "### END /etc/grub.d/10_linux ###\n"
                "### BEGIN /etc/grub.d/20_memtest86+ ###\n"
                "menuentry 'Memory test (memtest86+)' {\n"
                "\tlinux16\t/boot/memtest86+.bin\n"
                "}\n"
                "### END /etc/grub.d/20_memtest86+ ###\n"
                "### BEGIN /etc/grub.d/30_uefi-firmware ###\n"
                "menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {\n"
                "\tfwsetup\n"
                "}\n"
                "### END /etc/grub.d/30_uefi-firmware ###\n"
            ),
        },
        [
            ("Ubuntu", ["root=PARTUUID=aa-01", "ro", "console=tty1", "console=ttyS0", "panic=-1"]),
            (
                "Ubuntu, with Linux 5.4.0-26-generic (recovery mode)",
                ["root=PARTUUID=aa-01", "ro", "recovery", "nomodeset", "dis_ucode_ldr"],
            ),
        ],
        {"tools": []},
    ),
    Case(
        "centos 7",
        {
            "/etc/os-release": (
                'NAME="CentOS Linux"\nVERSION="7 (Core)"\nID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\n'
            ),
            "/boot/grub2/grub.cfg": (
                "set pager=1\n"
                "if [ -s $prefix/grubenv ]; then\n"
                "  load_env\n"
                "fi\n"
                'if [ "${next_entry}" ] ; then\n'
                '   set default="${next_entry}"\n'
                "else\n"
                '   set default="${saved_entry}"\n'
                "fi\n"
                "menuentry 'CentOS Linux (3.10.0-1160.el7.x86_64) 7 (Core)' --class centos --unrestricted $menuentry_id_option 'gnulinux-3.10.0-1160.el7.x86_64-advanced-x' {\n"
                "\tload_video\n"
                "\tset gfxpayload=keep\n"
                "\tif [ x$feature_platform_search_hint = xy ]; then\n"
                "\t  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,msdos1  aa\n"
                "\telse\n"
                "\t  search --no-floppy --fs-uuid --set=root aa\n"
                "\tfi\n"
                "\tlinux16 /vmlinuz-3.10.0-1160.el7.x86_64 root=/dev/mapper/c-root ro crashkernel=auto rd.lvm.lv=c/root rhgb quiet LANG=de_DE.UTF-8\n"
                "\tinitrd16 /initramfs-3.10.0-1160.el7.x86_64.img\n"
                "}\n"
                "menuentry 'CentOS Linux (0-rescue-0f) 7 (Core)' {\n"
                "\tlinuxefi /vmlinuz-0-rescue-0f root=/dev/mapper/c-root ro crashkernel=auto rd.lvm.lv=c/root rhgb quiet\n"
                "\tinitrdefi /initramfs-0-rescue-0f.img\n"
                "}\n"
                "if [ \"x$default\" = 'CentOS Linux (3.10.0-1160.el7.x86_64) 7 (Core)' ]; then default='Advanced options for CentOS Linux'; fi;\n"
            ),
        },
        [
            (
                "CentOS Linux (3.10.0-1160.el7.x86_64) 7 (Core)",
                [
                    "root=/dev/mapper/c-root",
                    "ro",
                    "crashkernel=auto",
                    "rd.lvm.lv=c/root",
                    "rhgb",
                    "quiet",
                    "LANG=de_DE.UTF-8",
                ],
            ),
            (
                "CentOS Linux (0-rescue-0f) 7 (Core)",
                ["root=/dev/mapper/c-root", "ro", "crashkernel=auto", "rd.lvm.lv=c/root", "rhgb", "quiet"],
            ),
        ],
        {"tools": []},
    ),
    Case(
        "sles 15 on btrfs, xen, snapshots",
        {
            "/etc/os-release": ('ID="sles"\nID_LIKE="suse"\nVERSION_ID="15.5"\n'),
            "/boot/grub2/grub.cfg": (
                'set btrfs_relative_path="y"\n'
                "export btrfs_relative_path\n"
                "if [ -f ${config_directory}/grub2-x.cfg ]; then\n"
                "  source ${config_directory}/grub2-x.cfg\n"
                "fi\n"
                "menuentry 'SLES 15-SP5'  --hotkey=1 --class sles --class os {\n"
                "\tinsmod btrfs\n"
                "\tset root='hd0,gpt2'\n"
                "\techo\t'Loading Linux 5.14.21-default ...'\n"
                "\tlinux\t/boot/vmlinuz-5.14.21-default root=UUID=0a1b  ${extra_cmdline} splash=silent mitigations=auto quiet\n"
                "\tinitrd\t/boot/initrd-5.14.21-default\n"
                "}\n"
                "submenu 'Xen' {\n"
                "\tmenuentry 'SLES 15-SP5, with Xen hypervisor' {\n"
                "\t\tmultiboot\t/boot/xen.gz placeholder  vga=gfx-1024x768x16 ${xen_rm_opts}\n"
                "\t\tmodule\t/boot/vmlinuz-5.14.21-default placeholder root=UUID=0a1b  ${extra_cmdline} splash=silent quiet\n"
                "\t\tmodule\t--nounzip\t/boot/initrd-5.14.21-default\n"
                "\t}\n"
                "}\n"
                'if [ -f "/.snapshots/grub-snapshot.cfg" ]; then\n'
                '  source "/.snapshots/grub-snapshot.cfg"\n'
                "fi\n"
            ),
        },
        [
            ("SLES 15-SP5", ["root=UUID=0a1b", "splash=silent", "mitigations=auto", "quiet"]),
            ("SLES 15-SP5, with Xen hypervisor", ["root=UUID=0a1b", "splash=silent", "quiet"]),
        ],
        {"tools": []},
    ),
    Case(
        "debian with another installation",
        {
            "/etc/os-release": ('ID=debian\nVERSION_ID="11"\n'),
            "/boot/grub/grub.cfg": (
                "### BEGIN /etc/grub.d/10_linux ###\n"
                "menuentry 'Debian GNU/Linux' {\n"
                '\tlinux\t/boot/vmlinuz-5.10.0-8-amd64 root=/dev/sda1 ro \'lang="de at"\' "a b=c d" e\\ f=g quiet; echo done\n'
                "\tinitrd\t/boot/intel-ucode.img /boot/initrd.img-5.10.0-8-amd64\n"
                "}\n"
                "### END /etc/grub.d/10_linux ###\n"
                "### BEGIN /etc/grub.d/30_os-prober ###\n"
                "menuentry 'Fedora (on /dev/sda3)' --class gnu-linux {\n"
                "\tlinux\t/boot/vmlinuz-5.6 root=/dev/sda3 quiet\n"
                "}\n"
                "menuentry 'Windows Boot Manager (on /dev/sda1)' {\n"
                "\tchainloader /EFI/Microsoft/Boot/bootmgfw.efi\n"
                "}\n"
                "### END /etc/grub.d/30_os-prober ###\n"
            ),
        },
        [
            ("Debian GNU/Linux", ["root=/dev/sda1", "ro", 'lang="de at"', "a b=c d", "e f=g", "quiet"]),
            ("Fedora (on /dev/sda3)", ["root=/dev/sda3", "quiet"]),
        ],
        {"tools": []},
    ),
]
