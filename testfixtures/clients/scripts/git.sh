# git over https: a clone, a push of 5 MiB, and a fetch of that.
set -eu
verb=$1; shift
export HOME=/tmp GIT_TERMINAL_PROMPT=0 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b.example GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b.example
case $verb in
get) exec git ls-remote "$1/repository.git" ;;
hold) exec git ls-remote "$1" ;;
all)
  cd "$(mktemp -d)"
  git clone -q https://git.example/repository.git one
  grep -q begun one/file && echo ok clone
  head -c 5242880 /dev/urandom > one/large
  git -C one add large
  git -C one commit -qm large
  git -C one push -q origin HEAD && echo ok push
  git clone -q https://git.example/repository.git two
  cmp one/large two/large && echo ok fetch ;;
esac
