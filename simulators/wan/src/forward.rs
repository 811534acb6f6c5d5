//! Listens on every route and carries what is dialled.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::config::Route;
use crate::connection;
use crate::link::Link;

/// Connections of one route at a time; one more waits in the kernel's queue until one ends, as on a cut link. Four services with
/// three Kafka connections each make 12 of a broker's route; the rest is for those that a cut leaves behind.
pub const CONNECTIONS_MAX: usize = 64;
/// Out of file descriptors is the usual reason for a failed accept; connections that end free some.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Binds a route.
///
/// # Errors
/// The address is taken or not ours.
pub async fn bind(route: Route) -> io::Result<(TcpListener, Route)> {
    Ok((TcpListener::bind(route.listen).await?, route))
}

/// Carries connections for as long as it is polled; dropping it ends them all.
pub async fn run(link: Arc<Link>, routes: Vec<(TcpListener, Route)>) {
    let mut all = JoinSet::new();
    for (listener, route) in routes {
        all.spawn(accept(link.clone(), listener, Arc::new(route)));
    }
    while all.join_next().await.is_some() {}
}

async fn accept(link: Arc<Link>, listener: TcpListener, route: Arc<Route>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let near = match nodelay(listener.accept().await.map(|(near, _)| near)) {
            Ok(near) => near,
            Err(error) => {
                tracing::warn!(route = route.name, %error, "connection not accepted");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                continue;
            }
        };
        let (link, route) = (link.clone(), route.clone());
        connections.spawn(async move {
            connection::carry(link, &route, near).await;
            drop(place);
        });
    }
}

/// Nothing waits for Nagle's algorithm: the delays here are ours.
fn nodelay(accepted: io::Result<TcpStream>) -> io::Result<TcpStream> {
    let stream = accepted?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
