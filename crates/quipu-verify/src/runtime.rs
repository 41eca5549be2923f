//! The runtime that waits for the network.

use std::future::Future;

use anyhow::{Context as _, Result};

/// Runs `work` to its end. The runtime has threads of its own, so that others may wait for it too.
///
/// # Errors
/// Those of the work itself, or no thread can be started.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let outcome = runtime.block_on(work);
    // What is still under way then is a request that nobody waits for.
    runtime.shutdown_background();
    outcome
}
