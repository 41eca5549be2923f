//! The quipu server: an auditable Go checksum database and module proxy.
fn main() {}
