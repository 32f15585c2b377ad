//! Secrets come from files or the terminal, never from arguments.

use crate::exit::{Code, Done, Stop};
use std::{
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
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
    file_or_asked(
        file,
        "the key-store passphrase",
        "[hsm] passphrase_file",
        "Key-store passphrase 密钥库口令: ",
    )
}

/// The user PIN of a token, likewise.
pub fn token_pin(file: Option<&Path>) -> Done<Zeroizing<String>> {
    file_or_asked(
        file,
        "the token's PIN",
        "[hsm.token] pin_file",
        "Token PIN 令牌口令: ",
    )
}

fn file_or_asked(
    file: Option<&Path>,
    what: &str,
    setting: &str,
    prompt: &str,
) -> Done<Zeroizing<String>> {
    if let Some(path) = file {
        return line(path, what);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Stop::new(
            Code::Auth,
            format!("{what} is missing: name a file in {setting}, or run in a terminal"),
        ));
    }
    let text =
        rpassword::prompt_password(prompt).map_err(Stop::because(&format!("reading {what}")))?;
    Ok(Zeroizing::new(text))
}

/// An answer that the terminal does not show.
pub fn hidden(prompt: &str) -> Done<Zeroizing<String>> {
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(Stop::because("reading from the terminal"))
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

/// Files written by one command. Unless [`Self::keep`] is called, dropping it removes them again, so
/// that a command that fails halfway can be repeated.
#[derive(Default)]
pub struct NewFiles(Vec<PathBuf>);

impl NewFiles {
    /// Writes a file that only its owner may read, whole or not at all; never replaces one.
    pub fn write(&mut self, path: &Path, text: &str) -> Done {
        self.write_bytes(path, text.as_bytes())
    }

    /// [`Self::write`] for what is no text.
    pub fn write_bytes(&mut self, path: &Path, bytes: &[u8]) -> Done {
        let folder = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let failed = |error: &dyn std::fmt::Display| {
            Stop::new(
                Code::Failure,
                format!("cannot create {}: {error}", path.display()),
            )
        };
        if path.exists() {
            let made = "it exists already and is never replaced; move it away to start anew";
            return Err(failed(&made));
        }
        fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        // Temporary files are created 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
        file.write_all(bytes)
            .and_then(|()| file.as_file().sync_all())
            .map_err(|error| failed(&error))?;
        file.persist_noclobber(path)
            .map_err(|error| failed(&error.error))?;
        self.0.push(path.to_path_buf());
        Ok(())
    }

    /// The command came to its end.
    pub fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
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
