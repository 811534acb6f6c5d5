//! One client of a gRPC server, or of an admin port, leaves something for the others, whatever it does.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod support;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use chassis::server::GrpcServer;
use chassis::status;
use contracts::catalog::v1::GetOfferRequest;
use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
use contracts::catalog::v1::catalog_service_server::CatalogServiceServer;
use futures::stream::{self, BoxStream, StreamExt as _};
use http_body::Frame;
use http_body_util::StreamBody;
use support::{Catalog, Running, config, get};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::{Service as _, ServiceExt as _};

const GET_OFFER: &str = "/catalog.v1.CatalogService/GetOffer";
const PROMPT: Duration = Duration::from_secs(2);
/// Longer than a message that does not come is waited for.
const LONG: Duration = Duration::from_secs(5);

/// A client at 127.0.0.`host`.
fn client(host: u8, server: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{server}")).unwrap();
    endpoint.local_address(Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)))).connect_lazy()
}

type Parts = BoxStream<'static, Bytes>;

fn nothing() -> Parts {
    stream::pending().boxed()
}

/// The beginning of a message of 100 bytes, then one of them ten times a second.
fn dribble() -> Parts {
    let slowly = stream::repeat(Bytes::from_static(&[1])).then(|byte| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        byte
    });
    stream::iter([Bytes::from_static(&[0, 0, 0, 0, 100])]).chain(slowly).boxed()
}

/// Asks for an offer, waits as long as one may, and sends `body` as the request's message. Returns what the answer's head says.
async fn ask(mut client: Channel, body: Parts) -> Result<(), Status> {
    let body = Body::new(StreamBody::new(body.map(|part| Ok::<_, Infallible>(Frame::data(part)))));
    let request = http::Request::post(GET_OFFER)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "60S")
        .body(body)
        .unwrap();
    let response =
        client.ready().await.unwrap().call(request).await.map_err(|error| Status::from_error(error.into()))?;
    Status::from_header_map(response.headers()).map_or(Ok(()), Err)
}

async fn get_offer(client: Channel) -> Result<i64, Status> {
    let request = GetOfferRequest { offer_id: "85123A".into() };
    Ok(CatalogServiceClient::new(client).get_offer(request).await?.into_inner().available_here)
}

fn outcome(status: &Status) -> (Code, String) {
    (status.code(), status::reason(status).unwrap_or_default())
}

fn is_overloaded(status: &Status) -> bool {
    outcome(status) == (Code::Unavailable, "OVERLOADED".to_owned())
}

#[tokio::test]
async fn a_client_of_many_incomplete_requests_leaves_room_for_those_of_others() {
    const INCOMPLETE: usize = 20;
    let catalog = Catalog::answering(async |_| Ok(7));
    let running = Running::start(&catalog, &config(&["--requests-in-flight-max", "10"])).await;
    let one = client(2, running.address);
    let mut asked = JoinSet::new();
    for _ in 0..INCOMPLETE {
        asked.spawn(ask(one.clone(), nothing()));
    }
    for _ in 0..INCOMPLETE / 10 {
        let refused = timeout(PROMPT, asked.join_next()).await.expect("a tenth is refused at once");
        let refused = refused.unwrap().unwrap().unwrap_err();
        assert!(is_overloaded(&refused), "{refused:?}");
    }
    assert!(is_overloaded(&get_offer(one).await.unwrap_err()), "it holds its share");
    assert_eq!(get_offer(client(3, running.address)).await.unwrap(), 7);
}

#[tokio::test]
async fn a_client_of_many_requests_in_flight_leaves_room_for_those_of_others() {
    const SHARE: u32 = 9;
    let catalog = Catalog::answering(async |call| if call <= SHARE { std::future::pending().await } else { Ok(7) });
    let running = Running::start(&catalog, &config(&["--requests-in-flight-max", "10"])).await;
    let one = client(2, running.address);
    let mut asked = JoinSet::new();
    for _ in 0..SHARE {
        asked.spawn(get_offer(one.clone()));
    }
    timeout(PROMPT, async {
        while catalog.calls() < SHARE {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("nine are served");
    assert!(is_overloaded(&get_offer(one).await.unwrap_err()), "it holds its share");
    assert_eq!(get_offer(client(3, running.address)).await.unwrap(), 7);
}

#[tokio::test]
async fn a_message_that_does_not_come_or_comes_too_slowly_costs_the_request_its_place() {
    let catalog = Catalog::answering(async |_| Ok(7));
    let running = Running::start(&catalog, &config(&["--requests-in-flight-max", "1"])).await;
    let one = client(2, running.address);
    let begin = Instant::now();
    // Two places of what is incomplete, of which one client has one.
    let asked = [tokio::spawn(ask(one.clone(), nothing())), tokio::spawn(ask(client(3, running.address), dribble()))];
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(is_overloaded(&get_offer(one.clone()).await.unwrap_err()), "both places are taken");
    for asked in asked {
        let refused = timeout(LONG, asked).await.expect("long before its deadline").unwrap().unwrap_err();
        assert_eq!(outcome(&refused), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
        assert!(refused.message().contains("too slowly; after 3 s send 1024 bytes a second"), "{refused:?}");
    }
    assert!(begin.elapsed() >= Duration::from_secs(3), "a slow link has its time");
    assert_eq!(get_offer(one).await.unwrap(), 7);
    assert_eq!(catalog.calls(), 1, "what was not complete was not begun");
}

#[tokio::test]
async fn a_stream_is_not_asked_for_its_first_message() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let catalog = Catalog::answering(async |_| Ok(7));
    let server = GrpcServer::new(&config(&[])).with_client_streams(&[GET_OFFER]);
    let server = server.add_service(CatalogServiceServer::new(catalog));
    tokio::spawn(server.serve_on(listener, admin, CancellationToken::new()));
    timeout(LONG, ask(client(2, address), nothing())).await.expect_err("it is waited for as long as its caller waits");
}

#[tokio::test]
async fn silent_connections_keep_nobody_from_the_admin_port_and_are_closed() {
    /// More than the port holds.
    const SILENT: usize = 150;
    let running = Running::start(&Catalog::answering(async |_| Ok(7)), &config(&[])).await;
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(running.admin).await.unwrap());
    }
    assert_eq!(timeout(PROMPT, get(running.admin, "/readyz")).await.unwrap().0, 200);
    let oldest = timeout(PROMPT, silent[0].read(&mut [0])).await.expect("closed to make room");
    assert!(matches!(oldest, Ok(0) | Err(_)));
    let newest = silent.last_mut().unwrap();
    let newest = timeout(Duration::from_secs(12), newest.read(&mut [0])).await.expect("closed after ten seconds");
    assert!(matches!(newest, Ok(0) | Err(_)));
}
