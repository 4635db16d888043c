# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vendor values as data: what Azure wants of a distribution, release and architecture, each with its source.

A caller asks select() and gets a Profile. Adding a release is a row in the tables below, never code.

How the table is read: rows apply from top to bottom, general before special. A row with families, ids (os-release
ID), architectures or a version range (since <= version < before) applies only there; "set" replaces what an
earlier row said, "add" appends, "drop" takes away.

Private to the collection: its interface may change in any release.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import OsRelease

#: The chassis asset tag of every Azure VM (cloud-init's Azure datasource and azure-vm-utils look for the same).
AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"

#: os-release ID to family. "generic" serves whatever is not listed.
FAMILIES = {
    "rhel": "redhat",
    "centos": "redhat",
    "fedora": "redhat",
    "almalinux": "redhat",
    "rocky": "redhat",
    "ol": "redhat",
    "debian": "debian",
    "ubuntu": "ubuntu",
    "sles": "suse",
    "sles_sap": "suse",
    "opensuse": "suse",
    "opensuse-leap": "suse",
    "opensuse-tumbleweed": "suse",
    "suse": "suse",
}

#: Releases whose values below were taken from a document or a package; any other gets the nearest of its family.
RELEASES: Dict[str, Tuple[Tuple[int, ...], ...]] = {
    "redhat": ((6,), (7,), (8,), (9,), (10,)),
    "debian": ((9,), (10,), (11,), (12,), (13,)),
    "ubuntu": ((16, 4), (18, 4), (20, 4), (22, 4), (24, 4)),
    "suse": ((11,), (12,), (15,), (16,)),
    "generic": (),
}

#: Ubuntu's code names, for derivatives that carry UBUNTU_CODENAME and a version number of their own.
UBUNTU_CODENAMES: Dict[str, Tuple[int, ...]] = {
    "xenial": (16, 4),
    "bionic": (18, 4),
    "focal": (20, 4),
    "jammy": (22, 4),
    "noble": (24, 4),
}

#: Debian's code names, for releases without VERSION_ID (testing, sid) and for derivatives.
DEBIAN_CODENAMES: Dict[str, Tuple[int, ...]] = {
    "stretch": (9,),
    "buster": (10,),
    "bullseye": (11,),
    "bookworm": (12,),
    "trixie": (13,),
}


class Base(NamedTuple):
    """One row: systems of these IDs and versions (since <= version < before) are built from `version` of the family."""

    ids: Tuple[str, ...]
    since: Tuple[int, ...]
    before: Tuple[int, ...]
    version: Tuple[int, ...]
    source: str


_MICRO = ("sle-micro", "sle-micro-rancher", "suse-microos", "opensuse-leap-micro")
_MICRO6 = ("sl-micro", "opensuse-leap-micro")
_MICRO5 = "SUSE Linux Enterprise Micro 5.x: kernel-default of SUSE Linux Enterprise 15 (150300, 150400, 150500)"

#: Releases that count by numbers of their own.
BASES: Tuple[Base, ...] = (
    Base(("opensuse", "opensuse-leap"), (42,), (43,), (12,), "openSUSE Leap 42: built from SUSE Linux Enterprise 12"),
    Base(_MICRO, (5,), (5, 1), (15, 2), _MICRO5),
    Base(_MICRO, (5, 1), (5, 3), (15, 3), _MICRO5),
    Base(_MICRO, (5, 3), (5, 5), (15, 4), _MICRO5),
    Base(_MICRO, (5, 5), (6,), (15, 5), _MICRO5),
    Base(_MICRO6, (6,), (7,), (16,), "SUSE Linux Micro 6: built from the framework (SLFO) of SUSE Linux Enterprise 16"),
)

#: Drivers without which a VM on Hyper-V finds neither its disk nor its network (KERN-01, INIT-01).
INITRD_REQUIRED = ("hv_vmbus", "hv_storvsc", "hv_netvsc")

