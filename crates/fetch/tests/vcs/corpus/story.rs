//! Histories of repositories, ordinary and odd, out of a seed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use quipu_oracle::Rng;

/// A repository to be made, and what may be asked about it.
pub(crate) struct Story {
    /// The path of its root.
    pub(crate) root: String,
    /// The object format of git: `sha1` or `sha256`.
    pub(crate) format: &'static str,
    /// What `git fast-import` makes it from.
    pub(crate) stream: String,
    pub(crate) tags: Vec<String>,
    pub(crate) branches: Vec<String>,
    /// Directories that have a go.mod in some commit.
    modules: BTreeSet<&'static str>,
    commits: usize,
    time: u64,
}

/// Directories below the root that may be modules; a major-version suffix of the path may be one, too.
pub(crate) const MODULES: [&str; 9] =
    ["", "/v2", "/v3", "/sub", "/sub/v2", "/sub/v3", "/nested/deep", "/doc", "/sub/inner"];

/// Some of them are the names of tags too, or could be taken for commits or for what they are not.
const BRANCHES: [&str; 14] = [
    "main",
    "main",
    "dev",
    "dev",
    "feature/x",
    "v2",
    "release-1.0",
    "v1.0.0",
    "v1.2",
    "HEAD",
    "deadbeef",
    "1234567",
    "it's",
    "\u{4e16}\u{754c}",
];

impl Story {
    pub(crate) fn generate(rng: &mut Rng, root: &str) -> Self {
        let mut story = Self {
            root: root.into(),
            format: if rng.one_in(5) { "sha256" } else { "sha1" },
            stream: String::new(),
            tags: Vec::new(),
            branches: Vec::new(),
            modules: BTreeSet::from([""]),
            commits: 0,
            time: 1_500_000_000 + rng.below(100_000_000) as u64,
        };
        let count = rng.between(3, 24);
        for _ in 0..count {
            story.commit(rng);
            for _ in 0..[0, 1, 1, 2, 4][rng.below(5)] {
                story.tag(rng);
            }
        }
        story
    }

    /// Whether the module in `directory`, with this rest of its path, may be one: the end of the path may be a major version.
    pub(crate) fn has_go_mod(&self, directory: &str, rest: &str) -> bool {
        let path = format!("{directory}{rest}");
        let path = path.trim_start_matches('/');
        self.modules.iter().any(|known| {
            path.strip_prefix(known).is_some_and(|major| matches!(major, "" | "v2" | "v3" | "/v2" | "/v3"))
        })
    }

    fn commit(&mut self, rng: &mut Rng) {
        self.commits += 1;
        let mark = self.commits;
        let branch = if rng.one_in(if mark == 1 { 40 } else { 4 }) { rng.pick(&BRANCHES) } else { "main" };
        // Times go back now and then, as clocks do.
        self.time = self.time.saturating_add(rng.below(2_000_000) as u64).saturating_sub(100_000);
        let zone = rng.pick(&["+0000", "+0530", "-0800"]);
        let (time, author) = (self.time, self.time - rng.below(5000) as u64);
        let _ = write!(
            self.stream,
            "commit refs/heads/{branch}\nmark :{mark}\nauthor A <a@example.com> {author} {zone}\n\
             committer A <a@example.com> {time} {zone}\ndata 2\n{}\n",
            mark % 10
        );
        if !self.branches.iter().any(|known| known == branch) {
            self.branches.push(branch.into());
            if mark > 1 {
                let _ = writeln!(self.stream, "from :{}", rng.between(1, mark - 1));
            }
        } else if rng.one_in(8) {
            let _ = writeln!(self.stream, "merge :{}", rng.between(1, mark - 1));
        }
        // Something changes in each, so that no two commits are one.
        self.file("100644", "count.txt", &format!("{mark}\n"));
        for _ in 0..rng.between(1, 5) {
            self.change(rng);
        }
        self.stream.push('\n');
    }

    fn file(&mut self, mode: &str, path: &str, content: &str) {
        let _ = write!(self.stream, "M {mode} inline {path}\ndata {}\n{content}\n", content.len());
    }

