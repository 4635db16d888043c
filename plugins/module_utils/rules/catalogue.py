# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue: every rule that Azure's documents lay on a Linux image, one entry per rule.

A rule's identifier is the same here, in the audit's findings, in the name and the tag of the task that puts the
rule into force, in the documentation and in the tests. Checks live beside this file, one file per area.

Private to the collection: its interface may change in any release.
"""

from typing import Dict, List, NamedTuple, Tuple

REQUIRED = "required"
RECOMMENDED = "recommended"
CERTIFICATION = "certification"
OPTIONAL = "optional"

#: Levels from the most binding to the least.
LEVELS = (REQUIRED, RECOMMENDED, CERTIFICATION, OPTIONAL)

#: Which levels a profile judges. An optional rule only speaks where its feature is used or asked for.
PROFILES = {
    "boot": (REQUIRED,),
    "recommended": (REQUIRED, RECOMMENDED, OPTIONAL),
    "certification": (REQUIRED, RECOMMENDED, CERTIFICATION, OPTIONAL),
}

GUEST = "guest"
IMAGE = "image"
PLATFORM = "platform"

PREPARE = "prepare"
CAPTURE = "capture"

ALL = ("all",)

_LINUX = "https://learn.microsoft.com/azure/virtual-machines/linux/"
_VM = "https://learn.microsoft.com/azure/virtual-machines/"
_SUPPORT = "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/"

#: Tag to (title, address) of the documents that the rules come from.
SOURCES: Dict[str, Tuple[str, str]] = {
    "GEN": ("Prepare Linux for imaging in Azure", _LINUX + "create-upload-generic"),
    "RHEL": ("Prepare a Red Hat-based virtual machine for Azure", _LINUX + "redhat-create-upload-vhd"),
    "CENTOS": ("Prepare a CentOS-based virtual machine for Azure (withdrawn)", _LINUX + "create-upload-centos"),
    "OL": ("Prepare an Oracle Linux virtual machine for Azure", _LINUX + "oracle-create-upload-vhd"),
    "DEB": ("Prepare a Debian VHD for Azure", _LINUX + "debian-create-upload-vhd"),
    "UBU": ("Prepare an Ubuntu virtual machine for Azure", _LINUX + "create-upload-ubuntu"),
    "SUSE": ("Prepare a SLES or openSUSE Leap virtual machine for Azure", _LINUX + "suse-create-upload-vhd"),
    "NOAG": ("Creating generalized images without a provisioning agent", _LINUX + "no-agent"),
    "DISP": ("Disable or remove the Linux Agent", _LINUX + "disable-provisioning"),
    "PROV": ("Azure Linux VM provisioning", _LINUX + "provisioning"),
    "IMG": ("Bringing and creating Linux images in Azure", _LINUX + "imaging"),
    "GNLZ": ("Deprovision or generalize a VM before creating an image", _VM + "generalize"),
    "AGENT": ("Azure Linux VM Agent overview", _VM + "extensions/agent-linux"),
    "FIPS": ("FIPS 140-3 for extensions and the guest agent", _VM + "extensions/agent-linux-fips"),
    "MINVER": (
        "Minimum version support for VM agents",
        "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/support-extensions-agent-version",
    ),
    "CIPREP": ("Prepare an existing image for cloud-init (withdrawn)", _LINUX + "cloudinit-prepare-custom-image"),
    "CITRB": ("Troubleshooting VM provisioning with cloud-init", _LINUX + "cloud-init-troubleshooting"),
    "UTIL": ("Azure virtual machine utilities", _LINUX + "azure-virtual-machine-utilities"),
    "NVME": ("Supported OS images for remote NVMe", _VM + "enable-nvme-interface"),
    "NVMEC": ("SCSI to NVMe for Linux VMs", _VM + "nvme-linux"),
    "MANA": (
        "Linux VMs with Azure MANA",
        "https://learn.microsoft.com/azure/virtual-network/accelerated-networking-mana-linux",
    ),
    "HIB": ("Hibernating Linux virtual machines", _LINUX + "hibernate-resume-linux"),
    "TIME": ("Time sync for Linux VMs in Azure", _LINUX + "time-sync"),
    "UPL": ("Upload a VHD to a managed disk", _LINUX + "disks-upload-vhd-to-managed-disk-cli"),
    "WIREIP": (
        "What is IP address 168.63.129.16",
        "https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16",
    ),
    "HVSUP": ("VMs fail to boot due to Hyper-V drivers", _SUPPORT + "linux/hyper-v-driver-issues-linux-vm"),
    "SWAPSUP": ("Create a swap partition for an Azure Linux VM", _SUPPORT + "linux/create-swap-file-linux-vm"),
    "SERIAL": (
        "Serial console proactive GRUB configuration",
        _SUPPORT + "linux/serial-console-grub-proactive-configuration",
    ),
    "PROVERR": ("Provisioning errors with custom images", _SUPPORT + "linux/linux-custom-image-provisioning-errors"),
    "SBOOT": (
        "Secure Boot certificate updates on Linux",
        _SUPPORT + "linux/linux-vm-secure-boot-cert-updates-trusted-launch",
    ),
    "CERTFAQ": (
        "Azure VM certification FAQ",
        "https://learn.microsoft.com/partner-center/marketplace-offers/azure-vm-certification-faq",
    ),
    "CERTSEC": (
        "Security recommendations for Marketplace images",
        "https://learn.microsoft.com/azure/security/fundamentals/azure-marketplace-images",
    ),
    "LISA": (
        "azure_image_standard, the image tests of microsoft/lisa",
        "https://github.com/microsoft/lisa/blob/main/lisa/microsoft/testsuites/core/azure_image_standard.py",
    ),
    "WALA": ("Azure Linux Agent, source and README", "https://github.com/Azure/WALinuxAgent"),
    "CI": ("cloud-init, Azure datasource", "https://docs.cloud-init.io/en/latest/reference/datasources/azure.html"),
    "KIB": ("Kubernetes image-builder", "https://github.com/kubernetes-sigs/image-builder"),
}


class Rule(NamedTuple):
    """One rule.

    families: names as profiles.family_of gives them, or ("all",). where: guest, image or platform.
    sources: tags of SOURCES. phase: which step puts it right; "capture" is what deprovisioning does, so that a
    VM still in use is not measured by it. why_unchecked: why no check exists; empty where one does.
    why_no_task: why no task of the roles puts it into force; empty where one does, or where where is not guest.
    """

    id: str
    title: str
    level: str
    families: Tuple[str, ...]
    where: str
    remedy: str
    sources: Tuple[str, ...]
    phase: str
    why_unchecked: str
    why_no_task: str

    @property
    def area(self) -> str:
        """The part before the number: "DISK" of "DISK-07"."""
        return self.id.rsplit("-", 1)[0]

    @property
    def source(self) -> str:
        """The documents by title, for a finding."""
        return "; ".join(SOURCES[tag][0] for tag in self.sources)


_RULES: List[Rule] = []


def _rule(
    rule_id: str,
    level: str,
    title: str,
    remedy: str,
    sources: str,
    families: Tuple[str, ...] = ALL,
    where: str = GUEST,
    phase: str = PREPARE,
    unchecked: str = "",
    no_task: str = "",
) -> None:
    _RULES.append(
        Rule(rule_id, title, level, families, where, remedy, tuple(sources.split()), phase, unchecked, no_task)
    )


_ON_IMAGE = "It concerns the disk image file after capture; capture-azure.yml and vhd_align see to it."
_ON_PLATFORM = "It is a step at the Azure control plane, which no guest can see."
_ADVICE = "It gives guidance and sets no state that could be looked at."
_REPORT_ONLY = "The audit reports it; changing it is a decision about the machine that no playbook should take."

# ---------------------------------------------------------------------------------------------------- disk, image

_rule(
    "DISK-01",
    REQUIRED,
    "The image is a fixed VHD",
    "capture-azure.yml writes a fixed VHD; by hand use the module vhd_align.",
    "GEN RHEL",
    where=IMAGE,
    unchecked=_ON_IMAGE,
)
_rule(
    "DISK-02",
    REQUIRED,
    "The virtual size is a whole number of MiB",
    "vhd_align grows an unaligned image to the next MiB.",
    "GEN CERTFAQ",
    where=IMAGE,
    unchecked=_ON_IMAGE,
)
_rule(
    "DISK-03",
    RECOMMENDED,
    "An image is resized as raw data, never inside a VHD",
    "vhd_align changes the size below the footer and writes a new footer.",
    "GEN",
    where=IMAGE,
    unchecked=_ON_IMAGE,
)
_rule(
    "DISK-04",
    REQUIRED,
    "No qemu-img between 2.2.1 and 2.5 wrote the VHD",
    "Use vhd_align, or qemu-img 2.6 or newer.",
    "GEN RHEL",
    where=IMAGE,
    unchecked=_ON_IMAGE,
)
_rule(
    "DISK-05",
    REQUIRED,
    "The VHD footer is one that Azure accepts",
    "vhd_align writes and checks the footer.",
    "CERTFAQ DEB UPL",
    where=IMAGE,
    unchecked=_ON_IMAGE,
)
_rule(
    "DISK-06",
    RECOMMENDED,
    "The OS disk is at most 1023 GiB",
    "Shrink the disk before capture, or raise max_size_gib of vhd_align knowingly.",
    "GEN RHEL UPL CERTFAQ",
    where=IMAGE,
    unchecked=_ON_IMAGE,
)
_rule(
    "DISK-07",
    RECOMMENDED,
    "The root file system lies on a plain partition, not on LVM",
    "Rebuild the VM with plain partitions, or waive DISK-07: LVM works, only repairing a clone gets harder.",
    "GEN RHEL CERTSEC",
    no_task=_REPORT_ONLY,
)
_rule(
    "DISK-08",
    OPTIONAL,
    "LVM or RAID may be used on data disks",
    "Nothing to do.",
    "GEN",
    unchecked="It is a permission, not a demand; nothing can break it.",
    no_task="It is a permission, not a demand.",
)
_rule(
    "DISK-09",
    RECOMMENDED,
    "No swap on the OS disk",
    "prepare-azure.yml switches swap off and takes it out of /etc/fstab; by hand: swapoff, then remove the entry.",
    "GEN LISA SWAPSUP",
)
_rule(
    "DISK-10",
    CERTIFICATION,
    "The OS disk holds a single root file system",
    "Rebuild the VM with one root partition, or waive DISK-10.",
    "CERTFAQ CERTSEC",
    no_task=_REPORT_ONLY,
)
_rule(
    "DISK-11",
    CERTIFICATION,
    "The first partition starts at sector 2048 or later",
    "Move the partition offline, on the image: sfdisk --move-data.",
    "CERTFAQ",
    no_task="Partitions of a running system cannot be moved.",
)
_rule(
    "DISK-12",
    RECOMMENDED,
    "/etc/fstab names file systems by UUID, not by device name",
    "prepare-azure.yml rewrites device names to UUID=; by hand: blkid shows the UUID.",
    "RHEL UBU DEB SUSE",
)
_rule(
    "DISK-13",
    REQUIRED,
    "root= of every boot entry is a UUID or another lasting name",
    "Let the boot loader's own tool write root=UUID=… (update-grub, grub2-mkconfig), or edit menu.lst.",
    "SUSE",
)
_rule(
    "DISK-14",
    REQUIRED,
    "The system is 64-bit, x86_64 or aarch64",
    "Install a 64-bit system; a 32-bit one cannot be used.",
    "CERTFAQ CERTSEC LISA",
    no_task="A running system cannot be changed to another architecture.",
)
_rule(
    "DISK-15",
    REQUIRED,
    "The VM generation that fits the disk is known (V1 for BIOS, V2 for UEFI)",
    "Give this generation when you create the image; it cannot be changed afterwards.",
    "GEN RHEL SUSE IMG",
)
_rule(
    "DISK-16",
    REQUIRED,
    "On UEFI, a boot loader lies at the removable-media path",
    "prepare-azure.yml copies the distribution's loader to EFI/BOOT; by hand: grub-install --removable.",
    "UBU",
)
_rule(
    "DISK-17",
    CERTIFICATION,
    "Data disks of the image have consecutive LUNs and at most 1023 GiB",
    "Number the data disks from LUN 0 when you create the image.",
    "CERTFAQ",
    where=PLATFORM,
    unchecked=_ON_PLATFORM,
)

# --------------------------------------------------------------------------------------------------- kernel, initrd

_rule(
    "KERN-01",
    REQUIRED,
    "Every installed kernel has the Hyper-V drivers",
    "Install the distribution's kernel that carries hv_vmbus, hv_storvsc, hv_netvsc and hv_utils.",
    "GEN HVSUP",
    no_task="Drivers come with the kernel package; a kernel is replaced by its owner, not by an audit's remedy.",
)
_rule(
    "KERN-02",
    REQUIRED,
    "Enterprise Linux 6.0 to 6.3 carries the Linux Integration Services",
    "Update to 6.4 or newer, or install the package microsoft-hyper-v.",
    "GEN CENTOS",
    families=("redhat",),
    no_task="Releases this old are past every vendor's support; updating is the remedy.",
)
_rule(
    "KERN-03",
    RECOMMENDED,
    "The kernel is 3.8 or newer, or a vendor's with the drivers backported",
    "Update the kernel.",
    "GEN",
    no_task="A kernel is updated by the package manager (REPO-08).",
)
_rule(
    "KERN-04",
    REQUIRED,
    "The kernel has the storage fixes that Azure's documents list",
    "Update to kernel 4.4 or newer, or to a vendor kernel that carries the fixes.",
    "GEN",
    no_task="A kernel is updated by the package manager (REPO-08).",
)
_rule(
    "KERN-05",
    REQUIRED,
    "Kernels older than 2.6.37 (Enterprise Linux before 6.6) boot with numa=off",
    "grub_azure_cmdline adds numa=off where the kernel needs it.",
    "GEN CENTOS LISA",
)
_rule(
    "KERN-06",
    REQUIRED,
    "The udf file system can be loaded",
    "prepare-azure.yml lifts the ban on udf in /etc/modprobe.d.",
    "GEN RHEL SUSE",
)
_rule(
    "KERN-07",
    REQUIRED,
    "The vfat file system can be loaded",
    "prepare-azure.yml lifts the ban on vfat and fat in /etc/modprobe.d.",
    "GEN RHEL SUSE",
)
_rule(
    "KERN-08",
    REQUIRED,
    "The provisioning CD-ROM can be read: sr_mod, cdrom and isofs",
    "prepare-azure.yml lifts the ban on the CD-ROM drivers in /etc/modprobe.d.",
    "WALA",
)
_rule(
    "KERN-09",
    REQUIRED,
    "No Hyper-V driver is banned from loading",
    "prepare-azure.yml lifts the ban on hv_* modules in /etc/modprobe.d.",
    "HVSUP",
)
_rule(
    "KERN-10",
    CERTIFICATION,
    "The kernel is built with watchdog and CIFS support",
    "Install a kernel with CONFIG_WATCHDOG and CONFIG_CIFS.",
    "LISA",
    no_task="Kernel options come with the kernel package.",
)
_rule(
    "KERN-11",
    RECOMMENDED,
    "The vendor's kernel for Azure is installed where there is one",
    "Ubuntu: install linux-azure; prepare-azure.yml does.",
    "UBU",
    families=("ubuntu",),
)
_rule(
    "KERN-12",
    REQUIRED,
    "Oracle Linux does not boot the Unbreakable Enterprise Kernel 2",
    "Update to UEK 3 or newer, or to the Red Hat compatible kernel.",
    "OL",
    families=("redhat",),
)
_rule(
    "KERN-13",
    CERTIFICATION,
    "The kernel is newer than the TCP SACK fixes of 2019",
    "Update the kernel.",
    "CERTFAQ CERTSEC",
    no_task="A kernel is updated by the package manager (REPO-08).",
)
_rule(
    "INIT-01",
    REQUIRED,
    "The initramfs holds hv_vmbus, hv_storvsc and hv_netvsc (dracut)",
    "initrd_hyperv configures dracut and rebuilds what lacks a driver.",
    "GEN RHEL SUSE HVSUP",
)
_rule(
    "INIT-02",
    REQUIRED,
    "The initramfs holds hv_vmbus, hv_storvsc and hv_netvsc (initramfs-tools)",
    "initrd_hyperv configures initramfs-tools and rebuilds what lacks a driver.",
    "HVSUP",
)
_rule(
    "INIT-03",
    REQUIRED,
    "The initrd holds hv_vmbus, hv_storvsc and hv_netvsc (mkinitrd)",
    "initrd_hyperv configures mkinitrd and rebuilds what lacks a driver.",
    "GEN",
)
_rule(
    "INIT-04",
    RECOMMENDED,
    "Every installed kernel's initramfs was rebuilt, not only the running one's",
    "initrd_hyperv with kernels=all; it keeps a backup of each image that it rebuilds.",
    "GEN",
)
_rule(
    "INIT-05",
    RECOMMENDED,
    "The content of the initramfs was verified, the Hyper-V keyboard included",
    "initrd_hyperv lists the image again after each rebuild and fails when a driver is missing.",
    "HVSUP LISA",
)

# ---------------------------------------------------------------------------------------- NVMe and other features

_rule(
    "NVME-01",
    OPTIONAL,
    "Remote NVMe is asked for only where Azure supports it",
    "Remote NVMe needs a UEFI (generation 2) disk and a listed release.",
    "NVME",
)
_rule(
    "NVME-02",
    OPTIONAL,
    "The NVMe drivers are in the initramfs (Enterprise Linux)",
    "initrd_hyperv with nvme and nvme_core among its drivers.",
    "RHEL OL",
    families=("redhat",),
)
_rule(
    "NVME-03",
    OPTIONAL,
    "The NVMe drivers are in the initramfs (SUSE)",
    "initrd_hyperv with nvme and nvme_core among its drivers.",
    "SUSE",
    families=("suse",),
)
_rule(
    "NVME-04",
    OPTIONAL,
    "The NVMe drivers are in the initramfs (Debian, Ubuntu)",
    "initrd_hyperv with nvme and nvme_core among its drivers.",
    "UBU DEB",
    families=("debian", "ubuntu"),
)
_rule(
    "NVME-05",
    OPTIONAL,
    "The NVMe I/O timeout is 240 seconds",
    "Add nvme_core.io_timeout=240 to the kernel command line, or install azure-vm-utils.",
    "RHEL OL UBU DEB SUSE NVME",
)
_rule(
    "NVME-06",
    OPTIONAL,
    "The kernel has the NVMe drivers",
    "Install a kernel with nvme and nvme-core.",
    "RHEL",
    no_task="Drivers come with the kernel package.",
)
_rule(
    "NVME-07",
    RECOMMENDED,
    "azure-vm-utils is installed where it is packaged",
    "prepare-azure.yml installs the package where the distribution has it.",
    "UTIL NVMEC",
)
_rule(
    "NVME-08",
    RECOMMENDED,
    "The agent's udev rules for disk links are installed",
    "They come with the agent's package; reinstall it.",
    "UTIL WALA",
    no_task="The rules file comes with the agent's package (PKG-01 to PKG-05).",
)
_rule(
    "FEAT-01",
    OPTIONAL,
    "The kernel has the MANA network driver",
    "Use a kernel 6.2 or newer, or a vendor kernel with the backport.",
    "MANA",
    no_task="Drivers come with the kernel package.",
)
_rule(
    "FEAT-02",
    OPTIONAL,
    "Hibernation is set up where it is asked for",
    "Install hibernation-setup-tool, or use the LinuxHibernateExtension.",
    "HIB",
    no_task="Hibernation needs room for swap on the OS disk, which DISK-09 forbids; it stays a manual choice.",
)
_rule(
    "FEAT-03",
    RECOMMENDED,
    "On UEFI, the signed shim and GRUB are installed",
    "Install the distribution's signed packages (shim, GRUB for EFI).",
    "SBOOT",
    no_task="Changing a boot loader's packages on a system that boots is left to its owner.",
)
_rule(
    "FEAT-04",
    OPTIONAL,
    "FIPS mode and the agent go together",
    "See AGENT-13.",
    "FIPS",
    unchecked="AGENT-13 judges it.",
    no_task="AGENT-13 speaks for it.",
)

# ------------------------------------------------------------------------------------------------------ boot loader

_rule(
    "BOOT-01",
    REQUIRED,
    "Kernel messages go to the first serial port (x86)",
    "grub_azure_cmdline sets console=tty1 console=ttyS0,115200n8 on every boot entry.",
    "GEN RHEL UBU SUSE CERTFAQ LISA",
)
_rule(
    "BOOT-02",
    REQUIRED,
    "Kernel messages go to the first serial port (arm64)",
    "grub_azure_cmdline sets console=tty1 console=ttyAMA0 on every boot entry.",
    "LISA",
)
_rule(
    "BOOT-03",
    RECOMMENDED,
    "The early console goes to the serial port",
    "grub_azure_cmdline sets earlyprintk=ttyS0,115200.",
    "GEN RHEL UBU CERTFAQ",
)
_rule(
    "BOOT-04",
    RECOMMENDED,
    "The kernel waits for a slow OS disk",
    "grub_azure_cmdline sets rootdelay=300.",
    "GEN UBU CENTOS CERTFAQ CERTSEC",
)
_rule(
    "BOOT-05",
    RECOMMENDED,
    "The primary interface is called eth0",
    "grub_azure_cmdline sets net.ifnames=0.",
    "GEN RHEL OL CITRB",
    families=("redhat", "generic"),
)
_rule(
    "BOOT-06",
    RECOMMENDED,
    "The boot is not silenced: no rhgb, no quiet",
    "grub_azure_cmdline removes rhgb and quiet.",
    "GEN RHEL OL",
)
_rule(
    "BOOT-07",
    RECOMMENDED,
    "No crashkernel=auto",
    "grub_azure_cmdline removes the word crashkernel=auto; an explicit size stays.",
    "GEN RHEL OL",
)
_rule(
    "BOOT-08",
    RECOMMENDED,
    "No splash=silent",
    "grub_azure_cmdline removes splash=silent.",
    "SUSE",
    families=("suse",),
)
_rule(
    "BOOT-09",
    REQUIRED,
    "No argument hides the provisioning CD-ROM (libata.atapi_enabled=0, reserve=0x1f0,0x8)",
    "grub_azure_cmdline removes both arguments.",
    "SUSE LISA",
)
_rule(
    "BOOT-10",
    RECOMMENDED,
    "GRUB itself speaks on the serial port",
    "grub_azure_cmdline with serial_console sets GRUB_TERMINAL and GRUB_SERIAL_COMMAND.",
    "RHEL SUSE SERIAL",
)
_rule(
    "BOOT-11",
    RECOMMENDED,
    "Boot loader entries carry their arguments themselves, not a stale kernelopts",
    "grub_azure_cmdline writes the arguments of every entry and keeps GRUB_ENABLE_BLSCFG=true.",
    "RHEL",
    families=("redhat",),
)
_rule(
    "BOOT-12",
    REQUIRED,
    "The file that the generator reads asks for the serial console too",
    "grub_azure_cmdline edits /etc/default/grub, its drop-ins or /etc/kernel/cmdline, whichever counts.",
    "RHEL UBU SERIAL",
)
_rule(
    "BOOT-13",
    REQUIRED,
    "The boot loader's configuration was generated after its defaults were changed",
    "grub_azure_cmdline runs the distribution's generator and reads the entries back.",
    "RHEL OL UBU SUSE",
)
_rule(
    "BOOT-14",
    OPTIONAL,
    "GRUB shows its menu long enough to be used on the serial console",
    "Set GRUB_TIMEOUT=5 and GRUB_TIMEOUT_STYLE=menu.",
    "SERIAL",
    no_task="A longer menu slows every boot; it stays a manual choice.",
)
_rule(
    "BOOT-15",
    OPTIONAL,
    "SysRq can be used from the serial console",
    "Set kernel.sysrq=1 below /etc/sysctl.d.",
    "SERIAL",
    no_task="SysRq weakens console security; it stays a manual choice.",
)
_rule(
    "BOOT-16",
    OPTIONAL,
    "A login prompt waits on the serial port",
    "Enable serial-getty@ttyS0.service; systemd does so by itself for a console= on the command line.",
    "SERIAL",
    no_task="systemd starts the prompt by itself once BOOT-01 holds.",
)
_rule(
    "BOOT-17",
    RECOMMENDED,
    "No misspelt serial port (ttS0) on the command line",
    "Correct ttS0 to ttyS0 in /etc/default/grub and regenerate.",
    "SUSE",
    no_task="A misspelt word is somebody's text; BOOT-01 adds the right one beside it.",
)

# ---------------------------------------------------------------------------------------------------------- network

_rule(
    "NET-01",
    REQUIRED,
    "The primary interface uses DHCP, and nothing ties it to one machine",
    "prepare-azure.yml sets DHCP on eth0; remove static addresses, HWADDR and UUID lines.",
    "NOAG PROVERR CERTSEC",
)
_rule(
    "NET-02",
    REQUIRED,
    "/etc/sysconfig/network says NETWORKING=yes (Enterprise Linux 6 and 7)",
    "prepare-azure.yml writes NETWORKING=yes and a neutral HOSTNAME.",
    "RHEL CENTOS OL LISA",
    families=("redhat",),
)
_rule(
    "NET-03",
    REQUIRED,
    "ifcfg-eth0 says DHCP at boot (Enterprise Linux 6 and 7)",
    "prepare-azure.yml writes ifcfg-eth0.",
    "RHEL CENTOS OL LISA",
    families=("redhat",),
)
_rule(
    "NET-04",
    REQUIRED,
    "NetworkManager will bring eth0 up by DHCP (Enterprise Linux 8 and newer)",
    "prepare-azure.yml makes a profile for eth0 with autoconnect and DHCP, or leaves it to NetworkManager's default.",
    "RHEL LISA",
    families=("redhat",),
)
_rule(
    "NET-05",
    REQUIRED,
    "A network service starts at boot",
    "Enable the service that brings the network up (NetworkManager, systemd-networkd, networking, wicked, network).",
    "RHEL CENTOS OL",
)
_rule(
    "NET-06",
    REQUIRED,
    "NetworkManager is not installed (Enterprise Linux 6)",
    "Remove the package NetworkManager.",
    "CENTOS OL LISA",
    families=("redhat",),
)
_rule(
    "NET-07",
    REQUIRED,
    "No udev rule ties an interface name to a MAC address",
    "prepare-azure.yml removes such rules and masks 75-persistent-net-generator.rules.",
    "CENTOS OL SUSE LISA",
)
_rule(
    "NET-08",
    REQUIRED,
    "No leftover interface files (SUSE)",
    "prepare-azure.yml removes 85-persistent-net-cloud-init.rules and foreign ifcfg-eth* files.",
    "SUSE",
    families=("suse",),
)
_rule(
    "NET-09",
    REQUIRED,
    "The network manager leaves SR-IOV virtual functions alone",
    "prepare-azure.yml installs azure-vm-utils, or writes 68-azure-sriov-nm-unmanaged.rules.",
    "RHEL",
)
_rule(
    "NET-10",
    RECOMMENDED,
    "NetworkManager leaves Mellanox drivers alone (Enterprise Linux 8 and newer)",
    "prepare-azure.yml writes 99-azure-unmanaged-devices.conf.",
    "RHEL",
    families=("redhat",),
)
_rule(
    "NET-11",
    RECOMMENDED,
    "One SR-IOV policy, not two: azure-vm-utils or the hand-written rule",
    "Where azure-vm-utils is installed, remove 68-azure-sriov-nm-unmanaged.rules.",
    "UTIL",
)
_rule(
    "NET-12",
    RECOMMENDED,
    "DHCP does not set the host name (SUSE)",
    'prepare-azure.yml sets DHCLIENT_SET_HOSTNAME="no" in /etc/sysconfig/network/dhcp.',
    "SUSE LISA",
    families=("suse",),
)
_rule(
    "NET-13",
    REQUIRED,
    "No stale resolver configuration",
    "The capture step deletes a plain /etc/resolv.conf and keeps a symbolic link.",
    "AGENT CERTSEC WALA",
    phase=CAPTURE,
)
_rule(
    "NET-14",
    REQUIRED,
    "The guest's firewall lets root reach 168.63.129.16 and 169.254.169.254",
    "Allow TCP 80 and 32526 to 168.63.129.16 and TCP 80 to 169.254.169.254 for root.",
    "AGENT WIREIP CERTSEC CITRB",
    no_task="A firewall's rules are its owner's; the audit reports what stands in the way.",
)
_rule(
    "NET-15",
    REQUIRED,
    "No netplan file of an installer (Ubuntu)",
    "The capture step removes it; until then the machine needs it.",
    "UBU",
    families=("ubuntu",),
    phase=CAPTURE,
)
_rule(
    "NET-16",
    RECOMMENDED,
    "The host name in the image is neutral",
    "The capture step sets it back.",
    "RHEL WALA",
    phase=CAPTURE,
)

# --------------------------------------------------------------------------------------------------- SSH, accounts

_rule(
    "SSH-01",
    REQUIRED,
    "The SSH server is installed and starts at boot",
    "prepare-azure.yml installs and enables it; a ListenAddress of this machine's is yours to take out.",
    "GEN RHEL UBU DEB SUSE",
)
_rule(
    "SSH-02",
    RECOMMENDED,
    "ClientAliveInterval lies between 30 and 235 seconds",
    "prepare-azure.yml sets ClientAliveInterval 180 where it wins.",
    "RHEL CERTFAQ CERTSEC LISA",
)
_rule(
    "SSH-03",
    OPTIONAL,
    "PasswordAuthentication is left to provisioning",
    "Nothing to do: provisioning sets it from what the user of the VM asked for.",
    "RHEL",
    unchecked="The document's own step is for one hypervisor only; either value provisions.",
    no_task="Provisioning sets it.",
)
_rule(
    "SSH-04",
    REQUIRED,
    "The image has no SSH host keys, and the first boot makes new ones",
    "The capture step removes them; cloud-init or the agent makes new ones.",
    "AGENT DISP",
    phase=CAPTURE,
)
_rule(
    "ACC-01",
    REQUIRED,
    "sudo asks for the caller's own password (no targetpw)",
    "prepare-azure.yml comments out Defaults targetpw and the rule that goes with it.",
    "SUSE LISA",
)
_rule(
    "ACC-02",
    RECOMMENDED,
    "No leftover account has a password or an authorized key",
    "Remove the account, lock its password (passwd -l), delete ~/.ssh/authorized_keys; the capture step removes the "
    "accounts it is told of.",
    "GEN CERTFAQ CERTSEC LISA",
)
_rule(
    "ACC-03",
    RECOMMENDED,
    "root's password is locked",
    "The capture step locks it; by hand: passwd -l root.",
    "RHEL AGENT",
    phase=CAPTURE,
)
_rule(
    "ACC-04",
    REQUIRED,
    "No account has an empty password",
    "Lock it: passwd -l <user>. The documented passwd -d makes an empty password.",
    "DISP",
    no_task="An account's password is its owner's; the capture step removes the accounts it is told of.",
)
_rule(
    "ACC-05",
    OPTIONAL,
    "SELinux labels are right after offline edits",
    "touch /.autorelabel when files were changed in a mounted image.",
    "RHEL",
    no_task="Every write keeps the label of the file that it replaces.",
)

# --------------------------------------------------------------------------------------------- repositories, packages

_rule(
    "REPO-01",
    REQUIRED,
    "The extras repository is enabled (RHEL 6 and 7)",
    "Register the system; azure_repositories runs subscription-manager repos --enable=rhel-7-server-extras-rpms.",
    "RHEL",
    families=("redhat",),
)
_rule(
    "REPO-02",
    RECOMMENDED,
    "The system is not registered with a subscription when it is captured (RHEL)",
    "subscription-manager unregister",
    "RHEL",
    families=("redhat",),
    phase=CAPTURE,
)
_rule(
    "REPO-03",
    REQUIRED,
    "The addons repository is enabled (Oracle Linux 6 and 7)",
    "azure_repositories sets enabled=1 for ol7_addons (ol6_addons).",
    "OL",
    families=("redhat",),
)
_rule(
    "REPO-04",
    OPTIONAL,
    "yum keeps http_caching=packages (Enterprise Linux 6.5 and older)",
    "Add http_caching=packages to /etc/yum.conf.",
    "CENTOS LISA",
    families=("redhat",),
    no_task="Releases this old are past every vendor's support.",
)
_rule(
    "REPO-05",
    REQUIRED,
    "The Public Cloud module is enabled (SLES)",
    "Register the system; azure_repositories runs SUSEConnect -p sle-module-public-cloud/<version>/<architecture>.",
    "SUSE",
    families=("suse",),
)
_rule(
    "REPO-06",
    REQUIRED,
    "The OSS and update repositories are enabled (openSUSE)",
    "azure_repositories switches on what is configured; add what is not.",
    "SUSE",
    families=("suse",),
)
_rule(
    "REPO-07",
    RECOMMENDED,
    "Packages come from Azure's own mirror (Ubuntu)",
    "prepare-azure.yml names azure.archive.ubuntu.com in the sources.",
    "UBU LISA",
    families=("ubuntu",),
)
_rule(
    "REPO-08",
    RECOMMENDED,
    "No update waits, and no reboot after one",
    "Update all packages and reboot.",
    "GEN",
    no_task="Updating a machine and rebooting it is its owner's decision; set the variable of the prepare role.",
)
_rule(
    "PKG-01",
    REQUIRED,
    "The provisioning packages are installed (Enterprise Linux)",
    "prepare-azure.yml installs WALinuxAgent, cloud-init, cloud-utils-growpart, gdisk and hyperv-daemons.",
    "GEN RHEL OL",
    families=("redhat",),
)
_rule(
    "PKG-02",
    REQUIRED,
    "The provisioning packages are installed (Ubuntu)",
    "prepare-azure.yml installs walinuxagent, cloud-init, gdisk and netplan.io.",
    "UBU",
    families=("ubuntu",),
)
_rule(
    "PKG-03",
    REQUIRED,
    "The provisioning packages are installed (Debian)",
    "prepare-azure.yml installs waagent, cloud-init, gdisk, cloud-guest-utils and hyperv-daemons.",
    "DEB",
    families=("debian",),
)
_rule(
    "PKG-04",
    REQUIRED,
    "The provisioning packages are installed (SLES)",
    "prepare-azure.yml installs python-azure-agent, cloud-init, growpart, gptfdisk and hyper-v.",
    "SUSE",
    families=("suse",),
)
_rule(
    "PKG-05",
    REQUIRED,
    "The provisioning packages are installed (openSUSE)",
    "prepare-azure.yml installs python-azure-agent.",
    "SUSE",
    families=("suse",),
)
_rule(
    "PKG-06",
    RECOMMENDED,
    "python-pyasn1 is installed where the agent is old enough to need it",
    "Let the agent's package pull it in.",
    "GEN OL CENTOS",
    families=("redhat",),
    no_task="The agent's package depends on it where it needs it.",
)
_rule(
    "PKG-07",
    REQUIRED,
    "The tools that the agent calls are there",
    "Install what is missing: openssl, sfdisk, fdisk, mkfs, parted, chpasswd, sudo, sed, grep, ip, nft or iptables.",
    "AGENT PROV WALA",
)
_rule(
    "PKG-08",
    CERTIFICATION,
    "Python and OpenSSL are versions that are still supported",
    "Python 3.9 or newer; OpenSSL 3, 1.1.1 or 1.0.2.",
    "LISA CERTFAQ CERTSEC",
    no_task="The interpreter and OpenSSL belong to the distribution's release.",
)
_rule(
    "PKG-09",
    CERTIFICATION,
    "OMI is absent or 1.6.8.1 or newer",
    "Update or remove the package omi.",
    "LISA",
    no_task="The audit reports it; whoever installed OMI decides about it.",
)
_rule(
    "PKG-10",
    RECOMMENDED,
    "Package caches and known hosts are gone",
    "The capture step empties them.",
    "GEN CERTSEC",
    phase=CAPTURE,
)
_rule(
    "PKG-11",
    RECOMMENDED,
    "The Hyper-V daemons are installed and enabled",
    "prepare-azure.yml installs hyperv-daemons, hyper-v or linux-cloud-tools.",
    "RHEL DEB UBU LISA",
)
_rule(
    "PKG-12",
    RECOMMENDED,
    "eject is installed",
    "prepare-azure.yml installs eject.",
    "WALA CI",
)

# ------------------------------------------------------------------------------------------------------------ agent

_rule(
    "AGENT-01",
    REQUIRED,
    "The Azure Linux Agent is installed and starts at boot",
    "prepare-azure.yml installs and enables it.",
    "GEN AGENT",
)
_rule(
    "AGENT-02",
    REQUIRED,
    "The agent is 2.2.53.1 or newer, or updates itself",
    "Update the agent's package, or switch AutoUpdate on.",
    "MINVER CERTFAQ LISA",
    no_task="The version comes with the distribution's package; AGENT-03 lets it update itself.",
)
_rule(
    "AGENT-03",
    RECOMMENDED,
    "The agent updates itself",
    "waagent_config sets AutoUpdate.Enabled=y and AutoUpdate.UpdateToLatestVersion=y.",
    "AGENT WALA CERTFAQ",
)
_rule(
    "AGENT-04",
    REQUIRED,
    "Exactly one program provisions, and the agent knows which",
    "waagent_config sets Provisioning.Agent to cloud-init, waagent or disabled.",
    "GEN RHEL UBU WALA",
)
_rule(
    "AGENT-05",
    OPTIONAL,
    "No provisioning switch that the agent stopped reading",
    "Remove Provisioning.Enabled and Provisioning.UseCloudInit; Provisioning.Agent replaces them.",
    "WALA OL SUSE",
    no_task="The dead lines do no harm; waagent_config warns about them.",
)
_rule(
    "AGENT-06",
    REQUIRED,
    "With cloud-init, the agent leaves the resource disk alone",
    "waagent_config sets ResourceDisk.Format=n and ResourceDisk.EnableSwap=n.",
    "GEN RHEL OL SUSE UBU",
)
_rule(
    "AGENT-07",
    RECOMMENDED,
    "Without cloud-init, the agent formats the resource disk",
    "waagent_config sets ResourceDisk.Format=y.",
    "GEN CENTOS OL SUSE",
)
_rule(
    "AGENT-08",
    RECOMMENDED,
    "The agent deletes root's password and makes new host keys",
    "waagent_config sets Provisioning.DeleteRootPassword=y, .RegenerateSshHostKeyPair=y, .SshHostKeyPairType=auto.",
    "AGENT WALA",
)
_rule(
    "AGENT-09",
    RECOMMENDED,
    "Disks get 300 seconds to answer",
    "waagent_config sets OS.RootDeviceScsiTimeout=300.",
    "AGENT WALA",
)
_rule(
    "AGENT-10",
    RECOMMENDED,
    "The agent guards the wire server",
    "waagent_config sets OS.EnableFirewall=y.",
    "WALA",
)
_rule(
    "AGENT-11",
    RECOMMENDED,
    "Extensions are enabled",
    "waagent_config sets Extensions.Enabled=y.",
    "WALA",
)
_rule(
    "AGENT-12",
    OPTIONAL,
    "Where the wire server's address is fixed, the value is one that the agent knows",
    "Protocol.EndpointDiscovery is dhcp or static.",
    "WALA",
    no_task="Special networks only; waagent_config takes the option.",
)
_rule(
    "AGENT-13",
    OPTIONAL,
    "FIPS mode and the agent's version go together",
    "With FIPS mode use agent 2.14.0.1 or newer and leave OS.EnableFIPS=n.",
    "FIPS WALA",
    no_task="FIPS mode is chosen when the system is installed.",
)
_rule(
    "AGENT-14",
    OPTIONAL,
    "Custom data is executed only where it is decoded",
    "Set Provisioning.DecodeCustomData=y together with Provisioning.ExecuteCustomData=y.",
    "AGENT",
    no_task="A choice of whoever uses custom data through the agent; waagent_config takes the options.",
)
_rule(
    "AGENT-15",
    OPTIONAL,
    "A proxy for the agent has a host and a port",
    "Set HttpProxy.Host and HttpProxy.Port together.",
    "WALA",
    no_task="Special networks only; waagent_config takes the options.",
)
_rule(
    "AGENT-16",
    OPTIONAL,
    "Log collection has a value that the agent knows",
    "Logs.Collect is y or n.",
    "AGENT",
    no_task="A choice of the image's owner; waagent_config takes the option.",
)
_rule(
    "AGENT-17",
    REQUIRED,
    "/var/lib/waagent is on a file system that may execute programs",
    "Take noexec from the mount options, or mount a file system with exec on /var/lib/waagent.",
    "WALA",
    no_task="Mount options are part of a hardening policy; the audit says which one stands in the way.",
)
_rule(
    "AGENT-18",
    REQUIRED,
    "waagent.conf is Key=value, one per line, without trailing comments or doubles",
    "waagent_config edits by key.",
    "WALA",
)

# ------------------------------------------------------------------------------------------------------- cloud-init

_rule(
    "CINIT-01",
    RECOMMENDED,
    "cloud-init is installed and its stages start at boot",
    "prepare-azure.yml installs cloud-init and enables the units that exist.",
    "PROV GEN RHEL SUSE",
)
_rule(
    "CINIT-02",
    REQUIRED,
    "cloud-init looks for Azure and nothing else",
    "prepare-azure.yml writes datasource_list: [ Azure ] on one line in 91-azure_datasource.cfg (90_dpkg.cfg).",
    "GEN RHEL OL SUSE UBU",
)
_rule(
    "CINIT-03",
    REQUIRED,
    "disk_setup and mounts run in the init stage (cloud-init before 23)",
    "prepare-azure.yml writes the list as it counts, with both modules, to zzz-azure_modules.cfg.",
    "GEN RHEL CIPREP",
)
_rule(
    "CINIT-04",
    RECOMMENDED,
    "cloud-init writes its output to a file",
    "prepare-azure.yml writes 05_logging.cfg where no output is configured.",
    "GEN RHEL",
)
_rule(
    "CINIT-05",
    RECOMMENDED,
    "cloud-init reports to the host over Hyper-V",
    "prepare-azure.yml writes 10-azure-kvp.cfg.",
    "RHEL UBU CI",
)
_rule(
    "CINIT-06",
    OPTIONAL,
    "Swap that cloud-init makes is declared correctly",
    "See SWAP-02.",
    "GEN RHEL SWAPSUP",
    unchecked="SWAP-02 judges it.",
    no_task="SWAP-02 speaks for it.",
)
_rule(
    "CINIT-07",
    REQUIRED,
    "No swap file of the agent is left",
    "swapoff and delete /mnt/resource/swapfile, take it out of /etc/fstab.",
    "GEN RHEL CIPREP",
)
_rule(
    "CINIT-08",
    REQUIRED,
    "No installer file overrides the datasource or the network (Ubuntu)",
    "prepare-azure.yml removes the installer's files below /etc/cloud.",
    "UBU",
    families=("ubuntu", "debian"),
)
_rule(
    "CINIT-09",
    RECOMMENDED,
    "The first boot selects Azure's mirror (Ubuntu)",
    "prepare-azure.yml writes 90-azure.cfg.",
    "UBU",
    families=("ubuntu",),
)
_rule(
    "CINIT-10",
    REQUIRED,
    "cloud-init is not disabled",
    "prepare-azure.yml removes /etc/cloud/cloud-init.disabled, cloud-init=disabled, and masks of what starts it.",
    "KIB CI",
)
_rule(
    "CINIT-11",
    RECOMMENDED,
    "/tmp and /var/tmp may execute programs (cloud-init before 22.4)",
    "Take noexec from the mount options, or update cloud-init.",
    "WALA CI",
    no_task="Mount options are part of a hardening policy; the audit says which one stands in the way.",
)
_rule(
    "CINIT-12",
    OPTIONAL,
    "Without the agent, cloud-init provisions",
    "Keep cloud-init enabled when you remove the agent.",
    "DISP",
    unchecked="AGENT-01, CINIT-01 and NOAGENT-05 judge who provisions.",
    no_task="The variable azure_provisioner chooses who provisions.",
)

# ------------------------------------------------------------------------------------------------------- swap, time

_rule(
    "SWAP-01",
    REQUIRED,
    "Swap is configured on the resource disk only",
    "Remove swap entries that name the OS disk; let cloud-init or the agent make swap on the resource disk.",
    "GEN RHEL SWAPSUP",
)
_rule(
    "SWAP-02",
    OPTIONAL,
    "The swap declaration for cloud-init is complete",
    "prepare-azure.yml writes 00-azure-swap.cfg when swap is asked for.",
    "GEN RHEL OL SUSE",
)
_rule(
    "SWAP-03",
    OPTIONAL,
    "The swap declaration wins over the datasource's own",
    "prepare-azure.yml sets CLOUD_CFG for the cloud-init units when swap is asked for.",
    "GEN RHEL SWAPSUP",
)
_rule(
    "SWAP-04",
    OPTIONAL,
    "A per-boot swap script can be executed",
    "chmod 0755 /var/lib/cloud/scripts/per-boot/swap.sh",
    "SWAPSUP",
    no_task="The collection declares swap (SWAP-02) and writes no script.",
)
_rule(
    "SWAP-05",
    OPTIONAL,
    "Swap that the agent makes has a size",
    "waagent_config sets ResourceDisk.SwapSizeMB together with ResourceDisk.EnableSwap.",
    "GEN",
    no_task="The collection declares swap through cloud-init (SWAP-02); waagent_config takes the options.",
)
_rule(
    "SWAP-06",
    OPTIONAL,
    "The swap mount waits for a unit that exists",
    "Name cloud-init-network.service where cloud-init is 24.3 or newer.",
    "CI",
)
_rule(
    "TIME-01",
    RECOMMENDED,
    "chrony takes the time from the host",
    "prepare-azure.yml adds the refclock /dev/ptp_hyperv and makestep to chrony's configuration.",
    "TIME LISA",
)
_rule(
    "TIME-02",
    RECOMMENDED,
    "The host's clock has a lasting name, /dev/ptp_hyperv",
    "prepare-azure.yml writes 99-ptp_hyperv.rules where udev has no such rule.",
    "TIME LISA",
)
_rule(
    "TIME-03",
    RECOMMENDED,
    "One time service runs, and the hardware clock is in UTC",
    "prepare-azure.yml disables systemd-timesyncd where chrony runs.",
    "TIME RHEL",
)

# --------------------------------------------------------------------------------------------------------- cleaning

_rule(
    "CLEAN-01",
    REQUIRED,
    "The agent's own deprovisioning ran",
    "The capture step runs it, and checks each result.",
    "GEN GNLZ",
    phase=CAPTURE,
)
_rule(
    "CLEAN-02",
    REQUIRED,
    "/var/lib/waagent was emptied after deprovisioning, not before",
    "The capture step keeps this order.",
    "WALA",
    phase=CAPTURE,
    unchecked="An order in time leaves no trace; the deprovision module's tests prove it.",
)
_rule(
    "CLEAN-03",
    REQUIRED,
    "SSH host keys are gone",
    "The capture step removes /etc/ssh/ssh_host_*.",
    "AGENT DISP",
    phase=CAPTURE,
)
_rule(
    "CLEAN-04",
    REQUIRED,
    "cloud-init has forgotten this machine",
    "The capture step runs cloud-init clean --logs --seed.",
    "RHEL UBU SUSE DISP CI",
    phase=CAPTURE,
)
_rule(
    "CLEAN-05",
    RECOMMENDED,
    "/var/lib/cloud is empty",
    "The capture step empties it.",
    "UBU RHEL",
    phase=CAPTURE,
)
_rule(
    "CLEAN-06",
    RECOMMENDED,
    "The agent's log is gone",
    "The capture step removes /var/log/waagent.log*.",
    "RHEL GEN",
    phase=CAPTURE,
)
_rule(
    "CLEAN-07",
    RECOMMENDED,
    "Shell histories are empty",
    "The capture step removes them; by hand: delete ~/.bash_history, ~/.*sh_history and ~/.history of every account.",
    "GEN CERTFAQ LISA",
)
_rule(
    "CLEAN-08",
    RECOMMENDED,
    "Logs and temporary files are gone",
    "The capture step removes them.",
    "CERTSEC PROVERR",
    phase=CAPTURE,
)
_rule(
    "CLEAN-09",
    RECOMMENDED,
    "The image has no machine id",
    "The capture step empties /etc/machine-id.",
    "KIB CI",
    phase=CAPTURE,
)
_rule(
    "CLEAN-10",
    REQUIRED,
    "DHCP leases are gone",
    "The capture step removes them.",
    "AGENT WALA",
    phase=CAPTURE,
)
_rule(
    "CLEAN-11",
    REQUIRED,
    "Network files that were generated for this machine are gone",
    "The capture step removes them.",
    "SUSE UBU",
    phase=CAPTURE,
)
_rule(
    "CLEAN-12",
    REQUIRED,
    "/etc/resolv.conf is a symbolic link or absent",
    "The capture step deletes a plain file and keeps or restores a link.",
    "AGENT CERTSEC WALA",
    phase=CAPTURE,
)
_rule(
    "CLEAN-13",
    REQUIRED,
    "Secrets of this machine are gone",
    "The capture step removes random seeds and identities; remove private keys of your own by hand.",
    "GEN",
    phase=CAPTURE,
)
_rule(
    "CLEAN-14",
    REQUIRED,
    "A specialized VM is not deprovisioned, and its agent does not provision",
    "waagent_config with provisioner=disabled.",
    "GEN RHEL IMG",
    unchecked="Whether an image is meant to be specialized is known to its owner only; AGENT-04 accepts disabled.",
    no_task="The collection makes generalized images; AGENT-04's task takes provisioner disabled.",
)
_rule(
    "CLEAN-15",
    REQUIRED,
    "The VM is shut down right after deprovisioning",
    "capture-azure.yml powers it off from the same script.",
    "GEN",
    phase=CAPTURE,
    unchecked="A VM that runs cannot show that it will be off; capture-azure.yml checks it from outside.",
)
_rule(
    "CLEAN-16",
    RECOMMENDED,
    "Deprovisioning does not promise that every secret is gone",
    "Look through the image before you share it.",
    "AGENT UBU GNLZ",
    phase=CAPTURE,
    unchecked=_ADVICE,
    no_task=_ADVICE,
)
_rule(
    "CLEAN-17",
    RECOMMENDED,
    "Subscriptions are unregistered",
    "subscription-manager unregister; SUSEConnect --cleanup",
    "RHEL",
    families=("redhat", "suse"),
    phase=CAPTURE,
)

# --------------------------------------------------------------------------------------------------------- no agent

_rule(
    "NOAGENT-01",
    OPTIONAL,
    "Own provisioning code is used only where no agent can run",
    "Prefer cloud-init or the agent.",
    "NOAG PROV",
    unchecked=_ADVICE,
    no_task=_ADVICE,
)
_rule(
    "NOAGENT-02",
    REQUIRED,
    "A DHCP client is there (no agent)",
    "Install a DHCP client, or use NetworkManager or systemd-networkd.",
    "NOAG",
)
_rule(
    "NOAGENT-03",
    REQUIRED,
    "The agent and its files are gone (no agent)",
    "Remove the agent's package, /etc/waagent.conf, /var/lib/waagent and /var/log/waagent.log.",
    "NOAG DISP",
)
_rule(
    "NOAGENT-04",
    REQUIRED,
    "The provisioning unit's program is there and can be executed (no agent)",
    "The role provision_agentless installs it.",
    "NOAG",
)
_rule(
    "NOAGENT-05",
    REQUIRED,
    "A provisioning unit is enabled and ordered after the network (no agent)",
    "The role provision_agentless installs and enables it; a VM that was provisioned is prepared once more.",
    "NOAG",
)
_rule(
    "NOAGENT-06",
    RECOMMENDED,
    "The provisioning program sets the host name (no agent)",
    "The role provision_agentless reads it from the instance metadata.",
    "NOAG",
)
_rule(
    "NOAGENT-07",
    REQUIRED,
    "A VM that does not report ready is rebooted and fails",
    "NOAGENT-04 and NOAGENT-05 make it report.",
    "NOAG CITRB",
    where=PLATFORM,
    unchecked=_ON_PLATFORM,
)
_rule(
    "NOAGENT-08",
    REQUIRED,
    "VMs from an agentless image are created without agent support",
    "az vm create --enable-agent false",
    "NOAG DISP",
    where=PLATFORM,
    unchecked=_ON_PLATFORM,
)
_rule(
    "NOAGENT-09",
    REQUIRED,
    "Extensions are deleted before the agent is removed",
    "Delete the extensions at the control plane first.",
    "DISP",
    where=PLATFORM,
    unchecked=_ON_PLATFORM,
)
_rule(
    "NOAGENT-10",
    REQUIRED,
    "Without an agent, host keys, accounts and cloud-init state are cleaned by other means",
    "The capture step does it without the agent.",
    "DISP",
    phase=CAPTURE,
    unchecked="CLEAN-03, CLEAN-04, ACC-02 and ACC-03 judge it, with or without an agent.",
)

# ----------------------------------------------------------------------------------------- certification, platform

_rule(
    "CERT-01",
    CERTIFICATION,
    "Extensions can run on the image",
    "Install the agent, leave Extensions.Enabled=y and Python in place.",
    "CERTFAQ",
    no_task="AGENT-01, AGENT-11 and PKG-07 put it into force.",
)
_rule(
    "CERT-02",
    CERTIFICATION,
    "A locked-down image comes with an offline test report",
    "Ask for the exception when you publish.",
    "CERTFAQ",
    where=PLATFORM,
    unchecked=_ON_PLATFORM,
)
_rule(
    "CERT-03",
    CERTIFICATION,
    "The VHD's file name has no special characters",
    "Name the file with letters, digits, dots and hyphens.",
    "CERTFAQ",
    where=IMAGE,
    unchecked=_ON_IMAGE,
)
_rule(
    "CERT-04",
    CERTIFICATION,
    "The resource disk is formatted and mounted in a running Azure VM",
    "Leave cloud-init's or the agent's handling of the resource disk in place.",
    "LISA",
    where=PLATFORM,
    unchecked="Only a VM in Azure has a resource disk; AGENT-06 and AGENT-07 judge who handles it.",
)
_rule(
    "CERT-05",
    CERTIFICATION,
    "Package repositories are configured",
    "Configure the distribution's own repositories, security updates included.",
    "LISA",
    no_task="Repositories are the user's; REPO-07 names Azure's mirror on Ubuntu.",
)
_rule(
    "CERT-06",
    CERTIFICATION,
    "The boot and cloud-init logs hold no unexpected error or warning",
    "Look into each line; waive CERT-06 when they are harmless.",
    "LISA",
    no_task="Each message has a cause of its own.",
)
_rule(
    "CERT-07",
    CERTIFICATION,
    "No malware, no known vulnerability, no default password",
    "Scan the image before you publish it.",
    "CERTSEC",
    where=PLATFORM,
    unchecked="It takes a scanner with current signatures; ACC-02 and ACC-04 judge passwords.",
)
_rule(
    "PLAT-01",
    REQUIRED,
    "A VM in Azure is deallocated and marked generalized before an image is made of it",
    "az vm deallocate, az vm generalize, az image create",
    "GNLZ NOAG",
    where=PLATFORM,
    unchecked=_ON_PLATFORM,
)
_rule(
    "PLAT-02",
    REQUIRED,
    "The VHD is uploaded as a page blob or into a managed disk",
    "publish-azure.yml does.",
    "DEB UPL",
    where=PLATFORM,
    unchecked=_ON_PLATFORM,
)
_rule(
    "PLAT-03",
    REQUIRED,
    "The image is declared as what it is, generalized or specialized",
    "publish-azure.yml declares a generalized image.",
    "PROVERR",
    where=PLATFORM,
    unchecked=_ON_PLATFORM,
)

#: Rules that the task of another rule puts into force besides its own.
SERVED_BY = {
    "BOOT-02": "BOOT-01",
    "BOOT-03": "BOOT-01",
    "BOOT-04": "BOOT-01",
    "BOOT-05": "BOOT-01",
    "BOOT-06": "BOOT-01",
    "BOOT-07": "BOOT-01",
    "BOOT-08": "BOOT-01",
    "BOOT-09": "BOOT-01",
    "BOOT-10": "BOOT-01",
    "BOOT-11": "BOOT-01",
    "BOOT-12": "BOOT-01",
    "BOOT-13": "BOOT-01",
    "DISK-13": "BOOT-01",
    "KERN-05": "BOOT-01",
    "NVME-05": "BOOT-01",
    "KERN-07": "KERN-06",
    "KERN-08": "KERN-06",
    "KERN-09": "KERN-06",
    "KERN-11": "PKG-01",
    "PKG-02": "PKG-01",
    "PKG-03": "PKG-01",
    "PKG-04": "PKG-01",
    "PKG-05": "PKG-01",
    "PKG-07": "PKG-01",
    "PKG-12": "PKG-01",
    "NVME-07": "PKG-01",
    "INIT-02": "INIT-01",
    "INIT-03": "INIT-01",
    "INIT-04": "INIT-01",
    "INIT-05": "INIT-01",
    "NVME-02": "INIT-01",
    "NVME-03": "INIT-01",
    "NVME-04": "INIT-01",
    "NET-02": "NET-01",
    "NET-03": "NET-01",
    "NET-04": "NET-01",
    "NET-07": "NET-01",
    "NET-08": "NET-01",
    "NET-12": "NET-01",
    "NET-10": "NET-09",
    "NET-11": "NET-09",
    "AGENT-03": "AGENT-04",
    "AGENT-06": "AGENT-04",
    "AGENT-07": "AGENT-04",
    "AGENT-08": "AGENT-04",
    "AGENT-09": "AGENT-04",
    "AGENT-10": "AGENT-04",
    "AGENT-11": "AGENT-04",
    "AGENT-18": "AGENT-04",
    "CINIT-03": "CINIT-02",
    "CINIT-04": "CINIT-02",
    "CINIT-05": "CINIT-02",
    "CINIT-08": "CINIT-02",
    "CINIT-09": "CINIT-02",
    "CINIT-10": "CINIT-02",
    "SWAP-02": "CINIT-02",
    "SWAP-03": "CINIT-02",
    "SWAP-06": "CINIT-02",
    "SWAP-01": "DISK-09",
    "CINIT-07": "DISK-09",
    "TIME-02": "TIME-01",
    "NOAGENT-02": "NET-01",
    "NOAGENT-06": "NOAGENT-04",
    "NOAGENT-10": "CLEAN-01",
    "NET-13": "CLEAN-01",
    "NET-15": "CLEAN-01",
    "NET-16": "CLEAN-01",
    "SSH-04": "CLEAN-01",
    "ACC-02": "CLEAN-01",
    "ACC-03": "CLEAN-01",
    "PKG-10": "CLEAN-01",
    "CLEAN-02": "CLEAN-01",
    "CLEAN-03": "CLEAN-01",
    "CLEAN-04": "CLEAN-01",
    "CLEAN-05": "CLEAN-01",
    "CLEAN-06": "CLEAN-01",
    "CLEAN-07": "CLEAN-01",
    "CLEAN-08": "CLEAN-01",
    "CLEAN-09": "CLEAN-01",
    "CLEAN-10": "CLEAN-01",
    "CLEAN-11": "CLEAN-01",
    "CLEAN-12": "CLEAN-01",
    "CLEAN-13": "CLEAN-01",
    "CLEAN-17": "CLEAN-01",
    "REPO-02": "CLEAN-01",
    "REPO-03": "REPO-01",
    "REPO-06": "REPO-05",
}

#: Identifier to rule, in the order of the documents.
RULES: Dict[str, Rule] = {rule.id: rule for rule in _RULES}


def select(profile: str) -> List[Rule]:
    """The rules of a profile that can be judged in a guest, in catalogue order."""
    return [rule for rule in _RULES if rule.level in PROFILES[profile] and not rule.why_unchecked]
