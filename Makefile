# Every command a person needs; `make help` lists them.
#
# A line "target: ## text" puts the target into the help. Settings are passed as
# variables on the command line: make swap KUBERNETES=../kubernetes

.DEFAULT_GOAL := help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

# The kubernetes releases that the swap is tried on: one of each minor version at the
# edges of what is supported and every one in which subpath_linux.go changed.
VERSIONS ?= v1.29.6 v1.31.14 v1.33.13 v1.35.4 v1.36.3 v1.37.2
VERSION ?= v1.37.2

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- versions of tools -----------------------------------------------------------
# Each number stands in one place. Where a tool has a file of its own for it, that is the place.

# The oldest Rust that builds the crates and passes their tests: `make msrv` tries it.
RUST_OLDEST = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# The oldest Go that a program with the package can be built with: `make go-oldest` tries it.
GO_OLDEST = $(shell sed -n 's/^go //p' go-shim/go.mod)
# The Go that the tests need, because the newest kubernetes among them asks for it.
GO_TESTS = $(shell git ls-files '*go.mod' | xargs sed -n 's/^go //p' | sort -Vu | tail -n 1)
# What `make lint` checks with. The first two are run from their modules, the others are installed
# by `make lint-tools`; shellcheck is the distribution's.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT = github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
TYPOS = 1.52.0
CARGO_DENY = 0.20.2
# What `make fuzz` runs the targets by.
CARGO_FUZZ = 0.13.2

.PHONY: versions
versions: ## the versions of the tools, and what each is for
	@printf '%-14s %s\n' 'Rust, oldest' $(RUST_OLDEST) 'Go, oldest' $(GO_OLDEST) 'Go, tests' $(GO_TESTS) \
		staticcheck $(lastword $(subst @, ,$(STATICCHECK))) actionlint $(lastword $(subst @, ,$(ACTIONLINT))) \
		typos $(TYPOS) cargo-deny $(CARGO_DENY) cargo-fuzz $(CARGO_FUZZ)

# --- the library and the header ------------------------------------------------
# Built apart from other cargo builds: the paths of this machine are kept out of it, which are flags
# that cargo would rebuild everything for.

GOOS = $(shell go env GOHOSTOS)
GOARCH = $(shell go env GOHOSTARCH)
BOUNDARY = go-shim/internal/boundary
LIBRARY_TARGET = $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/library
REMAP = --remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=cargo

.PHONY: tools
tools:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust $(RUST_OLDEST) or newer with rustup" >&2; exit 1; }
	@command -v go >/dev/null || { echo "go is missing: install Go $(GO_OLDEST) or newer (for the tests $(GO_TESTS))" >&2; exit 1; }
	@command -v $$(go env CC) >/dev/null || { echo "$$(go env CC) is missing: install a C compiler, cgo needs it" >&2; exit 1; }

.PHONY: build
build: tools ## make the static library that the Go package links
	@RUSTFLAGS="$${RUSTFLAGS-} $(REMAP)" cargo rustc --quiet --locked --release -p rustsubpath-ffi --lib --crate-type staticlib --target-dir $(LIBRARY_TARGET)
	@go-shim/ffi/archive.sh $(LIBRARY_TARGET)/release/librustsubpath_ffi.a $(BOUNDARY) $(GOOS) $(GOARCH)
	@rm -f go-shim/librustsubpath_*.a go-shim/library_*.go # where an older checkout had them
	@echo "$(BOUNDARY)/librustsubpath_$(GOOS)_$(GOARCH).a is made"

.PHONY: header
header: ## write the C header anew from go-shim/ffi
	@WRITE_HEADER=1 cargo test --quiet --locked -p rustsubpath-ffi --test header

.PHONY: demo
demo: build ## prepare sub paths on real mounts, attack them, clean up: the whole in seconds
	@cd examples/demo && go run .

# --- tests of the Go side --------------------------------------------------------

.PHONY: test-go
test-go: build ## the C boundary and the Go package: [COUNT=1]
	@tests/boundary/run.sh
	@COUNT=$(or $(COUNT),1) tests/boundary/go.sh

.PHONY: mounts-test
mounts-test: build ## the mount table against mount-utils, moby's parser and real mounts
	@cd tests/go/mountutils && go test -count=1 -timeout 5m

.PHONY: drivers-test
drivers-test: build ## kubernetes-csi's sanity tests on the driver in examples/csi-driver
	@tests/drivers.sh