    fn change(&mut self, rng: &mut Rng) {
        match rng.below(24) {
            0..=6 => self.go_mod(rng),
            7 => {
                let directory = rng.pick(&["", "sub/", "v2/", "sub/v3/", "nested/"]);
                let _ = writeln!(self.stream, "D {directory}go.mod");
            }
            8 => self.license(rng),
            9 => self.vendor(rng),
            10 => self.attributes(rng),
            11 => self.oddity(rng),
            12 => {
                let path = rng.pick(&["extern", "sub/extern", "v2"]);
                let commit = "1234567890".repeat(7);
                let digits = if self.format == "sha256" { 64 } else { 40 };
                let _ = writeln!(self.stream, "M 160000 {} {path}", &commit[..digits]);
            }
            13 => {
                let path = rng.pick(&["link", "sub/link", "v3/go.mod", "sub/go.mod", "go.mod"]);
                self.file(
                    "120000",
                    path,
                    rng.pick(&["a.go", "../go.mod", "module example.com/x\n", "/etc/passwd"]),
                );
            }
            _ => {
                let directory = rng.pick(&[
                    "",
                    "",
                    "sub/",
                    "sub/inner/",
                    "v2/",
                    "v3/",
                    "sub/v2/",
                    "sub/v3/",
                    "nested/deep/",
                    "doc/",
                ]);
                let base = rng.pick(&[
                    "a.go",
                    "b.go",
                    "crlf.txt",
                    "ident.txt",
                    "subst.txt",
                    "wide.u16",
                    "x.bin",
                    "README.md",
                    "世界.txt",
                ]);
                let mode = rng.pick(&["100644", "100755"]);
                self.file(mode, &format!("{directory}{base}"), &content(rng));
            }
        }
    }

    fn go_mod(&mut self, rng: &mut Rng) {
        let directory = rng.pick(&[
            "",
            "",
            "",
            "v2",
            "v3",
            "sub",
            "sub",
            "sub/v2",
            "sub/v3",
            "nested/deep",
            "doc",
            "sub/inner",
        ]);
        self.modules.insert(directory);
        let root = &self.root;
        let own = if directory.is_empty() { root.clone() } else { format!("{root}/{directory}") };
        let path = match rng.below(14) {
            0 => format!("{own}/v2"),
            1 => format!("{own}/v3"),
            2 => rng
                .pick(&[
                    "example.org/renamed",
                    "example.org/renamed/v2",
                    "gopkg.in/acme/r.v2",
                    "gopkg.in/r.v1",
                    "x/v1",
                    "\"quoted.example/m\"",
                    "",
                    "(",
                ])
                .into(),
            3 => root.clone(),
            _ => own,
        };
        let module = if path.is_empty() { String::new() } else { format!("module {path}\n") };
        let go = rng.pick(&[
            "",
            "go 1.16\n",
            "go 1.20\n",
            "go 1.23.4\n",
            "go 1.24\n",
            "go 1.25\n",
            "go 1.24.1-custom\n",
        ]);
        let rest = rng.pick(&[
            "",
            "",
            "",
            "",
            "",
            "",
            "retract v1.0.0\n",
            "retract [v1.0.0, v1.1.9] // broken\n",
            "retract (\n\tv0.1.0\n\tv1.2.0\n)\n",
            "retract [v0.0.0-0, v1.9.9]\n",
            "retract v2.0.0\nretract [v3.0.0, v3.9.9]\n",
            "require (\n",
            "require example.com/x v1.0\n",
        ]);
        let mut text = format!("{module}\n{go}{rest}");
        if rng.one_in(15) {
            text = text.replace('\n', "\r\n");
        }
        let base = if rng.one_in(40) { "Go.mod" } else { "go.mod" };
        let slash = if directory.is_empty() { "" } else { "/" };
        self.file("100644", &format!("{directory}{slash}{base}"), &text);
    }

    fn license(&mut self, rng: &mut Rng) {
        let path = rng.pick(&[
            "LICENSE",
            "LICENSE",
            "LICENSE",
            "sub/LICENSE",
            "v2/LICENSE",
            "sub/LICENSE/text",
            "sub/license",
        ]);
        let mode = if rng.one_in(6) { "120000" } else { "100644" };
        self.file(mode, path, rng.pick(&["MIT", "BSD\n", "COPYING"]));
    }

    fn vendor(&mut self, rng: &mut Rng) {
        let directory = rng.pick(&["", "", "sub/", "pkg/", "a/b/", "longdirectory/"]);
        let path = rng.pick(&["modules.txt", "top.go", "example.com/dep/dep.go", "x/go.mod", "foo/foo.go"]);
        self.file("100644", &format!("{directory}vendor/{path}"), "package vendored\n");
    }

