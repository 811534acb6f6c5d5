//! Reading the body of a request: within a size, a time, and not too slowly.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

/// How slowly a body may come.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Before anything of it has to be there.
    pub start: Duration,
    /// Bytes a second, from then on and over all of it.
    pub bytes_per_second: u32,
    /// The whole of it.
    pub whole: Duration,
}

impl Pace {
    /// For people's devices. A telephone on a bad link sends some 10 KB a second, so a body of the largest size within the whole time.
    pub const PUBLIC: Self =
        Self { start: Duration::from_secs(3), bytes_per_second: 1_024, whole: Duration::from_secs(15) };

    /// Until when the next byte has to come, of a body that began to be read at `begin` and of which `received` bytes are there.
    pub(super) fn due(&self, begin: Instant, received: usize) -> Instant {
        let earned = Duration::from_secs_f64(received as f64 / f64::from(self.bytes_per_second));
        begin + (self.start + earned).min(self.whole)
    }
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It is larger than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// It comes more slowly than it may.
    #[error("the body came too slowly")]
    TooSlow,
    /// The connection broke, or it is not framed as HTTP says.
    #[error("the body ended early")]
    Broken,
}

/// Reads `body`, of at most `bytes_max` bytes, at `pace` or faster.
///
/// # Errors
/// [`Unread`].
pub async fn collect(mut body: Body, bytes_max: usize, pace: Pace) -> Result<Bytes, Unread> {
    let begin = Instant::now();
    let mut parts: Vec<Bytes> = Vec::new();
    let mut received = 0_usize;
    loop {
        let frame = tokio::time::timeout_at(pace.due(begin, received), body.frame()).await;
        let Some(frame) = frame.map_err(|_| Unread::TooSlow)? else { break };
        // Trailers say nothing to us.
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        received = received.saturating_add(data.len());
        if received > bytes_max {
            return Err(Unread::TooLarge);
        }
        parts.push(data);
    }
    Ok(match parts.as_mut_slice() {
        [] => Bytes::new(),
        [whole] => std::mem::take(whole),
        parts => parts.concat().into(),
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::StreamExt as _;

    use super::*;

    /// So many bytes at a time, so long apart.
    fn dribbling(parts: usize, bytes: usize, pause: Duration) -> Body {
        let parts = futures::stream::iter(0..parts).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; bytes]))
        });
        Body::from_stream(parts)
    }

    async fn read(body: Body) -> (Result<usize, Unread>, Duration) {
        let begin = Instant::now();
        (collect(body, 65_536, Pace::PUBLIC).await.map(|body| body.len()), begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_dribbles_in_is_given_up_soon() {
        let (read, after) = read(dribbling(60_000, 1, Duration::from_secs(1))).await;
        assert_eq!(read, Err(Unread::TooSlow));
        assert!(after < Duration::from_secs(4), "{after:?}");
        let (read, after) =
            self::read(Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>())).await;
        assert_eq!((read, after), (Err(Unread::TooSlow), Pace::PUBLIC.start));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_link_is_given_its_time_and_no_more_than_that() {
        let (read, _) = read(dribbling(40, 1_600, Duration::from_millis(250))).await;
        assert_eq!(read, Ok(64_000));
        let (read, after) = self::read(dribbling(60, 1_025, Duration::from_secs(1))).await;
        assert_eq!((read, after), (Err(Unread::TooSlow), Pace::PUBLIC.whole), "at the least pace, but for too long");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_as_large_as_it_may_be_and_not_larger() {
        assert_eq!(read(Body::from(vec![0; 65_536])).await.0, Ok(65_536));
        assert_eq!(read(dribbling(2, 32_769, Duration::ZERO)).await.0, Err(Unread::TooLarge));
        assert_eq!(read(Body::empty()).await.0, Ok(0));
    }
}