.PHONY: sanitize
sanitize: build ## Miri, the address sanitizer over library, C and Go, -race and cgocheck2
	@tests/boundary/sanitize.sh

.PHONY: test-sandboxed
test-sandboxed: build ## the tests where the newer system calls really fail, by seccomp: [SEEDS=1:40]
	@SEEDS=$(SEEDS) tests/sandbox/run.sh

# --- kubernetes ---------------------------------------------------------------
# The tree is looked at before anything is built, so that a wrong one is refused at once.

.PHONY: swap
swap: ## put the port into a kubernetes tree: KUBERNETES=DIR [MOUNTER=1: the kubelet mounts by it, too] [PROFILE=v1.29|v1.37] [FORCE=1]
	@go-shim/swap/swap.sh check "$${KUBERNETES-}"
	@$(MAKE) build
	@go-shim/swap/swap.sh swap "$${KUBERNETES-}"

.PHONY: unswap
unswap: ## take it out again, every byte restored: KUBERNETES=DIR [FORCE=1]
	@go-shim/swap/swap.sh unswap "$${KUBERNETES-}"

.PHONY: upstream-test
upstream-test: build ## kubernetes' own subpath tests on the port: [VERSIONS="v1.37.2 ..."] [RACE=1]
	@go-shim/swap/upstream.sh test $(VERSIONS)

.PHONY: kubelet
kubelet: build ## build a kubelet with the port and show what is in it: [VERSION=v1.37.2]
	@go-shim/swap/upstream.sh kubelet $(VERSION)

.PHONY: e2e
e2e: ## real kubelets, with the port and without, run pods by containerd: [TURNS=5] [MANY=100] [PODS=regexp] [VERSION=v1.37.2]
	@tests/kubernetes/e2e/run.sh check
	@$(MAKE) build
	@TURNS='$(TURNS)' MANY='$(MANY)' PODS='$(PODS)' tests/kubernetes/e2e/run.sh run $(VERSION)

.PHONY: swap-test
swap-test: ## test the swap itself on trees made from released versions
	@tests/kubernetes/swap/run.sh

.PHONY: fork-check
fork-check: build ## kubernetes' own checks on a swapped git tree, the diff, the kubelet's size and start: [VERSION=v1.37.2]
	@tests/kubernetes/swap/fork.sh $(VERSION)

# --- speed -----------------------------------------------------------------------

.PHONY: bench
bench: build ## measure against the original and bare system calls: benches/results.md, docs/bench.svg: [ROWS=regexp]
	@ROWS='$(value ROWS)' benches/run.sh

# --- the original as oracle --------------------------------------------------------

PROFILES ?= v129 v137

.PHONY: parity
parity: build ## the original and the port side by side: [SEEDS=1:2000] [PROFILES="v129 v137"]
	@for profile in $(PROFILES); do (cd tests/go/$$profile && \
		PARITY_SEEDS=$(or $(SEEDS),1:2000) go test -count=1 -timeout 60m -v .) || exit 1; done

# --- attacks ---------------------------------------------------------------------

.PHONY: attack
attack: build ## race every operation against a volume's owner: [SECONDS=0.3] [ORIGINAL=1] [ATTACKS=regexp]
	@ATTACKS='$(ATTACKS)' tests/go/attack.sh $(if $(filter command line environment override,$(origin SECONDS)),$(SECONDS),0.3) $(ORIGINAL)

.PHONY: soak
soak: build ## a million mixed calls from 16 goroutines, then look for what grew: [CALLS=1000000]
	@cd tests/go/soak && go run . -calls $(or $(CALLS),1000000)

MUSL = $(shell uname -m)-unknown-linux-musl

.PHONY: test-musl
test-musl: tools ## the Rust tests with musl in place of glibc
	@[ -d "$$(rustc --print target-libdir --target $(MUSL))" ] || { echo "Rust's library for musl is missing: rustup target add $(MUSL)" >&2; exit 1; }
	@cargo test --quiet --locked --workspace --lib --tests --target $(MUSL)

.PHONY: test-kernels
test-kernels: ## the suites on Debian's kernels under QEMU, half an hour a kernel where it emulates: [KERNELS="5.10 6.1 6.12 newest"] [ARCH=amd64|arm64] [ONLY=regexp]; says what to install
	@KERNELS='$(KERNELS)' ARCH='$(ARCH)' ONLY='$(value ONLY)' tests/kernels/run.sh

