# Needs Rust, Node with npm, a C toolchain and Debian's packages; everything else is set up by the targets themselves, once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: help demo test check bench faults clean assets engine browser screenshot \
        test-rust test-sdk test-sdk-browser test-examples test-dashboard test-e2e test-e2e-kafka test-streams test-faults test-faults-kafka test-schemathesis \
        kafka packages python bench-sdk bench-kafka bench-query loadgen faults-kafka fmt

help:
	@echo "make demo     a shop page, the receiver, the embedded engine and the dashboard on this machine"
	@echo "make test     every test"
	@echo "make check    formatting, lints, documentation, types"
	@echo "make bench    what receiving costs, beside a bare server and a Node service"
	@echo "make bench-sdk  size, losses and cost of the browser SDK, beside Sentry's and Faro's"
	@echo "make faults   kills, outages, full disks; proves that nothing acknowledged is lost or doubled"
	@echo "make faults-kafka  the same with Kafka in between, its broker and its consumers"
	@echo "make bench-kafka   receiver to Kafka and Kafka to ClickHouse, beside the raw clients and two other collectors"
	@echo "make bench-query   every page and ten questions over 100 million events (EVENTS=5000000 for fewer)"
	@echo "make loadgen  made-up visitors for the demo that runs: six days that are over, then now, until Ctrl-C"
	@echo "make clean    removes what was built and written here"

## Set-up --------------------------------------------------------------------------------------------------------------

