#!/bin/bash
# run.sh [-m MiB] [-c CPUS] [-d DISK_MiB] [-t SECONDS] COMMAND ARG...
#
# Runs a command as root in a virtual machine with another kernel and cgroup v2 only, and
# throws the machine away. Nothing but qemu is needed: no image is downloaded. It is
# emulated (about 15 times slower for arithmetic, 50 times for a fork), or with VM_KVM=1 not.
#
#   root      this machine's own /, read-only (virtiofs), below an overlay in memory
#   /scratch  a disk of its own (ext4 on virtio-blk): TMPDIR, limits of I/O, upper layers
#   kernel    Debian's cloud kernel, the newest that apt has of VM_KERNEL (6.1)
#   cgroups   v2 with all controllers handed down from the root
#
# The command has the same working folder and its output and exit status come back; 125 is
# that the machine did not come up, or took longer than SECONDS. IN_BLAST_VM is set in it, all
# of BLAST_* as it is here, and BLAST_TEST_PACE: what waits shall wait so many times as long.
#
# Needs: qemu-system-x86 qemu-system-common busybox-static kmod cpio e2fsprogs
set -eu

mem=1024 cpus=2 disk=512 within=300
while getopts m:c:d:t: o; do
  case $o in m) mem=$OPTARG ;; c) cpus=$OPTARG ;; d) disk=$OPTARG ;; t) within=$OPTARG ;; *) exit 125 ;; esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { sed -n 2,19p "$0"; exit 125; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/blast-vm
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

# The kernel with its modules: kept from the first run on.
series=${VM_KERNEL:-6.1}
version=$(cat "$cache/$series" 2>/dev/null || true)
if [ -z "$version" ] || [ ! -f "$cache/$version/.complete" ]; then
  version=$(apt-cache search --names-only "^linux-image-${series//./\\.}[.0-9]*-[0-9]+-cloud-amd64-unsigned$" |
    sed 's/^linux-image-\(.*\)-unsigned .*/\1/' | sort -V | tail -1)
  [ -n "$version" ] || { echo "run.sh: apt has no cloud kernel $series: apt-get update" >&2; exit 125; }
  rm -rf "${cache:?}/$version"
  mkdir -p "$cache/$version"
  (cd "$cache" && apt-get -q download "linux-image-$version-unsigned" >&2 && dpkg -x linux-image-"$version"-unsigned_*.deb "$version" && rm linux-image-"$version"-unsigned_*.deb)
  depmod -b "$cache/$version" "$version"
  touch "$cache/$version/.complete"
  echo "$version" >"$cache/$series"
fi
tree=$cache/$version

# What starts first: busybox, and the modules that lead to the root.
initrd=$cache/$version.cpio.gz
if [ ! -f "$initrd" ] || [ "$0" -nt "$initrd" ]; then
  t=$(mktemp -d)
  mkdir -p "$t"/{bin,proc,sys,dev,lower,memory,new,modules}
  cp "$(command -v busybox)" "$t/bin/busybox"
  for m in virtio_pci virtiofs overlay virtio_blk virtio_console; do
    modprobe -d "$tree" -S "$version" --show-depends "$m"
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
    cp "$file" "$t/modules/"
    basename "$file"
  done >"$t/order"
  cat >"$t/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
die() { echo "$1"; $b poweroff -f; }
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
while read -r m; do $b insmod "/modules/$m" || echo "insmod $m failed"; done </order
for word in $($b cat /proc/cmdline); do case $word in blast.*) eval "${word#blast.}" ;; esac; done
$b mount -t virtiofs -o ro root /lower || die "no root"
$b mount -t tmpfs -o size=75% tmpfs /memory && $b mkdir /memory/upper /memory/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/memory/upper,workdir=/memory/work root /new || die "no overlay"
cd /new
$b mount -t proc proc proc; $b mount -t sysfs sys sys; $b mount -t devtmpfs dev dev
$b mkdir -p dev/pts dev/shm scratch run
$b mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts dev/pts; $b mount -t tmpfs tmpfs dev/shm; $b mount -t tmpfs -o mode=755 tmpfs run
$b mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 sys/fs/cgroup
$b mount -t ext4 /dev/vda scratch || die "no disk"
$b chmod 1777 scratch
v=$($b uname -r); $b mkdir -p "lib/modules/$v"; $b mount --bind "/new$tree/lib/modules/$v" "lib/modules/$v"
$b ip link set lo up; $b hostname blast-vm
# The root hands controllers down only while it has no process of its own.
$b mkdir sys/fs/cgroup/init; echo $$ >sys/fs/cgroup/init/cgroup.procs
for c in $($b cat sys/fs/cgroup/cgroup.controllers); do echo "+$c" >sys/fs/cgroup/cgroup.subtree_control; done
$b mount --move . / && exec $b chroot . /bin/bash "$job/job" </dev/null
INIT
  chmod +x "$t/init"
  (cd "$t" && find . | cpio -o -H newc --quiet | gzip -1) >"$initrd.new"
  mv "$initrd.new" "$initrd"
  rm -rf "$t"