FUZZ = mount_table lookups paths options boundary

.PHONY: fuzz-tools
fuzz-tools: ## install cargo-fuzz where cargo looks for its commands
	@cargo install --quiet --locked cargo-fuzz@$(CARGO_FUZZ)

.PHONY: fuzz
fuzz: ## fuzz the table, its lookups, paths, options and the C boundary: [SECONDS_EACH=60] [FUZZ="paths ..."]; needs nightly and cargo-fuzz
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: run  rustup toolchain install nightly && make fuzz-tools" >&2; exit 1; }
	@fuzz/run.sh $(or $(SECONDS_EACH),60) $(FUZZ)

# --- the oldest tools, and another processor -----------------------------------------

.PHONY: msrv
msrv: ## build and test with the oldest Rust, which rustup fetches
	@rustup toolchain install --profile minimal --no-self-update $(RUST_OLDEST) >/dev/null 2>&1 || { echo "rustup cannot install Rust $(RUST_OLDEST)" >&2; exit 1; }
	@cargo +$(RUST_OLDEST) test --quiet --locked --workspace --target-dir target/msrv
	@cargo +$(RUST_OLDEST) test --quiet --locked --features fault-injection --test faults --target-dir target/msrv

# Modules that ask for a newer Go are left out: they need it for a kubernetes that needs it.
.PHONY: go-oldest
go-oldest: build ## vet and test with the oldest Go, which the go command fetches
	@for module in $$(grep -lx 'go $(GO_OLDEST)' $$(git ls-files '*go.mod') | xargs -n 1 dirname); do \
		echo "Go $(GO_OLDEST): $$module"; \
		(cd $$module && export GOTOOLCHAIN=go$(GO_OLDEST).0 && go vet ./... && go build -o /dev/null ./...) || exit 1; done
	@cd go-shim && GOTOOLCHAIN=go$(GO_OLDEST).0 go test -count=1 -timeout 5m ./...

.PHONY: arm64
arm64: tools ## build the library for linux/arm64 and link the Go package's tests with it
	@[ -d "$$(rustc --print target-libdir --target aarch64-unknown-linux-gnu)" ] || { echo "run  rustup target add aarch64-unknown-linux-gnu" >&2; exit 1; }
	@command -v aarch64-linux-gnu-gcc >/dev/null || { echo "aarch64-linux-gnu-gcc is missing: install it (Debian: gcc-aarch64-linux-gnu and libc6-dev-arm64-cross)" >&2; exit 1; }
	@RUSTFLAGS="$${RUSTFLAGS-} $(REMAP)" cargo rustc --quiet --locked --release -p rustsubpath-ffi --lib --crate-type staticlib \
		--target aarch64-unknown-linux-gnu --target-dir $(LIBRARY_TARGET)
	@# In a copy, because what tests and swaps the host's library takes whatever lies beside it.
	@rm -rf target/arm64 && mkdir -p target/arm64 && cp -R go-shim target/arm64/ && rm -f target/arm64/$(BOUNDARY)/library_*.go target/arm64/$(BOUNDARY)/librustsubpath_*.a
	@LD=aarch64-linux-gnu-ld OBJCOPY=aarch64-linux-gnu-objcopy NM=aarch64-linux-gnu-nm AR=aarch64-linux-gnu-ar \
		go-shim/ffi/archive.sh $(LIBRARY_TARGET)/aarch64-unknown-linux-gnu/release/librustsubpath_ffi.a target/arm64/$(BOUNDARY) linux arm64
	@cd target/arm64/go-shim && export GOARCH=arm64 CGO_ENABLED=1 CC=aarch64-linux-gnu-gcc && go vet ./... && go test -c -o ../ ./...
	@echo "target/arm64/go-shim is made, and target/arm64/*.test, which run on such a machine"

# --- releases ------------------------------------------------------------------------

.PHONY: dist
dist: tools ## the release archive below target/dist: [REQUIRE=1]
	@go-shim/dist/dist.sh

.PHONY: dist-test
dist-test: tools ## build the archive twice, compare the bytes, and use what is in it
	@go-shim/dist/test.sh

