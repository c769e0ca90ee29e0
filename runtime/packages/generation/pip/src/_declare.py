"""What to write into blast.hcl, and how to say so."""

import re
import sys


class UsageError(Exception):
    """A command line that makes no sense."""


def refuse(what, then):
    """Says why nothing was done and what to do on the host. Returns the exit code."""
    lines = ["ERROR: {}: this environment is read-only, and its packages are declared in blast.hcl.".format(what)]
    if then:
        lines += ["", then if "\n" in then else "On the host:\n\n    " + then]
    print("\n".join(lines), file=sys.stderr)
    return 1


def quote(text):
    """A string of blast.hcl."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"{}"'.format(re.sub(r"([$%])\{", r"\1\1{", text))


def block(requirement):
    """The package block that means a requirement."""
    args = []
    if requirement.specs:
        args.append(("version", quote(", ".join("{} {}".format(op, version) for op, version in requirement.specs))))
    if requirement.extras:
        args.append(("extras", "[{}]".format(", ".join(map(quote, requirement.extras)))))
    if requirement.marker:
        args.append(("marker", quote(requirement.marker)))
    if not args:
        return "package {} {{}}".format(quote(requirement.key))
    width = max(len(name) for name, _ in args)
    lines = ["  {} = {}".format(name.ljust(width), value) for name, value in args]
    return "\n".join(["package {} {{".format(quote(requirement.key))] + lines + ["}"])


def manifest(path):
    """The python block that takes requirements from a file of the project."""
    return "python {{\n  manifest = {}\n}}".format(quote(path))


def write(blocks, instead="Write into blast.hcl:"):
    text = "\n\n".join(blocks)
    indented = "\n".join("    " + line if line else "" for line in text.splitlines())
    return "{}\n\n{}\n\nand on the host:\n\n    blast apply".format(instead, indented)
