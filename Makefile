# Every target sets up what it needs; `make` alone lists them.
GO      := scripts/go
TOOL    := $(GO) tool -modfile=.ci/tools.mod
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)
FUZZTIME ?= 100000x
ARGS    ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what building, running and testing need (Debian 12 and 13)
	@scripts/setup test

.PHONY: build
build: ## build ./wavry-host
	@scripts/setup build
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o wavry-host ./cmd/wavry-host

.PHONY: run
run: ## build and run: streams this machine's display, or a virtual one, and prints the viewer's address
	@scripts/setup run
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o wavry-host ./cmd/wavry-host
	./wavry-host run $(ARGS)

.PHONY: test
test: ## set up, then run all tests, those with a real X server and a real browser included
	@scripts/setup test
	$(GO) test -race -shuffle=on -count=1 ./...
	$(GO) test -tags integration -shuffle=on -count=1 -timeout 15m -run "$$(scripts/integration tests)" $$(scripts/integration packages | grep -v endtoend)
	$(GO) test -tags integration -shuffle=on -count=1 -parallel 3 -timeout 20m ./cmd/wavry-host/endtoend

.PHONY: race
race: ## unit tests alone, under the race detector
	$(GO) test -race -shuffle=on -count=1 ./...

.PHONY: bench
bench: ## benchmarks of the hot paths: the controller and its simulation, capture on Xvfb, conversion against swscale, encoding, packetizing; the whole against FFmpeg
	@scripts/setup test
	$(GO) test -tags integration -run '^$$' -bench . -benchmem ./adapt/... ./capture/... ./encode/... ./session/wire/...
	$(GO) test -count=1 -run TestAgainst -v ./adapt/simulate/rival -against
	$(GO) test -tags integration -run '^$$' -bench . -benchtime 1x -timeout 40m ./cmd/wavry-host/endtoend

.PHONY: lint
lint: ## every static check that CI makes
	@scripts/lint

.PHONY: fmt
fmt: ## format Go and shell
	$(TOOL) golangci-lint fmt ./...
	$(TOOL) shfmt -w scripts .ci/run

.PHONY: fuzz
fuzz: ## run every fuzz target FUZZTIME long (100000x executions, or a time such as 1m)
	@FUZZTIME=$(FUZZTIME) scripts/fuzz

.PHONY: generate
generate: ## rewrite what is made from code: settings, metrics, units, docs/integrate/openapi.json, goldens
	$(GO) test -count=1 $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n 1 dirname | sort -u) -update

.PHONY: cross
cross: ## check that the tree compiles without cgo and for other systems
	@scripts/cross

.PHONY: clean
clean: ## remove what was built here; the FFmpeg cache stays (scripts/ffmpeg clean removes it)
	rm -rf wavry-host dist .test
