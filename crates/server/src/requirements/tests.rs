//! What is fetched ahead, and what is not.

use std::collections::BTreeMap;

use quipu_fetch::{AdmitAll, CacheOptions, Error, Info, Policy, Staged, Upstream};
use quipu_ledger::SystemClock;
use quipu_module::{ModulePath, Query, Version};

use super::*;
use crate::policy::{Action, LogDecisions, Offering, Rule, Rulebook, Versions};

/// Has these go.mod files and their `.info`, and notes what it was asked for.
#[derive(Default)]
struct Graph {
    go_mods: BTreeMap<String, String>,
    asked: Mutex<Vec<String>>,
    most: AtomicUsize,
    now: AtomicUsize,
}

impl Graph {
    /// `module@version: go version, requirements`, one a line.
    fn new(text: &str) -> Arc<Self> {
        let mut go_mods = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let version: ModuleVersion = words.next().unwrap().parse().unwrap();
            let mut go_mod = format!("module {}\ngo {}\n", version.path(), words.next().unwrap());
            words.for_each(|required| go_mod += &format!("require {}\n", required.replace('@', " ")));
            go_mods.insert(version.to_string(), go_mod);
        }
        Arc::new(Self { go_mods, ..Self::default() })
    }

    async fn find(&self, version: &ModuleVersion, kind: &str) -> Result<String> {
        self.asked.lock().unwrap().push(format!("{version} {kind}"));
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        let found = self.go_mods.get(&version.to_string()).cloned();
        found.ok_or_else(|| Error::not_found(format!("{version}: there is none")))
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked
    }
}

impl Upstream for Graph {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        Box::pin(std::future::ready(Err(Error::not_found(path))))
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>> {
        let version = ModuleVersion::parse(path.as_str(), query.as_str()).unwrap();
        Box::pin(async move {
            self.find(&version, "info").await?;
            Info::new(version.version().clone(), None, None)
        })
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        Box::pin(std::future::ready(Err(Error::not_found(path))))
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move { Ok(self.find(version, "mod").await?.into()) })
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, _: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        panic!("{version}: no zip is fetched ahead")
    }
}

struct Site {
    graph: Arc<Graph>,
    modules: Cache,
    requirements: Requirements,
    _root: tempfile::TempDir,
}

fn site(text: &str, offering: Offering, at_once: u16) -> Site {
    let (root, graph) = (tempfile::tempdir().unwrap(), Graph::new(text));
    let options = CacheOptions { disk_floor: 0, ..CacheOptions::default() };
    let modules = Cache::open_root(root.path(), graph.clone(), Arc::new(AdmitAll), options).unwrap();
    let filter = Arc::new(Filter::new(Arc::new(offering), modules.clone(), None, Policy::default()));
    let requirements = Requirements::new(modules.clone(), filter, at_once);
    Site { graph, modules, requirements, _root: root }
}

