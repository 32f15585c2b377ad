//! Puts the memory map where the linker looks for it.

use std::{env, fs, path::Path};

fn main() {
    let Ok(out) = env::var("OUT_DIR") else {
        panic!("cargo sets OUT_DIR");
    };
    if let Err(error) = fs::copy("memory.x", Path::new(&out).join("memory.x")) {
        panic!("memory.x: {error}");
    }
    // cortex-m-rt wants the device's interrupt names; there are none (main.rs).
    if let Err(error) = fs::write(Path::new(&out).join("device.x"), "") {
        panic!("device.x: {error}");
    }
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rerun-if-changed=memory.x");
}