    fn attributes(&mut self, rng: &mut Rng) {
        const LINES: [&str; 10] = [
            "doc/** export-ignore\n",
            "*.txt export-subst\n",
            "crlf.txt text eol=crlf\n",
            "* text=auto eol=crlf\n",
            "ident.txt ident\n",
            "*.u16 working-tree-encoding=UTF-16LE text\n",
            "*.bin binary\n",
            "*.go filter=lfs diff=lfs merge=lfs -text\n",
            "go.mod text eol=crlf\n",
            "* -text\n",
        ];
        let lines: String = (0..rng.between(1, 4)).map(|_| rng.pick(&LINES)).collect();
        self.file("100644", rng.pick(&[".gitattributes", ".gitattributes", "sub/.gitattributes"]), &lines);
    }

    fn oddity(&mut self, rng: &mut Rng) {
        let path = rng.pick(&[
            "it's.txt",
            "A.go",
            "sub/A.go",
            "sub/B.go",
            "aux.go",
            "doc/a*b",
            "x.",
            "nested/it's.txt",
            ".hg_archival.txt",
            ".github/x.yml",
            "with space.txt",
            "sub/\u{e9}\u{301}.txt",
            "a.go/b",
            "semi;colon",
            "\u{1f600}.txt",
            "README.MD",
            "SUB/b.go",
            "sub/count.TXT",
            "-rf",
            ":(top)x",
            "\"new\\nline\"",
            "\"latin-\\351.txt\"",
            "sub/con.txt",
            ".gitmodules",
            "sub/.git_",
            "doc/vendor",
        ]);
        self.file("100644", path, "odd\n");
        if rng.below(3) > 0 {
            // Most do not stay: what has one cannot be packed any more.
            let _ = writeln!(self.stream, "D {path}");
        }
    }

    fn tag(&mut self, rng: &mut Rng) {
        const ODD: [&str; 26] = [
            "v1.2",
            "v1",
            "1.2.1",
            "v1.02.0",
            "release",
            "v0.0.0-20200101000000-abcdefabcdef",
            "v2.0.0+incompatible",
            "v1.1.0+meta",
            "v1.1.0+other",
            "v1.0.0-",
            "sub/",
            "sub/release",
            "nested/deep/v1.0.0",
            "vx",
            "main",
            "dev",
            "HEAD",
            "deadbeef",
            "abcdef0",
            "v1.0.0%41",
            "v1.0.0;x",
            "v1.0.0'x",
            "v1.0.0$x",
            "v0.1.\u{661}",
            "sub/v1",
            "v9999999999999999999.0.0",
        ];
        let prefix = rng.pick(&["", "", "", "", "sub/", "sub/", "nested/deep/", "doc/", "v2/", "sub/v2/"]);
        let name = match rng.below(8) {
            0 => rng.pick(&ODD).into(),
            1 => format!("{prefix}v{}.{}.0-rc.{}", rng.below(4), rng.below(3), rng.below(3)),
            2 => format!("{prefix}v{}.0.0+meta", rng.below(4)),
            3 => format!("{prefix}v{}.0.0", rng.below(4)),
            _ => {
                format!("{prefix}v{}.{}.{}", rng.pick(&["0", "1", "1", "2", "3"]), rng.below(3), rng.below(3))
            }
        };
        let conflicts = |known: &String| {
            *known == name || known.starts_with(&format!("{name}/")) || name.starts_with(&format!("{known}/"))
        };
        if name.ends_with('/') || self.tags.iter().any(conflicts) {
            return;
        }
        let commit = if rng.one_in(5) { rng.between(1, self.commits) } else { self.commits };
        let tagger = "tagger A <a@example.com> 1600000000 +0000\ndata 1\nt\n";
        let _ = match rng.below(6) {
            0 | 1 => write!(self.stream, "tag {name}\nfrom :{commit}\n{tagger}"),
            2 => {
                // A tag of a tag, which has a name of its own.
                let mark = 1_000_000 + self.tags.len();
                let inner = format!("tag inner/{mark}\nmark :{mark}\nfrom :{commit}\n{tagger}");
                write!(self.stream, "{inner}tag {name}\nfrom :{mark}\n{tagger}")
            }
            _ => write!(self.stream, "reset refs/tags/{name}\nfrom :{commit}\n\n"),
        };
        self.tags.push(name);
    }
}

fn content(rng: &mut Rng) -> String {
    match rng.below(6) {
        0 => "$Id$ and $Format:%H$\n".into(),
        1 => "one\r\ntwo\nthree".into(),
        2 => String::new(),
        3 => "$Id: 0123456789012345678901234567890123456789 $\nx\n".into(),
        _ => format!("text {}\n", rng.below(1000)).repeat(rng.between(1, 30)),
    }
}
