//! Text files that hold several files, as txtar does: a comment, then `-- name --` before each file.

/// A text with the files below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    /// What comes before the first file.
    pub(crate) comment: String,
    /// Name and content of each file, in order.
    pub(crate) files: Vec<(String, String)>,
}

impl Archive {
    /// Reads an archive; every text is one.
    pub(crate) fn parse(text: &str) -> Self {
        let mut archive = Self::default();
        for line in text.split_inclusive('\n') {
            let name = line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --"));
            match (name, archive.files.last_mut()) {
                (Some(name), _) => archive.files.push((name.trim().to_owned(), String::new())),
                (None, Some((_, content))) => content.push_str(line),
                (None, None) => archive.comment.push_str(line),
            }
        }
        archive
    }

    /// The file of this name.
    pub(crate) fn file(&self, name: &str) -> Option<&str> {
        self.files.iter().find(|(file, _)| file == name).map(|(_, content)| content.as_str())
    }
}

#[test]
fn files_follow_the_comment_in_order() {
    let archive = Archive::parse("a comment\n\n-- one --\n1\n-- empty --\n-- dir/two --\n-- not a name\n");
    assert_eq!(archive.comment, "a comment\n\n");
    let files = [("one", "1\n"), ("empty", ""), ("dir/two", "-- not a name\n")];
    assert_eq!(archive.files, files.map(|(name, content)| (name.to_owned(), content.to_owned())));
    assert_eq!((archive.file("one"), archive.file("two")), (Some("1\n"), None));
}
