//! Secrets come from files or the terminal, never from arguments.

use crate::exit::{Code, Done, Stop};
use std::{
    fs,
    io::{IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use zeroize::Zeroizing;

/// First line of a file.
pub fn line(path: &Path, what: &str) -> Done<Zeroizing<String>> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| {
        Stop::new(
            Code::NotFound,
            format!("cannot read {what} from {}: {error}", path.display()),
        )
    })?);
    let first = text.lines().next().unwrap_or_default().trim();
    if first.is_empty() {
        return Err(Stop::new(
            Code::Auth,
            format!("{} is empty; it must hold {what}", path.display()),
        ));
    }
    Ok(Zeroizing::new(first.to_owned()))
}

/// The passphrase from its file, or asked for when there is a terminal.
pub fn passphrase(file: Option<&Path>) -> Done<Zeroizing<String>> {
    if let Some(path) = file {
        return line(path, "the key-store passphrase");
    }
    if !std::io::stdin().is_terminal() {
        return Err(Stop::new(
            Code::Auth,
            "no passphrase: name a file in [hsm] passphrase_file, or run in a terminal",
        ));
    }
    let text = rpassword::prompt_password("Key-store passphrase 密钥库口令: ")
        .map_err(Stop::because("reading the passphrase"))?;
    Ok(Zeroizing::new(text))
}

/// 32 bytes as hex on the first line of a file.
pub fn bytes32(path: &Path, what: &str) -> Done<Zeroizing<[u8; 32]>> {
    let text = line(path, what)?;
    let mut out = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.as_bytes(), &mut out[..]).map_err(|_| {
        Stop::new(
            Code::Auth,
            format!("{} does not hold {what} (64 hex digits)", path.display()),
        )
    })?;
    Ok(out)
}

/// Writes a file that only its owner may read; refuses to replace one.
pub fn write_new(path: &Path, text: &str) -> Done {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .map_err(Stop::because(&format!("creating {}", parent.display())))?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| {
            Stop::new(
                Code::Failure,
                format!("cannot create {}: {error}", path.display()),
            )
        })?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(Stop::because(&format!("writing {}", path.display())))
}

/// `role value` lines of a file, in order; blank lines and `#` comments are skipped.
pub fn pairs(path: &Path, what: &str) -> Done<Vec<Vec<String>>> {
    let text = fs::read_to_string(path).map_err(|error| {
        Stop::new(
            Code::NotFound,
            format!("cannot read {what} from {}: {error}", path.display()),
        )
    })?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(|l| l.split_whitespace().map(str::to_owned).collect())
        .collect())
}
