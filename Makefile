# make demo   plays the tutorial on an example project
# make test   runs everything: pure, story, kernel, crash and escape tests (as root)
# make clients  tries curl, git, pip, requests, Node, Java, PostgreSQL, ssh, ... in a sandbox, and installs them first (Debian starts its
#               database and sshd with that: do it on a machine or in a container where they may run)
# make bench  measures Blast beside crun, bwrap and others, interleaved
# make bench-plans  measures what a plan costs by the number of its items
# make bench-files  measures what tracking of files, and an overlay, costs (as root)
# make bench-network  measures what the network costs, beside NAT and proxies (as root; ten minutes)
# make accuracy  measures limits of CPU, memory and I/O by programs inside (as root; two minutes)
# make test-vm  runs kernel tests on cgroup v2 and another kernel, in an emulated machine (as root; ten minutes and more)
# make compare  plays what goes wrong in practice against Blast and OpenTofu, for docs/COMPARISON.md (as root)
# make crash  strikes commands in every way of docs/CRASH.md (as root; hours; EVERY=20 takes every 20th strike)
# make fuzz   fuzzes every parser in turn, each for FUZZTIME (1m); ONLY=Answer takes those whose names have that
# make lint   the strict linter
#
# Every target installs what it needs on a fresh Debian or Ubuntu machine.

VERSION ?= 0.1.0-dev
GO      ?= go
LDFLAGS  = -s -w -X blast.example/blast/cmd/internal/release.Version=$(VERSION)
BIN      = bin
APT      = gcc libc6-dev libseccomp-dev pkg-config e2fsprogs nftables iproute2 \
           python3 python3-venv xz-utils dpkg-dev ca-certificates git procps openssh-client \
           curl python3-requests
BENCH    = crun bubblewrap
CLIENTS  = nodejs postgresql openssh-server python3-pip python3-httpx python3-h2 python3-aiohttp default-jdk-headless
PROXIES  = tinyproxy mitmproxy
QEMU     = qemu-system-x86 qemu-system-common busybox-static kmod cpio e2fsprogs
TOFU     = github.com/opentofu/opentofu@v1.12.6
LINT     = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.2

