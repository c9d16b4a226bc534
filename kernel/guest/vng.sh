# What virtme-ng starts as its script, in the small root that it is given (kernel/machine/vng.py): a
# root in memory, and the machine. Each start of a program from that root reads it from the host anew.
mount -t tmpfs tmpfs /memory
mkdir /memory/bin /memory/root
cp /bin/busybox /memory/bin
/memory/bin/busybox --install -s /memory/bin
export PATH=/memory/bin
tar -xf /template.tar -C /memory/root
exec sh /machine.sh /memory/root
