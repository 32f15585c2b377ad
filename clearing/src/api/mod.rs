//! The HTTP service.

mod auth;
mod handlers;
mod peer;
mod problem;
mod server;

pub use auth::{Role, Token};
pub use server::{Config, Running, StartError, start};

use crate::house::House;
use crate::medical::HospitalKey;
use crate::store::SqliteStore;

/// What every handler sees.
pub(crate) struct App {
    pub(crate) house: House<SqliteStore>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) hospitals: Vec<HospitalKey>,
}
