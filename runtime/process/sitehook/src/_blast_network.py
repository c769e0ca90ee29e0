"""What Blast's hook does once a program has imported socket.

Before a name is looked up or a connection is made, it tells Blast the line of the program
that does it: one datagram, not waited for. When that fails since the sandbox refused it,
the error gets a note (PEP 678) that says so and how to allow it, read from the record that
Blast keeps at DENIED. Nothing here may change what a program sees otherwise.
"""
import _socket
import errno
import os
import sys

DENIED = "/run/blast/denied.ndjson"
WHERE = "/run/blast/where"
REFUSED = "198.19."  # the addresses of names that no rule allows begin so
SYNTHETIC = ("198.18.", REFUSED)
TAIL = 64 << 10  # bytes of the record that are looked at
RECENT = 15  # seconds for which a refusal may be why something fails
NAMES = 256  # synthetic addresses that are remembered

_errors = (errno.EACCES, errno.EPERM, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH)
_names = {}  # synthetic address -> the name that it stands for
_hooked = set()
_library = os.path.dirname(os.__file__) + os.sep


class _Loader:
    """A module's own loader, and after it what the module is waited for."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        there(module)


def find(watch, name, path, target):
    """Finds what the other finders do."""
    for finder in list(sys.meta_path):
        if finder is not watch and hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)
                return spec
    return None


def there(module):
    """A module that was waited for is imported. Twice is once."""
    if module.__name__ in _hooked:
        return
    _hooked.add(module.__name__)
    _guard(socket_is_there if module.__name__ == "socket" else asyncio_is_there, module)


def _foreign(path):
    """Whether a file is the program's, and not of the library or a package."""
    return not (path.startswith((_library, "<frozen", __file__)) or "/site-packages/" in path or "/dist-packages/" in path)


def _place():
    """file:line of the innermost frame of the program, or None."""
    frame = sys._getframe(2)
    for _ in range(500):
        if frame is None:
            return None
        path = frame.f_code.co_filename
        if _foreign(path):
            try:
                here = os.getcwd() + os.sep
            except OSError:
                here = os.sep
            if path.startswith(here) and here != os.sep:
                path = path[len(here):]
            return "%s:%d" % (path[-200:], frame.f_lineno or 0)
        frame = frame.f_back
    return None


def _text(host):
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str):
        return ""
    try:
        return host.encode("ascii").decode()
    except UnicodeError:
        try:
            return host.encode("idna").decode()
        except UnicodeError:
            return ""


def _number(port):
    if isinstance(port, int) and 0 <= port < 65536:
        return port
    if isinstance(port, (str, bytes)) and port.isdigit() and len(port) < 6:
        return _number(int(port))
    return 0


def _tell(host, port):
    """Says where the program is. A sandbox without Blast's socket is no error."""
    host = _text(host)
    if not host or host.startswith("127.") or host in ("::1", "localhost"):
        return
    place = _place()
    if place is None:
        return
    message = b"\0".join([b"1", host.encode(), b"%d" % _number(port), place.encode("utf-8", "replace")])
    try:
        s = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:
            s.sendto(message, _socket.MSG_DONTWAIT, WHERE)
        finally:
            s.close()
    except OSError:
        pass


