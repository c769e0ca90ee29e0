"""pip install and pip uninstall, which only say what to do instead."""

import sys

from pip import _declare
from pip._installed import canonical, distributions, location
from pip._requirements import Requirement

WITH_VALUE = {
    "-r", "--requirement", "-c", "--constraint", "-e", "--editable", "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target",
    "--prefix", "--root", "--src", "--platform", "--python-version", "--implementation", "--abi", "--only-binary", "--no-binary",
    "--progress-bar", "--upgrade-strategy", "--config-settings", "-C", "--report", "--group", "--global-option", "--root-user-action",
}
# With these, something has to be done even if all is there.
ANYWAY = {"-U", "--upgrade", "--force-reinstall", "-I", "--ignore-installed", "-t", "--target", "--prefix", "--root", "-e", "--editable",
          "-c", "--constraint", "--user", "--pre", "--report", "--dry-run", "--group"}


class Wish:
    """What a command line of pip install asks for."""

    def __init__(self, args):
        self.requirements, self.files, self.others, self.anyway = [], [], [], False
        args = list(args)
        while args:
            arg = args.pop(0)
            name, equals, value = arg.partition("=")
            if name == "--":
                for a in args:
                    self.add(a)
                return
            if not arg.startswith("-") or arg == "-":
                self.add(arg)
                continue
            if name[:2] in WITH_VALUE and not name.startswith("--") and len(arg) > 2:
                name, value = arg[:2], arg[2:]  # -rFILE
            elif name in WITH_VALUE and not equals:
                value = args.pop(0) if args else ""
            self.anyway = self.anyway or name in ANYWAY
            self.option(name, value)

    def option(self, name, value):
        if name in ("-r", "--requirement"):
            self.files.append(value)
        elif name in ("-e", "--editable"):
            self.others.append(value)

    def add(self, text):
        try:
            requirement = Requirement(text)
        except ValueError:
            requirement = None
        if requirement is None or requirement.url or text.endswith((".whl", ".gz", ".zip")):
            self.others.append(text)
        else:
            self.requirements.append(requirement)

    def read(self):
        """All requirements, also those in files; None if some can't be told."""
        found = list(self.requirements)
        for name in self.files:
            try:
                with open(name, encoding="utf-8") as f:
                    lines = f.read().replace("\\\n", "").splitlines()
            except (OSError, UnicodeDecodeError):
                return None
            for line in lines:
                line = (" " + line).split(" #")[0].split(" --hash")[0].strip()
                if not line:
                    continue
                try:
                    found.append(Requirement(line))
                except ValueError:
                    return None  # an option, a path: pip knows what it means
        return found


def satisfied(wish):
    """Says what is there already, as pip does, if that is all that is wanted."""
    if wish.anyway or wish.others:
        return False
    wanted = wish.read()
    if not wanted:
        return False
    dists, lines = distributions(), []
    for requirement in wanted:
        try:
            if not requirement.needed:
                lines.append("Ignoring {}: markers {!r} don't match your environment".format(requirement.name, requirement.marker))
                continue
            there = dists.get(requirement.key)
            if requirement.url or requirement.extras or there is None or not requirement.met_by(there.version):
                return False
        except ValueError:
            return False
        lines.append("Requirement already satisfied: {} in {} ({})".format(requirement, location(there), there.version))
    print("\n".join(lines))
    return True


def install_command(args):
    wish = Wish(args)
    if not wish.requirements and not wish.files and not wish.others:
        print('ERROR: You must give at least one requirement to install (see "pip help install")', file=sys.stderr)
        return 1
    if satisfied(wish):
        return 0
    blocks = [_declare.block(requirement) for requirement in wish.requirements]
    if wish.files:
        blocks.append(_declare.manifest(wish.files[0]))
    elif any(not is_remote(o) for o in wish.others):
        blocks.append(_declare.manifest("pyproject.toml"))
    hints = [_declare.write(blocks)] if blocks else []
    if wish.anyway and wish.requirements and any(a in ("-U", "--upgrade") for a in args):
        hints.append("For newer versions of what is declared: blast apply --upgrade")
    if any(is_remote(o) for o in wish.others):
        hints.append("{} names no project of an index, and such can't be declared: publish it as a wheel on an index of yours.".format(
            ", ".join(o for o in wish.others if is_remote(o))))
    return _declare.refuse("pip can't install anything here", "\n\n".join(hints) + "\n")


def is_remote(text):
    return "://" in text or text.startswith("git+") or text.endswith((".whl", ".gz", ".zip"))


def uninstall_command(args):
    names = [a for a in args if not a.startswith("-")]
    blocks = []
    for name in names:
        try:
            blocks.append("package {} ...".format(_declare.quote(canonical(Requirement(name).name))))
        except ValueError:
            continue
    then = _declare.write(blocks, "Remove from blast.hcl or the manifest:") if blocks else "blast apply"
    return _declare.refuse("pip can't uninstall anything here", then)
