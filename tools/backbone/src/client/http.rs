//! HTTP/1.1 over a pool of kept-alive connections. Every call has a deadline, every answer a size limit.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Largest answer read: a page of twenty orders of 1,500 lines stays below it.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A loopback connection is there at once or not at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// There is no answer. Whether the request was carried out is unknown.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Whom.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    /// The answer's body broke or is too large.
    #[error("the answer cannot be read: {0}")]
    Body(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// Connections to one server.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    host: HeaderValue,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    /// Bounds open connections: one more call waits its turn.
    permits: Semaphore,
}

impl Pool {
    /// A pool of at most `connections_max`, opened as they are needed.
    pub fn new(address: SocketAddr, connections_max: usize) -> Self {
        let host = HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static("localhost"));
        Self { address, host, idle: Mutex::default(), permits: Semaphore::new(connections_max) }
    }

    /// Sends a request and reads the whole answer, within `deadline`; waiting for a connection counts.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn call(&self, request: Request<Full<Bytes>>, deadline: Duration) -> Result<Answer, TransportError> {
        match tokio::time::timeout(deadline, self.exchange(request)).await {
            Ok(answer) => answer,
            // The connection is dropped with the future: its late answer must not meet the next request.
            Err(_) => Err(TransportError::TimedOut(deadline)),
        }
    }

    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, TransportError> {
        request.headers_mut().insert(HOST, self.host.clone());
        let _permit = self.permits.acquire().await.map_err(|closed| TransportError::Body(closed.to_string()))?;
        let mut connection = self.connection().await?;
        let response = connection.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| TransportError::Body(error.to_string()))?.to_bytes();
        // A server that drains says so; the next request would meet a connection that is being closed.
        let ends = head.headers.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        if !ends {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// An idle connection that is still open, or a new one.
    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, TransportError> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut connection) = idle else { return self.connect().await };
            // The last user read its answer to the end, so this only waits for the connection's task to notice that.
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, TransportError> {
        let failed = |source| TransportError::Connect { address: self.address, source };
        let stream = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(self.address))
            .await
            .map_err(|_| TransportError::TimedOut(CONNECT_WITHIN))?
            .map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (connection, task) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends when the connection does; what went wrong reaches the caller through `connection`.
        tokio::spawn(task);
        Ok(connection)
    }
}
