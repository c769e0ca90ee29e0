"""What is installed."""

import re
import sys
from importlib import metadata


def canonical(name):
    """A project's name as all its spellings have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions():
    """All installed projects by canonical name, in its order; of two with one
    name, the one that an import would find."""
    found = {}
    for dist in metadata.distributions():
        name = dist.metadata["Name"]
        if name and canonical(name) not in found:
            found[canonical(name)] = dist
    return dict(sorted(found.items()))


def name_of(dist):
    return dist.metadata["Name"]


def location(dist):
    """The folder that the project was installed into."""
    return str(dist.locate_file("")).rstrip("/")


def installer(dist):
    return (dist.read_text("INSTALLER") or "").strip()


# What pip leaves out of `pip freeze`, as it came with the environment.
TOOLS = {"pip"} if sys.version_info >= (3, 12) else {"pip", "setuptools", "distribute", "wheel"}