fi
flock -u 9

if [ -z "${VM_KVM:-}" ]; then export BLAST_TEST_PACE=${BLAST_TEST_PACE:-20}; fi
job=$(mktemp -d "$cache/job.XXXXXX")
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$job"' EXIT
truncate -s "${disk}M" "$job/disk"
mkfs.ext4 -q -F -m 0 -E lazy_itable_init=1 "$job/disk"
# Programs that a person has in a home folder of their own are found there, too.
cat >"$job/job" <<JOB
for p in /dev/vport*p1; do out=\$p; done
for p in /dev/vport*p2; do end=\$p; done
exec >"\$out" 2>&1
export PATH=${PATH@Q} HOME=${HOME@Q} TMPDIR=/scratch IN_BLAST_VM=1
$(for v in "${!BLAST_@}"; do printf 'export %s=%q\n' "$v" "${!v}"; done)
modprobe -a loop fuse tun 2>/dev/null
cd ${PWD@Q}
${@@Q}
code=\$?
exec >/dev/null 2>&1
echo "\$code" >"\$end"
sync /scratch
exec /bin/busybox poweroff -f
JOB
"$(command -v virtiofsd || echo /usr/lib/qemu/virtiofsd)" --socket-path="$job/fs" -o source=/ -o cache=always -o sandbox=chroot -o xattr >"$job/fs.log" 2>&1 &
server=$!
for _ in $(seq 200); do [ -S "$job/fs" ] && break; sleep 0.02; done
accel=tcg,thread=multi cpu=max
if [ -n "${VM_KVM:-}" ]; then accel=kvm cpu=host; fi # not by itself: that /dev/kvm is there doesn't say that it works
mkfifo "$job/out"
cat "$job/out" &
shown=$!
timeout -k 5 "$within" qemu-system-x86_64 -machine q35,memory-backend=mem -accel "$accel" -cpu "$cpu" -smp "$cpus" -m "$mem" \
  -object memory-backend-memfd,id=mem,size="${mem}M",share=on -nodefaults -no-user-config -display none -no-reboot \
  -kernel "$tree/boot/vmlinuz-$version" -initrd "$initrd" \
  -append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off psi=1 cgroup_no_v1=all blast.job=$job blast.tree=$tree" \
  -chardev file,id=console,path="$job/console" -serial chardev:console \
  -chardev socket,id=fs,path="$job/fs" -device vhost-user-fs-pci,chardev=fs,tag=root \
  -drive file="$job/disk",if=virtio,format=raw,cache=unsafe \
  -device virtio-serial-pci -chardev file,id=out,path="$job/out" -device virtserialport,chardev=out,name=out \
  -chardev file,id=end,path="$job/end" -device virtserialport,chardev=end,name=end </dev/null || true
for _ in $(seq 50); do kill -0 "$shown" 2>/dev/null || break; sleep 0.02; done
kill "$shown" 2>/dev/null || true # of a machine that never said a word
if [ -s "$job/end" ]; then exit "$(head -1 "$job/end")"; fi
echo "run.sh: the machine did not come up, or took longer than ${within}s" >&2
tail -n 20 "$job/console" >&2
exit 125
