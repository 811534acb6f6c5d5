//! From the outbox to both regions' Kafka.
//!
//! # Which rows
//! Positions are handed out when a row is inserted and become visible when its transaction commits, and these two
//! orders differ: with position 5 still uncommitted, 6 can be read and published. A relay that remembered "the last
//! position was 6" and asked for later ones would never see 5: an order placed, acknowledged, and never shipped. So
//! nothing is remembered. The table is the queue: every row in it is unpublished, and each round takes the oldest rows
//! there are.
//!
//! # In which order
//! An aggregate's writers queue for its row before they append, so its positions are in commit order, and a later one
//! is never visible without the earlier. One relay per database is active (an advisory lock), it takes rows by
//! position, waits for a batch's acknowledgement before it takes the next, and its producer stores each partition's
//! messages in order or not at all. The key is the aggregate, so an aggregate's events of one topic arrive in order.
//! Across topics Kafka promises nothing, and neither do we.
//!
//! # Two lanes
//! `local` publishes in this region and moves the row to `outbox_peer`, in one transaction; `peer` drains that into the
//! other region's Kafka. Each has its own connection, lock, producer and pace, so a peer that is away costs the local
//! lane nothing.
//!
//! # A row that cannot be published
//! Payloads that no broker would take are refused at the append. A row whose topic does not exist stays, is reported
//! and tried again for ever, since dropping it would lose an order; others of its batch pass, slowed down by its
//! time-out. A row that the broker refuses for good (its topic takes less than it did, access is denied) holds back its own aggregate
//! alone: see [`refused`].
//!
//! # A row that somebody holds
//! A published row that cannot be removed, because another session holds it, is not published again: the lane remembers it and removes it
//! when it is free. Its aggregate waits until then, others pass: see [`unremoved`].
//!
//! # A session that can only read
//! A server that was demoted and lives finds nothing to publish and gives no error. Each lane asks its session once a second whether it can write
//! and connects anew if not, and the listener with it.
//!
//! # Killed anywhere
//! Until a round has removed its rows they are in the table, and are published again under the same ids; consumers
//! skip the repeats. After it they are gone. A relay that lost its connection, and with it the lock, may have requests
//! under way while its successor publishes the same rows: each of the two sends an aggregate's events in order and
//! leaves none out, so the first appearances, which are what consumers act on, are in order too.

mod backlog;
mod lane;
mod pace;
mod refused;
mod store;
mod unremoved;
mod wake;

pub(crate) use store::OutboxRow;

use std::sync::Arc;

use ids::Region;
use sabotage::Guard;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::SpineConfig;
use crate::early;
use crate::error::SpineError;
use crate::telemetry;
use lane::Lane;
use store::{After, Table};

/// Publishes the outbox of one database.
#[derive(Clone)]
pub struct Relay {
    pool: PgPool,
    config: SpineConfig,
    /// `ce_source` of what it publishes.
    source: String,
}

impl Relay {
    /// A relay that is not connected yet. `service` is the name under which events say where they come from.
    ///
    /// From the pool it takes the connect options, and now and then a connection to measure the backlog. Its
    /// connections are its own, one per lane and one that listens: a lock that lives as long as its connection must not
    /// go back into a pool.
    pub fn new(pool: PgPool, config: &SpineConfig, region: Region, service: &'static str) -> Self {
        Self { pool, config: config.clone(), source: format!("/regions/{region}/services/{service}") }
    }

    /// Relays until `token` is cancelled, waiting out a database or broker that is away. Any number of processes may
    /// run it; one works and the others stand by.
    ///
    /// # Errors
    /// [`SpineError::Client`] only.
    pub async fn run(&self, token: CancellationToken) -> Result<(), SpineError> {
        telemetry::describe();
        if sabotage::is_removed(Guard::PublishAfterCommit) {
            early::register(&self.config.kafka_brokers, &self.source)?;
        }
        let options = lane::connect_options(&self.pool);
        let (appended, moved) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let condemned = Arc::new(Notify::new());

        let listening = wake::listen(options.clone(), appended.clone(), condemned.clone(), token.clone());
        let watching = backlog::watch(self.pool.clone(), token.clone());
        let local = Lane {
            table: Table::Outbox,
            after: if self.config.peer_kafka_brokers.is_some() { After::MoveToPeer } else { After::Delete },
            brokers: self.config.kafka_brokers.clone(),
            source: self.source.clone(),
            options: options.clone(),
            wake: appended,
            wake_next: moved.clone(),
            condemned,
        };
        let peer = self.config.peer_kafka_brokers.clone().map(|brokers| Lane {
            table: Table::OutboxPeer,
            after: After::Delete,
            brokers,
            source: self.source.clone(),
            options,
            wake: moved,
            wake_next: Arc::default(),
            condemned: Arc::default(),
        });
        let peer_lane = async {
            match peer {
                Some(lane) => lane.run(token.clone()).await,
                None => Ok(()),
            }
        };
        let helpers = async {
            tokio::join!(listening, watching);
            Ok(())
        };
        // A lane that fails takes the others with it: half a relay would look healthy.
        tokio::try_join!(local.run(token.clone()), peer_lane, helpers)?;
        Ok(())
    }
}
