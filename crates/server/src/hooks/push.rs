//! What a webhook tells: which repository, and which of its references came, moved or went.
//!
//! Read leniently: of the documents that the forges send only the few members that name repositories and references count,
//! and what is missing or of another type is as if it were not there. Those that name a repository are the ones that the
//! forge fills itself: others, such as GitHub's `homepage`, hold what somebody likes.

use quipu_fetch::RepoName;
use serde_json::Value;

use super::Forge;

/// A change in a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Push {
    /// The repository, by each of its addresses that means another name.
    pub(crate) repositories: Vec<RepoName>,
    /// The tag that came or moved, without `refs/tags/`.
    pub(crate) tag: Option<String>,
}

impl Push {
    /// Reads the JSON that this forge sent. `None` if it is no JSON object.
    pub(crate) fn parse(forge: Forge, body: &[u8]) -> Option<Self> {
        let document: Value = serde_json::from_slice(body).ok()?;
        document.as_object()?;
        Some(Self { repositories: repositories(forge, &document), tag: tag(&document) })
    }
}

/// Members that hold the repository, each with its members that hold an address of it.
type Places = &'static [(&'static str, &'static [&'static str])];

const OF_GITLAB: Places = &[
    ("project", &["git_http_url", "git_ssh_url", "http_url", "ssh_url", "web_url"]),
    ("repository", &["git_http_url", "git_ssh_url"]),
];

/// Of old versions of GitLab, which give no other address. It is the project's page.
const OF_OLD_GITLAB: Places = &[("project", &["homepage"])];

/// Gitea and Forgejo send what GitHub sends.
const OF_OTHERS: Places = &[("repository", &["clone_url", "html_url", "ssh_url", "git_url"])];

fn repositories(forge: Forge, document: &Value) -> Vec<RepoName> {
    match forge {
        Forge::GitLab => {
            let found = named(document, OF_GITLAB);
            if found.is_empty() { named(document, OF_OLD_GITLAB) } else { found }
        }
        Forge::GitHub | Forge::Gitea | Forge::Forgejo => named(document, OF_OTHERS),
    }
}

