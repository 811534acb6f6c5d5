//! Ends a client away from the runtime.

use std::ops::Deref;

/// A client whose end waits for its threads. They wait by the wall clock: when that is set back meanwhile, the end takes as long as the
/// clock was set back, and would hold a worker of the runtime, on two cores soon all of them. So a thread of its own waits.
pub(crate) struct OffRuntime<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> OffRuntime<T> {
    pub(crate) const fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send + 'static> Deref for OffRuntime<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(client) => client,
            None => unreachable!("taken only when this is dropped"),
        }
    }
}

impl<T: Send + 'static> Drop for OffRuntime<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        // Not one of the runtime's blocking threads: it would wait for those when the service ends. One that cannot be made is done without.
        let ends = move || drop(client);
        let _ = std::thread::Builder::new().name("client ending".to_owned()).spawn(ends);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;

    /// Its end takes until the other side ends it, as that of a client whose thread waits by a clock that was set back.
    struct Slow(Receiver<()>);

    impl Drop for Slow {
        fn drop(&mut self) {
            let _ = self.0.recv_timeout(Duration::from_secs(20));
        }
    }

    #[tokio::test]
    async fn the_runtime_works_on_while_a_client_takes_its_time_to_end() {
        let (end, ends) = channel();
        let begin = std::time::Instant::now();
        drop(OffRuntime::new(Slow(ends)));
        // This runtime has one worker.
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(begin.elapsed() < Duration::from_secs(10), "the worker waited");
        drop(end);
    }
}
