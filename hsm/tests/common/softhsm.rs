//! A SoftHSM token of one test.
//!
//! The module reads its configuration from the environment of the process, so such a test runs
//! itself again in a process of its own.
//!
//! With `ONECARD_TEST_KRYOPTIC=/path/to/libkryoptic_pkcs11.so` the same tests run on a Kryoptic token.

#![allow(unreachable_pub)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
const DIRECTORY: &str = "ONECARD_TEST_SOFTHSM";

pub const LABEL: &str = "onecard test";
pub const PIN: &str = "secret-PIN-2468";

const KRYOPTIC: &str = "ONECARD_TEST_KRYOPTIC";

/// Kryoptic knows AES and no DES.
pub fn has_des() -> bool {
    std::env::var_os(KRYOPTIC).is_none()
}

pub fn module() -> PathBuf {
    if let Some(kryoptic) = std::env::var_os(KRYOPTIC) {
        return kryoptic.into();
    }
    let found = MODULES.iter().map(PathBuf::from).find(|p| p.exists());
    found.expect("SoftHSM is not installed: run deploy/setup.sh")
}

/// Runs `body` in a process with an empty SoftHSM of its own; `test` is the full name of the calling
/// test. `body` gets a directory with `tokens/` inside.
pub fn with_softhsm(test: &str, body: impl FnOnce(&Path)) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        body(Path::new(&directory));
        return;
    }
    // SoftHSM writes a file anew for every attribute; in memory that takes no time.
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .unwrap();
    let tokens = directory.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let conf = directory.path().join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    fs::write(&conf, text).unwrap();
    let kryoptic = tokens.join("kryoptic.sql");
    let init = Command::new("softhsm2-util")
        .arg("--module")
        .arg(module())
        .args(["--init-token", "--free", "--label", LABEL])
        .args(["--so-pin", "security-officer", "--pin", PIN])
        .env("SOFTHSM2_CONF", &conf)
        .env("KRYOPTIC_CONF", &kryoptic)
        .output()
        .expect("softhsm2-util is not installed: run deploy/setup.sh");
    assert!(init.status.success(), "{init:?}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env("KRYOPTIC_CONF", &kryoptic)
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    // A name that no test has would pass without having run.
    let ran = output.status.success() && out.contains("1 passed");
    assert!(ran, "{test} in its own process:\n{out}\n{err}");
}
