//! The secrets of webhooks, read from their files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use quipu_server::{Forge, Secrets};

use crate::config::Hooks;

/// The forges whose webhooks are taken.
///
/// # Errors
/// A file that cannot be read, that everybody may read, or that holds no good secret.
pub(crate) fn secrets(hooks: &Hooks) -> Result<BTreeMap<Forge, Secrets>> {
    let named = [
        (Forge::GitHub, "github", &hooks.github),
        (Forge::GitLab, "gitlab", &hooks.gitlab),
        (Forge::Gitea, "gitea", &hooks.gitea),
        (Forge::Forgejo, "forgejo", &hooks.forgejo),
    ];
    let mut secrets = BTreeMap::new();
    for (forge, key, file) in named {
        if let Some(file) = file {
            let of = || format!("[hooks] {key}: {}", file.display());
            secrets.insert(forge, read(file).with_context(of)?);
        }
    }
    Ok(secrets)
}

fn read(file: &Path) -> Result<Secrets> {
    let meta = fs::metadata(file)?;
    ensure!(meta.mode() & 0o007 == 0, "everybody may read it (mode {:o}): chmod o-rwx", meta.mode() & 0o7777);
    Secrets::parse(&fs::read_to_string(file)?).map_err(|why| anyhow!(why))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_are_read_and_faults_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("github.secret");
        let hooks = Hooks { github: Some(file.clone()), ..Hooks::default() };
        for (content, mode, fault) in [
            (Some("a secret that is long enough\n"), 0o640, None),
            (Some("a secret that is long enough\n"), 0o644, Some("everybody may read it")),
            (Some("short\n"), 0o600, Some("shorter than 16 bytes")),
            (Some(""), 0o600, Some("holds no secret")),
            (None, 0, Some("github.secret")),
        ] {
            let _ = fs::remove_file(&file);
            if let Some(content) = content {
                fs::write(&file, content).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            }
            match (secrets(&hooks), fault) {
                (Ok(secrets), None) => assert_eq!(secrets.keys().collect::<Vec<_>>(), [&Forge::GitHub]),
                (Err(error), Some(fault)) => {
                    let text = format!("{error:#}");
                    assert!(text.contains(fault) && text.contains("[hooks] github"), "{text}");
                }
                (got, expected) => panic!("{got:?} instead of {expected:?}"),
            }
        }
        assert!(secrets(&Hooks::default()).unwrap().is_empty());
    }
}
