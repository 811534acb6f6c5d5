//! The loop that the queue workers share: claim as many tasks as there are free slots, give each a turn, wait for more.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store::StoreError;

/// Turns that run at once. They wait for other services most of the time; what they share is the pool's few connections.
const TURNS_MAX: usize = 32;
/// How often the queue is looked at: with the lease, the longest that an order of a dead process waits. The look is an index
/// scan over the few rows in the queue.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// A queue in the database of tasks that are claimed under a lease.
pub trait Queue: Clone + Send + Sync + 'static {
    /// A claimed task.
    type Task: Send + 'static;

    /// Claims up to `limit` tasks.
    fn claim(&self, limit: usize) -> impl Future<Output = Result<Vec<Self::Task>, StoreError>> + Send;

    /// Works on a task until it is done or put off. It may be dropped half-way: the lease lapses and the task is claimed again.
    fn turn(&self, task: Self::Task) -> impl Future<Output = ()> + Send;

    /// Ends when there is something to claim at once. By default the queue is only looked at from time to time.
    fn woken(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// Works the queue until `token` is cancelled.
///
/// # Errors
/// [`StoreError`] when tasks cannot be claimed. Turns under way are dropped; supervision starts again.
pub async fn run<Q: Queue>(queue: Q, token: CancellationToken) -> Result<(), StoreError> {
    let mut turns = JoinSet::new();
    while !token.is_cancelled() {
        while turns.try_join_next().is_some() {}
        let free = TURNS_MAX.saturating_sub(turns.len());
        let tasks = queue.claim(free).await?;
        let is_saturated = tasks.len() >= free;
        for task in tasks {
            let queue = queue.clone();
            turns.spawn(async move { queue.turn(task).await });
        }
        tokio::select! {
            () = token.cancelled() => {}
            // More may wait: look again as soon as a slot is free.
            _ = turns.join_next(), if is_saturated => {}
            () = queue.woken(), if !is_saturated => {}
            () = tokio::time::sleep(POLL_INTERVAL), if !is_saturated => {}
        }
    }
    Ok(())
}
