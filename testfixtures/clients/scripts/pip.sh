# Debian's pip: Blast's own is first in the path of an environment with packages, and installs nothing.
set -eu
verb=$1; shift
export HOME=/tmp PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
dir=$(mktemp -d)
case $verb in
get) # by itself it tries five times more, and waits in between
  exec /usr/bin/python3 -m pip install --retries 1 --target "$dir" --index-url "$1/simple/" demo ;;
hold) exec /usr/bin/python3 -m pip install -q --retries 0 --target "$dir" --index-url "$1/" demo ;;
all)
  /usr/bin/python3 -m pip install -q --target "$dir" --index-url https://pypi.example/simple/ demo
  PYTHONPATH=$dir /usr/bin/python3 -c 'import demo; print("ok", demo.said)' ;;
esac