#: Drivers worth having in the initramfs where the kernel offers them.
INITRD_WANTED = ("hv_utils", "hyperv_keyboard", "nvme", "nvme_core", "pci_hyperv", "mana", "mlx5_core")


class Value(NamedTuple):
    """One row: what a field of the profile is, where it holds, and which document says so."""

    field: str
    value: Any
    source: str
    action: str = "set"
    families: Tuple[str, ...] = ()
    ids: Tuple[str, ...] = ()
    architectures: Tuple[str, ...] = ()
    since: Tuple[int, ...] = ()
    before: Tuple[int, ...] = ()


class Profile(NamedTuple):
    """Vendor values for one system.

    cmdline_set is ordered: the last console= becomes /dev/console. packages maps a purpose (agent, cloud_init,
    hyperv_daemons, growpart, gdisk, chrony, eject, ssh, sudo, curl, dhcp_client, vm_utils, netplan, kernel) to package
    names.
    units maps a purpose to unit names to try, best first; of hyperv_daemons, cloud_init and network all count.
    version is the release that the values were chosen for, note says why it is not the system's own ("" if it is).
    """

    family: str
    cmdline_set: List[str]
    cmdline_remove: List[str]
    initrd_required: Tuple[str, ...]
    initrd_wanted: Tuple[str, ...]
    version: Tuple[int, ...]
    exact: bool
    note: str
    architecture: str
    provisioner: str
    packages: Dict[str, Tuple[str, ...]]
    packages_optional: Tuple[str, ...]
    units: Dict[str, Tuple[str, ...]]
    paths: Dict[str, str]
    datasource_file: str
    apply_network_config: bool
    resource_mount_point: str
    waagent_settings: Dict[str, Dict[str, Any]]
    serial_device: str
    modprobe_allow: Tuple[str, ...]
    modprobe_blacklist: Tuple[str, ...]
    nvme_listed: bool
    nvme_cmdline: Tuple[str, ...]
    sources: Dict[str, Tuple[str, ...]]


_EL = ("redhat",)
_DEB = ("debian",)
_UBU = ("ubuntu",)
_SUSE = ("suse",)
_APT = ("debian", "ubuntu")
_RPM = ("redhat", "suse")

_RHEL = "Prepare a Red Hat-based virtual machine for Azure (redhat-create-upload-vhd)"
_GEN = "Prepare Linux for imaging in Azure (create-upload-generic)"
_DEBIAN = "Prepare a Debian VHD for Azure (debian-create-upload-vhd)"
_UBUNTU = "Prepare an Ubuntu virtual machine for Azure (create-upload-ubuntu)"
_SLES = "Prepare a SLES or openSUSE Leap virtual machine for Azure (suse-create-upload-vhd)"
_TIME = "Time sync for Linux VMs in Azure (time-sync)"
_CERT = "Azure VM certification FAQ (azure-vm-certification-faq)"
_LISA = "microsoft/lisa, azure_image_standard.py"
_NVME = "Supported OS images for remote NVMe (enable-nvme-interface)"
_UTIL = "Azure VM utilities (azure-virtual-machine-utilities)"
_WALA = "Azure/WALinuxAgent 2.15.0.1, README.md and config/"
_DEBPKG = "Debian 12 package contents"
_SUSEPKG = "SUSE package names (python-azure-agent, hyper-v, gptfdisk, growpart)"
_NOAG = "Creating generalized images without a provisioning agent (no-agent)"
_DHCPPKG = "Debian and Ubuntu package contents (virtual package dhcp-client; isc-dhcp-client deprecated, dhcpcd-base)"
_UBUPKG = "Ubuntu package contents (linux-cloud-tools-common, cloud-guest-utils)"
_ELPKG = "RHEL package contents (hyperv-daemons, chrony)"
_HVSUP = "VMs fail to boot due to Hyper-V drivers (hyper-v-driver-issues-linux-vm)"
_PROV = "Azure Linux VM provisioning (provisioning)"

