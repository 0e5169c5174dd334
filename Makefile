# Needs Go, make, and for tests and `make run` PostgreSQL's own binaries (or
# DATABASE_URL). `make help` lists the targets.

GO ?= go
BIN := bin

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

.PHONY: build
build: ## build the three programs into bin/
	$(GO) build -o $(BIN)/ ./cmd/...

.PHONY: run
run: build ## start everything on this machine, with a simulated control plane
	@exec $(BIN)/devstack

# The packages whose tests start no program.
CHECKED := . ./events ./projections/... ./internal/acts ./internal/auth ./internal/cli ./internal/local/documents ./internal/local/tcpproxy ./internal/ops ./internal/oracle \
	./internal/secret ./internal/settings ./internal/workload

.PHONY: check
check: lint ## before every commit: lint, and the tests that need no server, in half a minute
	$(GO) test $(CHECKED)

.PHONY: lint
lint: ## gofmt, go vet and staticcheck
	@out="$$(gofmt -l *.go bench cmd deploy events examples exporttest internal outbox projections readmodel schemas tools)"; if [ -n "$$out" ]; then echo "not gofmt-ed:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) -C tools/dashboard vet ./...
	$(GO) -C bench/peers vet ./...
	$(GO) tool staticcheck ./...

.PHONY: test
test: lint ## lint, then all tests with the race detector, on real PostgreSQL and NATS, from fixed seeds
	$(GO) test -race -shuffle=1 -timeout 18m ./internal/e2e ./readmodel/admin ./... # the longest first

.PHONY: test-long
test-long: ## all tests at their greatest length, from new seeds, which it prints as SEED=…; SEED repeats a run
	LONG=1 $(GO) test -race -shuffle=on -count=1 -v -timeout 2h ./...

.PHONY: chaos
chaos: ## let every part fail at random for CHAOS (10m), and hold the result against a plain fold, a million waiting events, and people at work, too; SEED repeats a run
	LONG=1 CHAOS=$${CHAOS:-10m} $(GO) test -race -count=1 -v -timeout 90m -run '^Test(Chaos|HostileStreams|People)' ./internal/e2e

# The benchmarks of internal/bench, and the packages that have small ones. A test holds
# that none is forgotten.
BENCHES := Beside|Bounds|Bursts|CatchUp|Codings|Curve|Disk|Get|Growth|Ingest|LargeAccountBounds|Live|Moves|Notify|Past|Peers|PeersGet|PeersLive|Rebuild|Relay|Replicas|SlowReaders|Stored
BENCHES_SHORT := CatchUp|Get|Live|Moves|Notify|Past|Peers|Rebuild
BENCHES_LONG := Long
BENCHES_SMALL := ./events ./projections ./projections/engine ./internal/api ./internal/auth ./internal/stream ./internal/tracing ./internal/workload
BENCH_JSON ?= $(CURDIR)/bench.json

.PHONY: bench
bench: ## measure everything, beside what a team would build instead; a table, and BENCH_JSON (bench.json)
	@echo "This takes about an hour on two quiet cores. What has an unquiet one is worth nothing."
	BENCH_JSON=$(BENCH_JSON) $(GO) test -run '^$$' -bench '^Benchmark($(BENCHES))$$' -benchtime 1x -timeout 90m -v ./internal/bench

.PHONY: bench-short
bench-short: ## the main ones with less of everything, below three minutes: what is broken, and roughly what is slow
	@echo "This takes less than three minutes on two quiet cores."
	BENCH_JSON=$(BENCH_JSON) $(GO) test -short -run '^$$' -bench '^Benchmark($(BENCHES_SHORT))$$' -benchtime 1x -timeout 20m -v ./internal/bench

.PHONY: bench-long
bench-long: ## measure 50 million messages, a twentieth of the accounts erased, in 256 partitions: hours, and 80 GB of disk; BENCH_LONG_MESSAGES for fewer
	BENCH_JSON=$(BENCH_JSON) BENCH_LONG_MESSAGES=$${BENCH_LONG_MESSAGES:-50000000} $(GO) test -run '^$$' -bench '^Benchmark($(BENCHES_LONG))$$' -benchtime 1x -timeout 48h -v ./internal/bench

.PHONY: bench-small
bench-small: ## the small ones of single packages: time and allocations of one call
	$(GO) test -run '^$$' -bench . -benchmem $(BENCHES_SMALL)

.PHONY: performance
performance: ## make the figures of doc/performance.md those of BENCH_JSON, a whole run of make bench, or its parts
	$(GO) run ./internal/bench/performance $(BENCH_JSON:%=-run %) doc/performance.md doc/performance.json

.PHONY: dashboard
dashboard: ## write Grafana's dashboard anew from tools/dashboard
	$(GO) -C tools/dashboard run . >deploy/grafana/dashboards/accountexport.json.new
	mv deploy/grafana/dashboards/accountexport.json.new deploy/grafana/dashboards/accountexport.json

.PHONY: screenshots
screenshots: ## take the pictures of doc/console.md anew, while the console's incidents are lived through
	SCREENSHOTS=doc/console $(GO) test -count=1 -run '^TestConsoleInBrowser$$' ./internal/e2e

.PHONY: fuzz
fuzz: ## fuzz the decoding of messages for a minute a target
	$(GO) test -run '^$$' -fuzz FuzzDecode -fuzztime 1m -fuzzminimizetime 1x ./events
	$(GO) test -run '^$$' -fuzz FuzzTime -fuzztime 1m ./events
	$(GO) test -run '^$$' -fuzz FuzzDecimal -fuzztime 1m ./events

.PHONY: kubernetes-schemas
kubernetes-schemas: ## make the schemas that deploy/kubernetes is validated by again, from what Kubernetes publishes
	rm -f deploy/kubernetes/schemas/*.json
	cd tools/kubernetes && $(GO) run ./schemas ../../deploy/kubernetes/schemas

.PHONY: kubernetes-rules
kubernetes-rules: ## make the PrometheusRule of deploy/kubernetes again, from deploy/prometheus/rules
	cd tools/kubernetes && $(GO) run ./rules $(patsubst %,../../%,$(sort $(wildcard deploy/prometheus/rules/*.yml))) > ../../deploy/kubernetes/components/monitoring/prometheusrule.yaml

.PHONY: release-check
release-check: ## check what releases are made by, and build packages twice, compare them, install and remove one; takes minutes
	LONG=1 $(GO) test -count=1 -v -timeout 1h ./deploy/packages
