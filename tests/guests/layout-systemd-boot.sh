#!/bin/sh
# A further hook of mmdebstrap, behind customize.sh: the guest starts with systemd-boot and has no GRUB. kernel-install,
# which Debian's package hooks into kernels and initramfs-tools, keeps copies of both on the EFI system partition.
set -eu
root=$1
mkdir -p "$root/etc/kernel"
echo "root=LABEL=root ro $GUEST_CMDLINE" >"$root/etc/kernel/cmdline"
# finish.sh, which runs once as the guest's process 1, installs GRUB elsewhere. No udev runs by then, and the files of
# the installed system have no machine-id yet, after which kernel-install names its entries.
finish=$root/finish-installation
sed -i \
    -e 's,grub-install --target=x86_64-efi.*,systemd-machine-id-setup \&\& SYSTEMD_RELAX_ESP_CHECKS=1 bootctl install || { fail bootctl; return 1; },' \
    -e 's,^    update-grub || .*,    for kernel in /lib/modules/*; do SYSTEMD_RELAX_ESP_CHECKS=1 kernel-install add "${kernel##*/}" "/boot/vmlinuz-${kernel##*/}" "/boot/initrd.img-${kernel##*/}" || { fail kernel-install; return 1; }; done; cat /boot/efi/loader/entries/*.conf || { fail "no entry"; return 1; },' \
    "$finish"
grep -q 'bootctl install' "$finish" && grep -q 'kernel-install add' "$finish"
