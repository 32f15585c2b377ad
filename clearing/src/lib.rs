//! The clearing house 清算中心: ingest, ledger, settlement, medical endpoints.
//!
//! [`start`] runs the service on a thread of its own, for `onecard clearing serve` and inside other
//! processes alike. [`House`] holds the use cases without HTTP. [`audit::run`] recomputes the ledger
//! from the immutable rows.
//!
//! Two steps on every store: *admission* of a signed batch (one durable row) and idempotent
//! *application*. What was admitted and not applied is swept up at the start, at the close, and every
//! few seconds.

pub mod api;
pub mod audit;
pub mod clock;
pub mod error;
pub mod house;
pub mod ingest;
pub mod ledger;
pub mod medical;
mod pension;
mod publish;
pub mod settle;
pub mod store;
pub mod tariffs;
pub mod topup;

pub use api::{Config, Role, Running, StartError, Token, start};
pub use clock::{Clock, SimClock, SystemClock};
pub use error::{ClearingError, Refusal};
pub use house::{House, Rules, RulesError, TopUpLimits};
pub use medical::HospitalKey;
pub use store::{SqliteStore, Store};
