# psql: it asks for TLS in a message of its own (SSLRequest), and then says hello.
set -eu
verb=$1; shift
export PGSSLMODE=verify-full PGSSLROOTCERT=$SSL_CERT_FILE PGUSER=tester PGDATABASE=postgres PGPASSWORD=secret PGCONNECT_TIMEOUT=30
ask() { psql -XAtq -h "$@"; }
case $verb in
get) ask "${1#https://}" -c 'select 1' ;;
hold) ask "$1" -c "select 'holds'" -c 'select pg_sleep(1000)' ;;
idle) out=$({ echo 'select pg_backend_pid();'; sleep "$1"; echo 'select pg_backend_pid();'; } | ask db.example)
  [ "$(echo "$out" | sort -u | wc -l)" = 1 ] && [ "$(echo "$out" | wc -l)" = 2 ] && echo ok idle ;;
all)
  for host in db.example checked-db.example; do
    [ "$(ask $host -c 'select ssl from pg_stat_ssl where pid = pg_backend_pid()')" = t ] && echo "ok $host"
    [ "$(ask $host -c "select repeat('x', 10485760)" | wc -c)" = 10485761 ] && echo "ok down $host"
    for i in $(seq 50); do ask $host -c 'select 1, pg_sleep(1)' & done | grep -c '^1|' | grep -qx 50 && echo "ok fifty $host"
  done ;;
esac
