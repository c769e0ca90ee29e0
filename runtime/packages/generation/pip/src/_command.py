"""The command line, and which command does what."""

import os
import sys

from pip import __version__, _check, _declare, _install, _list, _show

USAGE = """
Usage:
  pip <command> [options]

Commands:
  list                        List installed packages.
  freeze                      Output installed packages in requirements format.
  show                        Show information about installed packages.
  check                       Verify installed packages have compatible dependencies.
  help                        Show help for commands.

This is Blast's pip. Packages are declared in blast.hcl, on the host, and installed
by `blast apply`. For what to write there, try: pip install NAME
"""

COMMANDS = {
    "list": _list.list_command,
    "freeze": _list.freeze_command,
    "show": _show.show_command,
    "check": _check.check_command,
    "install": _install.install_command,
    "uninstall": _install.uninstall_command,
}

# Options that pip takes before and after every command, and that change nothing here.
SILENT = {
    "--disable-pip-version-check", "--no-input", "--no-color", "--isolated", "--require-virtualenv", "--debug",
    "--no-cache-dir", "--no-python-version-warning", "--quiet", "-q", "-qq", "-qqq", "--verbose", "-v", "-vv", "-vvv",
}
SILENT_WITH_VALUE = {
    "--cache-dir", "--cert", "--client-cert", "--exists-action", "--keyring-provider", "--log", "--proxy", "--resume-retries",
    "--retries", "--timeout", "--trusted-host", "--use-deprecated", "--use-feature",
}


def without_silent(args):
    """Leaves out options that change nothing here."""
    out, skip = [], False
    for i, arg in enumerate(args):
        if skip:
            skip = False
        elif arg == "--":
            return out + args[i:]
        elif arg in SILENT_WITH_VALUE:
            skip = True
        elif arg not in SILENT and arg.split("=", 1)[0] not in SILENT_WITH_VALUE:
            out.append(arg)
    return out


def version_line():
    where = os.path.dirname(os.path.abspath(__file__))
    return "pip {} from {} (python {}.{})".format(__version__, where, *sys.version_info[:2])


def run(args):
    args = without_silent(args)
    if not args or args[0] in ("help", "-h", "--help") or any(a in ("-h", "--help") for a in args[1:]):
        print(USAGE)
        return 0
    if args[0] in ("-V", "--version"):
        print(version_line())
        return 0
    if args[0] in COMMANDS:
        return COMMANDS[args[0]](args[1:])
    return _declare.refuse("pip {} does not work here".format(args[0]), "")


def main(args=None):
    try:
        return run(sys.argv[1:] if args is None else list(args))
    except _declare.UsageError as e:
        print("ERROR: {}".format(e), file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has seen enough, as in `pip list | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
