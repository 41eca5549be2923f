//! Reads the JSON vectors and sees to it that no section of them is passed over.

use std::collections::BTreeMap;

use serde_json::Value;

/// The sections of one vector file that no test has taken yet.
pub(crate) struct Vectors {
    name: String,
    sections: BTreeMap<String, Value>,
}

impl Vectors {
    /// Reads `testdata/vectors/<name>.json`.
    pub(crate) fn load(name: &str) -> Self {
        let path = format!("{}/../../testdata/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
        #[expect(clippy::disallowed_methods, reason = "tests read their vectors from files")]
        let text = std::fs::read_to_string(&path).unwrap();
        Self { name: name.into(), sections: serde_json::from_str(&text).unwrap() }
    }

    /// Takes a list of cases, which must have `count` of them.
    pub(crate) fn cases(&mut self, section: &str, count: usize) -> Vec<Value> {
        let Value::Array(cases) = self.sections.remove(section).unwrap() else {
            panic!("{section} is no list")
        };
        assert_eq!(cases.len(), count, "{}.json: number of cases in {section}", self.name);
        cases
    }

    /// Takes a section that is a text.
    pub(crate) fn text(&mut self, section: &str) -> String {
        self.sections.remove(section).unwrap().as_str().unwrap().into()
    }

    /// Says that nothing is left but `waiting`, sections whose subject is not built yet.
    pub(crate) fn finish(mut self, waiting: &[&str]) {
        self.text("description");
        let left: Vec<_> = self.sections.keys().collect();
        assert_eq!(left, waiting, "{}.json has sections that no test reads", self.name);
    }
}
