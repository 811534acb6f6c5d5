//! Watching a cart.

use std::sync::Arc;
use std::time::Duration;

use chassis::status::{self, Fields};
use contracts::cart::v1::{WatchCartRequest, WatchCartResponse};
use futures::stream::{BoxStream, StreamExt as _};
use ids::{CartId, CustomerId};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::CartGrpc;
use super::read::shown;
use crate::cache::{CartReader, Visible};
use crate::changes::{Deaf, TooManyWatchers, Watch};

/// When to come back to a process that has no seat for one more watcher, or cannot hear of changes.
const COME_BACK_AFTER: Duration = Duration::from_secs(1);

/// What a watcher gets. The server asks for the next item once there is room for it on the connection: no queue is behind it.
pub(super) type CartStream = BoxStream<'static, Result<WatchCartResponse, Status>>;

impl CartGrpc {
    /// The first state is read here, under the request's deadline; a stream is not under it.
    pub(super) async fn watch(&self, request: WatchCartRequest) -> Result<CartStream, Status> {
        let mut fields = Fields::default();
        let cart_id: Option<CartId> = fields.parse("cart_id", &request.cart_id);
        let owner_id: Option<CustomerId> = fields.parse("owner_id", &request.owner_id);
        let (Some(cart_id), Some(owner_id)) = (cart_id, owner_id) else { return Err(fields.refusal()) };
        if !self.watchers.hear() {
            return Err(deaf(Deaf));
        }
        // Watched first, read then: a change in between is seen, or marked.
        let watch = self.watchers.watch(cart_id).map_err(no_seat)?;
        let shown = shown(&self.reader, cart_id, owner_id).await?;
        let first = response(&shown);
        let watching =
            Watching { reader: self.reader.clone(), watch, cart_id, owner_id, shown, draining: self.draining.clone() };
        let rest = futures::stream::unfold(Some(watching), async |watching| {
            let mut watching = watching?;
            match watching.next().await? {
                Ok(response) => Some((Ok(response), Some(watching))),
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(futures::stream::once(async { Ok(first) }).chain(rest).boxed())
    }
}

/// One stream.
struct Watching {
    reader: CartReader,
    watch: Watch,
    cart_id: CartId,
    owner_id: CustomerId,
    shown: Arc<Visible>,
    draining: CancellationToken,
}

impl Watching {
    /// The next state that shows something new; `None` when the process drains.
    async fn next(&mut self) -> Option<Result<WatchCartResponse, Status>> {
        loop {
            let changed = tokio::select! {
                () = self.draining.cancelled() => return None,
                changed = self.watch.changed() => changed,
            };
            if let Err(error) = changed {
                return Some(Err(deaf(error)));
            }
            match shown(&self.reader, self.cart_id, self.owner_id).await {
                Ok(now) if now == self.shown => {}
                Ok(now) => {
                    self.shown = now;
                    return Some(Ok(response(&self.shown)));
                }
                Err(status) => return Some(Err(status)),
            }
        }
    }
}

fn response(visible: &Visible) -> WatchCartResponse {
    WatchCartResponse { cart: Some(visible.cart.clone()) }
}

fn no_seat(error: TooManyWatchers) -> Status {
    status::resource_exhausted("TOO_MANY_WATCHERS", error.to_string(), COME_BACK_AFTER)
}

fn deaf(error: Deaf) -> Status {
    status::unavailable("CHANGES_NOT_HEARD", format!("{error}; read the cart instead, and try again"), COME_BACK_AFTER)
}
