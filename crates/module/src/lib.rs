//! Go module rules: paths, versions, zips, h1 hashes, go.mod and go.sum.

mod error;
mod escape;
mod go_mod;
mod goproxy;
mod h1;
mod path;
mod patterns;
mod pseudo;
mod quote;
pub mod semver;
mod sum;
mod time;
mod unicode;
mod url;
mod version;
mod zip;

pub use error::{Error, ErrorKind};
pub use go_mod::{GoMod, Retraction, quick_module_path, synthesize_go_mod};
pub use goproxy::{Fallback, ProxyEntry, ProxyList, ProxyTarget, SUM_GOLANG_ORG_KEY, SumDatabase, SumDb};
pub use h1::{H1, hash_files, hash_go_mod};
pub use path::{ModulePath, check_file_path, check_import_path, split_path_version};
pub use patterns::Patterns;
pub use pseudo::{Pseudo, format_pseudo, is_pseudo};
pub use sum::{GoSumEntry, Record, SumKind, SumLine, find_hash, parse_go_sum};
pub use url::BaseUrl;
pub use version::{ModuleVersion, Query, Version, check_module_version, check_path_major};
pub use zip::{MAX_ENTRIES, MAX_ROOT_FILE, MAX_ZIP, ZipReport, check_zip, hash_zip};
