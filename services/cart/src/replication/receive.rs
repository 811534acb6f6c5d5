//! Serving the stream of the region that ships to us.

use std::future::Future;
use std::sync::Arc;

use contracts::cart::v1::cart_replication_service_server::CartReplicationService;
use contracts::cart::v1::{GetLogPositionRequest, GetLogPositionResponse, ReplicateRequest, ReplicateResponse};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use ids::CartId;
use replication::receiver::{Effect, Input, Receiver, Refusal};
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::joining::{self, Held};
use super::wire::{self, Malformed};
use super::{MESSAGES_WAITING_MAX, Payload, Replica, STORE_DEADLINE, config};
use crate::store::StoreError;
use crate::store::replica as store;

/// Streams served at once: one, and the remains of those that a broken link has left behind.
const STREAMS_MAX: usize = 4;

/// `cart.v1.CartReplicationService`.
#[derive(Clone)]
pub struct ReplicationGrpc {
    pool: PgPool,
    replica: Replica,
    streams: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// Why a stream ends. The shipper begins another.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Refused(Refusal),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the store did not answer within {STORE_DEADLINE:?}")]
    StoreDeadline,
    #[error("carts that somebody held are free again: a new stream repairs them")]
    Freed,
    #[error("the shipper is gone")]
    Gone,
}

impl ReplicationGrpc {
    /// The receiving side of `replica`; its streams end with `shutdown`.
    pub fn new(pool: PgPool, replica: Replica, shutdown: CancellationToken) -> Self {
        Self { pool, replica, streams: Arc::new(Semaphore::new(STREAMS_MAX)), shutdown }
    }
}

#[tonic::async_trait]
impl CartReplicationService for ReplicationGrpc {
    type ReplicateStream = ReceiverStream<Result<ReplicateResponse, Status>>;

    async fn replicate(
        &self,
        request: Request<Streaming<ReplicateRequest>>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        let permit = Arc::clone(&self.streams).try_acquire_owned();
        let permit = permit.map_err(|_| Status::resource_exhausted("too many replication streams"))?;
        let (answers, stream) = mpsc::channel(MESSAGES_WAITING_MAX);
        let session = Session {
            pool: self.pool.clone(),
            replica: self.replica.clone(),
            machine: Receiver::new(config(), self.replica.log()),
            answers,
            held: Held::default(),
            work: FuturesUnordered::new(),
            _permit: permit,
        };
        tokio::spawn(session.run(request.into_inner(), self.shutdown.clone()));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_log_position(
        &self,
        request: Request<GetLogPositionRequest>,
    ) -> Result<Response<GetLogPositionResponse>, Status> {
        let replica = wire::replica_id(request.into_inner().replica)
            .map_err(|malformed| Status::invalid_argument(malformed.to_string()))?;
        let position = store::received(&self.pool, replica).await?;
        Ok(Response::new(GetLogPositionResponse { position: Some(wire::position(position)) }))
    }
}

type Step = Result<Input<CartId, Payload>, Ended>;

struct Session {
    pool: PgPool,
    replica: Replica,
    machine: Receiver<CartId, Payload>,
    answers: mpsc::Sender<Result<ReplicateResponse, Status>>,
    held: Held,
    /// What the store was asked; the machine asks for three things at a time at most.
    work: FuturesUnordered<BoxFuture<'static, Step>>,
    _permit: OwnedSemaphorePermit,
}

impl Session {
    async fn run(mut self, mut requests: Streaming<ReplicateRequest>, shutdown: CancellationToken) {
        let (held, pool) = (self.held.clone(), self.pool.clone());
        let ended = tokio::select! {
            () = shutdown.cancelled() => Ended::Gone,
            freed = held.freed(&pool) => freed.map_or_else(Ended::from, |()| Ended::Freed),
            ended = self.serve(&mut requests) => ended,
        };
        let status = match &ended {
            Ended::Gone => Status::unavailable("the receiver is going away"),
            Ended::Freed => Status::unavailable(ended.to_string()),
            Ended::Malformed(_) | Ended::Refused(_) => Status::failed_precondition(ended.to_string()),
            Ended::Store(_) | Ended::StoreDeadline => Status::unavailable("the receiver's store failed"),
        };
        if !matches!(ended, Ended::Gone) {
            tracing::warn!(error = &ended as &dyn std::error::Error, "replication stream ended");
        }
        // The shipper may be gone, or slow: either way it finds out.
        let _ = self.answers.try_send(Err(status));
    }

    async fn serve(&mut self, requests: &mut Streaming<ReplicateRequest>) -> Ended {
        loop {
            let step = tokio::select! {
                message = requests.message() => match message {
                    Ok(Some(message)) => wire::to_receiver(message).map(Input::Received).map_err(Ended::from),
                    Ok(None) | Err(_) => Err(Ended::Gone),
                },
                Some(step) = self.work.next() => step,
            };
            let input = match step {
                Ok(input) => input,
                Err(ended) => return ended,
            };
            for effect in self.machine.handle(input) {
                if let Err(ended) = self.carry_out(effect).await {
                    return ended;
                }
            }
        }
    }

    async fn carry_out(&mut self, effect: Effect<CartId, Payload>) -> Result<(), Ended> {
        let pool = self.pool.clone();
        match effect {
            Effect::Send(message) => {
                return self.answers.send(Ok(wire::response(message))).await.map_err(|_| Ended::Gone);
            }
            Effect::Refuse(refusal) => return Err(Ended::Refused(refusal)),
            Effect::ReadThrough { log } => {
                self.start(async move { Ok(Input::Through { log, position: store::received(&pool, log).await? }) })
            }
            Effect::Join { log, through, entries } => {
                let join = joining::join(pool, self.replica.clone(), self.held.clone(), log, through, entries);
                self.start(async move { Ok(Input::Joined { log, through: join.await? }) });
            }
            Effect::ReadDigests { request, after, last, limit } => self.start(async move {
                Ok(Input::Digests { request, carts: store::digests(&pool, after, Some(last), limit).await? })
            }),
            Effect::JoinStates { request, states } => {
                let (replica, held) = (self.replica.clone(), self.held.clone());
                self.start(async move {
                    joining::repair(pool, replica, held, states).await?;
                    Ok(Input::StatesJoined { request })
                });
            }
        }
        Ok(())
    }

    fn start(&self, work: impl Future<Output = Result<Input<CartId, Payload>, StoreError>> + Send + 'static) {
        let bounded = async move {
            match tokio::time::timeout(STORE_DEADLINE, work).await {
                Ok(done) => done.map_err(Ended::from),
                Err(_) => Err(Ended::StoreDeadline),
            }
        };
        self.work.push(bounded.boxed());
    }
}
