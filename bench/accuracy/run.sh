#!/bin/sh
# Measures limits by programs inside of a sandbox: make accuracy. Needs root, and a machine
# that has the CPU time and the disk to spare.
set -eu
bin=$(cd "${1:-bin}" && pwd) here=$(cd "$(dirname "$0")" && pwd)
PATH=$bin:$PATH
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/blast-accuracy.XXXXXX")
trap 'cd /; blast -C "$dir" destroy --auto-approve >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
chmod 755 "$dir"
cd "$dir"
cp "$here/inside.py" .
dd if=/dev/zero of=data bs=1M count=64 conv=fsync status=none
for cpus in 0.1 0.5 1 1.5; do
  for bps in 4 16; do
    cat >blast.hcl <<HCL
filesystem {
  workspace {
    source = "."
  }
}
network {
}
resource {
  cpu {
    max = $cpus
  }
  memory {
    max = "64MiB"
  }
  io {
    read_bps = "${bps}MiB"
  }
}
HCL
    blast apply --auto-approve >/dev/null 2>&1
    if [ "$bps" = 4 ]; then blast run -- python3 inside.py cpu "$cpus" 2>/dev/null; fi
    if [ "$cpus" = 1 ]; then
      blast run -- python3 inside.py read $((bps << 20)) 2>/dev/null
      if [ "$bps" = 4 ]; then blast run -- python3 inside.py memory $((64 << 20)) 2>/dev/null; fi
    fi
  done
done
