# ServerlessVideo. `make run` serves the app on a fresh machine that has Go, Node
# and git; `make test` sets up what the tests need and runs all of them.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BINARY   := bin/serverlessvideo
FAILING  := bin/serverlessvideo-failpoints
VERSION  := $(shell git describe --tags --dirty 2>/dev/null || echo development)
COMMIT   := $(shell git rev-parse HEAD 2>/dev/null)
ARGS     ?=
LOAD     ?= -runs 3
FUZZTIME ?= 20s
# SQLite is C made Go that works on memory of its own, which the race detector does
# not watch; asking it about each access takes a third of the time. The linter has
# vetted the tests, and nobody debugs these binaries.
GOTEST   := go test -race -gcflags='modernc.org/sqlite/lib=-race=false -d=checkptr=0' -vet=off -ldflags='-s -w' -timeout 12m
SCENARIO := go test -count 1 -p 2 -parallel 3 -timeout 12m

step = @printf '\n==> %s\n'

.PHONY: help
help: ## Say what can be made.
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: run
run: setup-run build ## Set up, build and serve; ARGS="--https :8443" adds flags.
	$(step) 'serving; stop with Ctrl-C'
	@exec $(BINARY) serve $(ARGS)

.PHONY: build
build: setup-build web ## Build bin/serverlessvideo with the web app inside.
	$(step) 'building $(BINARY)'
	go build -ldflags '-X main.version=$(VERSION) -X main.commit=$(COMMIT)' -o $(BINARY) ./cmd/serverlessvideo

# It fails where FAILPOINTS says (internal/failpoint): for tests alone.
.PHONY: build-failing
build-failing: setup-build web
	$(step) 'building $(FAILING)'
	go build -tags failpoints -o $(FAILING) ./cmd/serverlessvideo

.PHONY: test
test: setup-test lint generated web-test build go-test scenarios browser-and-crashes ## Set up and run every check and test.

.PHONY: setup-build setup-run setup-test
setup-build setup-run setup-test: setup-%:
	@scripts/setup $*

# ---- web app ----

# npm ci runs again only when the lock file has changed.
web/node_modules/.installed: web/package-lock.json web/package.json
	$(step) 'installing what the web app is built with'
	cd web && npm ci --no-audit --no-fund
	@touch $@

