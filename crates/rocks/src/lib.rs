//! ledger::Store on RocksDB.