VALUES: Tuple[Value, ...] = (
    # -- kernel command line: BOOT-01 to BOOT-09 ---------------------------------------------------------------
    Value("cmdline_set", ("console=tty1", "console=ttyS0,115200n8", "earlyprintk=ttyS0,115200"), _RHEL),
    Value("cmdline_set", ("console=tty1", "console=ttyAMA0"), _LISA, architectures=("aarch64",)),
    Value("cmdline_set", ("rootdelay=300",), _GEN, "add"),
    Value("cmdline_set", ("net.ifnames=0",), _RHEL, "add", families=_EL, since=(7,)),
    Value("cmdline_set", ("net.ifnames=0",), _GEN, "add", families=("generic",)),
    Value("cmdline_remove", ("rhgb", "quiet", "crashkernel=auto"), _GEN),
    Value("cmdline_remove", ("splash", "splash=silent"), _SLES, "add"),
    Value("cmdline_remove", ("libata.atapi_enabled=0", "reserve=0x1f0,0x8"), _LISA, "add"),
    Value("serial_device", "ttyS0", _GEN),
    Value("serial_device", "ttyAMA0", _LISA, architectures=("aarch64",)),
    # -- drivers: KERN, INIT, NVME -----------------------------------------------------------------------------
    Value("initrd_required", INITRD_REQUIRED, _HVSUP),
    Value("initrd_wanted", INITRD_WANTED, _LISA),
    Value(
        "modprobe_allow",
        (
            ("udf", "vfat", "fat", "isofs", "cdrom", "sr_mod", "ata_piix", "hv_vmbus", "hv_storvsc", "hv_netvsc")
            + ("hv_utils", "hv_balloon", "hv_sock", "hyperv_keyboard", "hid_hyperv", "hyperv_fb", "pci_hyperv")
        ),
        _HVSUP,
    ),
    Value("modprobe_blacklist", ("floppy",), "osbuild/images, data/distrodefs/rhel-*/imagetypes.yaml"),
    Value("nvme_listed", False, _NVME),
    Value("nvme_listed", True, _NVME, families=_EL, ids=("rhel", "ol"), since=(7, 9), before=(8,)),
    Value("nvme_listed", True, _NVME, families=_EL, ids=("rhel",), since=(8, 6)),
    Value("nvme_listed", True, _NVME, families=_EL, ids=("ol",), since=(8, 5), before=(10,)),
    Value("nvme_listed", True, _NVME, families=_EL, ids=("almalinux",), since=(8,), before=(10,)),
    Value("nvme_listed", True, _NVME, families=_EL, ids=("rocky",), since=(8, 10), before=(9,)),
    Value("nvme_listed", True, _NVME, families=_EL, ids=("rocky",), since=(9, 6), before=(10,)),
    Value("nvme_listed", True, _NVME, families=_DEB, since=(11,), before=(13,)),
    Value("nvme_listed", True, _NVME, families=_UBU, since=(18, 4), before=(24, 5)),
    Value("nvme_listed", True, _NVME, families=_SUSE, ids=("sles",), since=(15, 4), before=(16,)),
    Value("nvme_listed", True, _NVME, families=_SUSE, ids=("sles_sap",), since=(15, 3), before=(16,)),
    Value("nvme_cmdline", ("nvme_core.io_timeout=240",), _NVME),
    # -- packages: PKG-01 to PKG-12 ----------------------------------------------------------------------------
    Value("packages.agent", ("WALinuxAgent",), _RHEL),
    Value("packages.agent", ("waagent",), _DEBPKG, families=_DEB),
    Value("packages.agent", ("walinuxagent",), _UBUNTU, families=_UBU),
    Value("packages.agent", ("python-azure-agent",), _SLES, families=_SUSE),
    Value("packages.cloud_init", ("cloud-init",), _GEN),
    Value("packages.growpart", ("cloud-utils-growpart",), _RHEL),
    Value("packages.growpart", ("cloud-guest-utils",), _DEBPKG, families=_APT),
    Value("packages.growpart", ("growpart",), _SUSEPKG, families=_SUSE),
    Value("packages.gdisk", ("gdisk",), _GEN),
    Value("packages.gdisk", ("gptfdisk",), _SUSEPKG, families=_SUSE),
    Value("packages.hyperv_daemons", ("hyperv-daemons",), _RHEL),
    Value("packages.hyperv_daemons", ("linux-cloud-tools-azure", "linux-cloud-tools-common"), _UBUNTU, families=_UBU),
    Value("packages.hyperv_daemons", ("hyper-v",), _SUSEPKG, families=_SUSE),
    Value("packages.chrony", ("chrony",), _TIME),
    Value("packages.eject", ("eject",), _WALA),
    Value("packages.eject", ("util-linux",), _ELPKG, families=_RPM),
    Value("packages.ssh", ("openssh-server",), _GEN),
    Value("packages.ssh", ("openssh",), _SLES, families=_SUSE),
    Value("packages.sudo", ("sudo",), _WALA),
    Value("packages.curl", ("curl",), _NOAG),
    # For ifupdown where none is there. ISC maintains its client no longer; dhcpcd replaces it.
    Value("packages.dhcp_client", (), _NOAG),
    Value("packages.dhcp_client", ("isc-dhcp-client",), _DHCPPKG, families=_APT),
    Value("packages.dhcp_client", ("dhcpcd-base",), _DHCPPKG, families=_DEB, since=(13,)),
    Value("packages.dhcp_client", ("dhcpcd-base",), _DHCPPKG, families=_UBU, since=(24, 4)),
    Value("packages.vm_utils", (), _UTIL),
    Value("packages.vm_utils", ("azure-vm-utils",), _UTIL, families=_EL, since=(9, 6)),
    Value("packages.vm_utils", ("azure-vm-utils",), _UTIL, families=_DEB, since=(13,)),
    Value("packages.vm_utils", ("azure-vm-utils",), _UTIL, families=_UBU, since=(22, 4)),
    Value("packages.vm_utils", ("azure-vm-utils",), _UTIL, families=_SUSE, since=(15, 5)),
    Value("packages.netplan", (), _GEN),
    Value("packages.netplan", ("netplan.io",), _UBUNTU, families=_UBU, since=(18, 4)),
    Value("packages.kernel", (), _GEN),
    Value("packages.kernel", ("linux-azure",), _UBUNTU, families=_UBU),
    Value("packages.kernel", ("linux-image-cloud-amd64",), _DEBIAN, families=_DEB, architectures=("x86_64",)),
    Value("packages.kernel", ("linux-image-cloud-arm64",), _DEBIAN, families=_DEB, architectures=("aarch64",)),
    Value("packages.kernel", ("kernel-azure",), _SLES, families=_SUSE, since=(15,), before=(16,)),
    # Purposes that may be missing from a release's repositories without harm to provisioning.
    Value("packages_optional", ("vm_utils", "hyperv_daemons", "growpart", "gdisk", "eject", "chrony", "netplan"), _GEN),
    # -- units: AGENT-01, SSH-01, CINIT-01, PKG-11, TIME-01 ----------------------------------------------------
    Value("units.agent", ("waagent.service", "walinuxagent.service"), _WALA),
    Value("units.agent", ("walinuxagent.service", "waagent.service"), _WALA, families=_APT),
    Value("units.ssh", ("sshd.service", "ssh.service"), _GEN),
    Value("units.ssh", ("ssh.service", "ssh.socket", "sshd.service"), _UBUNTU, families=_APT),
    Value("units.chrony", ("chronyd.service", "chrony.service"), _TIME),
    Value("units.chrony", ("chrony.service", "chronyd.service"), _TIME, families=_APT),
    Value(
        "units.cloud_init",
        (
            "cloud-init-main.service",
            "cloud-init-local.service",
            "cloud-init-network.service",
            "cloud-init.service",
            "cloud-config.service",
            "cloud-final.service",
        ),
        "canonical/cloud-init 24.3 release notes and systemd/",
    ),
    Value("units.hyperv_daemons", ("hypervkvpd.service", "hypervvssd.service"), _ELPKG),
    Value(
        "units.hyperv_daemons",
        (
            "hyperv-daemons.hv-kvp-daemon.service",
            "hyperv-daemons.hv-vss-daemon.service",
            "hv-kvp-daemon.service",
            "hv-vss-daemon.service",
        ),
        _DEBPKG,
        families=_APT,
    ),
    Value("units.hyperv_daemons", ("hv_kvp_daemon.service", "hv_vss_daemon.service"), _SUSEPKG, families=_SUSE),
    Value("units.network", (), _GEN),
    Value("units.network", ("NetworkManager.service",), _RHEL, families=_EL, since=(8,)),
    Value("units.network", ("network.service", "NetworkManager.service"), _RHEL, families=_EL, before=(8,)),
    # -- files -------------------------------------------------------------------------------------------------
    Value("paths.chrony_conf", "/etc/chrony.conf", _TIME),
    Value("paths.chrony_conf", "/etc/chrony/chrony.conf", _TIME, families=_APT),
    Value("paths.waagent_conf", "/etc/waagent.conf", _WALA),
    Value("paths.sshd_config", "/etc/ssh/sshd_config", _CERT),
    Value("datasource_file", "/etc/cloud/cloud.cfg.d/91-azure_datasource.cfg", _GEN),
    Value("datasource_file", "/etc/cloud/cloud.cfg.d/90_dpkg.cfg", _UBUNTU, families=_UBU),
    Value("apply_network_config", False, _GEN),
    Value("apply_network_config", True, _UBUNTU, families=_UBU),
    # Section 3.13: where the temporary disk is mounted.
    Value("resource_mount_point", "/mnt/resource", _GEN),
    Value("resource_mount_point", "/mnt", _UBUNTU, families=_UBU),
    # -- who provisions: section 3.10 --------------------------------------------------------------------------
    Value("provisioner", "cloud-init", _PROV),
    Value("provisioner", "waagent", _RHEL, families=_EL, before=(7,)),
    Value("provisioner", "waagent", _SLES, families=_SUSE, before=(12,)),
    # -- waagent.conf: AGENT-03 to AGENT-11 --------------------------------------------------------------------
    Value(
        "waagent_settings.common",
        {
            "AutoUpdate.UpdateToLatestVersion": True,
            "AutoUpdate.Enabled": True,
            "Extensions.Enabled": True,
            "Provisioning.DeleteRootPassword": True,
            "Provisioning.RegenerateSshHostKeyPair": True,
            "Provisioning.SshHostKeyPairType": "auto",
            "OS.RootDeviceScsiTimeout": 300,
            "OS.EnableFirewall": True,
        },
        _WALA,
    ),
    Value("waagent_settings.cloud-init", {"ResourceDisk.Format": False, "ResourceDisk.EnableSwap": False}, _GEN),
    Value(
        "waagent_settings.waagent",
        {
            "ResourceDisk.Format": True,
            "ResourceDisk.Filesystem": "ext4",
            "ResourceDisk.EnableSwap": True,
            "ResourceDisk.SwapSizeMB": 2048,
        },
        _GEN,
    ),
)