# Test suites of others as data (see testfixtures/pypi/vectors), where a folder of
# them lies near this one. Without it the tests that read them are skipped by name.
export BLAST_CONFORMANCE ?= $(abspath $(firstword $(wildcard ../conformance ../*/conformance)))

.PHONY: all build deps demo test clients crash fuzz lint bench bench-files bench-plans bench-network accuracy test-vm compare clean

all: build

# The commands are the needs; the packages are Debian's names for them.
deps:
	@missing=; for p in $(APT) $(EXTRA); do \
	  dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get install -y -qq $$missing || { apt-get update -qq && apt-get install -y -qq $$missing; }; } >/dev/null; \
	fi

# What a person calls, which starts commands and is small for that; the whole
# command line; the hands with libcontainer; and the PID 1 of each sandbox.
build: deps
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/blast ./cmd/blast-front
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/blast-cli ./cmd/blast
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/blast-init ./cmd/blast-init
	CGO_ENABLED=1 $(GO) build -trimpath -tags seccomp -ldflags '$(LDFLAGS)' -o $(BIN)/blastd ./cmd/blastd

demo: build
	CGO_ENABLED=0 $(GO) build -o $(BIN)/demo ./testfixtures/demo
	$(BIN)/demo

test: build
	@test "$$(id -u)" = 0 || { echo 'make test needs root: the tests make namespaces, mounts and cgroups'; exit 1; }
	$(GO) vet -tags seccomp ./...
	CI=$${CI:-make} $(GO) test -tags seccomp -timeout 20m ./...

# make test has those of these that are installed.
clients: EXTRA = $(CLIENTS)
clients: build
	@test "$$(id -u)" = 0 || { echo 'make clients needs root: it makes real sandboxes'; exit 1; }
	$(GO) test -tags seccomp -count=1 -v -timeout 20m ./testfixtures/clients

EVERY ?= 1
crash: deps
	@test "$$(id -u)" = 0 || { echo 'make crash needs root: it makes real sandboxes, and fails their disks'; exit 1; }
	BLAST_CRASH_EVERY=$(EVERY) $(GO) test -tags seccomp -count=1 -v -timeout 48h ./testfixtures/crash

# Go's fuzzer may end with "context deadline exceeded" and nothing found when the time is
# over (golang/go#75804): that is no failure.
FUZZTIME ?= 1m
fuzz: deps
	@failed=0; \
	for t in $$(grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9]*$(ONLY)[A-Za-z0-9]*' . | sed 's|^\./\(.*\)/[^/]*:func |\1:|' | sort -u); do \
	  dir=$${t%%:*}; name=$${t##*:}; echo "$$dir $$name"; \
	  out=$$($(GO) test -tags seccomp -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x "./$$dir" 2>&1) || \
	    echo "$$out" | grep -qx ' *context deadline exceeded' || failed=1; \
	  echo "$$out" | tail -n 12; \
	done; exit $$failed

lint:
	$(GO) run $(LINT) run --build-tags seccomp ./...

bench-plans: build
	CGO_ENABLED=0 $(GO) build -o $(BIN)/plans ./bench/plans
	$(BIN)/plans

# A proxy that can't be had is not measured.
bench-network: build
	-@$(MAKE) -s deps EXTRA="$(PROXIES)"
	CGO_ENABLED=0 $(GO) build -o $(BIN)/network ./bench/network
	$(BIN)/network $(PART)

bench-files: build
	CGO_ENABLED=0 $(GO) build -o $(BIN)/files ./bench/files
	$(BIN)/files $(ROUNDS)
	$(BIN)/files --overlay $(ROUNDS)

accuracy: build
	bench/accuracy/run.sh $(BIN)

# The suites that are about the kernel. Each has a machine and a time of its own, in
# seconds: emulated, a fork takes fifty times as long. VM_SUITES chooses among them.
VM_SUITES ?= runtime/resource/cgroup:600 runtime/resource/usage:60 runtime/sandbox:1800 runtime/filesystem/mounts:3600 \
             runtime/filesystem/track/deny:600 runtime/filesystem/host:3600 runtime/network/gate:3600 \
             testfixtures/breakout:3600
test-vm: EXTRA = $(QEMU)
test-vm: build
	@test "$$(id -u)" = 0 || { echo 'make test-vm needs root: its machine has this one as its root'; exit 1; }
	CGO_ENABLED=0 $(GO) build -o $(BIN)/breaker ./testfixtures/breakout/attacker
	@mkdir -p $(BIN)/vm; failed=; for s in $(VM_SUITES); do \
	  name=$${s%%:*}; file=$$(echo "$$name" | tr / -); \
	  $(GO) test -c -tags seccomp -o $(BIN)/vm/$$file.test ./$$name || exit 1; \
	  echo "== $$name"; \
	  (cd $$name && BLAST_INIT=$(abspath $(BIN))/blast-init BLAST_PREBUILT=$(abspath $(BIN)) $(abspath testfixtures/vm/run.sh) -m 4096 -t $${s##*:} \
	    $(abspath $(BIN))/vm/$$file.test -test.timeout $${s##*:}s $(VM_ARGS)) || failed="$$failed $$name"; \
	done; if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

bench: EXTRA = $(BENCH)
bench: build
	CGO_ENABLED=0 $(GO) build -o $(BIN)/bench ./bench
	$(BIN)/bench

# OpenTofu's own sources and checksums, built where the module cache has them: its
# go.mod replaces a module, which `go install` refuses.
$(BIN)/tofu:
	@mkdir -p $(BIN)
	dir=$$(cd / && $(GO) mod download -json $(TOFU) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p') && cd "$$dir" && \
	  CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X github.com/opentofu/opentofu/version.dev=no' -o $(abspath $(BIN))/tofu ./cmd/tofu

compare: build $(BIN)/tofu
	CGO_ENABLED=0 $(GO) build -o $(BIN)/peers ./testfixtures/peers
	$(BIN)/peers -bin $(BIN) -write docs/COMPARISON.md

clean:
	rm -rf $(BIN)
