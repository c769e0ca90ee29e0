"""Requirements (PEP 508)."""

import re

from pip._installed import canonical
from pip._markers import holds
from pip._versions import matches

LINE = re.compile(
    r"\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[(?P<extras>[^\]]*)\])?\s*"
    r"(?:@\s*(?P<url>\S+)|\((?P<in_specs>[^;()@\[\]]*)\)|(?P<specs>[^;()@\[\]]*))?\s*(?:;(?P<marker>.*))?",
    re.DOTALL,
)
SPECIFIER = re.compile(r"\s*(===|~=|==|!=|<=|>=|<|>)\s*([^\s,;]+)\s*")


class Requirement:
    """A line like `name[extra] >= 1; marker`. ValueError if it is something else."""

    def __init__(self, text):
        m = LINE.fullmatch(text)
        if not m:
            raise ValueError("invalid requirement: {!r}".format(text))
        self.name, self.key, self.url = m["name"], canonical(m["name"]), m["url"]
        self.extras = sorted(e.strip() for e in (m["extras"] or "").split(",") if e.strip())
        self.marker = (m["marker"] or "").strip()
        self.needed = not self.marker or holds(self.marker)
        self.specs = []
        for part in filter(None, (p.strip() for p in (m["in_specs"] or m["specs"] or "").split(","))):
            s = SPECIFIER.fullmatch(part)
            if not s:
                raise ValueError("invalid requirement: {!r}".format(text))
            self.specs.append((s[1], s[2]))

    def __str__(self):
        extras = "[{}]".format(",".join(self.extras)) if self.extras else ""
        return self.name + extras + ",".join(sorted(op + version for op, version in self.specs))

    def met_by(self, version):
        return all(matches(version, op, wanted) for op, wanted in self.specs)


def needs(dist):
    """What an installed project requires here, without extras."""
    found = []
    for text in dist.requires or []:
        try:
            need = Requirement(text)
            if need.needed:
                found.append(need)
        except ValueError:
            continue  # what nobody can read, nobody can check
    return found
