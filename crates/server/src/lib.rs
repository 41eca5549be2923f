//! HTTP face of quipu: checksum database and module proxy.
