#!/bin/sh
# A further hook of mmdebstrap, behind customize.sh: root and swap are logical volumes, /boot is a partition, as
# installers lay out a disk when LVM is chosen. The volumes are made by the guest's own kernel and tools: build.py starts
# the installed system from a second, read-only disk, and this script, as process 1, moves it to the first.
set -eu
root=$1
mkdir -p "$root/target" "$root/etc/lvm/archive" "$root/etc/lvm/backup"
cat >"$root/etc/fstab" <<'END'
# /etc/fstab: static file system information.
/dev/mapper/vg0-root	/	ext4	errors=remount-ro	0	1
LABEL=boot	/boot	ext4	defaults	0	2
/dev/mapper/vg0-swap	none	swap	sw	0	0
/dev/sr0	/media/cdrom0	udf,iso9660	user,noauto	0	0
END
echo 'RESUME=/dev/mapper/vg0-swap' >"$root/etc/initramfs-tools/conf.d/resume"
cat >"$root/finish-installation" <<'END'
#!/bin/sh
# The disk has two partitions by now: /boot, and one for LVM.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive
exec </dev/null >/dev/ttyS0 2>&1
# No udev runs here, so device-mapper must not wait for it.
config='activation { udev_sync=0 udev_rules=0 verify_udev_operations=1 }'
finish() {
    mountpoint -q /proc || mount -t proc proc /proc
    mountpoint -q /sys || mount -t sysfs sysfs /sys
    mount -t securityfs securityfs /sys/kernel/security
    mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /etc/lvm/archive &&
        mount -t tmpfs tmpfs /etc/lvm/backup || return 1
    modprobe dm_mod
    echo "step: volumes"
    pvcreate --config "$config" /dev/vda2 && vgcreate --config "$config" vg0 /dev/vda2 &&
        lvcreate --config "$config" --yes --size "${swap_mib}M" --name swap vg0 &&
        lvcreate --config "$config" --yes --size "${root_mib}M" --name root vg0 || return 1
    echo "step: copy"
    mkfs.ext4 -q -L boot /dev/vda1 && mkswap /dev/mapper/vg0-swap &&
        dd if=/dev/vdb1 of=/dev/mapper/vg0-root bs=4M conv=sparse && mount /dev/mapper/vg0-root /target &&
        mount /dev/vda1 /target/tmp && cp -a /target/boot/. /target/tmp/ && umount /target/tmp &&
        find /target/boot -mindepth 1 -delete && mount /dev/vda1 /target/boot || return 1
    rmdir /target/target
    for place in proc sys dev run tmp; do mount --rbind "/$place" "/target/$place" || return 1; done
    echo "step: boot loader"
    chroot /target grub-install --target=i386-pc /dev/vda &&
        chroot /target apparmor_parser --write-cache --skip-kernel-load /etc/apparmor.d &&
        chroot /target update-initramfs -u -k all && chroot /target update-grub || return 1
    rm -f /target/finish-installation
    sync
    mount -o remount,ro /target/boot && mount -o remount,ro /target || return 1
    echo GUEST-BUILD-DONE
}
finish || echo "GUEST-BUILD-FAILED: see the last step"
sleep 1
echo 1 >/proc/sys/kernel/sysrq
echo o >/proc/sysrq-trigger
sleep 60
END
sed -i "s/^config=/root_mib=$GUEST_ROOT_MIB\nswap_mib=$GUEST_SWAP_MIB\nconfig=/" "$root/finish-installation"
chmod 0755 "$root/finish-installation"
