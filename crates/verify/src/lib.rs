//! The suspicious client of a Go checksum database.