def family_of(release: OsRelease) -> str:
    """redhat, debian, ubuntu, suse or generic; by ID, else by the first known word of ID_LIKE."""
    for name in [release.id] + list(release.id_like):
        if name in FAMILIES:
            return FAMILIES[name]
    return "generic"


def _nearest(family: str, version: Tuple[int, ...]) -> Tuple[int, ...]:
    """The newest known release of the family that is not newer than `version`; the oldest where all are newer."""
    known = RELEASES[family]
    older = [release for release in known if release <= version]
    return older[-1] if older else known[0]


def _version(release: OsRelease, family: str) -> Tuple[Tuple[int, ...], str]:
    """The version to look values up by, and why where it is not the system's own (else "")."""
    known = RELEASES.get(family, ())
    if not known:
        return release.version, ""
    name = release.pretty_name or release.id or "this system"
    for base in BASES:
        if release.id in base.ids and base.version[:1] in known and base.since <= release.version < base.before:
            return base.version, "%s is not among the known releases; the values of %s %s are used." % (
                name,
                family,
                ".".join(str(part) for part in base.version),
            )
    own = FAMILIES.get(release.id) == family and release.id not in ("fedora", "opensuse-tumbleweed")
    if own and release.version:
        version = release.version
        if family == "ubuntu":
            matches = version[:2] in known
        else:
            matches = version[:1] in known
        if matches:
            return version, ""
        near = known[-1] if version[:1] > known[-1][:1] else _nearest(family, version)
        return near, "%s is not among the known releases; the values of %s %s are used." % (
            name,
            family,
            ".".join(str(part) for part in near),
        )
    codename = ""
    table: Dict[str, Tuple[int, ...]] = {}
    if family == "ubuntu":
        codename = release.fields.get("UBUNTU_CODENAME", "")
        table = UBUNTU_CODENAMES
    elif family == "debian":
        codename = release.fields.get("DEBIAN_CODENAME", "") or release.fields.get("VERSION_CODENAME", "")
        table = DEBIAN_CODENAMES
    elif family in _RPM and not release.id.startswith(("fedora", "opensuse-")) and release.version[:1] in known:
        # A rebuild (or SLED) that the table does not name keeps the version numbers of what it rebuilds.
        return release.version, "%s is not among the known rebuilds; the values of %s %d are used." % (
            name,
            family,
            release.version[0],
        )
    near = table.get(codename, known[-1])
    return near, "%s has no release number of its family; the values of %s %s are used." % (
        name,
        family,
        ".".join(str(part) for part in near),
    )


