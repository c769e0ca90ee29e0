"""Versions and specifiers (PEP 440), as far as installed projects need them."""

import re

VERSION = re.compile(
    r"\s*v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre_n>\d*))?"
    r"(?:-(?P<post_implicit>\d+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_n>\d*))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_n>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*",
    re.IGNORECASE,
)
LETTER = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


class Version:
    """One version, in parts; None is a part that it doesn't have."""

    def __init__(self, text):
        m = VERSION.fullmatch(text)
        if not m:
            raise ValueError("invalid version: {!r}".format(text))
        self.epoch = int(m["epoch"] or 0)
        self.release = tuple(map(int, m["release"].split(".")))
        pre = (m["pre"] or "").lower()
        self.pre = (LETTER.get(pre, pre), int(m["pre_n"] or 0)) if pre else None
        self.post = int(m["post_implicit"] or m["post_n"] or 0) if m["post_implicit"] or m["post"] else None
        self.dev = int(m["dev_n"] or 0) if m["dev"] else None
        parts = re.split(r"[-_.]", m["local"].lower()) if m["local"] else []
        self.local = tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts)

    def public(self):
        """The key for comparing without regard to the local version."""
        release = self.release
        while len(release) > 1 and release[-1] == 0:
            release = release[:-1]
        pre = (1,) + self.pre if self.pre else (2,)
        if self.pre is None and self.post is None and self.dev is not None:
            pre = (0,)
        return (self.epoch, release, pre, -1 if self.post is None else self.post, float("inf") if self.dev is None else self.dev)

    def key(self):
        return self.public() + (self.local,)

    def base(self):
        return self.public()[:2]

    def starts_with(self, prefix):
        """Whether it begins with the release of prefix, as in == 1.2.*."""
        n = len(prefix.release)
        return self.epoch == prefix.epoch and (self.release + (0,) * n)[:n] == prefix.release


def matches(text, op, wanted):
    """Whether a version meets one specifier."""
    if op == "===":
        return text.strip().lower() == wanted.strip().lower()
    v, star = Version(text), wanted.endswith(".*")
    w = Version(wanted[:-2] if star else wanted)
    if op in ("==", "!="):
        same = v.starts_with(w) if star else (v.key() == w.key() if w.local else v.public() == w.public())
        return same == (op == "==")
    if op == "~=":
        prefix = Version(wanted)
        prefix.release = prefix.release[:-1]
        return v.public() >= w.public() and v.starts_with(prefix)
    if op == "<=":
        return v.public() <= w.public()
    if op == ">=":
        return v.public() >= w.public()
    if op == "<":  # not the pre-releases of what it has to be below
        mine = is_pre(v) and not is_pre(w) and v.base() == w.base() and (w.post is None or (v.pre, v.post) == (w.pre, w.post))
        return v.public() < w.public() and not mine
    if op == ">":  # not the post-releases of what it has to be above
        mine = w.post is None and w.dev is None and v.post is not None and v.base() == w.base() and v.pre == w.pre
        return v.public() > w.public() and not mine
    raise ValueError("invalid operator: {!r}".format(op))


def is_pre(v):
    return v.pre is not None or v.dev is not None
