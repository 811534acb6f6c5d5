//! Reads server-sent events as a client does.

use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use futures::stream::{self, BoxStream, StreamExt as _};
use serde_json::Value;
use tokio::time::timeout;

/// Longer than anything takes here that does not hang.
pub const SOON: Duration = Duration::from_secs(5);

pub struct Events {
    body: BoxStream<'static, Vec<u8>>,
    unread: Vec<u8>,
}

impl Events {
    /// The events of an answer that is a stream of them.
    pub fn of(response: Response<Body>) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        let body = response.into_body().into_data_stream().map(|chunk| chunk.unwrap().to_vec());
        Self { body: body.boxed(), unread: Vec::new() }
    }

    /// The same, over a connection. One that is cut off panics: a stream has an end.
    pub fn over(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        let body = stream::unfold(response, async |mut response| {
            let chunk = response.chunk().await.unwrap()?;
            Some((chunk.to_vec(), response))
        });
        Self { body: body.boxed(), unread: Vec::new() }
    }

    /// The next block, as its lines; `None` at the end.
    pub async fn block(&mut self) -> Option<Vec<String>> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Some(str::from_utf8(&block[..end]).unwrap().lines().map(str::to_owned).collect());
            }
            let Some(chunk) = self.body.next().await else {
                assert_eq!(self.unread, b"", "ended within a block");
                return None;
            };
            self.unread.extend(chunk);
        }
    }

    /// The next event within [`SOON`]: its id and the cart; `None` at the end.
    pub async fn cart(&mut self) -> Option<(String, Value)> {
        loop {
            let lines = timeout(SOON, self.block()).await.expect("an event soon")?;
            let field = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            if let Some(data) = field("data") {
                assert_eq!(field("event"), Some("cart"));
                return Some((field("id").unwrap().to_owned(), serde_json::from_str(data).unwrap()));
            }
        }
    }
}
