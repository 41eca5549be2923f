//! Go's rules about modules, pure: no clock, no files, no network; readers are handed in.
//!
//! | subject | start at | reference |
//! |---|---|---|
//! | module paths and their escaping | [`ModulePath`] | `golang.org/x/mod/module` |
//! | versions, order, pseudo-versions | [`Version`], [`ModuleVersion`], [`semver`], [`Pseudo`] | `golang.org/x/mod/semver` |
//! | what a proxy or a database is asked | [`Query`], [`ModuleVersion::parse_escaped`] | `go help goproxy` |
//! | `h1:` hashes | [`H1`], [`hash_files`], [`hash_go_mod`] | `golang.org/x/mod/sumdb/dirhash` |
//! | zips, judged and hashed in one pass | [`check_zip`], [`check_publish`] | `golang.org/x/mod/zip`, Go's `archive/zip` |
//! | the files of a module, and its zip | [`select_files`], [`ZipWriter`] | `golang.org/x/mod/zip` |
//! | go.mod, as far as serving needs it | [`GoMod`], [`quick_module_path`] | `golang.org/x/mod/modfile` |
//! | go.sum lines and log records | [`SumLine`], [`Record`], [`parse_go_sum`] | `go help module-auth` |
//! | GOPRIVATE patterns | [`Patterns`] | `go help private` |
//! | GOPROXY and GOSUMDB | [`ProxyList`], [`SumDb`] | `go help goproxy` |
//! | GOVCS | [`Govcs`], [`Vcs`] | `go help vcs` |
//! | where the repository of a path is | [`KnownRoot`], [`GoImports`] | `go help importpath` |
//!
//! Everything but [`check_publish`] accepts and refuses exactly what `go` 1.26 does, with its Unicode 15.0.0 tables: a
//! database whose rules differ from its clients' either breaks builds or vouches for what they would
//! refuse. Types such as [`ModulePath`] can only be made by parsing, so that a check is done once, at the
//! edge; error texts are worded like Go's.
//!
//! ```
//! use quipu_module::{ModuleVersion, Record, hash_files, hash_go_mod};
//!
//! let module = ModuleVersion::parse_escaped("example.com/!hello@v1.0.0")?;
//! assert_eq!(module.to_string(), "example.com/Hello@v1.0.0");
//!
//! let go_mod: &[u8] = b"module example.com/Hello\n";
//! let files = [("go.mod", go_mod), ("hello.go", b"package hello\n")];
//! let names = files.map(|(path, content)| (format!("{module}/{path}"), content));
//! let record = Record { module, zip: hash_files(names)?, go_mod: hash_go_mod(go_mod) };
//! assert_eq!(
//!     record.to_string(),
//!     "example.com/Hello v1.0.0 h1:cDollOlr+Amw0dXkFPvLymCXT+8Wf0EDL8iP1Su1il0=\n\
//!      example.com/Hello v1.0.0/go.mod h1:YqcfaCs+faB6XdkPtKfjOa5uJ8zEX7v9JKkMELXE0/A=\n"
//! );
//! # Ok::<(), quipu_module::Error>(())
//! ```

mod error;
mod escape;
mod go_import;
mod go_mod;
mod goproxy;
mod govcs;
mod h1;
mod known_root;
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
pub use go_import::{GoImport, GoImports};
pub use go_mod::{GoMod, Requirement, Retraction, quick_module_path, synthesize_go_mod};
pub use goproxy::{
    Fallback, ProxyEntry, ProxyList, ProxyTarget, SUM_GOLANG_ORG_KEY, SumDatabase, SumDb, is_database_name,
};
pub use govcs::{Govcs, Vcs};
pub use h1::{H1, hash_files, hash_go_mod};
pub use known_root::KnownRoot;
pub use path::{ModulePath, check_file_path, check_import_path, split_path_version};
pub use patterns::Patterns;
pub use pseudo::{Pseudo, format_pseudo, is_pseudo};
pub use sum::{GoSumEntry, Record, SumKind, SumLine, find_hash, parse_go_sum};
pub use time::{format_rfc3339, parse_rfc3339, parse_stamp};
pub use url::BaseUrl;
pub use version::{ModuleVersion, Query, Version, check_module_version, check_path_major};
pub use zip::{
    Listed, ListedKind, MAX_ENTRIES, MAX_ROOT_FILE, MAX_ZIP, Omission, Selection, ZipFile, ZipReport,
    ZipWriter, check_publish, check_zip, hash_zip, list_zip, read_zip_file, read_zip_files, select_files,
};
