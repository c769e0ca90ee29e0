"""pip list and pip freeze."""

import json
import sys

from pip import _declare
from pip._installed import TOOLS, canonical, distributions, installer, location, name_of

FLAGS = {"--local": False, "-l": False, "--user": False, "--editable": False, "-e": False, "--include-editable": False,
         "--exclude-editable": False, "--not-required": False, "--all": False, "--pre": False, "--uptodate": True, "-u": True,
         "--outdated": True, "-o": True}
# pip takes a source of packages only to compare with it.
WITH_VALUE = {"--format", "--exclude", "--path", "--index-url", "-i", "--extra-index-url", "--find-links", "-f", "-r", "--requirement"}


def options(command, args):
    """Returns flags and values by name."""
    flags, values, args = set(), {}, list(args)
    while args:
        name, equals, value = args.pop(0).partition("=")
        if name in WITH_VALUE:
            if not equals:
                if not args:
                    raise _declare.UsageError("{} option requires 1 argument".format(name))
                value = args.pop(0)
            values.setdefault(name, []).append(value)
        elif name in FLAGS:
            flags.add(name)
        elif name.startswith("-"):
            raise _declare.UsageError("pip {} has no option {} here".format(command, name))
    return flags, values


def chosen(flags, values, skip=()):
    """The projects that the options ask for."""
    skip = set(skip) | {canonical(name) for name in values.get("--exclude", [])}
    if flags & {"--user", "--editable", "-e"}:
        return []  # there are none
    dists = distributions()
    if "--not-required" in flags:
        from pip._requirements import needs

        skip |= {need.key for dist in dists.values() for need in needs(dist)}
    return [dist for name, dist in dists.items() if name not in skip]


def list_command(args):
    verbose = any(a in ("-v", "--verbose") for a in sys.argv[1:])
    flags, values = options("list", args)
    if any(FLAGS[f] for f in flags):
        return _declare.refuse("pip can't ask an index which versions there are", "blast plan --upgrade")
    form = values.get("--format", ["columns"])[-1]
    dists = chosen(flags, values)
    if form == "json":
        print(json.dumps([as_json(dist, verbose) for dist in dists]))
    elif form == "freeze":
        for dist in dists:
            print("{}=={}".format(name_of(dist), dist.version))
    elif form == "columns":
        columns(dists, verbose)
    else:
        raise _declare.UsageError("option --format: invalid choice: {!r} (choose from 'columns', 'freeze', 'json')".format(form))
    return 0


def as_json(dist, verbose):
    out = {"name": name_of(dist), "version": dist.version}
    if verbose:
        out.update(location=location(dist), installer=installer(dist))
    return out


def columns(dists, verbose):
    if not dists:
        return
    rows = [["Package", "Version"] + (["Location", "Installer"] if verbose else [])]
    for dist in dists:
        rows.append([name_of(dist), dist.version] + ([location(dist), installer(dist)] if verbose else []))
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        print(" ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def freeze_command(args):
    flags, values = options("freeze", args)
    for dist in chosen(flags, values, () if "--all" in flags else TOOLS):
        print("{}=={}".format(name_of(dist), dist.version))
    return 0
