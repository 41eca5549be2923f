//! Who asked for what is being answered, for those who note it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::access::Token;

tokio::task_local! {
    static ASKER: Asker;
}

/// Who sent a request. The default is nobody in particular: the server itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker {
    /// Whose token came along.
    pub(crate) holder: Option<Arc<Token>>,
    /// From where.
    pub(crate) peer: Option<IpAddr>,
}

impl Asker {
    /// Who asked for what the present task is about.
    pub(crate) fn current() -> Self {
        ASKER.try_with(Self::clone).unwrap_or_default()
    }

    /// Does work for this asker. Tasks that it starts are nobody's.
    pub(crate) async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        ASKER.scope(self, work).await
    }

    /// The name of the token; empty for whoever shows none.
    pub(crate) fn who(&self) -> String {
        self.holder.as_ref().map_or_else(String::new, ToString::to_string)
    }
}
