# OneCard 一卡通. Two commands matter: `make demo` and `make test`.
#
#   make setup     system packages (idempotent; as root or through sudo)
#   make demo      builds and runs one whole day of one-card life
#   make test      every test: unit, property, end to end with a real pcscd
#   make lint      format, clippy with warnings denied, licences
#   make firmware  the card for a Cortex-M33, run in QEMU: sizes, stack, instructions a command
#   make fuzz      every fuzz target of card and HSM for FUZZ_SECONDS (20), from the committed corpus
#   make bench     benchmarks of card, HSM, tap and hotlist (commands, never timed tests)
#   make screens   draws docs/screens again, after a screen has changed
#   make audit     RustSec advisories (needs the network; not in CI)

CARGO ?= cargo
PROFILE_DIR = target/debug

.PHONY: all setup demo test lint firmware firmware-images firmware-bench fuzz bench screens audit clean

all: demo

setup:
	@sh deploy/setup.sh

demo: setup
	$(CARGO) build
	$(PROFILE_DIR)/onecard demo $(ARGS)

test: setup
	$(CARGO) test --workspace --no-fail-fast
	for room in $(FUZZ_ROOMS); do ( cd $$room/fuzz && CARGO_TARGET_DIR=$(FUZZ_DIR) \
	  $(CARGO) test --locked --no-default-features ) || exit 1; done
	$(MAKE) --no-print-directory firmware-images firmware-bench

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	for room in $(FUZZ_ROOMS); do ( cd $$room/fuzz && $(CARGO) fmt --check && CARGO_TARGET_DIR=$(FUZZ_DIR) \
	  $(CARGO) clippy --locked --no-default-features --all-targets -- -D warnings ) || exit 1; done
	$(CARGO) deny --log-level error check licenses bans sources

# The rustup toolchain carries no embedded target; Debian's rustc-web and rust-web-src do.
firmware: firmware-images
	$(CARGO) build
	$(MAKE) --no-print-directory firmware-bench

firmware-images:
	cd card-os/firmware && CARGO_TARGET_DIR=$(CURDIR)/target/firmware RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
	  $(CARGO) build --release --locked -Z build-std=core
	cd card-os/firmware && CARGO_TARGET_DIR=$(CURDIR)/target/firmware-pki RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
	  $(CARGO) build --release --locked -Z build-std=core --features pki

# Also after `cargo test`, which has built the executable already.
firmware-bench:
	$(PROFILE_DIR)/onecard bench firmware
	$(PROFILE_DIR)/onecard bench firmware --image target/firmware-pki/thumbv8m.main-none-eabi/release/card-firmware
	$(CARGO) test --workspace --test system firmware_through_pcscd -- --ignored

# What `cargo fuzz build --sanitizer none` passes, so that neither it nor a nightly toolchain is
# needed; `cargo fuzz run` works in card-os/ as well. Naming the target keeps build scripts plain.
FUZZ_SECONDS ?= 20
FUZZ_DIR = $(CURDIR)/target/fuzz
FUZZ_ROOMS = card-os hsm
FUZZ_HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_COVERAGE = -sanitizer-coverage-level=4 -sanitizer-coverage-inline-8bit-counters \
  -sanitizer-coverage-pc-table -sanitizer-coverage-trace-compares
FUZZ_FLAGS = --cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module $(FUZZ_COVERAGE:%=-Cllvm-args=%)

fuzz:
	@for room in $(FUZZ_ROOMS); do ( cd $$room/fuzz && CARGO_TARGET_DIR=$(FUZZ_DIR) RUSTFLAGS="$(FUZZ_FLAGS)" \
	  $(CARGO) build --release --locked --bins --target $(FUZZ_HOST) ) || exit 1; done
	@for driver in $(FUZZ_ROOMS:%=%/fuzz/fuzz_targets/*.rs); do \
	  name=$$(basename $$driver .rs); room=$$(dirname $$(dirname $$driver)); \
	  found=$(FUZZ_DIR)/found/$$name; mkdir -p $$found; \
	  $(FUZZ_DIR)/$(FUZZ_HOST)/release/$$name -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
	    -artifact_prefix=$(FUZZ_DIR)/found/$$name- $$found $$room/corpus/$$name > $$found.log 2>&1 \
	    || { tail -40 $$found.log; echo "fuzz: $$name broke an oracle, see $$found.log" >&2; exit 1; }; \
	  echo "fuzz: $$name $$(grep DONE $$found.log)"; \
	done

screens:
	$(CARGO) build --workspace
	rm -f docs/screens/*.png
	$(PROFILE_DIR)/onecard-terminal gallery --out docs/screens

bench:
	$(CARGO) build --release
	target/release/onecard bench card --json
	target/release/onecard bench hsm --json
	target/release/onecard bench tap --json
	target/release/onecard bench hotlist --json

audit:
	$(CARGO) deny check advisories

clean:
	$(CARGO) clean
