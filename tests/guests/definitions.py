"""Which test guests there are. A new one is a new entry here, not new code.

Every guest is what an ordinary installation leaves behind, so it breaks Azure's rules in many places: a splash-like
command line and no serial console, swap, device names or labels in /etc/fstab, a network tied to one NIC's name, no
Hyper-V drivers in the initramfs (MODULES=dep, which Debian's installer calls "targeted"), a shell history with a
password in it, accounts with passwords.
"""

from __future__ import annotations

from typing import NamedTuple

from guests.errors import GuestError

MIB = 1024 * 1024

#: The person who can log in and become root.
USER = "anna"

#: Packages of an installation with the tasks "SSH server" and "standard system utilities", without what only costs
#: time here (man-db's triggers, mail). zstd is there because initramfs-tools otherwise falls back to gzip, which
#: takes minutes under TCG.
BASE_PACKAGES = (
    "apparmor",
    "bash-completion",
    "bsdextrautils",
    "ca-certificates",
    "cron",
    "dbus",
    "e2fsprogs",
    "fdisk",
    "init",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "libpam-systemd",
    "locales",
    "logrotate",
    "lsb-release",
    "nano",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "python3-requests",
    "rsyslog",
    "sudo",
    "systemd-timesyncd",
    "tzdata",
    "udev",
    "vim-tiny",
    "wget",
    "zstd",
)

#: What preparing an image installs. Downloaded into the guest's own /var/cache/apt/archives, so that a run needs no
#: download; a package that a release does not have is left out there.
OFFERED_PACKAGES = (
    "azure-vm-utils",
    "chrony",
    "cloud-guest-utils",
    "cloud-init",
    "curl",
    "eject",
    "gdisk",
    "hyperv-daemons",
    "libpam-pwquality",
    "openssl",
    "parted",
    "waagent",
)

LOADER_PACKAGES = {
    "grub-pc": ("grub-pc",),
    "grub-efi": ("grub-efi-amd64", "grub-efi-amd64-signed", "shim-signed", "efibootmgr", "dosfstools"),
    "grub-legacy": ("grub-legacy",),
    "systemd-boot": ("systemd-boot", "efibootmgr", "dosfstools"),
}
#: What starts a guest where it is not the GRUB 2 of its firmware.
LOADERS = {"debian12-grub-legacy": "grub-legacy", "debian13-systemd-boot": "systemd-boot"}
#: Guests whose root and swap are logical volumes (BIOS; root_mib and swap_mib together are the volume group).
ON_LVM = ("debian12-lvm",)
INITRAMFS_PACKAGES = {"initramfs-tools": ("initramfs-tools",), "dracut": ("dracut",)}
NETWORK_PACKAGES = {
    "ifupdown": ("ifupdown", "isc-dhcp-client"),
    "networkd": ("systemd-resolved",),
    "networkmanager": ("network-manager",),
    "netplan": ("netplan.io", "systemd-resolved"),
}


#: What a stand-in of a family with RPMs needs to make them, and what the contents of its RPMs need to run.
RPM_PACKAGES = (
    "createrepo-c",
    "curl",
    "dhcpcd-base",
    "eject",
    "libjson-c5",
    "netcat-openbsd",
    "nftables",
    "openssl",
    "python3-configobj",
    "python3-crypt-r",
    "python3-distro",
    "python3-jinja2",
    "python3-jsonpatch",
    "python3-jsonschema",
    "python3-oauthlib",
    "python3-yaml",
    "rpm",
)


#: Further scripts behind customize.sh, by guest: a layout that another distribution has.
LAYOUTS = {
    "debian12-dracut": ("layout-el.sh",),
    "debian12-grub-legacy": ("layout-grub-legacy.sh",),
    "debian12-lvm": ("layout-lvm.sh",),
    "debian13-systemd-boot": ("layout-systemd-boot.sh",),
    "standin-el9": ("layout-rpm.sh", "layout-el9.sh"),
}


