//! Servers: connections and requests in flight bounded, in all and for one client; deadlines honoured, panics caught, drained at the end.

mod accept;
mod admin;
pub mod body;
mod client;
mod connections;
mod first_message;
mod grpc;
mod http;
mod places;
mod request;
#[cfg(feature = "sabotage")]
mod sabotage;
mod watched;

pub use self::client::{ClientAddress, share};
pub use self::connections::ConnectionsMax;
pub use self::grpc::GrpcServer;
pub(crate) use self::grpc::HEADER_LIST_BYTES_MAX;
pub use self::http::{HttpServer, serve_http, serve_http_within};
pub use self::places::{Asker, Full, Place, Places, PlacesMax};

use tokio::net::TcpSocket;

/// Why a server ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// As configured.
        address: std::net::SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The reflection service refused our descriptors.
    #[error("descriptors are unusable")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The gRPC server failed.
    #[error("gRPC server failed")]
    Grpc(#[from] tonic::transport::Error),
}

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Listens beside whoever of the same account listens already (`SO_REUSEPORT`): the next process of a service takes over from the last one
/// on the same address without a moment in which nobody answers. What keeps two services from sharing an address by mistake is that no
/// two have the same one.
///
/// Call it inside the runtime.
///
/// # Errors
/// [`Error::Listen`].
pub fn listen(address: std::net::SocketAddr) -> Result<tokio::net::TcpListener, Error> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| Error::Listen { address, source })
}
