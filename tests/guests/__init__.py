"""Real Debian guests for the tests: built once from Debian's packages, started under QEMU as throw-away overlays.

Modules: definitions (which guests there are, as data), cache (where they lie), build (packages to a disk),
accel (KVM or TCG), qemu (arguments, pure), launch (start, wait, stop), cloud (a cloud image of one's own), cli.
"""