WEB_SOURCES := $(shell find web/src web/public -type f 2>/dev/null) $(wildcard web/*.html web/*.ts web/*.js web/*.json)

web/dist/index.html: web/node_modules/.installed $(WEB_SOURCES)
	$(step) 'building the web app'
	cd web && npm run --silent build
	@touch web/dist/.gitkeep $@

.PHONY: web
web: web/dist/index.html ## Build the web app.

.PHONY: web-test
web-test: web/node_modules/.installed ## Check and test the web app.
	$(step) 'checking the web app'
	cd web && npm run --silent check
	$(step) 'testing the web app'
	cd web && npm run --silent test

# ---- checks ----

.PHONY: lint
lint: setup-build ## gofmt, go vet and golangci-lint.
	$(step) 'gofmt'
	@unformatted=$$(git ls-files --cached --others --exclude-standard -- '*.go' | xargs -r ls -d 2>/dev/null | xargs -r gofmt -l); \
		if [ -n "$$unformatted" ]; then echo "not formatted; run gofmt -w on:" >&2; echo "$$unformatted" >&2; exit 1; fi
	$(step) 'go vet'
	go vet ./...
	go vet -tags failpoints ./internal/failpoint
	$(step) 'golangci-lint'
	@"$$(scripts/tools golangci-lint)" run ./...

.PHONY: generated
generated: setup-build
	$(step) 'generated code is current'
	@"$$(scripts/tools sqlc)" diff || { echo 'run make generate' >&2; exit 1; }

.PHONY: generate
generate: setup-build web/node_modules/.installed ## Write generated code and reference pages anew.
	$(step) 'generating'
	"$$(scripts/tools sqlc)" generate
	go test ./internal/config -run Reference -update
	go test ./internal/event/schema -run Reference -update
	go test ./internal/app -run OpenAPI -update
	cd web && npm run --silent types

# The examples are events that these tests have seen said.
RECORD := UPDATE_EXAMPLES=1 go test -count 1

.PHONY: examples
examples: setup-test build ## Record the examples in docs/events.md anew.
	$(step) 'recording what the program says'
	TEST_BINARY=$(CURDIR)/$(BINARY) $(RECORD) -run TestEventsOfALife ./test/scenario
	$(RECORD) -run 'TestGivenUpAtTheEnd$$' ./internal/streaming
	$(RECORD) -run TestFailures/for_good/sqlite ./internal/postprocess
	$(RECORD) -run TestProcessingFailed ./internal/video
	$(RECORD) -run "TestLifecycle/sqlite/too_short|TestEventsForPlugins/sqlite/answered" ./internal/pluginmanager
	go test ./internal/event/schema -run Reference -update

# ---- tests ----

# The live path is tested in real time, with players and packets that come when
# they come, so nothing else runs beside it.
REAL_TIME := /internal/streaming$$

# The longest begin first, so that none of them is left to run alone in the end.
# Three at a time: many wait, for a database, for ffmpeg, for a moment to pass.
LONGEST := $(addprefix ./internal/,postprocess video rules flow pluginmanager archive history streaming/whip streaming/whep streaming/transcode)

.PHONY: go-test
go-test: setup-build
	$(step) 'testing the packages, with the race detector'
	@status=0; \
		$(GOTEST) -p 3 $(LONGEST) $$(go list ./... | grep -v -e /test/ -e '$(REAL_TIME)') || status=$$?; \
		$(GOTEST) -p 1 $$(go list ./... | grep -e '$(REAL_TIME)') || status=$$?; \
		go run ./internal/store/storetest/stop; exit $$status

# Scenarios run the built program, whose changes go's test cache does not see.
.PHONY: scenarios
scenarios: build
	$(step) 'testing the whole program: $(SCENARIO)'
	@status=0; TEST_BINARY=$(CURDIR)/$(BINARY) $(SCENARIO) $$(go list ./test/... | grep -v '/test/crash$$') || status=$$?; \
		go run ./internal/store/storetest/stop; exit $$status

# The browser waits most of the time, and is timed. The crashes are not timed, so
# they get what it leaves; what they run is compiled before.
.PHONY: browser-and-crashes
browser-and-crashes: setup-test build build-failing test/e2e/node_modules/.installed
	@scripts/beside e2e-alone crash-aside

.PHONY: e2e-alone crash-aside
crash-aside:
	$(step) 'killing the program over and over'
	@status=0; CRASH=short nice -n 10 go test -count 1 -timeout 30m ./test/crash || status=$$?; \
		go run ./internal/store/storetest/stop; exit $$status

test/e2e/node_modules/.installed: test/e2e/package-lock.json test/e2e/package.json
	$(step) 'installing what the end-to-end test drives the browser with'
	cd test/e2e && npm ci --no-audit --no-fund
	@touch $@

.PHONY: e2e
e2e: setup-test build build-failing test/e2e/node_modules/.installed e2e-alone ## Test the whole path in Chromium; screenshots go to test-results.

e2e-alone:
	$(step) 'testing the whole path in a browser'
	cd test/e2e && E2E_BINARY=$(CURDIR)/$(BINARY) E2E_FAILING_BINARY=$(CURDIR)/$(FAILING) npm test --silent

.PHONY: bench
bench: setup-build ## Run the benchmarks.
	go test -run '^$$' -bench . -benchmem ./...

SOAK     ?= 60m
SOAK_CUT ?= 5m

.PHONY: clocks
clocks: setup-test ## Send a simulated hour with clocks that go apart; measure picture against sound.
	CLOCKS=1h go test -count 1 -v -timeout 30m -run 'TestClocks|TestSync$$' ./internal/streaming

.PHONY: soak
soak: build ## Keep one broadcast up for SOAK, losing its publisher every SOAK_CUT.
	SOAK=$(SOAK) SOAK_CUT=$(SOAK_CUT) TEST_BINARY=$(CURDIR)/$(BINARY) go test -count 1 -timeout 3h -v ./test/soak

# It builds what it kills itself, with failpoints. A seed is logged and gives the same plan again: make crash CRASH_SEED=1.
.PHONY: crash
crash: setup-test ## Kill the program 400 times and give it bad days; SHORT=1 is what make test runs.
	@status=0; CRASH=$(if $(SHORT),short,whole) go test -count 1 -v -timeout 90m ./test/crash || status=$$?; \
		go run ./internal/store/storetest/stop; exit $$status

# Nothing else should run on the machine meanwhile.
.PHONY: load
load: setup-test build ## Measure the live engine on the real program; LOAD="-only whip -runs 3" chooses.
	TEST_BINARY=$(CURDIR)/$(BINARY) go run ./test/load $(LOAD)

.PHONY: fuzz
fuzz: setup-build ## Fuzz every parser for FUZZTIME each.
	@scripts/fuzz $(FUZZTIME)

.PHONY: clean
clean: ## Remove what was built; data and tool caches stay.
	rm -rf bin test-results web/node_modules/.installed
	find web/dist -mindepth 1 ! -name .gitkeep -delete
