//! Keeps a database that went back in time from going on as if it had not.
//!
//! A restored database has forgotten operations that the other region has, and would issue their dots again. So whenever its server has
//! started, which is the only time that this can have happened, its own guard refuses to append until the log is known to be whole:
//! the other region is asked how far it has come, and that place must be here. If it is not, the log is marked for good, and carts
//! take no edits until the database goes on under another number (`backbone cart renumber`).
//!
//! While the other region cannot be asked, a server that is the same as before is trusted after one try: regions must take edits during a
//! cut, also after a restart. A server that is another one, or on another timeline, is not: it was restored, and waits.

use std::time::Duration;

use chassis::client::Dependency;
use chassis::conditions;
use contracts::cart::v1::GetLogPositionRequest;
use contracts::cart::v1::cart_replication_service_client::CartReplicationServiceClient;
use replication::Position;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{LOG_PART, REWOUND, Replica, wire};
use crate::store::StoreError;
use crate::store::replica::{self as store, Standing};

/// How often to look whether the server has started anew: one row. Edits are refused from then on, so it is soon.
const EVERY: Duration = Duration::from_millis(500);
/// For the question: some round trips of the link.
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// Between two lines of the log about the same trouble.
const AGAIN: u32 = 120;

const UNKNOWN: &str = "the database of carts was restored, and the other region cannot be asked what it has of its log: carts take no edits \
                       until it can, or until the database goes on under a new number (backbone cart renumber)";

/// What one look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The log is known to be whole.
    Whole,
    /// It went back in time.
    Rewound,
    /// The other region cannot be asked, and must be.
    Unknown,
    /// The database goes on under another number than this process does.
    Renumbered,
}

/// Looks until `token` is cancelled. When the database goes on under another number, `ended` is cancelled: everything that this process has
/// decided, and would decide, is under the old one.
///
/// # Errors
/// The first failure of the database; the next look starts anew.
pub async fn keep_guard(
    pool: PgPool,
    peer: Option<Dependency>,
    replica: Replica,
    ended: CancellationToken,
    token: CancellationToken,
) -> Result<(), StoreError> {
    let (mut last, mut looks) = (Found::Whole, 0_u32);
    loop {
        let found = look(&pool, peer.as_ref(), &replica).await?;
        looks = if found == last { looks.wrapping_add(1) } else { 0 };
        // That it went back in time is said where it is noted, by whoever finds it.
        match found {
            Found::Whole => conditions::clear(LOG_PART),
            Found::Unknown => conditions::report(LOG_PART, UNKNOWN),
            Found::Rewound | Found::Renumbered => {}
        }
        if found != last || (found != Found::Whole && looks.is_multiple_of(AGAIN)) {
            tell(found);
        }
        last = found;
        if found == Found::Renumbered {
            ended.cancel();
            return Ok(());
        }
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn tell(found: Found) {
    match found {
        Found::Whole => tracing::info!("the log of carts is whole"),
        Found::Rewound => tracing::error!("{REWOUND}"),
        Found::Unknown => tracing::error!("{UNKNOWN}"),
        Found::Renumbered => {
            tracing::warn!("the database of carts goes on under a new number; this process ends, the next one has it");
        }
    }
}

/// One look, and what follows from it.
///
/// # Errors
/// [`StoreError`].
pub async fn look(pool: &PgPool, peer: Option<&Dependency>, replica: &Replica) -> Result<Found, StoreError> {
    let standing = store::stands(pool).await?;
    if standing.replica != replica.id() && standing.replica.0 != 0 {
        return Ok(Found::Renumbered);
    }
    if standing.is_rewound {
        replica.rewind();
        return Ok(Found::Rewound);
    }
    if standing.is_confirmed {
        return Ok(Found::Whole);
    }
    let Some(peer) = peer else {
        store::confirm(pool).await?;
        return Ok(Found::Whole);
    };
    match ask(peer, replica).await {
        Ok(position) if store::holds(pool, position).await? => {
            store::confirm(pool).await?;
            Ok(Found::Whole)
        }
        Ok(_) => {
            store::rewound(pool).await?;
            replica.rewind();
            Ok(Found::Rewound)
        }
        Err(status) => unanswered(pool, &standing, &status).await,
    }
}

async fn unanswered(pool: &PgPool, standing: &Standing, status: &Status) -> Result<Found, StoreError> {
    // An older version of the other region cannot be asked; it will be, before it matters.
    if !standing.is_same_server && status.code() != Code::Unimplemented {
        return Ok(Found::Unknown);
    }
    tracing::warn!(code = ?status.code(), "the server of carts was restarted, and the other region could not be asked what it has of the log");
    store::confirm(pool).await?;
    Ok(Found::Whole)
}

/// How far the other region has come with this log.
async fn ask(peer: &Dependency, replica: &Replica) -> Result<Position, Status> {
    let request = GetLogPositionRequest { replica: replica.id().0.into() };
    let answer = peer.call(ASK_WITHIN, |channel| async move {
        CartReplicationServiceClient::new(channel).get_log_position(request).await
    });
    let position = answer.await?.position;
    wire::position_of(position).map_err(|malformed| Status::internal(malformed.to_string()))
}
