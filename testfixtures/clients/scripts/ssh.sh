# ssh with a key, a command, and scp of 5 MiB.
set -eu
verb=$1; shift
umask 077
key=$(mktemp); cat /workspace/ssh/key > "$key"
with="-F none -i $key -o IdentitiesOnly=yes -o UserKnownHostsFile=/workspace/ssh/known_hosts -o StrictHostKeyChecking=yes -o BatchMode=yes -o User=root"
case $verb in
get) exec ssh $with "${1#https://}" true ;;
hold) exec ssh $with "$1" 'echo holds; sleep 1000' ;;
idle) ssh $with ssh.example "sleep $1; echo ok idle" ;;
all)
  for host in ssh.example checked-ssh.example; do
    [ "$(ssh $with $host 'echo $((6*7))')" = 42 ] && echo "ok $host"
    d=$(mktemp -d); head -c 5242880 /dev/urandom > "$d/sent"
    far=/tmp/blast-clients-$$
    scp -q $with "$d/sent" $host:$far
    scp -q $with $host:$far "$d/back"
    ssh $with $host "rm $far"
    cmp "$d/sent" "$d/back" && echo "ok scp $host"
  done ;;
esac