NPM_CI = npm ci --no-audit --no-fund --ignore-scripts
SDK_SOURCES := $(shell find sdk-ts/src sdk-ts/scripts sdk-ts/*.json sdk-ts/*.mjs -type f 2>/dev/null)
DASHBOARD_SOURCES := $(shell find monitor-http/dashboard/src monitor-http/dashboard/index.html monitor-http/dashboard/*.json monitor-http/dashboard/*.ts -type f 2>/dev/null)

%/node_modules/.installed: %/package-lock.json
	cd $* && $(NPM_CI)
	touch $@

sdk-ts/dist/.built: sdk-ts/node_modules/.installed $(SDK_SOURCES)
	cd sdk-ts && npm run --silent build
	touch $@

monitor-http/dashboard/dist/.built: monitor-http/dashboard/node_modules/.installed $(DASHBOARD_SOURCES)
	cd monitor-http/dashboard && npm run --silent build
	touch $@

# What the receiver serves is compiled into it: the crate needs no Node where it is used.
monitor-http/assets/.copied: sdk-ts/dist/.built monitor-http/dashboard/dist/.built
	rm -rf monitor-http/assets/sdk monitor-http/assets/dashboard && mkdir -p monitor-http/assets/sdk
	cp sdk-ts/dist/monitor.iife.js monitor-http/assets/sdk/monitor.js
	cp -r monitor-http/dashboard/dist monitor-http/assets/dashboard
	rm -f monitor-http/assets/dashboard/.built
	touch $@

assets: monitor-http/assets/.copied

# The engine library: a pinned version, checked, fetched once per machine.
engine:
	cargo build --locked -p monitor-engine
	./target/debug/monitor-engine fetch

# A real broker: Apache Kafka's own jars.
target/kafka/lib/.copied: tests/kafka/pom.xml
	mvn -q -B -f tests/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/target/kafka/lib
	touch $@

kafka: target/kafka/lib/.copied

# OpenSSL's headers for Kafka's TLS, and a proxy for the tests behind one.
packages:
	@dpkg -s libssl-dev pkg-config nginx >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends libssl-dev pkg-config nginx; }

# Spark runs in Python.
python:
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3 python3-venv; }

# Chromium, for the browser tests.
browser:
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; }

## Running -------------------------------------------------------------------------------------------------------------

demo: assets engine
	cargo run --locked --example quickstart

## Checking ------------------------------------------------------------------------------------------------------------

check: assets packages
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --all-features
	cd sdk-ts && npm run --silent check && npm run --silent size
	cd monitor-http/dashboard && npm run --silent check
	./scripts/check-text

fmt:
	cargo fmt --all

test: test-sdk test-dashboard test-rust test-examples test-sdk-browser test-e2e test-e2e-kafka test-streams test-schemathesis test-faults test-faults-kafka

test-sdk: sdk-ts/dist/.built
	cd sdk-ts && npm test --silent && npm run --silent lint:package

# In Chromium, against the real receiver and engine.
test-sdk-browser: assets engine browser
	cargo build --locked --example quickstart
	cd sdk-ts && npm run --silent test:browser

# The example apps, with the SDK as it would be installed.
test-examples: sdk-ts/dist/.built examples/react/node_modules/.installed examples/vue/node_modules/.installed
	cd examples/react && npm run --silent build
	cd examples/vue && npm run --silent build

test-dashboard: monitor-http/dashboard/dist/.built browser
	cd monitor-http/dashboard && npm test --silent && npm run --silent test:browser

test-rust: assets engine packages kafka
	cargo test --locked --workspace --all-features

test-e2e: assets engine browser packages tests/e2e/node_modules/.installed
	cargo build --locked --example quickstart
	cargo build --locked -p monitor-bench --bin loadgen
	cd tests/e2e && npm test --silent

test-faults: assets engine packages
	cargo build --locked --example quickstart -p monitor-kit
	cargo run --locked -p monitor-bench --bin faults -- --receiver target/debug/examples/quickstart --engine target/debug/monitor-engine --short

# With TLS, as in the other tests, so that librdkafka is built once.
KAFKA_EXAMPLES = cargo build --locked --features kafka-tls --example kafka_pipeline --example consumer

# The road through Kafka: real broker, nginx, two receivers, two consumers, Chromium.
test-e2e-kafka: assets engine browser kafka packages tests/e2e-kafka/node_modules/.installed
	$(KAFKA_EXAMPLES)
	cd tests/e2e-kafka && npm test --silent

# The jobs for Flink and Spark, in their own engines: their minutes are those of the query API.
test-streams: assets engine kafka packages python
	$(KAFKA_EXAMPLES)
	tests/streams/setup
	node --test tests/streams/streams.test.mjs

# Questions made from openapi.json, sensible and not: no server error, no undocumented answer.
test-schemathesis: assets engine python
	cargo build --locked --example quickstart
	tests/schemathesis/setup
	node --test tests/schemathesis/schemathesis.test.mjs

test-faults-kafka: assets engine kafka packages
	$(KAFKA_EXAMPLES)
	cargo run --locked -p monitor-bench --bin faults_kafka -- --pipeline target/debug/examples/kafka_pipeline --consumer target/debug/examples/consumer \
		--engine target/debug/monitor-engine --kafka target/kafka/lib --short --parallel 2

# The picture in the README, made by the end-to-end test.
screenshot: assets engine browser tests/e2e/node_modules/.installed
	cargo build --locked --example quickstart
	cd tests/e2e && MONITOR_SCREENSHOT=../../docs/dashboard.png npm test --silent

## Measuring -----------------------------------------------------------------------------------------------------------

release: assets engine packages
	cargo build --locked --release --example quickstart
	cargo build --locked --release -p monitor-bench -p monitor-engine
.PHONY: release

bench: release bench/peers/node/node_modules/.installed
	./target/release/ingest --receiver target/release/examples/quickstart --floor target/release/floor

bench-sdk: assets engine browser sdk-ts/bench/node_modules/.installed
	cargo build --locked --example quickstart
	cd sdk-ts && npm run --silent bench:size && npm run --silent bench:loss && npm run --silent bench:cost

release-kafka: release kafka packages
	cargo build --locked --release --features kafka-tls --example kafka_pipeline --example consumer
.PHONY: release-kafka

# Beside the OpenTelemetry collector, which needs Go, and a NestJS service.
target/otel/otelcol: bench/peers/otel/builder.yaml
	@command -v go >/dev/null || { echo "the OpenTelemetry collector is built with Go 1.26 or later" >&2; exit 1; }
	cd bench/peers/otel && go run go.opentelemetry.io/collector/cmd/builder@v0.160.0 --config builder.yaml

bench-kafka: release-kafka target/otel/otelcol bench/peers/nest-kafka/node_modules/.installed
	./target/release/kafka --pipeline target/release/examples/kafka_pipeline --consumer target/release/examples/consumer \
		--engine target/release/monitor-engine --kafka target/kafka/lib --otel target/otel/otelcol --nest bench/peers/nest-kafka

# The store, with the tables of the usual way, takes some 15 GB in test-output/query and is kept for the next time.
EVENTS ?= 100000000
bench-query: release
	./target/release/query --events $(EVENTS) --engine target/release/monitor-engine --service target/release/examples/quickstart

loadgen:
	cargo run --locked --release -p monitor-bench --bin loadgen -- send --days 6 --events 200000
	cargo run --locked --release -p monitor-bench --bin loadgen -- send

faults-kafka: release-kafka
	./target/release/faults_kafka --pipeline target/release/examples/kafka_pipeline --consumer target/release/examples/consumer \
		--engine target/release/monitor-engine --kafka target/kafka/lib

faults: release
	./target/release/faults --receiver target/release/examples/quickstart --engine target/release/monitor-engine

clean:
	cargo clean
	rm -rf data test-output monitor-http/assets/{sdk,dashboard,.copied} monitor-http/dashboard/dist sdk-ts/dist
	rm -rf sdk-ts/node_modules sdk-ts/bench/node_modules examples/{react,vue}/{node_modules,dist} monitor-http/dashboard/node_modules tests/e2e/node_modules tests/e2e-kafka/node_modules bench/peers/{node,nest-kafka}/node_modules