.PHONY: package
package: ## both crates as cargo publishes them, built from the packages
	@# Cargo keeps what it unpacked for a target folder, and would build an older state of the version.
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && cargo package --quiet --locked -p subpath-mountinfo -p subpath --target-dir "$$work" && ls -l "$$work"/package/*.crate

# --- style and mistakes, by tools --------------------------------------------------
# Every module and language. A tool that is missing is an error that says how to get it.

LINT_TOOLS = $(CURDIR)/target/tools
GO_MODULES = $(dir $(shell git ls-files '*go.mod'))
# Go files that belong to no module.
GO_LOOSE = $(filter-out $(addsuffix %,$(GO_MODULES)),$(shell git ls-files '*.go'))
SCRIPTS = $(shell git grep -lE '^\#!/(usr/)?bin/(env )?(bash|sh)')

.PHONY: lint
lint: lint-rust lint-go lint-shell lint-text ## check every file's style, and for mistakes that tools find

.PHONY: lint-tools
lint-tools: ## install the tools for lint that cargo builds, below target/
	@cargo install --quiet --locked --debug --root $(LINT_TOOLS) typos-cli@$(TYPOS) cargo-deny@$(CARGO_DENY)

# The fuzz targets are checked without their engine, which a nightly compiler would build.
.PHONY: lint-rust
lint-rust: tools
	@cargo fmt --version >/dev/null && cargo clippy --version >/dev/null || { echo "run  rustup component add rustfmt clippy" >&2; exit 1; }
	@[ "$$($(LINT_TOOLS)/bin/cargo-deny --version 2>&1)" = "cargo-deny $(CARGO_DENY)" ] || { echo "cargo-deny $(CARGO_DENY) is missing: run  make lint-tools" >&2; exit 1; }
	@cargo fmt --all --check
	@cargo fmt --manifest-path fuzz/Cargo.toml --check
	@cargo clippy --quiet --locked --workspace --all-targets --features fault-injection -- -D warnings
	@RUSTFLAGS="--cfg fuzzing" CUSTOM_LIBFUZZER_PATH=/dev/null cargo clippy --quiet --locked \
		--manifest-path fuzz/Cargo.toml --target-dir target/lint-fuzz -- -D warnings
	@RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --workspace --no-deps
	@cargo test --quiet --locked -p rustsubpath-ffi --test header
	@for manifest in Cargo.toml fuzz/Cargo.toml; do \
		$(LINT_TOOLS)/bin/cargo-deny --locked --log-level error --manifest-path $$manifest --config deny.toml check \
			--allow unmatched-skip --allow license-exception-not-encountered bans licenses sources || exit 1; done

.PHONY: lint-go
lint-go: build
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -s -l); [ -z "$$unformatted" ] || { echo "run  gofmt -s -w" $$unformatted >&2; exit 1; }
	@for module in $(GO_MODULES); do \
		(cd $$module && go vet ./... && go mod tidy -diff && go run $(STATICCHECK) ./...) || { echo "lint: in $$module" >&2; exit 1; }; done
	@for file in $(GO_LOOSE); do go vet $$file && go run $(STATICCHECK) $$file || exit 1; done

.PHONY: lint-shell
lint-shell:
	@command -v shellcheck >/dev/null || { echo "shellcheck is missing: install it (Debian: shellcheck)" >&2; exit 1; }
	@shellcheck --external-sources $(SCRIPTS)

.PHONY: lint-text
lint-text: tools
	@[ "$$($(LINT_TOOLS)/bin/typos --version 2>&1)" = "typos-cli $(TYPOS)" ] || { echo "typos $(TYPOS) is missing: run  make lint-tools" >&2; exit 1; }
	@$(LINT_TOOLS)/bin/typos
	@go run $(ACTIONLINT)

# --- everything ------------------------------------------------------------------

.PHONY: test
test: ## every test: Rust, Go, the swap's, and kubernetes' own in a swapped tree
	@cargo test --quiet --locked --workspace
	@cargo test --quiet --locked --features fault-injection --test faults
	@$(MAKE) test-go
	@$(MAKE) mounts-test
	@$(MAKE) drivers-test
	@tests/as_user.sh
	@$(MAKE) parity SEEDS=1:40
	@$(MAKE) attack SECONDS=0.1
	@$(MAKE) soak CALLS=30000
	@tests/sandbox/run.sh short
	@$(MAKE) swap-test
	@$(MAKE) upstream-test VERSIONS="v1.35.4 v1.37.2" RACE=1

.PHONY: clean
clean: ## remove all that the other commands made
	@rm -rf target fuzz/target fuzz/corpus fuzz/artifacts $(BOUNDARY)/librustsubpath_*.a $(BOUNDARY)/library_*.go
