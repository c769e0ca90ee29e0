"""What each Python client does, and how it says so. A client has get, post, hold and all that it adds."""

import sys
import time

BIG = 10 << 20
OTHER = "other.example"


def run(c):
    verb, *args = sys.argv[1:]
    {"all": everything, "get": get, "idle": idle, "hold": hold}[verb](c, *args)


def get(c, url):
    print(c.get(url).decode())


def done(name, ok, got=""):
    print(("ok " if ok else "WRONG ") + name, "" if ok else repr(got)[:200], flush=True)


def everything(c, secure, plain, six, only_six):
    for name, base in (("https", secure), ("http", plain), ("both", six), ("six", only_six)):
        got = c.get(base + "/hello")
        done(name, got.startswith(b"hello from " + base.split("/")[2].encode()), got)
    for name, base in (("", secure), ("http-", plain)):
        got = c.get(base + "/redirect")
        done(name + "redirect", got == b"hello from " + OTHER.encode(), got)
        got = c.get(base + "/big")
        done(name + "down", got == bytes(BIG), len(got))
        got = c.post(base + "/take", bytes(BIG))
        done(name + "up", got == b"took %d" % BIG, got)
        got = c.get(base + "/chunks")
        done(name + "chunks", got.startswith(b"chunk 0\n") and got.endswith(b"chunk 4\n"), got)
        got = c.get(base + "/gzip")
        done(name + "gzip", got == b"small", got)
        got = c.get(base + "/query?a=1;b=%zz&c")
        done(name + "query", got.split(b"?", 1)[-1] in (b"a=1;b=%zz&c", b"a=1;b=%25zz&c"), got)
        got = c.many([base + "/hello"] * 50)
        done(name + "fifty", len(got) == 50 and all(g.startswith(b"hello from ") for g in got), got)
        for more in getattr(c, "more", ()):
            done(name + more.__name__, *more(base))


def idle(c, seconds, *bases):
    before = [c.get(base + "/connection") for base in bases]
    time.sleep(int(seconds))
    after = [c.get(base + "/connection") for base in bases]
    done("idle", before == after, (before, after))


def hold(c, url):
    for line in c.lines(url):
        print("holds", flush=True)
