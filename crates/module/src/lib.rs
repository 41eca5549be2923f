//! Go module rules: paths, versions, zips, h1 hashes, go.mod and go.sum.

mod error;
mod escape;
mod h1;
mod path;
mod pseudo;
mod quote;
pub mod semver;
mod sum;
mod time;
mod unicode;
mod version;

pub use error::{Error, ErrorKind};
pub use h1::{H1, hash_files, hash_go_mod};
pub use path::{ModulePath, check_file_path, check_import_path, split_path_version};
pub use pseudo::{Pseudo, format_pseudo, is_pseudo};
pub use sum::{GoSumEntry, Record, SumKind, SumLine, find_hash, parse_go_sum};
pub use version::{ModuleVersion, Query, Version, check_module_version, check_path_major};
