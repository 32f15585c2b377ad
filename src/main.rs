//! onecard
fn main() {}
