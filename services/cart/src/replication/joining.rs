//! Joining what came from the other region, around carts that somebody else holds.
//!
//! A batch is joined in one transaction. When a row of one of its carts is locked for long, by somebody who looks at it by hand, say, the
//! batch is joined cart by cart, and what is still locked is left out: its replies are remembered, so that a repeated request is known
//! here, and the cart stays different until a repair. So a lock keeps its own cart from being replicated, and no other.
//!
//! A repair comes with each new stream. Once nobody holds the carts any more, [`Held::freed`] ends this one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ids::CartId;
use replication::{Position, ReplicaId};
use sqlx::{PgPool, Postgres, Transaction};

use super::{Payload, Replica};
use crate::store::StoreError;
use crate::store::replica::{self as store, CartReplica, Operation};

/// How long a join waits for a row: far longer than an edit holds one.
const LOCK_WAIT: &str = "set local lock_timeout = '250ms'";
/// Carts that one batch may leave out. More, and it is no longer a row that somebody holds: the stream ends, as in an outage.
const LEFT_OUT_MAX: usize = 8;
/// Between two looks whether they are free.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Carts that this stream has left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Arc<Mutex<BTreeSet<CartId>>>);

impl Held {
    fn add(&self, carts: &[CartId]) {
        if carts.is_empty() {
            return;
        }
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend(carts);
        for cart_id in carts {
            tracing::warn!(%cart_id, "somebody holds a lock on a cart: it is replicated once it is free, the others meanwhile");
        }
        metrics::gauge!("cart_replication_held").set(held.len() as f64);
    }

    /// Returns once carts were left out and all of them are free.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(super) async fn freed(&self, pool: &PgPool) -> Result<(), StoreError> {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let held: Vec<_> = {
                let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                held.iter().map(|cart_id| cart_id.as_uuid()).collect()
            };
            if !held.is_empty() && store::are_free(pool, &held).await? {
                metrics::gauge!("cart_replication_held").set(0.0);
                return Ok(());
            }
        }
    }
}

/// Joins a batch of the log of `log`, which ends at `through`. Returns how far that log is joined.
pub(super) async fn join(
    pool: PgPool,
    replica: Replica,
    held: Held,
    log: ReplicaId,
    through: Position,
    entries: Vec<(CartId, Payload)>,
) -> Result<Position, StoreError> {
    let operation = |(id, payload)| match payload {
        Payload::Operation(operation) => Some((id, operation)),
        Payload::Replica(_) => None,
    };
    let operations: Vec<(CartId, Operation)> = entries.into_iter().filter_map(operation).collect();
    let batch = Batch { pool: &pool, replica: &replica, from: crdt::ReplicaId(log.0) };
    let through = match batch.join(through, &operations).await {
        Err(error) if store::is_held(&error) => batch.join_around(through, &operations, &held).await?,
        joined => joined?,
    };
    metrics::counter!("cart_replication_joined_total").increment(operations.len() as u64);
    Ok(through)
}

struct Batch<'a> {
    pool: &'a PgPool,
    replica: &'a Replica,
    from: crdt::ReplicaId,
}

impl Batch<'_> {
    async fn join(&self, through: Position, operations: &[(CartId, Operation)]) -> Result<Position, StoreError> {
        let mut transaction = begin(self.pool).await?;
        let joined = merge(&mut transaction, self.replica.id(), self.from, through, operations).await?;
        sabotage::crash_point("cart.join.before-commit").await;
        // Durable before it is acknowledged: the shipper may forget what we acknowledge.
        transaction.commit().await?;
        sabotage::crash_point("cart.join.after-commit").await;
        report_refused(&joined.refused);
        if joined.log_grew {
            self.replica.log_grew();
        }
        Ok(joined.through)
    }

    /// Cart by cart, without those that are held. The log counts as joined once all of it is, or is left to a repair.
    async fn join_around(
        &self,
        through: Position,
        operations: &[(CartId, Operation)],
        held: &Held,
    ) -> Result<Position, StoreError> {
        let mut by_cart: BTreeMap<CartId, Vec<(CartId, Operation)>> = BTreeMap::new();
        for (cart_id, operation) in operations {
            by_cart.entry(*cart_id).or_default().push((*cart_id, operation.clone()));
        }
        let mut left_out = Vec::new();
        for (cart_id, operations) in &by_cart {
            match self.join(Position::START, operations).await {
                Err(error) if store::is_held(&error) && left_out.len() < LEFT_OUT_MAX => left_out.push(*cart_id),
                joined => drop(joined?),
            }
        }
        let unjoined: Vec<_> = left_out.iter().flat_map(|cart_id| by_cart[cart_id].clone()).collect();
        let mut transaction = begin(self.pool).await?;
        store::remember(&mut transaction, self.from, &unjoined).await?;
        let through = store::grown_to(&mut transaction, ReplicaId(self.from.0), through).await?;
        // no crash point: nothing of it is acknowledged, and all of it is done again
        transaction.commit().await?;
        held.add(&left_out);
        Ok(through)
    }
}

