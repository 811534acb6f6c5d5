//! Servers: requests in flight bounded, deadlines honoured, panics caught, drained at the end.

mod accept;
mod admin;
mod grpc;
mod http;
mod in_flight;
mod request;
#[cfg(feature = "sabotage")]
mod sabotage;

pub use self::grpc::GrpcServer;
pub(crate) use self::grpc::HEADER_LIST_BYTES_MAX;
pub use self::http::{HttpServer, serve_http};
pub use self::in_flight::{InFlight, InFlightLimit};

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

pub(crate) async fn listen(address: std::net::SocketAddr) -> Result<tokio::net::TcpListener, Error> {
    tokio::net::TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}