class Definition(NamedTuple):
    """One guest. Sizes in MiB; odd_bytes makes the disk's size no whole number of MiB (a multiple of 512)."""

    name: str
    suite: str
    firmware: str = "bios"
    initramfs: str = "initramfs-tools"
    network: str = "ifupdown"
    fstab: str = "device"
    cmdline: str = "quiet splash"
    root_mib: int = 3584
    swap_mib: int = 256
    esp_mib: int = 128
    odd_bytes: int = 3 * 512
    packages: tuple[str, ...] = ()

    @property
    def generation(self) -> int:
        """The Azure VM generation that can boot this disk: 1 is BIOS, 2 is UEFI."""
        return 2 if self.firmware == "uefi" else 1

    @property
    def nic(self) -> str:
        """The name udev gives the network card that guests.qemu puts into PCI slot 3 of this machine."""
        return "enp0s3" if self.firmware == "uefi" else "ens3"

    @property
    def loader(self) -> str:
        """Which boot loader starts it."""
        return LOADERS.get(self.name, "grub-efi" if self.firmware == "uefi" else "grub-pc")

    @property
    def lvm(self) -> bool:
        """Whether root and swap are logical volumes."""
        return self.name in ON_LVM

    @property
    def scripts(self) -> tuple[str, ...]:
        """Scripts that make a new system this guest, in the order in which they run on its root directory."""
        return ("customize.sh", *LAYOUTS.get(self.name, ()))

    def all_packages(self) -> list[str]:
        """Everything that is installed, sorted: the same definition always gives the same list."""
        network = [
            # Before Debian 12, systemd-resolved was part of the systemd package.
            name
            for name in NETWORK_PACKAGES[self.network]
            if not (name == "systemd-resolved" and self.suite == "bullseye")
        ]
        return sorted(
            {
                "linux-image-amd64",
                *BASE_PACKAGES,
                *LOADER_PACKAGES[self.loader],
                *INITRAMFS_PACKAGES[self.initramfs],
                *network,
                *self.packages,
            }
        )


GUESTS = {
    guest.name: guest
    for guest in (
        Definition("debian12-bios", "bookworm"),
        Definition("debian13-uefi", "trixie", firmware="uefi", fstab="label", cmdline="quiet"),
        Definition("debian11-bios", "bullseye"),
        Definition("debian12-uefi", "bookworm", firmware="uefi"),
        Definition("debian12-dracut", "bookworm", initramfs="dracut", fstab="label"),
        Definition("debian12-networkmanager", "bookworm", network="networkmanager"),
        Definition("debian13-networkd", "trixie", network="networkd", cmdline="quiet"),
        Definition("debian13-netplan", "trixie", firmware="uefi", network="netplan", cmdline="quiet"),
        Definition("debian13-dracut", "trixie", firmware="uefi", initramfs="dracut", cmdline="quiet"),
        # Other loaders. The kernels lie on the EFI system partition of the first.
        Definition(
            "debian13-systemd-boot",
            "trixie",
            firmware="uefi",
            network="networkd",
            fstab="label",
            cmdline="quiet splash",
            esp_mib=512,
        ),
        Definition("debian12-grub-legacy", "bookworm", fstab="label"),
        Definition("debian12-lvm", "bookworm", packages=("lvm2",)),
        # Both provisioners on board, as an image has them that somebody prepared and went on using.
        Definition("debian11-agents", "bullseye", packages=("cloud-init", "waagent")),
        Definition("debian12-agents", "bookworm", packages=("cloud-init", "waagent")),
        Definition("debian13-agents", "trixie", network="networkd", packages=("cloud-init", "waagent")),
        # A stand-in of a family that cannot be had here (layout-rpm.sh says what is its own and what is Debian's).
        Definition(
            "standin-el9",
            "forky",
            initramfs="dracut",
            network="networkmanager",
            fstab="label",
            packages=("dnf", "hostname", "login", "mount", "passwd", *RPM_PACKAGES),
        ),
        # Required in every installation, and no longer brought along by the essential packages.
        Definition(
            "testing-uefi",
            "forky",
            firmware="uefi",
            network="networkd",
            cmdline="quiet",
            packages=("hostname", "login", "mount", "passwd"),
        ),
    )
}


def find(name: str) -> Definition:
    """The definition called name; GuestError names the ones there are."""
    try:
        return GUESTS[name]
    except KeyError:
        raise GuestError(f"There is no test guest called {name!r}; there are: {', '.join(GUESTS)}.") from None
