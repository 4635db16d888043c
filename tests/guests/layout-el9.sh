#!/bin/sh
# A further hook of mmdebstrap, behind layout-rpm.sh: the names and the boot path of Enterprise Linux 9, as far as that is
# honest. A stand-in: kernel, GRUB and programs are Debian's.
#
#   the menu is in /boot/loader/entries and GRUB reads it (blscfg, upstream's from GRUB 2.14 on, not Red Hat's)
#   /etc/kernel/cmdline, and in /etc/default/grub what anaconda writes, with a swap area to resume from
#   host-only dracut images, /boot/initramfs-RELEASE.img
#   the group wheel, which may use sudo
set -eu
root=$1
cat >"$root/etc/os-release" <<'END'
NAME="Stand-in for Enterprise Linux"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.6"
PLATFORM_ID="platform:el9"
PRETTY_NAME="Stand-in for Enterprise Linux 9.6 (made from Debian packages)"
END
echo 'Stand-in for Enterprise Linux release 9.6 (made from Debian packages)' >"$root/etc/system-release"
ln -s system-release "$root/etc/redhat-release"
cat >"$root/etc/default/grub" <<END
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR="\$(sed 's, release .*\$,,g' /etc/system-release)"
GRUB_DEFAULT=saved
GRUB_DISABLE_SUBMENU=true
GRUB_TERMINAL_OUTPUT="console"
GRUB_CMDLINE_LINUX="crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M resume=UUID=$GUEST_SWAP_UUID rhgb quiet"
GRUB_DISABLE_RECOVERY="true"
GRUB_ENABLE_BLSCFG=true
END
mkdir -p "$root/etc/kernel" "$root/boot/loader/entries"
options="root=LABEL=root ro crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M resume=UUID=$GUEST_SWAP_UUID rhgb quiet"
echo "$options" >"$root/etc/kernel/cmdline"
for kernel in "$root"/boot/vmlinuz-*; do
    release=${kernel##*/vmlinuz-}
    cat >"$root/boot/loader/entries/0123456789abcdef0123456789abcdef-$release.conf" <<END
title Stand-in for Enterprise Linux ($release) 9.6
version $release
linux /boot/vmlinuz-$release
initrd /boot/initramfs-$release.img
options $options
grub_users \$grub_users
grub_arg --unrestricted
grub_class rocky
END
done
# Red Hat's generator writes no entries either, but has GRUB read them.
rm -f "$root/etc/grub.d/05_debian_theme" "$root/etc/grub.d/20_linux_xen"
cat >"$root/etc/grub.d/10_linux" <<'END'
#!/bin/sh
set -e
. /usr/share/grub/grub-mkconfig_lib
prepare_grub_to_access_device "${GRUB_DEVICE_BOOT}"
printf 'insmod blsuki\nblscfg --path /boot/loader/entries\n'
END
chmod 0755 "$root/etc/grub.d/10_linux"
# anaconda puts the user into it.
chroot "$root" groupadd --system wheel
chroot "$root" usermod --append --groups wheel "$GUEST_USER"
sed -i 's/^%sudo.*/%wheel\tALL=(ALL)\tALL/' "$root/etc/sudoers"
grep -q '^%wheel' "$root/etc/sudoers"
finish=$root/finish-installation
sed -i 's,/boot/initrd\.img-\${kernel##\*/},/boot/initramfs-${kernel##*/}.img,' "$finish"
grep -q 'boot/initramfs-' "$finish"
