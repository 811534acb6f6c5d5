//! The secrets of a local system: made once from the system's randomness, one file each under `secrets/`, mode 0600.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use ids::Region;

use super::account::Account;
use super::error::PlatformError;
use super::layout::Layout;

/// The databases of a region and the services that own them; the role has the same name.
pub const DATABASES: [&str; 4] = ["cart", "inventory", "payment", "order"];

/// Makes every secret that is missing.
///
/// # Errors
/// The folder cannot be written, or the system has no randomness.
pub fn ensure(layout: &Layout, account: &Account) -> Result<(), PlatformError> {
    account.make_dir(&layout.secret(""))?;
    // Both regions accept each other's sessions: one key.
    ensure_one(layout, account, "session.key")?;
    for region in Region::ALL {
        let password = ensure_one(layout, account, &postgres_password(region, "postgres"))?;
        // The superuser's whole URL, for the audit and for whoever wants to look with psql.
        let url = format!("postgres://postgres:{password}@{}/postgres\n", layout.postgres(region));
        account.write(&layout.secret(&format!("postgres-{}.url", region.name())), &url)?;
        for database in DATABASES {
            ensure_one(layout, account, &postgres_password(region, database))?;
        }
        ensure_one(layout, account, &psp_api_key(region))?;
        ensure_one(layout, account, &psp_webhook_secret(region))?;
    }
    Ok(())
}

/// File of a database role's password.
pub fn postgres_password(region: Region, role: &str) -> String {
    format!("postgres-{}-{role}.password", region.name())
}

/// File of the key that a region's payment service shows to the provider.
pub fn psp_api_key(region: Region) -> String {
    format!("psp-{}-api.key", region.name())
}

/// File of the key that the provider signs a region's webhooks with.
pub fn psp_webhook_secret(region: Region) -> String {
    format!("psp-{}-webhook.secret", region.name())
}

/// Reads a secret.
///
/// # Errors
/// It is not there: the system was never brought up, or wiped.
pub fn read(layout: &Layout, name: &str) -> Result<String, PlatformError> {
    let path = layout.secret(name);
    fs::read_to_string(&path).map(|text| text.trim().to_owned()).map_err(PlatformError::io("read", &path))
}

/// The URL of a service's database in a region.
///
/// # Errors
/// As [`read`].
pub fn database_url(layout: &Layout, region: Region, database: &str) -> Result<String, PlatformError> {
    let password = read(layout, &postgres_password(region, database))?;
    Ok(format!("postgres://{database}:{password}@{}/{database}", layout.postgres(region)))
}

/// The superuser's URL for one of a region's databases.
///
/// # Errors
/// As [`read`].
pub fn superuser_url(layout: &Layout, region: Region, database: &str) -> Result<String, PlatformError> {
    let password = read(layout, &postgres_password(region, "postgres"))?;
    Ok(format!("postgres://postgres:{password}@{}/{database}", layout.postgres(region)))
}

/// 32 random bytes as 64 hex characters: fits a key, a password and a URL alike.
fn ensure_one(layout: &Layout, account: &Account, name: &str) -> Result<String, PlatformError> {
    let path = layout.secret(name);
    match fs::read_to_string(&path) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(PlatformError::io("read", &path)(error)),
    }
    let source = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 32];
    fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(PlatformError::io("read", source))?;
    let text = hex::encode(bytes);
    account.write(&path, &format!("{text}\n"))?;
    Ok(text)
}
