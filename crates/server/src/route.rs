//! From a decoded path to the thing asked for.

/// What a request path names. Borrowed parts are still escaped module paths and versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `/`
    Home,
    /// `/healthz`: is the process there.
    Health,
    /// `/readyz`: can it do all its work.
    Ready,
    /// `/metrics`
    Metrics,
    /// `/index`: what came into the log and when.
    Index,
    /// `/feed/<escaped module path>`: the same of one module, as Atom. No module path begins with `feed`: the first
    /// element of one holds a dot.
    Feed(&'a str),
    /// A resource of the log this server keeps.
    Log(LogRoute<'a>),
    /// `/checkpoint`: the C2SP head.
    Checkpoint,
    /// `/sumdb/<rest>`: a checksum database by name.
    Sumdb(&'a str),
    /// `/cached-only/sumdb/<rest>`: the same, where nothing is fetched for the answer.
    StoredSumdb(&'a str),
    /// `/-/hooks/<forge>`: a forge tells of a change. No module path begins with `-`.
    Hook(&'a str),
    /// A resource of the module proxy.
    Module(ModuleRoute<'a>),
    /// Nothing this server knows.
    Unknown,
}

/// A resource of a checksum database, relative to its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogRoute<'a> {
    /// `/latest`
    Latest,
    /// `/lookup/<module>@<version>`: what follows the prefix.
    Lookup(&'a str),
    /// `/tile/…`: the whole path without its leading slash.
    Tile(&'a str),
}

/// A resource of the GOPROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModuleRoute<'a> {
    /// The whole of it, as the file tree of a proxy names it: what the other parts were taken from.
    pub(crate) name: &'a str,
    /// Escaped module path.
    pub(crate) path: &'a str,
    /// What is asked of the module.
    pub(crate) leaf: Leaf<'a>,
    /// Asked below `/cached-only`: answer from storage alone.
    pub(crate) cached_only: bool,
}

/// The part of a module URL behind the module path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf<'a> {
    /// `@v/list`
    List,
    /// `@latest`
    Latest,
    /// `@v/<query>.info`
    Info(&'a str),
    /// `@v/<version>.mod`
    GoMod(&'a str),
    /// `@v/<version>.zip`
    Zip(&'a str),
}

impl<'a> Route<'a> {
    /// The route of a decoded path, which starts with a slash.
    pub(crate) fn parse(path: &'a str) -> Self {
        match path {
            "/" => return Self::Home,
            "/healthz" => return Self::Health,
            "/readyz" => return Self::Ready,
            "/metrics" => return Self::Metrics,
            "/checkpoint" => return Self::Checkpoint,
            "/index" => return Self::Index,
            _ => {}
        }
        if let Some(log) = LogRoute::parse(path) {
            return Self::Log(log);
        }
        if let Some(rest) = path.strip_prefix("/sumdb/") {
            return Self::Sumdb(rest);
        }
        if let Some(forge) = path.strip_prefix("/-/hooks/") {
            return Self::Hook(forge);
        }
        if let Some(rest) = path.strip_prefix("/cached-only/sumdb/") {
            return Self::StoredSumdb(rest);
        }
        if let Some(path) = path.strip_prefix("/feed/") {
            return Self::Feed(path);
        }
        let (tree, cached_only) = match path.strip_prefix("/cached-only/") {
            Some(rest) => (rest, true),
            None => (path.trim_start_matches('/'), false),
        };
        // A doubled slash is no other way to write the root of the tree.
        if !cached_only && path.starts_with("//") {
            return Self::Unknown;
        }
        ModuleRoute::parse(tree, cached_only).map_or(Self::Unknown, Self::Module)
    }
}

impl<'a> LogRoute<'a> {
    /// The log resource of a path that starts with a slash, if it is one.
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        if path == "/latest" {
            return Some(Self::Latest);
        }
        if let Some(rest) = path.strip_prefix("/lookup/") {
            return Some(Self::Lookup(rest));
        }
        path.starts_with("/tile/").then(|| Self::Tile(path.trim_start_matches('/')))
    }
}

impl<'a> ModuleRoute<'a> {
    /// Splits at the first `/@`: a module path holds no `@`, a query may.
    fn parse(tree: &'a str, cached_only: bool) -> Option<Self> {
        let (path, rest) = tree.split_once("/@")?;
        let leaf = match rest {
            "latest" => Leaf::Latest,
            "v/list" => Leaf::List,
            _ => {
                let name = rest.strip_prefix("v/")?;
                let (stem, extension) = name.rsplit_once('.')?;
                match extension {
                    "info" => Leaf::Info(stem),
                    "mod" => Leaf::GoMod(stem),
                    "zip" => Leaf::Zip(stem),
                    _ => return None,
                }
            }
        };
        Some(Self { name: tree, path, leaf, cached_only })
    }
}

/// A path for each route, and for each form of those that hold more, with the name of its kind: what the tests of the
/// gate go through.
#[cfg(test)]
pub(crate) const SAMPLES: &[(&str, &str)] = &[
    ("/", "home"),
    ("/healthz", "health"),
    ("/readyz", "ready"),
    ("/metrics", "metrics"),
    ("/index", "index"),
    ("/feed/corp.example/m", "feed"),
    ("/checkpoint", "checkpoint"),
    ("/latest", "log latest"),
    ("/lookup/corp.example/m@v1.0.0", "log lookup"),
    ("/tile/8/0/000", "log tile"),
    ("/sumdb/sum.corp.example/latest", "sumdb"),
    ("/cached-only/sumdb/sum.corp.example/lookup/corp.example/m@v1.0.0", "stored sumdb"),
    ("/corp.example/m/@v/list", "module list"),
    ("/corp.example/m/@latest", "module latest"),
    ("/corp.example/m/@v/v1.0.0.info", "module info"),
    ("/corp.example/m/@v/v1.0.0.mod", "module mod"),
    ("/corp.example/m/@v/v1.0.0.zip", "module zip"),
    ("/-/hooks/github", "hook"),
    ("/no/resource", "unknown"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever adds a route has to name its kind here, and then to give a sample of it.
    fn kind(route: Route<'_>) -> &'static str {
        match route {
            Route::Home => "home",
            Route::Health => "health",
            Route::Ready => "ready",
            Route::Metrics => "metrics",
            Route::Index => "index",
            Route::Feed(_) => "feed",
            Route::Log(LogRoute::Latest) => "log latest",
            Route::Log(LogRoute::Lookup(_)) => "log lookup",
            Route::Log(LogRoute::Tile(_)) => "log tile",
            Route::Checkpoint => "checkpoint",
            Route::Sumdb(_) => "sumdb",
            Route::StoredSumdb(_) => "stored sumdb",
            Route::Module(module) => match module.leaf {
                Leaf::List => "module list",
                Leaf::Latest => "module latest",
                Leaf::Info(_) => "module info",
                Leaf::GoMod(_) => "module mod",
                Leaf::Zip(_) => "module zip",
            },
            Route::Hook(_) => "hook",
            Route::Unknown => "unknown",
        }
    }

    #[test]
    fn samples_are_of_the_kinds_they_say() {
        for (path, expected) in SAMPLES {
            assert_eq!(kind(Route::parse(path)), *expected, "{path}");
        }
    }

    fn module<'a>(name: &'a str, path: &'a str, leaf: Leaf<'a>) -> Route<'a> {
        Route::Module(ModuleRoute { name, path, leaf, cached_only: false })
    }

    #[test]
    fn every_route_once() {
        let cases = [
            ("/", Route::Home),
            ("/index", Route::Index),
            ("/feed/a.b/!c", Route::Feed("a.b/!c")),
            ("/latest", Route::Log(LogRoute::Latest)),
            ("/lookup/a.b/c@v1.0.0", Route::Log(LogRoute::Lookup("a.b/c@v1.0.0"))),
            ("/tile/8/0/000", Route::Log(LogRoute::Tile("tile/8/0/000"))),
            ("/sumdb/x.org/supported", Route::Sumdb("x.org/supported")),
            ("/-/hooks/github", Route::Hook("github")),
            ("/cached-only/sumdb/x.org/latest", Route::StoredSumdb("x.org/latest")),
            ("/a.b/c/@v/list", module("a.b/c/@v/list", "a.b/c", Leaf::List)),
            ("/a.b/c/@latest", module("a.b/c/@latest", "a.b/c", Leaf::Latest)),
            ("/a.b/c/@v/v1.0.0.info", module("a.b/c/@v/v1.0.0.info", "a.b/c", Leaf::Info("v1.0.0"))),
            ("/a.b/c/@v/v1.0.0.mod", module("a.b/c/@v/v1.0.0.mod", "a.b/c", Leaf::GoMod("v1.0.0"))),
            ("/a.b/c/@v/x/@y.zip", module("a.b/c/@v/x/@y.zip", "a.b/c", Leaf::Zip("x/@y"))),
            (
                "/cached-only/a.b/@v/list",
                Route::Module(ModuleRoute {
                    name: "a.b/@v/list",
                    path: "a.b",
                    leaf: Leaf::List,
                    cached_only: true,
                }),
            ),
            ("/a.b/c/@v/v1.0.0.tar", Route::Unknown),
            ("//a.b/@v/list", Route::Unknown),
            ("/a.b/c", Route::Unknown),
            ("/latest/", Route::Unknown),
        ];
        for (path, want) in cases {
            assert_eq!(Route::parse(path), want, "{path}");
        }
    }
}
