"""Blast's pip: shows what is installed, and tells how to change it.

The packages of a Blast environment are declared in blast.hcl, on the host. What
only looks works as in pip; what would change something says what to write there.
"""

__version__ = "0+blast"


def main(args=None):
    from pip._command import main as run

    return run(args)
