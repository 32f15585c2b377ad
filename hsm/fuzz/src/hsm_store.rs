//! A damaged key store. `kind | ...`:
//! * 0: any file. Without the digest of its bytes it opens as nothing.
//! * 1: a real file with bytes changed, and the digest repaired, as an attacker would: the GCM tags
//!   refuse it, or it was not changed at all.
//! * 2: any content, as if the tags had let it pass. It is refused, or is a set of keys that,
//!   written again, is read as the same.

use std::sync::LazyLock;

/// A real store, made once.
static REAL: LazyLock<Vec<u8>> = LazyLock::new(hsm::fuzz::store);

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind % 3 {
        0 => {
            hsm::fuzz::opens(bytes);
        }
        1 => damaged(bytes),
        _ => hsm::fuzz::content(bytes),
    }
}

/// Changes: `where 2 | byte to XOR`.
fn damaged(changes: &[u8]) {
    let mut file = REAL.clone();
    let body = file.len() - 32;
    for change in changes.chunks_exact(3).take(64) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % body;
        file[at] ^= change[2];
    }
    let sound = file == *REAL;
    hsm::fuzz::repair(&mut file);
    // What one guess costs stands in the file, and a fuzzer would make it expensive.
    if hsm::fuzz::is_cheap(&file) {
        assert_eq!(hsm::fuzz::opens(&file), sound, "a changed store opened");
    }
}
