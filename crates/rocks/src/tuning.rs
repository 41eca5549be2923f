//! How RocksDB is set up: what is asked of it for safety, for speed and for bounded memory.

use std::time::Duration;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompactionStyle, DBCompressionType, DBRecoveryMode,
    InfoLogger, LogLevel, statistics::StatsLevel,
};

/// The families, by name.
pub(crate) const RECORD: &str = "record";
pub(crate) const KEY: &str = "key";
pub(crate) const GROUP: &str = "group";
pub(crate) const TILE: &str = "tile";
pub(crate) const NOTE: &str = "note";
pub(crate) const DEFAULT: &str = "default";

/// All families, in the order they are opened. The one that a store of the layout before lacks is the last, so that it is
/// the first to be missed there and nowhere else.
pub(crate) const FAMILIES: [&str; 6] = [DEFAULT, RECORD, KEY, TILE, NOTE, GROUP];

/// What may be chosen for a store. The defaults suit a server with a few million records in 300 MB.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Bytes of blocks kept in memory; the page cache of the system holds more.
    pub cache_bytes: usize,
    /// Bytes of the write-ahead log at which it is written out to tables. Bounds both the memory of unwritten
    /// records (about twice this) and the time a restart after a crash takes.
    pub wal_bytes: u64,
    /// Free bytes on the volume below which a commit is refused as [`quipu_ledger::CommitError::Full`] before
    /// anything is written. Leaves RocksDB room to tidy up and to close.
    pub reserve_bytes: u64,
    /// Background threads for writing out and merging tables.
    pub jobs: u8,
    /// How long an opening waits while this process neither reads nor writes a byte, in whole seconds. Then it ends with
    /// [`OpenError::Still`](crate::OpenError::Still). The kernel complains of a task that hangs after as long.
    pub patience: Duration,
    /// Called every ten seconds while a store is being opened, with a sentence that says so.
    pub tell: fn(&str),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            wal_bytes: 48 << 20,
            reserve_bytes: 32 << 20,
            jobs: 2,
            patience: Duration::from_secs(120),
            tell: |_| (),
        }
    }
}

/// Options of the whole database.
pub(crate) fn database(options: &Options, read_only: bool) -> rocksdb::Options {
    let mut db = rocksdb::Options::default();
    db.create_if_missing(!read_only);
    db.create_missing_column_families(!read_only);
    db.set_paranoid_checks(true);
    // A torn last write is normal after a crash; anything else refuses to open.
    db.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    db.set_track_and_verify_wals_in_manifest(true);
    // All families are written out together, so that the tables never hold a head without its records.
    db.set_atomic_flush(true);
    db.set_max_total_wal_size(options.wal_bytes);
    // Every table is opened at start: a damaged or missing one refuses then, and a read-only instance keeps
    // reading tables that the server has deleted since.
    db.set_max_open_files(-1);
    db.set_max_background_jobs(i32::from(options.jobs));
    db.set_bytes_per_sync(1 << 20);
    db.set_stats_dump_period_sec(0);
    db.set_stats_persist_period_sec(0);
    db.set_manifest_preallocation_size(64 << 10);
    if read_only {
        // Counts checksum mismatches, also those that RocksDB shrugs off.
        db.enable_statistics();
        db.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
        // The log file of the running server must stay where it is.
        db.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
    } else {
        db.set_log_level(LogLevel::Warn);
        db.set_keep_log_file_num(4);
        db.set_max_log_file_size(4 << 20);
    }
    db
}

/// The families with their options; all share one cache.
pub(crate) fn families(options: &Options, cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    let family = |name| ColumnFamilyDescriptor::new(name, family(name, options, cache));
    FAMILIES.into_iter().map(family).collect()
}

fn family(name: &str, options: &Options, cache: &Cache) -> rocksdb::Options {
    let mut cf = rocksdb::Options::default();
    // Set, not left to what this build of RocksDB happens to support: every build must read every store.
    cf.set_compression_type(DBCompressionType::None);
    cf.set_bottommost_compression_type(DBCompressionType::None);
    cf.set_level_compaction_dynamic_level_bytes(true);
    // The bound on the write-ahead log writes out all families first; this only stops a runaway.
    cf.set_write_buffer_size(usize::try_from(options.wal_bytes).unwrap_or(64 << 20));
    cf.set_max_write_buffer_number(3);
    let mut table = BlockBasedOptions::default();
    table.set_format_version(6);
    table.set_block_cache(cache);
    // Indexes and filters stay in memory, outside the cache: 1.8 MB for each million records, and a lookup never
    // waits for one or asks the cache where it is. In the cache, whole filters push each other out.
    table.set_cache_index_and_filter_blocks(false);
    match name {
        // A row of either is larger than that and has a block of its own.
        RECORD | TILE => table.set_block_size(4 << 10),
        KEY => {
            table.set_bloom_filter(10.0, false);
            table.set_optimize_filters_for_memory(true);
            cf.set_memtable_whole_key_filtering(true);
            cf.set_memtable_prefix_bloom_ratio(0.1);
            cf.set_compaction_style(DBCompactionStyle::Universal);
        }
        // Its rows come in any order of their hashes, as those of keys do.
        GROUP => cf.set_compaction_style(DBCompactionStyle::Universal),
        _ => {}
    }
    cf.set_block_based_table_factory(&table);
    cf
}
