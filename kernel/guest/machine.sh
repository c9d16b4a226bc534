# The machine, however it was booted: a root of its own in memory, $1, with the host's programs below
# a layer of memory, so that everything can be written and nothing reaches the host; then the test,
# whose end is the machine's.
argument() { sed -n "s/.*gso\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
python=$(argument python)
options=version=9p2000.L,trans=virtio,access=any,msize=262144
readonly="ro,cache=loose,$options"
mount -o bind "$1" "$1" # a mount of its own: programs want to change how it is shared
cd "$1" || exit 1
number=0
for folder in $(argument programs | tr : ' '); do
    host=/memory/host$number upper=/memory/upper$number work=/memory/work$number
    mkdir -p $host $upper $work "./$folder"
    mount -t 9p -o "$readonly" gso.programs$number $host
    # Users are not those of this machine: a program with the setuid bit would run as nobody.
    mount -t overlay -o nosuid,xino=off,lowerdir=$host,upperdir=$upper,workdir=$work programs "./$folder"
    number=$((number + 1))
done
mount -t 9p -o "$readonly" gso.given ./gso/given
mount -t 9p -o "rw,$options" gso.left ./gso/left
mount -t proc proc ./proc
mount -t sysfs sysfs ./sys
mount -t devtmpfs dev ./dev
mount -t tmpfs -o mode=0755 run ./run
mkdir -p ./dev/pts ./dev/shm ./run/lock ./run/netns "./lib/modules/$(uname -r)"
mount -t tmpfs -o mode=1777 shm ./dev/shm
mount -t devpts devpts ./dev/pts
mount -t tracefs tracefs ./sys/kernel/tracing
mount -t debugfs debugfs ./sys/kernel/debug
mount -t cgroup2 cgroup2 ./sys/fs/cgroup
[ -e ./dev/fd ] || ln -s /proc/self/fd ./dev/fd
mount -t 9p -o "$readonly" gso.modules "./lib/modules/$(uname -r)" 2>/dev/null || : # or all is built in
hostname gso
ifconfig lo up
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
echo "gso: starting the test" >/dev/kmsg
chroot . "$python" -IB /gso/given/guest /gso/given /gso/left >./gso/left/guest.log 2>&1
sync
poweroff -f
