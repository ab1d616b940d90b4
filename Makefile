# Each target installs what it needs. `make` alone says what to do next.
GO      := scripts/go
TOOL    := $(GO) tool -modfile=.ci/tools.mod
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)
FUZZTIME ?= 100000x
ARGS    ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## say what to do next, and list the targets
	@printf '%s\n' \
		'wavry-host streams the displays of this machine to browsers.' '' \
		'To try it:      make run     installs what is missing, builds, and prints the address to open in a browser' \
		'To change it:   make setup   once; then scripts/go test ./PACKAGE, make lint, and .ci/run before you send it' \
		'To read on:     README.md for users, CONTRIBUTING.md for your first change' '' 'All targets:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what builds, runs and tests require (Debian 12 and 13)
	@scripts/setup test

.PHONY: build
build: ## build ./wavry-host
	@scripts/setup build
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o wavry-host ./cmd/wavry-host

.PHONY: run
run: ## build and run: stream a display of this machine, or a virtual one
	@scripts/setup run
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o wavry-host ./cmd/wavry-host
	./wavry-host run $(ARGS)

.PHONY: test
test: ## run all tests, including those with real X servers and browsers
	@scripts/setup test
	$(GO) test -race -shuffle=on -count=1 ./...
	$(GO) test -tags integration -shuffle=on -count=1 -timeout 15m -run "$$(scripts/integration tests)" $$(scripts/integration packages | grep -v endtoend)
	$(GO) test -tags integration -shuffle=on -count=1 -parallel 3 -timeout 20m ./cmd/wavry-host/endtoend

.PHONY: race
race: ## run the unit tests under the race detector
	$(GO) test -race -shuffle=on -count=1 ./...

.PHONY: nightly
nightly: ## play all cases of the simulator with 15 new seeds, and print the seed of each failure
	@scripts/setup test
	$(GO) run ./cmd/wavry-host simulate nightly --seeds 15 --from random

.PHONY: sweep
sweep: ## change each constant of the control law by 30 %, and write docs/develop/constants.md (an hour)
	$(GO) run ./adapt/simulate/sweep

.PHONY: tables
tables: ## write the figures of the control law into docs/develop/adaptation.md, once it has changed
	$(GO) test -count=1 -timeout 1h -run 'TestWriteOurColumn|TestUnseen' ./adapt/simulate -tables -unseen

.PHONY: dashboards
dashboards: ## draw the dashboards of two live hosts into docs/operate/dashboards (seven minutes)
	@scripts/setup test
	WAVRY_DASHBOARDS='$(CURDIR)/docs/operate/dashboards' $(GO) test -tags integration -count=1 -run TestDrawDashboards \
		-v ./cmd/wavry-host/endtoend

.PHONY: bench
bench: ## run the benchmarks of docs/develop/benchmarks.md
	@scripts/setup test
	$(GO) test -tags integration -run '^$$' -bench . -benchmem ./adapt/... ./capture/... ./encode/... ./session/wire/...
	$(GO) test -count=1 -run TestAgainst -v ./adapt/simulate/rival -against
	$(GO) test -tags integration -run '^$$' -bench . -benchtime 1x -timeout 40m ./cmd/wavry-host/endtoend

.PHONY: bench-peers
bench-peers: ## compare with other products, and write docs/develop/peers (an hour and a half)
	@scripts/setup bench
	WAVRY_PEERS="$${WAVRY_PEERS:-$(CURDIR)/docs/develop/peers}" $(GO) test -tags integration -count=1 -run '^$$' -bench Peers -benchtime 1x \
		-timeout 3h ./cmd/wavry-host/endtoend

.PHONY: lint
lint: ## run every static check of CI
	@scripts/lint

.PHONY: fmt
fmt: ## format Go and shell
	$(TOOL) golangci-lint fmt ./...
	$(TOOL) shfmt -w scripts .ci/run

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (100000x executions, or a duration such as 1m)
	@FUZZTIME=$(FUZZTIME) scripts/fuzz

.PHONY: generate
generate: ## rewrite generated files: settings, metrics, units, docs/integrate/openapi.json, goldens
	$(GO) test -count=1 $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n 1 dirname | sort -u) -update
	$(GO) test -count=1 ./session/api/client -update # it reads the document that the first pass wrote

.PHONY: cross
cross: ## compile without cgo and for other systems
	@scripts/cross

.PHONY: release
release: ## make the release of this commit in dist/release (docs/develop/release.md)
	@scripts/setup release
	scripts/release all $(ARGS)

.PHONY: clean
clean: ## remove build results; scripts/ffmpeg clean removes the FFmpeg cache
	rm -rf wavry-host dist .test
