"""Blast's hook: Python imports it at each start, by way of PYTHONPATH (module site).

All it does is to wait for the module socket, and then to load _blast_network beside it; and
to have an error that ends the program looked at by _blast_files, if it is one of files.
Another sitecustomize is imported as if this one weren't there. BLAST_HOOK=off, -S, -E and
-I switch it off. It is short, as each start of a Python runs it.
"""
import os
import sys

_here = os.path.dirname(__file__)


class _Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "socket" or name == "asyncio.base_events":
            try:
                return _beside("_blast_network").find(_Watch, name, path, target)
            except Exception:
                return None  # the other finders are asked next


def _beside(name):
    m = sys.modules.get(name)
    if m is None:
        sys.path.insert(0, _here)
        try:
            m = __import__(name)
        finally:
            sys.path.remove(_here)
    return m


def _watch_the_end(theirs):
    def excepthook(kind, e, traceback):
        try:
            _beside("_blast_files").explain(e)
        except Exception:
            pass  # a mistake here is no business of the program's
        theirs(kind, e, traceback)

    return excepthook


sys.path[:] = [p for p in sys.path if p != _here]
if os.environ.get("BLAST_HOOK") != "off":
    sys.meta_path.insert(0, _Watch)
    sys.excepthook = _watch_the_end(sys.excepthook)
    if "socket" in sys.modules:
        try:
            _beside("_blast_network").there(sys.modules["socket"])
        except Exception:
            pass
_mine = sys.modules.pop("sitecustomize", None)
try:
    import sitecustomize
except ImportError as e:
    if e.name != "sitecustomize":
        raise
finally:
    sys.modules.setdefault("sitecustomize", _mine)