def _records():
    """Refusals of this process, or of one that isn't known, the last first."""
    try:
        with open(DENIED, "rb") as f:
            f.seek(max(0, f.seek(0, 2) - TAIL))
            lines = f.read().split(b"\n")
    except OSError:
        return
    import datetime
    import json
    import time

    me, now = os.getpid(), time.time()
    for line in reversed(lines):
        try:
            d = json.loads(line)
            at = datetime.datetime.strptime(d["time"][:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z").timestamp()
        except (ValueError, KeyError, TypeError):
            continue
        if now - at > RECENT:
            return
        if d.get("pid", me) == me and not d.get("allowed"):
            yield d


def _find(hosts, port):
    for d in _records():
        if (d.get("host") in hosts or d.get("addr") in hosts) and (not port or d.get("port", port) == port):
            return d
    return None


def _note(d, host="", port=0):
    """The refusal in a line. Names in it may hold anything."""
    host = d.get("host") or d.get("addr") or host
    port = d.get("port") or port
    target = "%s:%d" % ("[" + host + "]" if ":" in host else host, port) if port else host
    why = d.get("reason")
    text = "blast: %s is not allowed by blast.hcl" % target if not why else "blast: %s is refused: %s" % (target, why)
    allow = d.get("allow", "")
    if allow:
        if not d.get("port") and port and allow.endswith(host + ":443"):
            allow = allow[:-3] + str(port)
        text += ". Allow it: " + allow
    return "".join(c if c.isprintable() else "?" for c in text)


def _add(e, text):
    if hasattr(e, "add_note") and text not in getattr(e, "__notes__", ()):  # Python 3.11
        e.add_note(text)


def _explain(e, address):
    """Adds the note to the error of a connection, if a refusal is why."""
    if e.errno not in _errors or not isinstance(address, tuple) or len(address) < 2 or not hasattr(e, "add_note"):
        return
    host, port = _text(address[0]), _number(address[1])
    if not host or host.startswith("127.") or host == "::1":
        return
    plain = host[7:] if host.startswith("::ffff:") else host
    hosts = {host, plain, host.rstrip(".").lower(), _names.get(plain, host)}
    d = _find(hosts, port)
    if d is None and e.errno == errno.ECONNREFUSED:
        import time

        time.sleep(0.02)  # it is recorded a moment after; once, and only for who was refused
        d = _find(hosts, port)
    if d is None and plain.startswith(REFUSED) and plain in _names:
        d = {"host": _names[plain]}
    if d is not None:
        _add(e, _note(d, "", port))


def _guard(f, *args):
    """Runs a part of the hook, whose mistakes are no business of the program's."""
    try:
        f(*args)
    except Exception:
        pass


def _remember(host, found):
    name = _text(host).rstrip(".").lower()
    for entry in found:
        address = entry[4][0]
        if isinstance(address, str) and address.startswith(SYNTHETIC):
            if len(_names) >= NAMES:
                _names.clear()
            _names[address] = name


def _unknown(e, host, port):
    d = _find({_text(host), _text(host).rstrip(".").lower()}, 0)
    if d is not None:
        _add(e, _note(d, "", _number(port)))


def socket_is_there(socket):
    connect_, connect_ex_, getaddrinfo_ = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo
    internet = (_socket.AF_INET, getattr(_socket, "AF_INET6", None))

    def before(self, address):
        if self.family in internet:
            _tell(address[0], address[1])

    def connect(self, address):
        _guard(before, self, address)
        try:
            return connect_(self, address)
        except OSError as e:
            _guard(_explain, e, address)
            raise

    def connect_ex(self, address):
        _guard(before, self, address)
        return connect_ex_(self, address)

    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        _guard(_tell, host, port)
        try:
            found = getaddrinfo_(host, port, family, type, proto, flags)
        except OSError as e:
            _guard(_unknown, e, host, port)
            raise
        _guard(_remember, host, found)
        return found

    for mine, theirs in (connect, connect_), (connect_ex, connect_ex_), (getaddrinfo, getaddrinfo_):
        mine.__doc__ = theirs.__doc__
        mine.__qualname__ = theirs.__qualname__
    socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo = connect, connect_ex, getaddrinfo
    _watch_the_end()


def asyncio_is_there(events):
    """A loop looks names up in a thread, which doesn't know for whom."""
    inner = events.BaseEventLoop.getaddrinfo

    async def getaddrinfo(self, host, port, **more):
        _guard(_tell, host, port)
        return await inner(self, host, port, **more)

    getaddrinfo.__doc__ = inner.__doc__
    getaddrinfo.__qualname__ = inner.__qualname__
    events.BaseEventLoop.getaddrinfo = getaddrinfo


def _family(e):
    """An error and what led to it, each once."""
    seen, todo = [], [e]
    while todo and len(seen) < 50:
        e = todo.pop(0)
        if e is None or any(e is s for s in seen):
            continue
        seen.append(e)
        todo += [e.__cause__, e.__context__, *getattr(e, "exceptions", ())]
    return seen


def _last_words(e):
    """Says it at the end of what is printed: what ends the program may be far from
    what was refused, as where a connection is reset in the middle of TLS."""
    all_ = _family(e)
    for one in all_:
        for text in getattr(one, "__notes__", ()):
            if isinstance(text, str) and text.startswith("blast: "):
                return _add(e, text)
    if any(isinstance(one, OSError) for one in all_):
        for d in _records():
            return _add(e, _note(d))
    return None


def _watch_the_end():
    theirs = sys.excepthook

    def excepthook(kind, e, traceback):
        _guard(_last_words, e)
        theirs(kind, e, traceback)

    sys.excepthook = excepthook
