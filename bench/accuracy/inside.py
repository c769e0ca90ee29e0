# Measures limits from inside of a sandbox; what each line means is in docs/RESOURCES.md.
import mmap, os, sys, time

what, limit = sys.argv[1], float(sys.argv[2])
if what == "cpu":  # processors: CPU time of two spinners in each second of the clock
    seconds = 10
    start = time.monotonic()
    if (pid := os.fork()) == 0:
        while time.monotonic() - start < seconds: pass
        os._exit(0)
    while time.monotonic() - start < seconds: pass
    os.waitpid(pid, 0)
    t = os.times()
    got = (t.user + t.system + t.children_user + t.children_system) / (time.monotonic() - start)
elif what == "memory":  # bytes that a process gets before it is killed
    r, w = os.pipe()
    if (pid := os.fork()) == 0:
        m = mmap.mmap(-1, int(limit) * 2)
        for n in range(0, int(limit) * 2, 1 << 16):
            for page in range(n, n + (1 << 16), 4096): m[page] = 1
            os.write(w, b".")
        os._exit(0)
    os.close(w)
    n = 0
    while b := os.read(r, 4096): n += len(b) << 16
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), "not killed"
    got = n
else:  # read: bytes per second past the page cache, in requests of 64 KiB
    fd = os.open("data", os.O_RDONLY | os.O_DIRECT)
    buf = mmap.mmap(-1, 1 << 16)
    size, n, start = os.fstat(fd).st_size, 0, time.monotonic()
    while time.monotonic() - start < 10:
        n += os.preadv(fd, [buf], n % size)
    got = n / (time.monotonic() - start)
print(f"{what:7} limit {limit:14.2f}  measured {got:14.2f}  {100 * got / limit - 100:+.1f} %")
