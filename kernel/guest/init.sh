#!/bin/sh
# The first process, from the test bed's own initramfs with busybox's tools. No udev and no tmpfiles:
# they are half of a boot under emulation.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
for module in $(cat /modules/order); do
    insmod "/modules/$module"
done
mount -t tmpfs tmpfs /memory
exec sh /machine.sh /root