fn named(document: &Value, places: Places) -> Vec<RepoName> {
    let mut found: Vec<RepoName> = Vec::new();
    for (place, members) in places {
        let addresses = members.iter().filter_map(|member| document.get(place)?.get(member)?.as_str());
        for name in addresses.filter_map(RepoName::parse) {
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

fn tag(document: &Value) -> Option<String> {
    let text = |member: &str| document.get(member).and_then(Value::as_str);
    let deleted = document.get("deleted").and_then(Value::as_bool).unwrap_or_default();
    let gone = text("after").is_some_and(|after| !after.is_empty() && after.bytes().all(|byte| byte == b'0'));
    let reference = text("ref").filter(|_| !deleted && !gone)?;
    let tag = match text("ref_type") {
        // The event for a tag or branch alone, with the short name.
        Some("tag") => reference.strip_prefix("refs/tags/").unwrap_or(reference),
        _ => reference.strip_prefix("refs/tags/")?,
    };
    Some(tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(forge: Forge, body: &str) -> (Vec<String>, Option<String>) {
        let push = Push::parse(forge, body.as_bytes()).unwrap();
        (push.repositories.iter().map(ToString::to_string).collect(), push.tag)
    }

    #[test]
    fn each_forge_is_understood() {
        let github = r#"{"ref":"refs/tags/v1.2.0","before":"0000000000000000000000000000000000000000",
            "after":"6dcb09b5b57875f334f61aebed695e2e4193db5e","created":true,"deleted":false,"forced":false,
            "base_ref":"refs/heads/main","repository":{"id":1,"name":"tool","full_name":"team/tool","private":true,
            "html_url":"https://github.example/team/tool","url":"https://api.github.example/repos/team/tool",
            "git_url":"git://github.example/team/tool.git","ssh_url":"git@github.example:team/tool.git",
            "clone_url":"https://github.example/team/tool.git","svn_url":"https://github.example/team/svn",
            "homepage":"https://victim.example/tool"},"pusher":{"name":"dev"}}"#;
        assert_eq!(
            read(Forge::GitHub, github),
            (vec!["github.example/team/tool".to_owned()], Some("v1.2.0".to_owned()))
        );
        let created = r#"{"ref":"v1.2.0","ref_type":"tag","repository":{"clone_url":"https://github.example/team/tool.git"}}"#;
        assert_eq!(read(Forge::GitHub, created).1.unwrap(), "v1.2.0");
        let gitlab = r#"{"object_kind":"tag_push","event_name":"tag_push","ref":"refs/tags/sub/v0.1.0","checkout_sha":"82b3",
            "before":"0000000000000000000000000000000000000000","after":"82b3d5ae55f7080f1e6022629cdb57bfae7cccc7",
            "project":{"id":1,"web_url":"http://gitlab.example/group/deep/tool","git_ssh_url":"git@gitlab.example:group/deep/tool.git",
            "git_http_url":"http://gitlab.example/group/deep/tool.git","homepage":"http://gitlab.example/group/deep/tool"},
            "repository":{"name":"tool","url":"ssh://git@gitlab.example/group/deep/tool.git","homepage":"http://gitlab.example/group/deep/tool"}}"#;
        assert_eq!(
            read(Forge::GitLab, gitlab),
            (vec!["gitlab.example/group/deep/tool".to_owned()], Some("sub/v0.1.0".to_owned()))
        );
        let gitea = r#"{"ref":"refs/heads/main","before":"28e1","after":"bffe","repository":{"full_name":"team/tool",
            "html_url":"http://gitea.example:3000/team/tool","ssh_url":"ssh://git@gitea.example:2222/team/tool.git",
            "clone_url":"http://gitea.example:3000/team/tool.git","url":"http://gitea.example:3000/api/v1/repos/team/tool"}}"#;
        assert_eq!(read(Forge::Gitea, gitea), (vec!["gitea.example/team/tool".to_owned()], None));
    }

    #[test]
    fn what_somebody_likes_to_write_names_no_repository() {
        let own = r#"{"repository":{"homepage":"https://git.example/home","url":"https://git.example/url",
            "svn_url":"https://git.example/svn"},"project":{"clone_url":"https://git.example/clone"}}"#;
        for forge in [Forge::GitHub, Forge::GitLab, Forge::Gitea, Forge::Forgejo] {
            assert_eq!(read(forge, own).0, [""; 0], "{forge:?}");
        }
        let old = r#"{"project":{"homepage":"http://gitlab.example/group/tool"},"repository":{"homepage":"http://x.example/y"}}"#;
        assert_eq!(read(Forge::GitLab, old).0, ["gitlab.example/group/tool"]);
        let new = old.replace("},\"rep", ",\"web_url\":\"http://gitlab.example/group/new\"},\"rep");
        assert_eq!(read(Forge::GitLab, &new).0, ["gitlab.example/group/new"]);
    }

    #[test]
    fn what_went_is_not_fetched() {
        let zeros = "0".repeat(40);
        for body in [
            r#"{"ref":"refs/tags/v1.0.0","deleted":true}"#.to_owned(),
            format!(r#"{{"ref":"refs/tags/v1.0.0","after":"{zeros}"}}"#),
            r#"{"ref":"v1.0.0","ref_type":"branch"}"#.to_owned(),
            r#"{"ref":7,"after":[],"deleted":"yes","repository":"none","project":{"web_url":7}}"#.to_owned(),
            "{}".to_owned(),
        ] {
            for forge in [Forge::GitHub, Forge::GitLab, Forge::Gitea, Forge::Forgejo] {
                assert_eq!(read(forge, &body), (vec![], None), "{body}");
            }
        }
        for body in ["", "[]", "7", "null", "payload=%7B%7D"] {
            assert_eq!(Push::parse(Forge::GitHub, body.as_bytes()), None, "{body}");
        }
    }
}
