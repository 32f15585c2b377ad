#!/bin/sh
# Installs what OneCard's build, demo and tests need on Debian. Idempotent: a machine that has
# everything is left alone and needs neither root nor the network.
set -eu

packages="pkg-config gcc g++ libpcsclite-dev pcscd vsmartcard-vpcd opensc pcsc-tools softhsm2 lld rustc-web rust-web-src qemu-system-arm fonts-wqy-microhei libxkbcommon-x11-0 libx11-xcb1 libxcursor1 libxi6 libxrandr2 xvfb xdotool"

missing=""
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: no cargo found. Install a Rust toolchain (1.95 or newer) first: https://rustup.rs" >&2
    exit 1
fi

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "setup: this is not a Debian system. Install what these packages hold, then run again:$missing" >&2
        exit 1
    fi
    if [ "$(id -u)" = 0 ]; then
        sudo=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        sudo="sudo"
    elif command -v sudo >/dev/null 2>&1 && [ -t 0 ]; then
        sudo="sudo"
    else
        echo "setup: missing packages:$missing" >&2
        echo "setup: run as root, or: sudo apt-get install$missing" >&2
        exit 1
    fi
    echo "setup: installing$missing"
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
