//! A cart's changes, as server-sent events: the cart now, and again after every change.
//!
//! Between the cart service and the client stands one task a stream. It takes every cart as it comes and keeps the latest
//! alone, whether or not the client reads: what a slow client left lying would fill the window of the one connection that
//! all streams share, and stop them. The task holds the stream's seat, so neither a client that stops reading nor one that
//! is gone keeps it.

use std::convert::Infallible;
use std::future::ready;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use contracts::cart::v1 as wire;
use futures::stream::{self, Stream, StreamExt as _};
use tokio::sync::watch;
use tonic::Streaming;
use tracing::Instrument as _;

use super::Missing;
use super::carts::Cart;
use crate::Bff;
use crate::caller::Customer;
use crate::event_streams::Seat;
use crate::extract::Segments;
use crate::problem::Problem;

/// A comment is sent when nothing else was for so long. Proxies cut what is silent for a minute, as a rule; and a client that
/// vanished is noticed only by what it does not acknowledge.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// How long a client waits before it connects again, in milliseconds: not all at once when a process ends all its streams.
const RETRY_MS: RangeInclusive<u64> = 1_000..=3_000;
/// nginx and others that follow it gather an answer before they pass it on, unless it has this.
const UNBUFFERED: [(&str, &str); 1] = [("x-accel-buffering", "no")];

/// Watches a cart.
///
/// Server-sent events: the cart now, and again within a second after every change, from whichever region. Not every state
/// between two is shown: who reads slowly gets the latest. The stream ends when the session does, and every few minutes;
/// connect again, and it begins with the cart as it is then. A browser's EventSource cannot send the Authorization header:
/// read the stream with fetch.
#[utoipa::path(get, path = "/v1/carts/{cart_id}/events", tag = "carts",
    params(("cart_id" = String, Path, description = "The cart")),
    responses(
        (status = 200, description = "Events named `cart`, whose id is the cart's version and whose data is the cart",
            body = Cart, content_type = "text/event-stream"),
        (status = 503, description = "Too many carts are watched, or changes are not heard of: read the cart, and try again",
            body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn watch(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Segments(cart_id): Segments<String>,
) -> Result<impl IntoResponse, Problem> {
    let seat = bff.event_streams.take_seat(customer.session_ends_at())?;
    let request = wire::WatchCartRequest { cart_id, owner_id: customer.id() };
    let (first, carts) = bff.backends.cart_changes.watch_cart(request).await?;
    let (latest, events) = watch::channel(event(first)?);
    tokio::spawn(keep_latest(carts, latest, seat).in_current_span());
    let sse = Sse::new(answer(events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL));
    Ok((UNBUFFERED, sse))
}

/// Ends with the service's stream, with the seat's time, or with the client.
async fn keep_latest(mut carts: Streaming<wire::WatchCartResponse>, latest: watch::Sender<Event>, seat: Seat) {
    tokio::select! {
        () = latest.closed() => {}
        () = seat.over() => {}
        () = forward(&mut carts, &latest) => {}
    }
}

/// Returns when the service's stream ends, well or badly. The answer has begun by then: its client learns only that it ends.
async fn forward(carts: &mut Streaming<wire::WatchCartResponse>, latest: &watch::Sender<Event>) {
    loop {
        match carts.message().await {
            Ok(Some(response)) => match event(response) {
                Ok(event) => drop(latest.send_replace(event)),
                Err(missing) => return tracing::error!(error = %missing, "a service broke its contract"),
            },
            // The service drains.
            Ok(None) => return,
            Err(status) => {
                return tracing::debug!(code = ?status.code(), message = status.message(), "watching a cart broke off");
            }
        }
    }
}

/// What the client gets: how long to wait before it connects again, and the events.
fn answer(mut events: watch::Receiver<Event>) -> impl Stream<Item = Result<Event, Infallible>> {
    // The first is news too.
    events.mark_changed();
    let retry = Event::default().retry(Duration::from_millis(rand::random_range(RETRY_MS)));
    let events = stream::unfold(events, async |mut events| {
        events.changed().await.ok()?;
        let event = events.borrow_and_update().clone();
        Some((event, events))
    });
    stream::once(ready(retry)).chain(events).map(Ok)
}

fn event(response: wire::WatchCartResponse) -> Result<Event, Missing> {
    // The version names all that is shown but what two orders took, which is found without an operation of the cart, and only grows.
    let twice: i64 = response.cart.iter().flat_map(|cart| &cart.ordered_twice).map(|twice| twice.quantity).sum();
    let cart = Cart::try_from(response.cart)?;
    let id = if twice > 0 { format!("{}.{twice}", cart.version) } else { cart.version.clone() };
    let event = Event::default().event("cart").id(id);
    // Strings and numbers always serialise.
    Ok(event.json_data(&cart).unwrap_or_default())
}
