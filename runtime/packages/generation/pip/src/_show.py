"""pip show."""

import sys

from pip import _declare
from pip._installed import canonical, distributions, installer, location, name_of
from pip._requirements import needs


def show_command(args):
    files = any(a in ("-f", "--files") for a in args)
    verbose = any(a in ("-v", "--verbose") for a in sys.argv[1:])
    unknown = [a for a in args if a.startswith("-") and a not in ("-f", "--files")]
    if unknown:
        raise _declare.UsageError("pip show has no option {} here".format(unknown[0]))
    names = [a for a in args if not a.startswith("-")]
    if not names:
        print("WARNING: ERROR: Please provide a package name or names.", file=sys.stderr)
        return 1
    dists = distributions()
    missing = [n for n in names if canonical(n) not in dists]
    if missing:
        print("WARNING: Package(s) not found: {}".format(", ".join(sorted(missing))), file=sys.stderr)
    found = [dists[canonical(n)] for n in names if canonical(n) in dists]
    for i, dist in enumerate(found):
        if i:
            print("---")
        show(dist, dists, files, verbose)
    return 0 if found else 1


def show(dist, dists, files, verbose):
    meta = dist.metadata
    mine = canonical(name_of(dist))
    requires = sorted({need.name for need in needs(dist)}, key=str.lower)
    by = sorted((name_of(d) for d in dists.values() if any(need.key == mine for need in needs(d))), key=str.lower)
    print("Name: {}".format(name_of(dist)))
    print("Version: {}".format(dist.version))
    print("Summary: {}".format(meta.get("Summary") or ""))
    print("Home-page: {}".format(homepage(meta)))
    print("Author: {}".format(meta.get("Author") or ""))
    print("Author-email: {}".format(meta.get("Author-email") or ""))
    if meta.get("License-Expression"):
        print("License-Expression: {}".format(meta["License-Expression"]))
    else:
        print("License: {}".format(meta.get("License") or ""))
    print("Location: {}".format(location(dist)))
    print("Requires: {}".format(", ".join(requires)))
    print("Required-by: {}".format(", ".join(by)))
    if verbose:
        more(dist, meta)
    if files:
        print("Files:")
        for path in sorted(str(p) for p in dist.files or []):
            print("  {}".format(path))


def more(dist, meta):
    print("Metadata-Version: {}".format(meta.get("Metadata-Version") or ""))
    print("Installer: {}".format(installer(dist)))
    print("Classifiers:")
    for line in meta.get_all("Classifier") or []:
        print("  {}".format(line))
    print("Entry-points:")
    for line in (dist.read_text("entry_points.txt") or "").splitlines():
        print("  {}".format(line.strip()))
    print("Project-URLs:")
    for line in meta.get_all("Project-URL") or []:
        print("  {}".format(line))


def homepage(meta):
    """The old field, or the label that stands for it now."""
    if meta.get("Home-page"):
        return meta["Home-page"]
    for line in meta.get_all("Project-URL") or []:
        label, _, url = line.partition(",")
        if "".join(c for c in label.lower() if c.isalnum()) == "homepage":
            return url.strip()
    return ""
