#!/bin/sh
# What an administrator would type to prepare a Debian 12 VM for Azure, without looking first and without checking
# afterwards: the yardstick of benchmarks/prepare.py. It does in one go what prepare-azure.yml does to the test guest
# debian12-bios; it is no substitute for it on any other machine, and must not be run twice.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

# packages
apt-get -q update
apt-get -q -y install waagent cloud-init cloud-guest-utils gdisk hyperv-daemons chrony eject
for unit in hv-kvp-daemon hv-vss-daemon; do
    mkdir -p "/etc/systemd/system/$unit.service.d"
    printf '[Unit]\nConditionPathExists=/dev/vmbus/%s\n' "$(echo "$unit" | sed 's/-daemon//; s/-/_/')" \
        >"/etc/systemd/system/$unit.service.d/azure.conf"
done
systemctl enable hv-kvp-daemon hv-vss-daemon

# disk
swapoff -a
sed -i '/\bswap\b/d' /etc/fstab
echo RESUME=none >/etc/initramfs-tools/conf.d/resume
root=$(findmnt -no SOURCE /)
sed -i "s|^$root\b|UUID=$(blkid -s UUID -o value "$root")|" /etc/fstab
systemctl daemon-reload

# kernel
echo 'blacklist floppy' >/etc/modprobe.d/azure-blacklist.conf
for module in hv_vmbus hv_storvsc hv_netvsc hv_utils hyperv_keyboard nvme nvme_core pci_hyperv mana mlx5_core; do
    grep -qx "$module" /etc/initramfs-tools/modules || echo "$module" >>/etc/initramfs-tools/modules
done
update-initramfs -u -k all

# boot loader
arguments="console=tty1 console=ttyS0,115200n8 earlyprintk=ttyS0,115200 rootdelay=300"
sed -i "s/^GRUB_CMDLINE_LINUX_DEFAULT=.*/GRUB_CMDLINE_LINUX_DEFAULT=\"\"/
s/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX=\"$arguments\"/
s/^#*GRUB_TERMINAL=.*//" /etc/default/grub
printf 'GRUB_TERMINAL="console serial"\nGRUB_SERIAL_COMMAND="serial --speed=115200 --unit=0"\n' >>/etc/default/grub
update-grub

# network
printf '\nallow-hotplug eth0\niface eth0 inet dhcp\n' >>/etc/network/interfaces
cat >/etc/udev/rules.d/68-azure-sriov-nm-unmanaged.rules <<'RULES'
SUBSYSTEM=="net", DRIVERS=="hv_pci", ACTION=="add", ENV{NM_UNMANAGED}="1"
RULES

# SSH
echo 'ClientAliveInterval 180' >/etc/ssh/sshd_config.d/00-azure.conf
systemctl reload ssh

# provisioning
echo 'datasource_list: [ Azure ]' >/etc/cloud/cloud.cfg.d/91-azure_datasource.cfg
printf 'reporting:\n  logging:\n    type: log\n  telemetry:\n    type: hyperv\n' >/etc/cloud/cloud.cfg.d/10-azure-kvp.cfg
mkdir -p /var/lib/hyperv
sed -i 's/^Provisioning.Agent=.*/Provisioning.Agent=cloud-init/
s/^ResourceDisk.Format=.*/ResourceDisk.Format=n/
s/^ResourceDisk.EnableSwap=.*/ResourceDisk.EnableSwap=n/' /etc/waagent.conf
systemctl enable cloud-init walinuxagent || systemctl enable cloud-init waagent

# time
sed -i '1i refclock PHC /dev/ptp_hyperv poll 3 dpoll -2 offset 0 stratum 2' /etc/chrony/chrony.conf
systemctl enable chrony
