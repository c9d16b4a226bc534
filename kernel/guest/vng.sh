# What virtme-ng starts as its script, in the small root that it is given (kernel/machine/vng.py): a
# root in memory, and the machine.
mount -t tmpfs tmpfs /memory
cp -a /template /memory/root
exec sh /machine.sh /memory/root
