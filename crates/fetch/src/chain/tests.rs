//! The fallback rules of GOPROXY, case by case.

use super::*;

/// A place that fails in one way, or answers.
struct Fixed(Option<ErrorKind>);

impl Fixed {
    fn answer<T>(&self, value: T) -> BoxFuture<'_, Result<T>>
    where
        T: Send + 'static,
    {
        let result = match self.0 {
            None => Ok(value),
            Some(kind) => Err(Error::new(kind, format!("{kind:?}"))),
        };
        Box::pin(std::future::ready(result))
    }
}

impl Upstream for Fixed {
    fn list<'a>(&'a self, _: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        self.answer(Vec::new())
    }

    fn info<'a>(&'a self, _: &'a ModulePath, _: &'a Query) -> BoxFuture<'a, Result<Info>> {
        self.answer(Info::new(Version::parse("v1.0.0").unwrap(), None, None).unwrap())
    }

    fn latest<'a>(&'a self, _: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        self.answer(Info::new(Version::parse("v1.0.0").unwrap(), None, None).unwrap())
    }

    fn go_mod<'a>(&'a self, _: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        self.answer(Bytes::from_static(b"module m\n"))
    }

    fn zip<'a>(&'a self, _: &'a ModuleVersion, zip: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            zip.restart().await?;
            zip.write(format!("{:?}", self.0).as_bytes()).await?;
            self.answer(()).await
        })
    }
}

/// As `direct` where no host says where the repository is.
struct Lost;

impl Lost {
    fn answer<T: Send + 'static>() -> BoxFuture<'static, Result<T>> {
        Box::pin(std::future::ready(Err(Error::unavailable("no such host").unlocated().about("lost"))))
    }
}

impl Upstream for Lost {
    fn list<'a>(&'a self, _: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        Self::answer()
    }

    fn info<'a>(&'a self, _: &'a ModulePath, _: &'a Query) -> BoxFuture<'a, Result<Info>> {
        Self::answer()
    }

    fn latest<'a>(&'a self, _: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        Self::answer()
    }

    fn go_mod<'a>(&'a self, _: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        Self::answer()
    }

    fn zip<'a>(&'a self, _: &'a ModuleVersion, _: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        Self::answer()
    }
}

#[tokio::test]
async fn what_no_proxy_has_and_nobody_can_locate_is_absent() {
    let path = ModulePath::parse("example.com/m").unwrap();
    for (before, kind, text) in [
        ("404,", ErrorKind::NotFound, "lost: no such host"),
        ("404,404,", ErrorKind::NotFound, "lost: no such host"),
        ("500|404,", ErrorKind::NotFound, "lost: no such host"),
        ("", ErrorKind::Unavailable, "lost: no such host"),
        ("private,", ErrorKind::Unavailable, "lost: no such host"),
        ("500|", ErrorKind::Unavailable, "lost: no such host"),
        ("500,", ErrorKind::Unavailable, "Unavailable"),
    ] {
        let mut chain = chain(before);
        chain.links.push(Link { upstream: Arc::new(Lost), fallback: Fallback::OnNotFound });
        let error = chain.list(&path).await.unwrap_err();
        assert_eq!((error.kind(), error.text()), (kind, text), "{before}direct");
    }
}

/// Reads `404,500|200,off`: statuses with separators, as GOPROXY would list servers that answer with them.
fn chain(text: &str) -> Chain {
    let mut chain = Chain::of(Vec::new());
    for part in text.split_inclusive([',', '|']).filter(|part| !part.is_empty()) {
        let fallback = if part.ends_with('|') { Fallback::OnAnyError } else { Fallback::OnNotFound };
        let kind = match part.trim_end_matches([',', '|']) {
            "200" => None,
            "404" => Some(ErrorKind::NotFound),
            "403" => Some(ErrorKind::Forbidden),
            "500" => Some(ErrorKind::Unavailable),
            "504" => Some(ErrorKind::Timeout),
            "bad" => Some(ErrorKind::Rejected),
            "private" => Some(ErrorKind::Private),
            "off" => {
                chain.end = Some(Error::not_found("module lookup disabled by GOPROXY=off"));
                continue;
            }
            other => panic!("{other}"),
        };
        chain.links.push(Link { upstream: Arc::new(Fixed(kind)), fallback });
    }
    chain
}

const CASES: &[(&str, Option<&str>)] = &[
    ("200", None),
    ("404,200", None),
    ("404|200", None),
    ("500|200", None),
    ("504|404,200", None),
    ("bad|200", None),
    ("403|200", None),
    ("private,200", None),
    ("500,200", Some("Unavailable")),
    ("504,200", Some("Timeout")),
    ("403,200", Some("Forbidden")),
    ("bad,200", Some("Rejected")),
    ("404,500,200", Some("Unavailable")),
    ("404", Some("NotFound")),
    ("404,404", Some("NotFound")),
    ("500|404", Some("Unavailable")),
    ("404,500", Some("Unavailable")),
    ("500|504", Some("Timeout")),
    ("private,404", Some("NotFound")),
    ("404,private", Some("NotFound")),
    ("private,private", Some("Private")),
    ("404,off", Some("module lookup disabled by GOPROXY=off")),
    ("off", Some("module lookup disabled by GOPROXY=off")),
    ("500|off", Some("Unavailable")),
    ("500,off", Some("Unavailable")),
    ("", Some("no upstream: set GOPROXY")),
];

#[tokio::test]
async fn every_question_follows_the_list() {
    let path = ModulePath::parse("example.com/m").unwrap();
    let version = ModuleVersion::parse("example.com/m", "v1.0.0").unwrap();
    let query = Query::parse("main").unwrap();
    for (list, failure) in CASES {
        let chain = chain(list);
        let text = |error: Option<Error>| error.map(|error| error.text().to_owned());
        for error in [
            chain.list(&path).await.err(),
            chain.info(&path, &query).await.err(),
            chain.latest(&path).await.err(),
            chain.go_mod(&version).await.err(),
        ] {
            assert_eq!(text(error).as_deref(), *failure, "{list}");
        }
    }
}

#[tokio::test]
async fn zips_start_over_at_each_place() {
    let directory = tempfile::tempdir().unwrap();
    let staging = crate::staged::Staging::new(directory.path()).unwrap();
    let version = ModuleVersion::parse("example.com/m", "v1.0.0").unwrap();
    for (list, failure) in CASES {
        let mut zip = staging.create(100).await.unwrap();
        let result = chain(list).zip(&version, &mut zip).await;
        assert_eq!(result.as_ref().err().map(Error::text), *failure, "{list}");
        if result.is_ok() {
            let zip = zip.finish().await.unwrap();
            assert_eq!(std::io::read_to_string(zip.open().unwrap()).unwrap(), "None", "{list}");
        }
    }
}

#[test]
fn off_is_absence_and_nothing_is_a_fault() {
    assert_eq!(Failures::default().most_telling(None).kind(), ErrorKind::Unavailable);
    let client = Client::new(crate::client::ClientOptions::default()).unwrap();
    for (list, length, end) in
        [("https://a.example,direct", 1, false), ("a.example|b.example,off", 2, true), ("direct", 0, false)]
    {
        let list = quipu_module::ProxyList::parse(list).unwrap();
        let chain = Chain::new(list.entries(), &client, &Arc::default(), None).unwrap();
        assert_eq!((chain.len(), chain.end.is_some()), (length, end));
    }
}
