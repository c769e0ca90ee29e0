import os
import sys

# As pip does: what lies in the current folder is not installed.
if sys.path and sys.path[0] in ("", os.getcwd()):
    sys.path.pop(0)

from pip._command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
