//! Asks a part whether it does its work. One question each, bounded in time; the caller repeats it.

use std::net::SocketAddrV4;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::kafka;
use super::part::Probe;

/// The header in which a service says which process it is; others have none.
const PROCESS: &str = "x-process";
/// Longest one question may take; the answer takes milliseconds when there is one.
const QUESTION_LIMIT: Duration = Duration::from_secs(3);
/// The same for one of our services. Beside a process that is frozen every other question meets that one and is lost, so it is soon repeated.
const SERVICE_QUESTION_LIMIT: Duration = Duration::from_secs(1);

/// Asks once. `pid`: the process that is to answer. One that takes over from another shares its address until that has ended.
///
/// # Errors
/// Why it is not ready, in a few words.
pub async fn ask(probe: &Probe, pid: i32) -> Result<(), String> {
    within(QUESTION_LIMIT, question(probe, pid)).await
}

/// What a part that is ready cannot do all the same, in its own words: a line for each of its conditions. None when it can do all, or does not
/// say.
pub async fn conditions(probe: &Probe) -> Option<String> {
    let (Probe::Http(ready_url) | Probe::Grpc { ready_url, .. }) = probe else { return None };
    let url = format!("{}/conditions", ready_url.strip_suffix("/readyz")?);
    let asked = async { reqwest::get(url).await.ok()?.error_for_status().ok()?.text().await.ok() };
    let said = timeout(SERVICE_QUESTION_LIMIT, asked).await.ok()??;
    let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

async fn within(limit: Duration, question: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    timeout(limit, question).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

async fn question(probe: &Probe, pid: i32) -> Result<(), String> {
    match probe {
        Probe::Postgres(url) => postgres(url).await,
        Probe::Redis(address) => redis(*address).await,
        Probe::Kafka(address) => broker(*address).await,
        Probe::Http(url) => within(SERVICE_QUESTION_LIMIT, http(url, pid)).await,
        Probe::Grpc { ready_url, address } => {
            within(SERVICE_QUESTION_LIMIT, http(ready_url, pid)).await?;
            within(SERVICE_QUESTION_LIMIT, grpc(*address)).await
        }
    }
}

async fn postgres(url: &str) -> Result<(), String> {
    let mut connection = PgConnection::connect(url).await.map_err(|error| error.to_string())?;
    sqlx::query("select 1").execute(&mut connection).await.map_err(|error| error.to_string())?;
    connection.close().await.map_err(|error| error.to_string())
}

async fn redis(address: SocketAddrV4) -> Result<(), String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0_u8; 5];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match exchange.await {
        Ok(answer) if &answer == b"+PONG" => Ok(()),
        Ok(answer) => Err(String::from_utf8_lossy(&answer).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn broker(address: SocketAddrV4) -> Result<(), String> {
    // The client library would keep trying; a plain connection says at once that nobody is there yet.
    drop(TcpStream::connect(address).await.map_err(|error| error.to_string())?);
    tokio::task::spawn_blocking(move || kafka::probe(address)).await.map_err(|error| error.to_string())?
}

async fn http(url: &str, pid: i32) -> Result<(), String> {
    let answer = reqwest::get(url).await.map_err(|error| root_cause(&error))?;
    let status = answer.status();
    if answer.headers().get(PROCESS).is_some_and(|process| process.as_bytes() != pid.to_string().as_bytes()) {
        return Err("its predecessor answers".to_owned());
    }
    if status.is_success() { Ok(()) } else { Err(format!("answers {status}")) }
}

async fn grpc(address: SocketAddrV4) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| root_cause(&error))?;
    // The empty name asks about the server as a whole.
    let request = HealthCheckRequest { service: String::new() };
    let answer = HealthClient::new(channel).check(request).await.map_err(|status| status.message().to_owned())?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(other.as_str_name().to_owned()),
    }
}

/// HTTP clients wrap "connection refused" in several layers that say less.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
