//! A region's Postgres: one server, a database and a role per service, and no way from one into another's.

use std::fs;
use std::path::{Path, PathBuf};

use ids::Region;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::account::Account;
use super::error::PlatformError;
use super::layout::Layout;
use super::part::{Kind, Part, PartName, Probe, StopSignal, Wave, Zone};
use super::secrets::{self, DATABASES};
use super::services::Service;
use super::template::fill;
use super::tool;

const TEMPLATE: &str = include_str!("../../../../deploy/local/postgres.conf");
const ACCESS: &str = include_str!("../../../../deploy/local/pg_hba.conf");

/// What a test's server may do and a real one may not: forget everything when the machine stops.
const THROWAWAY: &str = "
# A throw-away server for tests: nobody needs its data after a crash, and each test makes a database of its own.
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 300
";

/// The region's Postgres.
///
/// # Errors
/// It is not installed, or its secrets were not made yet.
pub fn part(layout: &Layout, region: Region) -> Result<Part, PlatformError> {
    let name = PartName::new(Zone::Region(region), "postgres");
    let address = layout.postgres(region);
    Ok(Part {
        kind: Kind::Postgres,
        wave: Wave::Servers,
        program: bin_dir(&layout.data(&name))?.join("postgres"),
        arguments: vec![
            "-D".into(),
            layout.data(&name).into(),
            "-c".into(),
            format!("config_file={}", layout.conf(&name).display()).into(),
        ],
        environment: Vec::new(),
        configuration: Some(configuration(layout, region, &name)),
        listens: vec![address],
        probe: Probe::Postgres(secrets::superuser_url(layout, region, "postgres")?),
        stop_signal: StopSignal::Interrupt,
        name,
    })
}

fn configuration(layout: &Layout, region: Region, name: &PartName) -> String {
    let address = layout.postgres(region).ip().to_string();
    let access = access(layout, name).display().to_string();
    let throwaway = if layout.settings.throwaway { THROWAWAY } else { "" };
    fill(TEMPLATE, &[("address", &address), ("access", &access), ("throwaway", throwaway)])
}

fn access(layout: &Layout, name: &PartName) -> PathBuf {
    layout.conf(name).with_extension("hba.conf")
}

/// Makes the data folder once. `initdb` works beside it and the result is renamed: an interrupted one leaves nothing behind
/// that looks whole.
///
/// # Errors
/// `initdb` failed; the error has what it said.
pub async fn initialise(layout: &Layout, account: &Account, part: &Part) -> Result<(), PlatformError> {
    let Zone::Region(region) = part.name.zone else { return Ok(()) };
    account.write(&access(layout, &part.name), ACCESS)?;
    let data = layout.data(&part.name);
    if data.exists() {
        return Ok(());
    }
    let new = data.with_extension("new");
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(PlatformError::io("remove the half-made", &new)(error));
        }
        _ => {}
    }
    let mut command = account.command(part.program.with_file_name("initdb").as_os_str());
    command.arg("-D").arg(&new).args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8"]);
    command.args(["--locale=C.UTF-8", "--data-checksums"]);
    command.arg(format!("--pwfile={}", layout.secret(&secrets::postgres_password(region, "postgres")).display()));
    if layout.settings.throwaway {
        command.arg("--no-sync");
    }
    tool::run(command, layout, &part.name, "initdb").await?;
    fs::rename(&new, &data).map_err(PlatformError::io("make", &data))
}

/// Makes the roles and databases that are missing, sets the passwords to those in the secrets, and closes each database to
/// every role but its own. Run at every `up`: repeating it changes nothing.
///
/// # Errors
/// What the server said.
pub async fn set_up(layout: &Layout, region: Region) -> Result<(), PlatformError> {
    let name = PartName::new(Zone::Region(region), "postgres");
    let url = secrets::superuser_url(layout, region, "postgres")?;
    let mut statements: Vec<String> = vec![
        "revoke connect on database postgres from public".into(),
        "revoke connect on database template1 from public".into(),
    ];
    let failed = |error: sqlx::Error| tool::failed(layout, &name, format!("cannot set up its databases: {error}"));
    let mut connection = PgConnection::connect(&url).await.map_err(failed)?;
    for database in DATABASES {
        let password = secrets::read(layout, &secrets::postgres_password(region, database))?;
        let role_exists = exists(&mut connection, "select from pg_roles where rolname = $1", database);
        let verb = if role_exists.await.map_err(failed)? { "alter" } else { "create" };
        // Carts follow their own changes by logical decoding, which a role must be allowed.
        let replication = if database == Service::Cart.name() { "replication" } else { "noreplication" };
        // Names and passwords are ours: a word of the list above, and hex.
        statements.push(format!("{verb} role \"{database}\" with login {replication} password '{password}'"));
        let database_exists = exists(&mut connection, "select from pg_database where datname = $1", database);
        if !database_exists.await.map_err(failed)? {
            statements.push(format!("create database \"{database}\" owner \"{database}\""));
        }
        statements.push(format!("revoke connect, temporary on database \"{database}\" from public"));
    }
    for statement in statements {
        connection.execute(AssertSqlSafe(statement)).await.map_err(failed)?;
    }
    connection.close().await.map_err(failed)
}

async fn exists(connection: &mut PgConnection, query: &'static str, name: &str) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(query).bind(name).fetch_optional(connection).await?.is_some())
}

/// Finds the server's programs. Debian keeps them out of the path, one folder per major version; a data folder needs the
/// version that made it, otherwise the newest will do.
fn bin_dir(data: &Path) -> Result<PathBuf, PlatformError> {
    let made_by = fs::read_to_string(data.join("PG_VERSION")).ok();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("postgres").exists())
        .collect();
    installed.sort();
    let wanted: Option<u32> = made_by.and_then(|text| text.trim().parse().ok());
    let found = match wanted {
        Some(version) => installed.into_iter().find(|(candidate, _)| *candidate == version),
        None => installed.pop(),
    };
    if let Some((_, folder)) = found {
        return Ok(folder);
    }
    let what =
        wanted.map_or_else(|| "PostgreSQL".to_owned(), |version| format!("PostgreSQL {version}, which made the data,"));
    tool::find("postgres")
        .and_then(|program| Some(program.parent()?.to_path_buf()))
        .ok_or(PlatformError::Missing { what, remedy: tool::INSTALL })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Settings;

    #[test]
    fn only_a_throwaway_server_forgets() {
        let name: PartName = "west/postgres".parse().unwrap();
        let rendered = |throwaway| {
            let settings = Settings { throwaway, ..Settings::default() };
            configuration(&Layout::new(Path::new("/run-dir"), settings).unwrap(), Region::West, &name)
        };
        let real = rendered(false);
        assert!(real.contains("listen_addresses = '127.2.0.1'") && !real.contains("{{"), "{real}");
        assert!(!real.contains("fsync = off"), "{real}");
        // The last mention of a setting wins.
        assert!(rendered(true).rfind("fsync = off") > rendered(true).rfind("fsync = on"));
    }
}