def _applies(row: Value, family: str, identity: str, architecture: str, version: Tuple[int, ...]) -> bool:
    if row.families and family not in row.families:
        return False
    if row.ids and identity not in row.ids:
        return False
    if row.architectures and architecture not in row.architectures:
        return False
    if row.since and not version >= row.since:
        return False
    return not (row.before and not version < row.before)


def select(release: OsRelease, architecture: str = "x86_64", family: Optional[str] = None) -> Profile:
    """The values for a system: its os-release and `uname -m`; `family` overrides the one found by os-release."""
    chosen = family or family_of(release)
    version, note = _version(release, chosen)
    machine = "aarch64" if architecture in ("aarch64", "arm64") else architecture
    fields: Dict[str, Any] = {"packages": {}, "units": {}, "paths": {}, "waagent_settings": {}}
    sources: Dict[str, Tuple[str, ...]] = {}
    for row in VALUES:
        if not _applies(row, chosen, release.id, machine, version):
            continue
        field, _dot, key = row.field.partition(".")
        if key:
            fields[field][key] = row.value
        elif row.action == "add":
            fields[field] = tuple(fields[field]) + tuple(row.value)
        elif row.action == "drop":
            fields[field] = tuple(item for item in fields[field] if item not in row.value)
        else:
            fields[field] = row.value
        kept = sources.get(row.field, ()) if row.action != "set" else ()
        sources[row.field] = kept + (row.source,)
    fields["cmdline_set"] = list(fields["cmdline_set"])
    fields["cmdline_remove"] = list(fields["cmdline_remove"])
    fields["waagent_settings"] = {name: dict(value) for name, value in fields["waagent_settings"].items()}
    return Profile(
        family=chosen,
        version=version,
        exact=not note,
        note=note,
        architecture=machine,
        sources=sources,
        **fields,
    )
