#!/bin/sh
# The installation's last step, run once as the guest's own process 1 (init=/finish-installation), since
# these things need the real machine: grub-install writes boot sectors or firmware variables, MODULES=dep looks at
# /sys, update-grub probes the root file system. Says how it went on the serial console, then powers off.
# A deleted script that still runs keeps / from becoming read-only: go on from a copy in memory.
if [ "$0" != /run/finish ]; then cp "$0" /run/finish; exec /bin/sh /run/finish; fi
disk=/dev/vda
if [ -d /sys/firmware/efi ]; then firmware=uefi; else firmware=bios; fi
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive
exec </dev/null >/dev/ttyS0 2>&1
fail() { echo "GUEST-BUILD-FAILED: $1"; }

finish() {
    mount -o remount,rw / || return 1
    mountpoint -q /proc || mount -t proc proc /proc
    mountpoint -q /sys || mount -t sysfs sysfs /sys
    mountpoint -q /dev/pts || { mkdir -p /dev/pts; mount -t devpts devpts /dev/pts; }
    # apparmor_parser names its cache after the features that the kernel shows there.
    mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
    mount -t tmpfs tmpfs /tmp
    if [ "$firmware" = uefi ]; then
        modprobe efivarfs 2>/dev/null
        mount -t efivarfs efivarfs /sys/firmware/efi/efivars || { fail "no EFI variables"; return 1; }
        modprobe vfat
        mount /boot/efi || { fail "mount /boot/efi"; return 1; }
        echo "step: grub-install"
        grub-install --target=x86_64-efi "$disk" || { fail grub-install; return 1; }
    else
        echo "step: grub-install"
        grub-install --target=i386-pc "$disk" || { fail grub-install; return 1; }
    fi
    # Compiled here as an installed system has them compiled; every fresh overlay would otherwise spend 10 s on it.
    echo "step: apparmor cache"
    apparmor_parser --write-cache --skip-kernel-load /etc/apparmor.d || { fail apparmor; return 1; }
    echo "step: initramfs"
    if [ -e /etc/initramfs-tools/conf.d/driver-policy ]; then
        update-initramfs -u -k all || { fail update-initramfs; return 1; }
    else
        for kernel in /lib/modules/*; do
            dracut --force --quiet "/boot/initrd.img-${kernel##*/}" "${kernel##*/}" || { fail dracut; return 1; }
        done
    fi
    echo "step: update-grub"
    update-grub || { fail update-grub; return 1; }
    rm -f /finish-installation
    if [ "$firmware" = uefi ]; then umount /boot/efi; fi
    umount /tmp
    sync
    mount -o remount,ro / || { fail "remount read-only"; return 1; }
    echo GUEST-BUILD-DONE
}

finish
# sysrq-o: this script is process 1, there is no init to ask for a power-off.
sleep 1
echo 1 >/proc/sys/kernel/sysrq
echo o >/proc/sysrq-trigger
sleep 60
