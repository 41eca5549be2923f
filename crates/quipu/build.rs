//! Tells programs linked with RocksDB's shared library where it lies: beside them, or where the build found it.
fn main() {
    println!("cargo::rerun-if-env-changed=ROCKSDB_LIB_DIR");
    println!("cargo::rerun-if-env-changed=ROCKSDB_STATIC");
    let dir = std::env::var("ROCKSDB_LIB_DIR");
    if let (Ok(dir), Err(_)) = (dir, std::env::var("ROCKSDB_STATIC")) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN:{dir}");
    }
}
