//! One connection across the link: the handshake, both directions, the end.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{sleep, timeout};

use crate::config::Route;
use crate::direction::{Directed, Direction};
use crate::link::Link;
use crate::properties::Properties;
use crate::pump::{Ended, Pump};
use crate::recovery::hit;

/// Between two tries of a handshake (RFC 6298: the first retransmission of a SYN is after a second; see the crate's notes on why
/// it does not double).
const HANDSHAKE_RETRY: Duration = Duration::from_secs(1);
/// How long the far end, which is on this machine, may take to accept. Kernels accept at once or refuse.
const ACCEPT_LIMIT: Duration = Duration::from_secs(5);
/// What a dialler may send before the handshake is through. It believes to be connected; more than this waits in its own kernel.
const EARLY_BYTES_MAX: usize = 64 * 1024;

/// Carries a connection that was dialled at `near` until both its directions are at their end.
pub async fn carry(link: Arc<Link>, route: &Route, near: TcpStream) {
    let _open = link.traffic(route.direction).connection();
    let seeds = link.seeds();
    let (onwards, back) = (route.direction, route.direction.reverse());
    let mut dice = StdRng::seed_from_u64(!*seeds.of(onwards));
    let (mut near_read, mut near_write) = near.into_split();
    let mut early = BytesMut::new();
    let far = tokio::select! {
        far = handshake(&link, route, &mut dice) => far,
        // A dialler that gives up before it was connected leaves no trace at the far end.
        () = gave_up(&link, &mut near_read, &mut early) => return,
    };
    let far = match far {
        Ok(far) => far,
        Err(error) => {
            tracing::debug!(route = route.name, %error, "refused at the far end");
            return reset(near_write);
        }
    };
    let (far_read, mut far_write) = far.into_split();
    let onwards_pump = Pump::new(link.clone(), onwards, *seeds.of(onwards), early.freeze());
    let back_pump = Pump::new(link.clone(), back, *seeds.of(back), Bytes::new());
    let mut other_dice = StdRng::seed_from_u64(!*seeds.of(back));
    let there = one_way(&link, onwards_pump, near_read, &mut far_write, &mut dice);
    let and_back = one_way(&link, back_pump, far_read, &mut near_write, &mut other_dice);
    if tokio::try_join!(there, and_back).is_err() {
        reset(near_write);
        reset(far_write);
    }
}

/// The connection is broken, and both ends must be told.
struct Broken;

/// Runs one direction to its end.
async fn one_way(
    link: &Link,
    pump: Pump,
    from: OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    dice: &mut StdRng,
) -> Result<(), Broken> {
    let direction = pump.direction();
    match pump.run(from, to).await {
        Ended::Closed => Ok(()),
        Ended::SenderGone => Err(Broken),
        Ended::ReceiverGone => {
            // The sender learns it from the answer to what it sent.
            cross(link, direction.reverse(), dice).await;
            Err(Broken)
        }
    }
}

/// A round trip, then the far end's kernel. (It answers in the middle of the round trip, but a far end that has accepted could see
/// the dialler give up during a cut.)
async fn handshake(link: &Link, route: &Route, dice: &mut StdRng) -> io::Result<TcpStream> {
    cross(link, route.direction, dice).await;
    cross(link, route.direction.reverse(), dice).await;
    connect(route.to).await
}

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let far = timeout(ACCEPT_LIMIT, TcpStream::connect(to)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    far.set_nodelay(true)?;
    Ok(far)
}

/// Waits until a lone segment has crossed, over any number of losses and cuts.
async fn cross(link: &Link, direction: Direction, dice: &mut StdRng) {
    loop {
        let properties = *link.properties().of(direction);
        if properties.is_open() && !hit(dice, properties.loss) {
            sleep(properties.delay).await;
            if link.properties().of(direction).is_open() {
                return;
            }
        }
        sleep(HANDSHAKE_RETRY).await;
    }
}

/// Returns when the dialler is gone; keeps what it sends until then. An end of its bytes may be a half-close, with the dialler still
/// there for the answer: on a link that is open the handshake goes on. On a cut one it is taken for the impatience that it
/// nearly always is.
async fn gave_up(link: &Link, near: &mut OwnedReadHalf, early: &mut BytesMut) {
    while early.len() < EARLY_BYTES_MAX {
        match near.read_buf(early).await {
            Ok(0) => {
                let is_cut = |link: &Directed<Properties>| Direction::ALL.iter().any(|way| !link.of(*way).is_open());
                if link.subscribe().wait_for(is_cut).await.is_ok() {
                    return;
                }
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
    pending().await
}

/// Ends with a reset instead of a close, which would look like the orderly end of what was sent.
fn reset(end: OwnedWriteHalf) {
    if let Err(error) = end.as_ref().set_zero_linger() {
        tracing::debug!(%error, "cannot reset, closing instead");
    }
    // A plain drop of this half would send a close first.
    end.forget();
}
