//! Waiting for a gRPC request to be complete: its headers, and the first message of its body.
//!
//! Until then nobody has asked for anything, and it takes no place among the requests in flight. A unary request has no more than
//! that message; a stream's others come when they come.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::body::Pace;

/// A message is preceded by a byte that says whether it is compressed, and by its length in four.
const PREFIX_BYTES: usize = 5;

/// The message comes more slowly than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSlow;

/// Returns the body once its first message is there, or cannot come any more: when it is longer than `bytes_max` (the decoder refuses it
/// by its length), or when the body ends or breaks before (the decoder says so).
///
/// # Errors
/// [`TooSlow`], by `pace`.
pub(super) async fn wait(mut body: Body, bytes_max: usize, pace: Pace) -> Result<Body, TooSlow> {
    let begin = Instant::now();
    let mut frames = VecDeque::new();
    let mut prefix = Vec::with_capacity(PREFIX_BYTES);
    let mut received = 0_usize;
    while !body.is_end_stream() && !is_complete(&prefix, received, bytes_max) {
        let frame = tokio::time::timeout_at(pace.due(begin, received), body.frame()).await;
        let Some(frame) = frame.map_err(|_| TooSlow)? else { break };
        if let Ok(frame) = &frame
            && let Some(data) = frame.data_ref()
        {
            let missing = PREFIX_BYTES.saturating_sub(prefix.len());
            prefix.extend(data.iter().take(missing));
            received = received.saturating_add(data.len());
        }
        let is_last = frame.is_err();
        frames.push_back(frame);
        if is_last {
            break;
        }
    }
    Ok(Body::new(Begun { frames, rest: body }))
}

fn is_complete(prefix: &[u8], received: usize, bytes_max: usize) -> bool {
    let [_, length @ ..] = prefix else { return false };
    let Ok(length) = <[u8; 4]>::try_from(length) else { return false };
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    length > bytes_max || received >= PREFIX_BYTES.saturating_add(length)
}

/// What has come of a body, and what is still to come.
struct Begun {
    frames: VecDeque<Result<Frame<Bytes>, Status>>,
    rest: Body,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        match this.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut this.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::channel::mpsc;
    use http_body_util::StreamBody;

    use super::*;

    const PACE: Pace = Pace { whole: Duration::from_secs(60), ..Pace::PUBLIC };

    type Sender = mpsc::UnboundedSender<Result<Frame<Bytes>, Status>>;

    fn body() -> (Sender, Body) {
        let (sender, frames) = mpsc::unbounded();
        (sender, Body::new(StreamBody::new(frames)))
    }

    fn send(sender: &Sender, bytes: &[u8]) {
        sender.unbounded_send(Ok(Frame::data(Bytes::copy_from_slice(bytes)))).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_complete_with_its_first_message_and_loses_nothing_by_the_wait() {
        let (sender, body) = body();
        let waiting = tokio::spawn(wait(body, 100, PACE));
        for part in [&[0_u8, 0][..], &[0, 0, 3, 7], &[8]] {
            send(&sender, part);
            tokio::time::sleep(PACE.start / 4).await;
            assert!(!waiting.is_finished(), "{part:?}");
        }
        send(&sender, &[9, 0, 0]);
        let body = waiting.await.unwrap().unwrap();
        send(&sender, &[0, 0, 1, 1]);
        drop(sender);
        let all = body.collect().await.unwrap().to_bytes();
        assert_eq!(all.as_ref(), [0, 0, 0, 0, 3, 7, 8, 9, 0, 0, 0, 0, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_become_complete_is_not_waited_for() {
        let (sender, too_long) = body();
        send(&sender, &[0, 0, 0, 1, 0]);
        wait(too_long, 100, PACE).await.unwrap();
        let (sender, ended) = body();
        send(&sender, &[0, 0]);
        drop(sender);
        let ended = wait(ended, 100, PACE).await.unwrap();
        assert_eq!(ended.collect().await.unwrap().to_bytes().as_ref(), [0, 0]);
        let (sender, broken) = body();
        sender.unbounded_send(Err(Status::cancelled("gone"))).unwrap();
        assert!(wait(broken, 100, PACE).await.unwrap().collect().await.is_err());
        wait(Body::empty(), 100, PACE).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_does_not_come_or_dribbles_in_is_given_up_soon() {
        let begin = Instant::now();
        let (_silent, nothing) = body();
        assert_eq!(wait(nothing, 100, PACE).await.err(), Some(TooSlow));
        assert_eq!(begin.elapsed(), PACE.start);

        let begin = Instant::now();
        let (sender, dribbling) = body();
        send(&sender, &[0, 0, 0, 0, 100]);
        let dribble = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                send(&sender, &[1]);
            }
        };
        tokio::select! {
            waited = wait(dribbling, 100, PACE) => assert_eq!(waited.err(), Some(TooSlow)),
            () = dribble => {}
        }
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_message_over_a_slow_link_is_given_its_time() {
        let (sender, large) = body();
        let waiting = tokio::spawn(wait(large, 1 << 20, PACE));
        send(&sender, &[0, 0, 0, 0xa0, 0]);
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            send(&sender, &[0; 1_024]);
        }
        waiting.await.unwrap().unwrap();
    }
}
