# OneCard 一卡通. Two commands matter: `make demo` and `make test`.
#
#   make setup     system packages (idempotent; as root or through sudo)
#   make demo      builds and runs one whole day of one-card life
#   make test      every test: unit, property, end to end with a real pcscd
#   make lint      format, clippy with warnings denied, licences
#   make firmware  the card for a Cortex-M33, run in QEMU: sizes, stack, instructions a command
#   make bench     card benchmark (a command, never a timed test)
#   make audit     RustSec advisories (needs the network; not in CI)

CARGO ?= cargo
PROFILE_DIR = target/debug

.PHONY: all setup demo test lint firmware bench audit clean

all: demo

setup:
	@sh deploy/setup.sh

demo: setup
	$(CARGO) build
	$(PROFILE_DIR)/onecard demo $(ARGS)

test: setup
	$(CARGO) test --workspace --no-fail-fast
	$(MAKE) --no-print-directory firmware

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) deny --log-level error check licenses bans sources

# The rustup toolchain carries no embedded target; Debian's rustc-web and rust-web-src do.
firmware:
	cd card-os/firmware && CARGO_TARGET_DIR=$(CURDIR)/target/firmware RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
	  $(CARGO) build --release --locked -Z build-std=core
	cd card-os/firmware && CARGO_TARGET_DIR=$(CURDIR)/target/firmware-pki RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
	  $(CARGO) build --release --locked -Z build-std=core --features pki
	$(CARGO) build
	$(PROFILE_DIR)/onecard bench firmware
	$(PROFILE_DIR)/onecard bench firmware --image target/firmware-pki/thumbv8m.main-none-eabi/release/card-firmware

bench:
	$(CARGO) build --release
	target/release/onecard bench card --json

audit:
	$(CARGO) deny check advisories

clean:
	$(CARGO) clean
