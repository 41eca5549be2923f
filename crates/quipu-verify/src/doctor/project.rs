//! The project: what go.mod requires, what go.sum has, and whether there is a vendor directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use quipu_module::{GoSumEntry, parse_go_sum};

/// A project, or as many modules as a workspace has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Project {
    /// Where go.mod or go.work lies; none if there is none.
    pub(crate) root: Option<PathBuf>,
    /// The main modules.
    pub(crate) mains: Vec<String>,
    /// What they require that nothing replaces, with the versions.
    pub(crate) required: BTreeMap<String, BTreeSet<String>>,
    /// The lines of all go.sum files; none if there is no such file.
    pub(crate) sums: Option<Vec<GoSumEntry>>,
    pub(crate) vendored: bool,
    /// What could not be read.
    pub(crate) unreadable: Vec<String>,
}

impl Project {
    /// The project that a directory belongs to. `go_work` is the value of GOWORK.
    pub(crate) fn find(dir: &Path, go_work: &str) -> Self {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let work = match go_work {
            "off" => None,
            "" => above(&dir, "go.work"),
            file => Some(PathBuf::from(file)),
        };
        let mut project = Self::default();
        if let Some(work) = work {
            project.add_work(&work);
        } else if let Some(go_mod) = above(&dir, "go.mod") {
            project.add_module(&go_mod);
        }
        project
    }

    fn add_work(&mut self, file: &Path) {
        let Some(text) = self.read(file) else { return };
        let root = parent(file);
        for line in statements(&text).into_iter().take(MAX_MODULES) {
            if let [verb, dir] = line.as_slice()
                && verb == "use"
            {
                self.add_module(&root.join(dir).join("go.mod"));
            }
        }
        self.add_sums(&root.join("go.work.sum"));
        self.vendored |= root.join("vendor/modules.txt").exists();
        self.root = Some(root);
    }

    fn add_module(&mut self, file: &Path) {
        let Some(text) = self.read(file) else { return };
        let root = parent(file);
        self.add_go_mod(&text);
        self.add_sums(&root.join("go.sum"));
        self.vendored |= root.join("vendor/modules.txt").exists();
        self.root = Some(root);
    }

    /// Takes in what a go.mod says.
    pub(crate) fn add_go_mod(&mut self, text: &str) {
        let lines = statements(text);
        let replaced: BTreeSet<&str> = lines
            .iter()
            .filter(|line| line.first().is_some_and(|verb| verb == "replace"))
            .filter_map(|line| line.get(1).map(String::as_str))
            .collect();
        for line in &lines {
            match line.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["module", path] => self.mains.push((*path).to_owned()),
                ["require", path, version] if !replaced.contains(path) => self.require(path, version),
                // What stands in for another module, if that is fetched.
                ["replace", .., "=>", path, version] => self.require(path, version),
                _ => {}
            }
        }
    }

    fn require(&mut self, path: &str, version: &str) {
        self.required.entry(path.to_owned()).or_default().insert(version.to_owned());
    }

    fn add_sums(&mut self, file: &Path) {
        let content = match fs::read(file) {
            Ok(content) => content,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => return self.unreadable.push(format!("{}: {error}", file.display())),
        };
        let sums = self.sums.get_or_insert_default();
        match parse_go_sum(&content) {
            Ok(entries) => sums.extend(entries),
            Err(error) => self.unreadable.push(format!("{}: {error}", file.display())),
        }
    }

    fn read(&mut self, file: &Path) -> Option<String> {
        match fs::read_to_string(file) {
            Ok(text) => Some(text),
            Err(error) => {
                self.unreadable.push(format!("{}: {error}", file.display()));
                None
            }
        }
    }
}

fn parent(file: &Path) -> PathBuf {
    file.parent().unwrap_or(file).to_owned()
}

fn above(dir: &Path, name: &str) -> Option<PathBuf> {
    dir.ancestors().map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The lines of a go.mod or go.work in words, those of a block with its verb before them.
fn statements(text: &str) -> Vec<Vec<String>> {
    let mut block: Option<String> = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words = words(line);
        match (words.as_slice(), &block) {
            ([], _) => {}
            ([verb, open], None) if open == "(" => block = Some(verb.clone()),
            ([close], Some(_)) if close == ")" => block = None,
            (_, Some(verb)) => {
                words.insert(0, verb.clone());
                lines.push(words);
            }
            (_, None) => lines.push(words),
        }
    }
    lines
}

/// Words between blanks, quoted ones without their quotes, up to a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with("//") {
        let quoted = rest.chars().next().filter(|c| matches!(c, '"' | '`'));
        let (word, after) = match quoted.and_then(|quote| rest.get(1..)?.split_once(quote)) {
            Some(parts) => parts,
            None => {
                let end = rest.find(|c: char| c.is_whitespace() || c == '(' || c == ')');
                rest.split_at(end.unwrap_or(rest.len()).max(1))
            }
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

const MAX_MODULES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_mod_is_understood() {
        let mut project = Project::default();
        project.add_go_mod(
            "module \"git.corp/app\" // x\nrequire a.test/x v1.0.0 // indirect\nrequire(\n\n\t// \
                      none\n\tb.test/y v2.0.0+incompatible\n\tgit.corp/lib v0.1.0\n\tc.test/z \
                      v1.0.0\n)\nreplace git.corp/lib => ../lib\nreplace c.test/z v1.0.0 => fork.test/z \
                      v1.0.1\nexclude b.test/y v1.0.0\n",
        );
        assert_eq!(project.mains, ["git.corp/app"]);
        assert_eq!(project.required.keys().collect::<Vec<_>>(), ["a.test/x", "b.test/y", "fork.test/z"]);
    }

    #[test]
    fn odd_lines_do_no_harm() {
        for text in ["require (", ")", "\"", "require \"a", "((", "é(", "module", "use ( ./é )\n", "//"] {
            Project::default().add_go_mod(text);
        }
    }

    #[test]
    fn a_workspace_has_the_modules_of_all() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        put("go.work", "go 1.26\nuse ./a\nuse (\n\t./b\n)\n");
        put("go.work.sum", "x.test/x v1.0.0 h1:A=\n");
        put("a/go.mod", "module w.test/a\nrequire x.test/x v1.0.0\n");
        put("b/go.mod", "module w.test/b\nrequire y.test/y v1.0.0\nrequire x.test/x v1.1.0\n");
        put("b/go.sum", "y.test/y v1.0.0 h1:A=\n");
        let project = Project::find(&dir.path().join("b"), "");
        assert_eq!(project.mains, ["w.test/a", "w.test/b"]);
        assert_eq!(project.required["x.test/x"].len(), 2);
        assert_eq!(project.sums.unwrap().len(), 2);
        let alone = Project::find(&dir.path().join("b"), "off");
        assert_eq!((alone.mains.as_slice(), alone.sums.unwrap().len()), (&["w.test/b".to_owned()][..], 1));
        put("b/go.sum", "y.test/y v1.0.0\n");
        assert_eq!(Project::find(&dir.path().join("b"), "off").unreadable.len(), 1);
        assert!(Project::find(&dir.path().join("b"), "/nowhere/go.work").unreadable[0].contains("/nowhere"));
    }
}
