"""Environment markers (PEP 508)."""

import os
import platform
import re
import sys
from functools import lru_cache

from pip._installed import canonical
from pip._versions import VERSION, matches

TOKEN = re.compile(r"""\s*(?:(?P<word>and|or|not\s+in|in)\b|(?P<op>===|[=~!<>]=|[<>()])|'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<name>[A-Za-z_.]+))""")
# Variables that are versions.
VERSIONS = {"implementation_version", "platform_release", "python_full_version", "python_version"}
# As setuptools wrote them once.
OLD_NAMES = {"os.name": "os_name", "sys.platform": "sys_platform", "platform.version": "platform_version", "platform.machine": "platform_machine",
             "platform.python_implementation": "platform_python_implementation", "python_implementation": "platform_python_implementation"}


@lru_cache(maxsize=None)
def environment():
    info = sys.implementation.version
    version = "{0.major}.{0.minor}.{0.micro}".format(info)
    if info.releaselevel != "final":
        version += info.releaselevel[0] + str(info.serial)
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "platform_python_implementation": platform.python_implementation(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
        "extra": "",
    }


def holds(text):
    """Whether a marker is true here, with no extra asked for."""
    tokens = []
    text = text.strip()
    while text:
        m = TOKEN.match(text)
        if not m:
            raise ValueError("invalid marker: {!r}".format(text))
        tokens.append(m)
        text = text[m.end():].lstrip()
    parser = Parser(tokens)
    value = parser.any_of()
    if parser.tokens:
        raise ValueError("invalid marker: more follows")
    return value


class Parser:
    def __init__(self, tokens):
        self.tokens, self.env = tokens, environment()

    def next(self, group, *texts):
        """Takes the next token if it is one of these."""
        if self.tokens and self.tokens[0][group] is not None and (not texts or self.tokens[0][group] in texts):
            return self.tokens.pop(0)
        return None

    def any_of(self):
        value = self.all_of()
        while self.next("word", "or"):
            other = self.all_of()  # is read even if it doesn't matter
            value = value or other
        return value

    def all_of(self):
        value = self.one()
        while self.next("word", "and"):
            other = self.one()
            value = value and other
        return value

    def one(self):
        if self.next("op", "("):
            value = self.any_of()
            if not self.next("op", ")"):
                raise ValueError("invalid marker: no )")
            return value
        left = self.value()
        op = self.next("op") or self.next("word")
        if op is None:
            raise ValueError("invalid marker: no operator")
        op, right = " ".join((op["op"] or op["word"]).split()), self.value()
        return compare(left[0], op, right[0], {left[1], right[1]})

    def value(self):
        """The next text, and the name of the variable that it is of, if it is."""
        for group in ("single", "double"):
            token = self.next(group)
            if token:
                return token[group], None
        token = self.next("name")
        if not token:
            raise ValueError("invalid marker: no value")
        name = OLD_NAMES.get(token["name"], token["name"])
        if name not in self.env:
            raise ValueError("invalid marker: no variable {}".format(name))
        return self.env[name], name


def compare(left, op, right, names):
    if "extra" in names:
        left, right = canonical(left), canonical(right)
    if op in ("in", "not in"):
        return (left in right) == (op == "in")
    if not VERSIONS & names or VERSION.fullmatch(right[:-2] if right.endswith(".*") else right) is None:  # text: there is no order
        return (left == right) == (op != "!=") if op in ("==", "!=", "<=", ">=") else False
    try:
        return matches(left, op, right)
    except ValueError:  # what is no version meets no specifier
        return False
