# ntdiag: build, test and prove. `make` alone lists the targets.

GO          ?= go
BIN         := bin/ntdiag
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS     := -s -w -X main.version=$(VERSION)
FUZZTIME    ?= 30s
BENCH_FLOWS    ?= 1000000
BENCH_RULES    ?= 40000
BENCH_ELEMENTS ?= 100000
BENCH_RUNS     ?= 5
BENCH_OUT      ?= out/bench
N           ?= 1000
SEED        ?= 1

# what the tests ask of the system, ntdiag itself needs none of it: what the kernel
# tests load rules with; a browser for the report, and GitHub's own Markdown
PACKAGES := nftables conntrack iptables ipset iproute2 chromium fonts-dejavu-core cmark-gfm
TOOLS    := nft conntrack iptables ipset ip chromium cmark-gfm

# what writes NAT rules on real machines: TestProducers runs them, in namespaces
PRODUCERS      := firewalld dbus-daemon ufw shorewall shorewall6 netavark containernetworking-plugins \
                  libvirt-daemon libvirt-clients dnsmasq-base
PRODUCER_TOOLS := firewalld dbus-daemon ufw shorewall shorewall6 /usr/lib/podman/netavark /usr/lib/cni/portmap \
                  libvirtd virsh dnsmasq

export CGO_ENABLED = 0

.DEFAULT_GOAL := help
.PHONY: help build demo man test test-alone test-deps lint fuzz prove prove-simulate prove-stale prove-bundle bench bench-go clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/ntdiag
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/ntdiag

demo: build ## show the main job on this kernel, in namespaces of its own
	$(BIN) demo

man: build ## write the man pages to out/man
	@mkdir -p out/man && $(BIN) man out/man && echo out/man

test: test-deps ## run every test; kernel tests need root or user namespaces
	@mkdir -p out; $(GO) test -count=1 -v ./... >out/test.log 2>&1; status=$$?; \
	grep -aE '^(ok|FAIL|panic:)' out/test.log; \
	awk '/^=== (RUN|NAME|CONT) / { test = $$3 } /[.]go:[0-9]+: / { why[test] = $$0; sub(/^.*[.]go:[0-9]+: /, "", why[test]) } \
		/^ *--- SKIP/ { print "left out: " $$3 ": " why[$$3] }' out/test.log; \
	if [ $$status != 0 ]; then grep -avE '^ *(=== |--- PASS|--- SKIP)' out/test.log; fi; \
	exit $$status

test-alone: ## what makes other namespaces lose packets for a moment: where there is nothing else
	NTDIAG_ALONE=1 $(GO) test -count=1 -run '^TestKernelFull$$' ./diagnose/invalid

test-deps:
	@PATH="$$PATH:/usr/sbin:/sbin"; missing=; for t in $(TOOLS); do command -v $$t >/dev/null 2>&1 || missing="$$missing $$t"; done; \
	producers=; for t in $(PRODUCER_TOOLS); do command -v $$t >/dev/null 2>&1 || producers="$$producers $$t"; done; \
	if [ -z "$$missing$$producers" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then \
		echo "tests that need$$missing$$producers are left out: not installed, and not root to install them"; exit 0; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; apt-get -qq update; \
	if [ -n "$$missing" ]; then \
		echo "installing $(PACKAGES)"; \
		apt-get -qq install -y --no-install-recommends $(PACKAGES) >/dev/null || exit; \
	fi; \
	if [ -z "$$producers" ]; then exit 0; fi; \
	if [ -d /run/systemd/system ] && [ -z "$$NTDIAG_REQUIRE_KERNEL" ]; then \
		echo "tests that need$$producers are left out: to install them here would start their services"; exit 0; \
	fi; \
	echo "installing $(PRODUCERS)"; \
	apt-get -qq install -y --no-install-recommends $(PRODUCERS) >/dev/null || \
		echo "tests that need$$producers are left out: they cannot be installed"

lint: ## gofmt, vet, staticcheck, tidy: no diff
	@diff=$$(gofmt -l .); if [ -n "$$diff" ]; then echo "gofmt: $$diff"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff
	GOOS=linux GOARCH=arm64 $(GO) build ./...
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=windows GOARCH=amd64 $(GO) build ./...

fuzz: ## run each fuzz target for FUZZTIME (30s)
	@set -e; for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; \
		done; \
	done

prove: test-deps ## hold N random rulesets (1000), from SEED on, against the kernel's own trace, and their bundles
	@log=$$(mktemp); status=0; NTDIAG_REQUIRE_KERNEL=1 NTDIAG_PROVE_N=$(N) NTDIAG_PROVE_SEED=$(SEED) \
		$(GO) test -count=1 -v -run '^TestProve(Bundle)?$$' -timeout 180m ./diagnose/explain >$$log 2>&1 || status=$$?; \
	awk '!/^ *(=== |--- PASS)/' $$log; rm -f $$log; exit $$status

prove-simulate: test-deps ## simulate N rulesets' packets before they are sent, and compare
	@log=$$(mktemp); status=0; NTDIAG_REQUIRE_KERNEL=1 NTDIAG_PROVE_N=$(N) NTDIAG_PROVE_SEED=$(SEED) \
		$(GO) test -count=1 -v -run '^TestProveSimulate$$' -timeout 60m ./diagnose/explain >$$log 2>&1 || status=$$?; \
	awk '!/^ *(=== |--- PASS)/' $$log; rm -f $$log; exit $$status

prove-stale: test-deps ## change N rulesets under live flows, and compare with what fresh ones get
	@log=$$(mktemp); status=0; NTDIAG_REQUIRE_KERNEL=1 NTDIAG_PROVE_N=$(N) NTDIAG_PROVE_SEED=$(SEED) \
		$(GO) test -count=1 -v -run '^TestProveStale$$' -timeout 60m ./diagnose/explain >$$log 2>&1 || status=$$?; \
	awk '!/^ *(=== |--- PASS)/' $$log; rm -f $$log; exit $$status

prove-bundle: test-deps ## bundle N rulesets with their flows, redacted too, and compare every answer
	@log=$$(mktemp); status=0; NTDIAG_REQUIRE_KERNEL=1 NTDIAG_PROVE_N=$(N) NTDIAG_PROVE_SEED=$(SEED) \
		$(GO) test -count=1 -v -run '^TestProveBundle$$' -timeout 60m ./diagnose/explain >$$log 2>&1 || status=$$?; \
	awk '!/^ *(=== |--- PASS)/' $$log; rm -f $$log; exit $$status

bench: build ## measure beside the usual tools: BENCH_FLOWS, _RULES, _ELEMENTS, _RUNS, _OUT
	$(GO) build -trimpath -o bin/ntbench ./cmd/ntbench
	bin/ntbench -ntdiag $(BIN) -flows $(BENCH_FLOWS) -rules $(BENCH_RULES) -elements $(BENCH_ELEMENTS) \
		-runs $(BENCH_RUNS) -out $(BENCH_OUT) $(BENCH_ARGS)

bench-go: build ## measure parts: every Go benchmark, with BENCH_FLOWS entries
	NTDIAG_BENCH_FLOWS=$(BENCH_FLOWS) $(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m ./...

clean: ## remove what was built
	rm -rf bin out
