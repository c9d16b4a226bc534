#!/bin/sh
# The first process, from the initramfs with busybox's tools: the host's root below a layer of
# memory, so that everything can be written and nothing reaches the host; then the test, whose
# end is the machine's. No udev and no tmpfiles: they are half of a boot under emulation.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
argument() { sed -n "s/.*gso\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
folder=$(argument folder) python=$(argument python) modules=$(argument modules)
for module in $(cat /modules/order); do
    insmod "/modules/$module"
done
options=version=9p2000.L,trans=virtio,access=any,msize=262144
mount -t tmpfs tmpfs /memory
mkdir /memory/upper /memory/work
mount -t 9p -o "ro,cache=loose,$options" gso.root /host
mount -t overlay -o xino=off,lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work root /root
cd /root || exit 1
mkdir -p "./$folder"
mount -t 9p -o "rw,$options" gso.folder "./$folder"
mount -t proc proc ./proc
mount -t sysfs sysfs ./sys
mount -t devtmpfs dev ./dev
mount -t tmpfs -o mode=0755 run ./run
mkdir -p ./dev/pts ./dev/shm ./run/lock ./run/netns ./lib/modules
mount -t tmpfs -o mode=1777 shm ./dev/shm
mount -t devpts devpts ./dev/pts
mount -t tracefs tracefs ./sys/kernel/tracing
mount -t debugfs debugfs ./sys/kernel/debug
mount -t cgroup2 cgroup2 ./sys/fs/cgroup
ln -s /proc/self/fd ./dev/fd
if [ -n "$modules" ]; then
    mount -t tmpfs modules ./lib/modules
    ln -s "$modules" "./lib/modules/$(uname -r)"
fi
hostname gso
ifconfig lo up
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
echo "gso: starting the test" >/dev/kmsg
chroot . "$python" -IB "$folder/guest" "$folder" >"./$folder/guest.log" 2>&1
sync
poweroff -f