impl Site {
    /// A client asks for this go.mod; returns when all that follows is done.
    async fn ask(&self, version: &str) {
        let file = self.modules.file(&version.parse().unwrap(), FileKind::GoMod).await.unwrap();
        self.graph.asked.lock().unwrap().clear();
        self.requirements.follow(&file.bytes().await.unwrap());
        while self.requirements.shared.waiting.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn requirements_are_there_before_they_are_asked_for() {
    let site = site(
        "a.test/m@v1.0.0 1.21 a.test/x@v1.0.0 a.test/gone@v1.0.0\na.test/x@v1.0.0 1.21",
        Offering::everything(),
        4,
    );
    site.ask("a.test/m@v1.0.0").await;
    assert_eq!(site.graph.asked(), ["a.test/gone@v1.0.0 mod", "a.test/x@v1.0.0 info", "a.test/x@v1.0.0 mod"]);
    for kind in [FileKind::GoMod, FileKind::Info] {
        assert!(site.modules.open(&"a.test/x@v1.0.0".parse().unwrap(), kind).unwrap().is_some());
    }
    // Once more: what is here or was looked at is not asked for; what failed is, by the rules for what was absent.
    site.ask("a.test/m@v1.0.0").await;
    assert_eq!(site.graph.asked(), [""; 0]);
}

#[tokio::test]
async fn a_graph_is_followed_as_far_as_the_go_command_reads_it() {
    let text = "a.test/m@v1.0.0 1.21 a.test/old@v1.0.0 a.test/new@v1.0.0\n\
                a.test/old@v1.0.0 1.16 a.test/below@v1.0.0 a.test/m@v1.0.0\n\
                a.test/below@v1.0.0 1.12 a.test/old@v1.0.0 a.test/deeper@v1.0.0\n\
                a.test/deeper@v1.0.0 1.17\n\
                a.test/new@v1.0.0 1.17 a.test/unread@v1.0.0\n\
                a.test/unread@v1.0.0 1.21";
    let site = site(text, Offering::everything(), 4);
    site.ask("a.test/m@v1.0.0").await;
    let mods: Vec<_> = site.graph.asked().into_iter().filter(|asked| asked.ends_with("mod")).collect();
    assert_eq!(mods, ["below", "deeper", "new", "old"].map(|name| format!("a.test/{name}@v1.0.0 mod")));
}

#[tokio::test]
async fn a_chain_without_end_ends_and_no_more_than_allowed_at_once() {
    let chain: String =
        (0..100).map(|n| format!("a.test/m{n}@v1.0.0 1.16 a.test/m{}@v1.0.0\n", n + 1)).collect();
    let wide: String = (0..100).map(|n| format!(" a.test/w{n}@v1.0.0")).collect();
    let site = site(&format!("{chain}a.test/wide@v1.0.0 1.16{wide}"), Offering::everything(), 3);
    site.ask("a.test/m0@v1.0.0").await;
    let last = site.graph.asked().iter().filter(|asked| asked.ends_with("mod")).count();
    assert_eq!(last, usize::from(MAX_DEPTH) + 1);
    site.ask("a.test/wide@v1.0.0").await;
    assert_eq!(site.graph.asked().len(), 100);
    assert!(site.graph.most.load(Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn what_is_not_offered_is_not_asked_for() {
    let text = "a.test/m@v1.0.0 1.21 a.test/denied@v1.0.0 a.test/x@v1.0.0\na.test/x@v1.0.0 1.21\na.test/denied@v1.0.0 1.21";
    let rule = Rule::new(Action::Deny, "a.test/denied", Versions::parse(&[""; 0]).unwrap(), "no").unwrap();
    let book = Rulebook { rules: vec![rule], ..Rulebook::default() };
    let offering = Offering::new(book, Arc::new(SystemClock::new()), Arc::new(LogDecisions));
    let site = site(text, offering, 1);
    site.ask("a.test/m@v1.0.0").await;
    assert_eq!(site.graph.asked(), ["a.test/x@v1.0.0 info", "a.test/x@v1.0.0 mod"]);
}

#[tokio::test]
async fn without_places_and_after_the_end_nothing_is_fetched() {
    let text = "a.test/m@v1.0.0 1.21 a.test/x@v1.0.0\na.test/x@v1.0.0 1.21";
    let off = site(text, Offering::everything(), 0);
    off.ask("a.test/m@v1.0.0").await;
    assert_eq!(off.graph.asked(), [""; 0]);
    let stopped = site(text, Offering::everything(), 4);
    stopped.requirements.stop();
    stopped.ask("a.test/m@v1.0.0").await;
    assert_eq!(stopped.graph.asked(), [""; 0]);
}

#[tokio::test]
async fn too_many_are_left_to_who_asks_for_them() {
    let many: String = (0..MAX_WAITING + 100).map(|n| format!(" a.test/w{n}@v1.0.0")).collect();
    let site = site(&format!("a.test/m@v1.0.0 1.21{many}"), Offering::everything(), 64);
    site.ask("a.test/m@v1.0.0").await;
    assert_eq!(site.graph.asked().len(), MAX_WAITING);
}

#[test]
fn which_go_mod_is_pruned() {
    for (go, pruned) in [("1.16", false), ("1.17", true), ("1.21.3", true), ("2.0", true), ("1.9", false)] {
        assert_eq!(is_pruned(&GoMod::parse_lax(format!("go {go}\n").as_bytes()).unwrap()), pruned, "{go}");
    }
    assert!(!is_pruned(&GoMod::default()));
}
