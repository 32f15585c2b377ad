//! Every state of every device as a picture: it fits, and it looks as it did.

#![allow(clippy::unwrap_used)]

mod fit;
mod pictures;
mod touch;

use std::{path::Path, sync::Arc};

use fare::Tariffs;
use terminal::machine::{self, Screen};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn gallery() -> Vec<(&'static str, Screen)> {
    let tariffs = Tariffs::load(&root().join("data/fujian")).unwrap();
    machine::gallery(&Arc::new(tariffs))
}