/// Joins whole carts. One that is held stays as it is, and different, until a later repair.
pub(super) async fn repair(
    pool: PgPool,
    replica: Replica,
    held: Held,
    states: Vec<(CartId, Payload)>,
) -> Result<(), StoreError> {
    let whole = |(id, payload)| match payload {
        Payload::Replica(replica) => Some((id, replica)),
        Payload::Operation(_) => None,
    };
    let replicas: Vec<(CartId, CartReplica)> = states.into_iter().filter_map(whole).collect();
    match repair_all(&pool, &replica, &replicas).await {
        Err(error) if store::is_held(&error) => {
            let mut left_out = Vec::new();
            for one in &replicas {
                match repair_all(&pool, &replica, std::slice::from_ref(one)).await {
                    Err(error) if store::is_held(&error) && left_out.len() < LEFT_OUT_MAX => left_out.push(one.0),
                    repaired => repaired?,
                }
            }
            held.add(&left_out);
        }
        repaired => repaired?,
    }
    replica.log_grew();
    Ok(())
}

async fn repair_all(pool: &PgPool, replica: &Replica, replicas: &[(CartId, CartReplica)]) -> Result<(), StoreError> {
    let mut transaction = begin(pool).await?;
    let refused = store::join_replicas(&mut transaction, replica.id(), replicas).await?;
    sabotage::crash_point("cart.repair.before-commit").await;
    transaction.commit().await?;
    sabotage::crash_point("cart.repair.after-commit").await;
    report_refused(&refused);
    tracing::info!(carts = replicas.len(), "repaired carts that differed");
    metrics::counter!("cart_replication_repaired_total").increment(replicas.len() as u64);
    Ok(())
}

async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, StoreError> {
    let mut transaction = chassis::database::begin(pool).await?;
    sqlx::query(LOCK_WAIT).execute(&mut *transaction).await?;
    Ok(transaction)
}

#[cfg(not(feature = "sabotage"))]
use store::join_operations as merge;

/// The drills' sabotaged cart; see [`store::last_writer_wins`].
#[cfg(feature = "sabotage")]
async fn merge(
    connection: &mut sqlx::PgConnection,
    replica: crdt::ReplicaId,
    from: crdt::ReplicaId,
    through: Position,
    operations: &[(CartId, Operation)],
) -> Result<store::Joined, StoreError> {
    if store::last_writer_wins::is_chosen() {
        // Carts must be there before they are overwritten, and replies be remembered; of the deltas nothing is left to join.
        let plain: Vec<_> =
            operations.iter().cloned().map(|(id, op)| (id, Operation { delta: Vec::new(), ..op })).collect();
        store::join_operations(connection, replica, from, through, &plain).await?;
        return store::last_writer_wins::overwrite(connection, ReplicaId(from.0), through, operations).await;
    }
    store::join_operations(connection, replica, from, through, operations).await
}

/// One bad cart must not stop the others; what was good in it comes with anti-entropy.
fn report_refused(refused: &[(CartId, String)]) {
    for (cart_id, reason) in refused {
        tracing::error!(%cart_id, reason, "refused what the other region sent for a cart");
    }
    metrics::counter!("cart_replication_refused_total").increment(refused.len() as u64);
}
