//! One TOML file for every service: where each listens, where it keeps its data, where it finds the
//! others. `onecard config example` prints it with comments.

use crate::exit::{Code, Done, Stop};
use clearing_api::Tls;
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The commented example; a test parses it, so it cannot go stale.
pub const EXAMPLE: &str = include_str!("config.example.toml");

/// The whole file. Every section may be left out; a service refuses to start without its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Key service.
    pub hsm: Option<Hsm>,
    /// Clearing house.
    pub clearing: Option<Clearing>,
    /// Issuance.
    pub issuance: Option<Issuance>,
}

/// `[hsm]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hsm {
    /// Where `onecard hsm serve` listens and, without `servers`, everyone else finds it.
    pub address: SocketAddr,
    /// Servers that clients ask, `host:port`, in order.
    #[serde(default)]
    pub servers: Vec<String>,
    /// Where the server's health and metrics are. Loopback only.
    pub health: Option<SocketAddr>,
    /// Directory of `ca.pem` and of the certificates and keys of the parties on this machine.
    pub certificates: PathBuf,
    /// Directory of the key store, the load journal and the audit log.
    pub store: PathBuf,
    /// File whose first line is the passphrase. Without it the passphrase is asked for.
    pub passphrase_file: Option<PathBuf>,
    /// File with the ledger's Ed25519 public key (hex): whose holds the HSM honours.
    pub ledger_public_key_file: PathBuf,
    /// The PKCS#11 token that holds the masters. Without one the key store's file does.
    pub token: Option<Token>,
}

/// `[hsm.token]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The PKCS#11 module, a shared library.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    /// File whose first line is the user PIN. Without it the PIN is asked for.
    pub pin_file: Option<PathBuf>,
}

/// `[clearing]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clearing {
    /// Where it listens; without `tls` on loopback alone.
    pub address: SocketAddr,
    /// Its certificate for HTTPS, and the authority of its clients' certificates.
    pub tls: Option<Tls>,
    /// SQLite file.
    pub database: PathBuf,
    /// Directory of tariffs, benefit policies and institutions (`data/fujian`).
    pub data: PathBuf,
    /// File with the ledger's Ed25519 signing key (hex, 32 bytes).
    pub ledger_key_file: PathBuf,
    /// File with access tokens, one `role token` a line (roles: issuance, staff, auditor).
    pub tokens_file: PathBuf,
    /// File with hospital credentials, one `institution access-key secret-key` a line.
    pub hospitals_file: PathBuf,
}

/// `[issuance]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuance {
    /// Where it listens.
    pub address: SocketAddr,
    /// SQLite file.
    pub database: PathBuf,
    /// File with access tokens, one `role staff token` a line.
    pub tokens_file: PathBuf,
}

/// Reads the file; names the field that is wrong.
pub fn load(path: &Path) -> Done<Config> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Stop::new(
            Code::NotFound,
            format!(
                "cannot read {}: {error}. `onecard config example > onecard.toml` writes one to start from",
                path.display()
            ),
        )
    })?;
    toml::from_str(&text)
        .map_err(|error| Stop::new(Code::Usage, format!("{}: {error}", path.display())))
}

/// The section a service needs.
pub fn section<'a, T>(section: Option<&'a T>, name: &str, path: &Path) -> Done<&'a T> {
    section.ok_or_else(|| {
        Stop::new(
            Code::Usage,
            format!(
                "{} has no [{name}] section: see `onecard config example`",
                path.display()
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_parses() {
        let config: super::Config = toml::from_str(super::EXAMPLE).expect("example");
        assert!(config.hsm.is_some() && config.clearing.is_some() && config.issuance.is_some());
    }
}
