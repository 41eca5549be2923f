//! A thread that writes for others, who never wait for the disk: its bounded queue and its end.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The way to a thread that reads messages.
pub(crate) struct Scribe<M> {
    queue: SyncSender<M>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<M: Send + 'static> Scribe<M> {
    /// Starts a thread of this name, for which at most `room` messages wait.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn start(
        name: &str,
        room: usize,
        run: impl FnOnce(Receiver<M>) + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, messages) = sync_channel(room);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || run(messages))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Sends a message if there is room for it and the thread still reads; whether it was sent.
    pub(crate) fn try_send(&self, message: M) -> bool {
        self.queue.try_send(message).is_ok()
    }

    /// Sends `end`, by which the thread ends when it has done all that came before, and waits for that. Later calls do
    /// nothing.
    pub(crate) fn close(&self, end: M) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && self.queue.send(end).is_ok()
        {
            // A thread that panicked has said so on stderr.
            let _ = thread.join();
        }
    }
}
