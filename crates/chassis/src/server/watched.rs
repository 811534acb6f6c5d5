//! A connection that is closed when it is overdue, or when it has to make room.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use super::client::ClientAddress;
use super::connections::Connection;

/// A stream and what is known of its connection. Whoever reads from it gets an error when its time is over.
pub(super) struct Watched {
    stream: TcpStream,
    connection: Arc<Connection>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    overdue: Pin<Box<Sleep>>,
    /// What `overdue` is set to.
    due: Option<Instant>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        let ended = Box::pin(connection.end().cancelled_owned());
        let overdue = Box::pin(tokio::time::sleep_until(Instant::now()));
        Self { stream, connection, ended, overdue, due: None }
    }

    /// Why nothing more is read, if so; wakes the reader when it becomes so.
    fn over(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        if self.ended.as_mut().poll(context).is_ready() {
            return Some(io::Error::new(ErrorKind::ConnectionAborted, "ended to make room"));
        }
        let due = self.connection.due();
        if let Some(at) = due {
            if self.due != due {
                self.overdue.as_mut().reset(at);
            }
            self.due = due;
            if self.overdue.as_mut().poll(context).is_ready() {
                metrics::counter!("connections_overdue_total").increment(1);
                return Some(io::Error::new(ErrorKind::TimedOut, "said too little for too long"));
            }
        }
        None
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = this.over(context) {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = &read
            && buffer.filled().len() > before
        {
            this.connection.heard(buffer.filled().len() - before);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// What every gRPC request of the connection carries with it.
impl Connected for Watched {
    type ConnectInfo = ClientAddress;

    fn connect_info(&self) -> ClientAddress {
        self.connection.client()
    }
}
