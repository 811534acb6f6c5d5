//! A link to a server that can be stalled and cut.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    /// Connections stand, and nothing arrives.
    Stalled,
    /// Connections end, and no new ones are made.
    Down,
}

/// Forwards TCP connections.
pub struct Link {
    state: watch::Sender<State>,
    pub port: u16,
}

impl Link {
    /// A link to `server`, host and port.
    pub async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, watched) = watch::channel(State::Up);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (server, mut watched) = (server.clone(), watched.clone());
                tokio::spawn(async move {
                    if *watched.borrow() == State::Down {
                        return;
                    }
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = TcpStream::connect(server).await.unwrap().into_split();
                    tokio::select! {
                        () = forward(near_in, far_out, watched.clone()) => {}
                        () = forward(far_in, near_out, watched.clone()) => {}
                        _ = watched.wait_for(|state| *state == State::Down) => {}
                    }
                });
            }
        });
        Self { state, port }
    }

    pub fn stall(&self) {
        self.state.send_replace(State::Stalled);
    }

    pub fn cut(&self) {
        self.state.send_replace(State::Down);
    }

    pub fn mend(&self) {
        self.state.send_replace(State::Up);
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|state| *state != State::Stalled).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
