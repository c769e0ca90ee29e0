# curl, as people call it in scripts.
set -u
done_() { if [ "$2" = "$3" ]; then echo "ok $1"; else echo "WRONG $1: $3"; fi; }
verb=$1; shift
case $verb in
get) exec curl -sS "$1" ;;
hold) exec curl -sSN -o /dev/null "$1" ;;
all)
  done_ https "hello from ${1#https://}" "$(curl -sS "$1/hello")"
  done_ http "hello from ${2#http://}" "$(curl -sS "$2/hello")"
  done_ both "hello from ${3#https://}" "$(curl -sS "$3/hello")"
  done_ six "hello from ${4#https://}" "$(curl -sS "$4/hello")"
  head -c 10485760 /dev/zero > /tmp/curl-big
  for base in "$1" "$2"; do
    n=; [ "$base" = "$1" ] || n=http-
    done_ ${n}redirect "hello from other.example" "$(curl -sSL "$base/redirect")"
    done_ ${n}down 10485760 "$(curl -sS "$base/big" | wc -c)"
    done_ ${n}up "took 10485760" "$(curl -sS --data-binary @/tmp/curl-big "$base/take")"
    done_ ${n}expect "took 10485760" "$(curl -sS -H 'Expect: 100-continue' -T /tmp/curl-big "$base/take")"
    done_ ${n}chunked "took 10485760" "$(curl -sS -H 'Transfer-Encoding: chunked' -T /tmp/curl-big "$base/take")"
    done_ ${n}chunks "chunk 4" "$(curl -sS "$base/chunks" | tail -1)"
    done_ ${n}gzip small "$(curl -sS --compressed "$base/gzip")"
    done_ ${n}query "/query?a=1;b=%zz&c" "$(curl -sS "$base/query?a=1;b=%zz&c")"
    done_ ${n}events 5 "$(curl -sSN "$base/events" | grep -c data:)"
    done_ ${n}fifty 50 "$(curl -sS --parallel --parallel-immediate --parallel-max 50 "$base/hello?[1-50]" | grep -o "hello from" | wc -l)"
  done
  done_ http-old "hello from ${2#http://}" "$(curl -sS --http1.0 "$2/hello")"
  done_ http2 HTTP/2.0 "$(curl -sS --http2 "$1/version")"
  done_ http-http2 HTTP/1.1 "$(curl -sS --http2 "$2/version")" ;;
esac
