"""What Blast's hook says of an error that ends a program, when a file was refused to it.

The error gets a note (PEP 678) with the line's meaning and what opens the path, by what
Blast tells at TOLD about the sandbox. It is looked at only when a program ends with an
error: nothing that opens files is touched.
"""
import errno
import json
import os

TOLD = "/run/blast/files.json"
MOST = 1 << 20  # bytes of it that are read

_refused = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EOVERFLOW)


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


def _paths(e):
    """The paths that an error is about, absolute, as given and without links."""
    for name in (e.filename, e.filename2):
        if isinstance(name, (str, bytes)) and name:
            p = os.path.abspath(os.fsdecode(name))
            yield p
            if os.path.realpath(p) != p:
                yield os.path.realpath(p)


def _within(p, top):
    return p == top or top == "/" or p.startswith(top + "/")


def _rule(told, p, number):
    """The rule that closes a path, the innermost one; or closes what lies in it."""
    for r in reversed(told["rules"]):
        if _within(p, r["path"]) and (r["kind"] == "hide" or number in (errno.EROFS, errno.EBUSY) and r["kind"] == "read-only" or number == errno.EROFS):
            return r
    if number in (errno.EBUSY, errno.EROFS):
        for r in told["rules"]:
            if r["kind"] != "bind" and _within(r["path"], p):
                return r
    return None


def _text(told, e):
    for p in _paths(e):
        if e.errno == errno.ENOENT:
            top = "/" + p.split("/")[1]
            if top != p and not os.path.lexists(top):
                return "%s is not in the sandbox: a mount block in blast.hcl shows a folder of the host there" % top
            continue
        r = _rule(told, p, e.errno)
        if r is not None:
            return "%s: %s" % (p, r["why"]) + (". Open it: " + r["fix"] if r.get("fix") else "")
        if e.errno == errno.EROFS:
            return "%s is read-only in the sandbox: write in %s" % (p, ", ".join(told["writable"]))
    return None


def explain(e):
    """Adds the note to the error that ends a program, if a refusal is why."""
    if not hasattr(e, "add_note"):  # Python 3.11
        return
    told = None
    for one in _family(e):
        if not isinstance(one, OSError) or one.errno not in _refused and one.errno != errno.ENOENT:
            continue
        if told is None:
            with open(TOLD, "rb") as f:
                told = json.loads(f.read(MOST))
        text = _text(told, one)
        if text is not None:
            text = "".join(c if c.isprintable() else "?" for c in "blast: " + text)
            if text not in getattr(e, "__notes__", ()):
                e.add_note(text)
            return
