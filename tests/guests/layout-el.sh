#!/bin/sh
# A further hook of mmdebstrap, behind customize.sh: gives a Debian guest with dracut the file names of Enterprise Linux,
# as far as that is honest. A stand-in: the kernel, GRUB and the contents of the packages stay Debian's; its GRUB reads
# no entry files, so grub.cfg holds the entries, as it does on Enterprise Linux 7.
#
#   /boot/grub2, and /boot/grub a link to it: Debian's GRUB has the old name built in
#   grub2-mkconfig, and no update-grub
#   /boot/initramfs-RELEASE.img
#   GRUB_CMDLINE_LINUX with rhgb quiet crashkernel=auto, GRUB_DISABLE_RECOVERY, GRUB_TERMINAL_OUTPUT, as anaconda writes
set -eu
root=$1
mv "$root/boot/grub" "$root/boot/grub2" 2>/dev/null || mkdir "$root/boot/grub2"
ln -s grub2 "$root/boot/grub"
ln -s grub-mkconfig "$root/usr/sbin/grub2-mkconfig"
chroot "$root" dpkg-divert --quiet --local --rename --add /usr/sbin/update-grub
ln -s grub-editenv "$root/usr/bin/grub2-editenv"
cat >"$root/etc/default/grub" <<'END'
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR="$(sed 's, release .*$,,g' /etc/system-release)"
GRUB_DEFAULT=saved
GRUB_DISABLE_SUBMENU=true
GRUB_TERMINAL_OUTPUT="console"
GRUB_CMDLINE_LINUX="crashkernel=auto rhgb quiet"
GRUB_DISABLE_RECOVERY="true"
END
echo 'Stand-in for Enterprise Linux release 7 (Debian)' >"$root/etc/system-release"
# finish.sh, which runs once as the guest's process 1, speaks Debian's names.
finish=$root/finish-installation
sed -i \
    -e 's,/boot/initrd\.img-\${kernel##\*/},/boot/initramfs-${kernel##*/}.img,' \
    -e 's,^    update-grub || .*,    rm -f /boot/initrd.img-*\n    grub2-mkconfig -o /boot/grub2/grub.cfg || { fail grub2-mkconfig; return 1; },' \
    "$finish"
grep -q 'boot/initramfs-' "$finish" && grep -q grub2-mkconfig "$finish"
