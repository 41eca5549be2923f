//! Modules made for tests, and the zips they are in.

use quipu_module::{H1, ModuleVersion, check_zip};

use super::server::{Reply, Server};

/// A module version with its three files.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) version: ModuleVersion,
    pub(crate) info: String,
    pub(crate) go_mod: Vec<u8>,
    pub(crate) zip: Vec<u8>,
}

impl Module {
    /// A module with a go.mod, a source file and `size` bytes of text that does not compress.
    pub(crate) fn new(version: &str, size: usize) -> Self {
        let version = super::version(version);
        let go_mod = format!("module {}\n\ngo 1.20\n", version.path()).into_bytes();
        let noise: Vec<u8> =
            (0..size as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        let name = |file: &str| format!("{version}/{file}");
        let package =
            version.path().as_str().rsplit('/').next().unwrap().replace(['.', '-'], "_").to_lowercase();
        let source = format!("package {package}\n");
        let zip = zip(&[
            (&name("go.mod"), &go_mod),
            (&name("x.go"), source.as_bytes()),
            (&name("noise.txt"), &noise),
        ]);
        let info = format!(r#"{{"Version":"{}","Time":"2024-01-02T03:04:05Z"}}"#, version.version());
        Self { version, info, go_mod, zip }
    }

    /// The same without go.mod in the zip.
    pub(crate) fn without_go_mod(version: &str) -> Self {
        let module = Self::new(version, 0);
        let zip = zip(&[(&format!("{version}/x.go"), b"package x\n")]);
        let go_mod = format!("module {}\n", module.version.path()).into_bytes();
        Self { zip, go_mod, ..module }
    }

    pub(crate) fn zip_h1(&self) -> H1 {
        check_zip(&self.version, std::io::Cursor::new(&self.zip)).unwrap().hash
    }

    pub(crate) fn go_mod_h1(&self) -> H1 {
        quipu_module::hash_go_mod(&self.go_mod)
    }

    /// `/<escaped path>/@v/<escaped version>.<extension>`
    pub(crate) fn url(&self, extension: &str) -> String {
        format!("/{}/@v/{}.{extension}", self.version.path().escaped(), self.version.version().escaped())
    }

    /// Serves the three files and a list of this version alone.
    pub(crate) fn serve(&self, server: &Server) {
        server.on(&self.url("info"), Reply::ok(self.info.clone()));
        server.on(&self.url("mod"), Reply::ok(self.go_mod.clone()));
        server.on(&self.url("zip"), Reply::ok(self.zip.clone()));
        let list = format!("/{}/@v/list", self.version.path().escaped());
        server.on(&list, Reply::ok(format!("{}\n", self.version.version())));
        server.on(&format!("/{}/@latest", self.version.path().escaped()), Reply::ok(self.info.clone()));
    }
}

/// A zip of these files, stored without compression.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in files {
        let offset = out.len() as u32;
        let mut fields = Vec::new();
        fields.extend(20u16.to_le_bytes()); // version needed
        fields.extend([0; 2]); // flags
        fields.extend([0; 2]); // method: stored
        fields.extend([0; 4]); // time and date
        fields.extend(crc32(content).to_le_bytes());
        fields.extend((content.len() as u32).to_le_bytes());
        fields.extend((content.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0; 2]); // extra field
        out.extend(b"PK\x03\x04");
        out.extend(&fields);
        out.extend(name.as_bytes());
        out.extend(*content);
        directory.extend(b"PK\x01\x02");
        directory.extend(20u16.to_le_bytes()); // version made by
        directory.extend(&fields);
        directory.extend([0; 10]); // comment, disk, attributes
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06");
    out.extend([0; 4]);
    out.extend((files.len() as u16).to_le_bytes());
    out.extend((files.len() as u16).to_le_bytes());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
