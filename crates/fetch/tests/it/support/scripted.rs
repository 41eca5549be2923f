//! An upstream that says what the test wants, on the test's own clock.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use quipu_fetch::{BoxFuture, Error, Hops, Info, Result, Staged, Upstream};
use quipu_module::{ModulePath, ModuleVersion, Query, Version};
use tokio::time::sleep;

use super::modules::Module;

/// An upstream whose answers are set by the test, on the test's own clock. It answers no request that passed others.
#[derive(Default)]
pub(crate) struct Scripted {
    pub(crate) answers: Mutex<HashMap<String, Result<String>>>,
    asked: Mutex<Vec<String>>,
    /// What it was told to forget.
    pub(crate) forgot: Mutex<Vec<String>>,
    pub(crate) delay: Mutex<Duration>,
}

impl Scripted {
    pub(crate) fn set(&self, question: &str, answer: Result<&str>) {
        self.answers.lock().unwrap().insert(question.to_owned(), answer.map(str::to_owned));
    }

    pub(crate) fn fail(&self, question: &str) {
        self.set(question, Err(Error::unavailable("away")));
    }

    pub(crate) fn asked(&self) -> usize {
        std::mem::take(&mut *self.asked.lock().unwrap()).len()
    }

    async fn answer(&self, question: String) -> Result<String> {
        self.asked.lock().unwrap().push(question.clone());
        if Hops::current() != Hops::default() {
            return Err(Error::unavailable("came by too long a way"));
        }
        // What it says is decided when it is asked.
        let answer = self.answers.lock().unwrap().get(&question).cloned();
        let delay = *self.delay.lock().unwrap();
        sleep(delay).await;
        answer.unwrap_or_else(|| Err(Error::not_found(format!("{question}: unknown"))))
    }

    async fn resolve(&self, path: &ModulePath, question: String) -> Result<Info> {
        Info::parse(path, self.answer(question).await?.as_bytes())
    }
}

impl Upstream for Scripted {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        Box::pin(async move {
            let list = self.answer(format!("{path} list")).await?;
            Ok(list.split_whitespace().map(|version| version.parse().unwrap()).collect())
        })
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>> {
        Box::pin(self.resolve(path, format!("{path}@{query}")))
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        Box::pin(self.resolve(path, format!("{path} latest")))
    }

    fn forget(&self, path: &ModulePath) {
        self.forgot.lock().unwrap().push(path.to_string());
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move { Ok(self.answer(format!("{version} mod")).await?.into()) })
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, zip: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.answer(format!("{version} zip")).await?;
            zip.write(&Module::new(&version.to_string(), 0).zip).await
        })
    }
}
