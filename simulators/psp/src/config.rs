//! Configuration: flags for the process, plain values for a test that starts the provider in-process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;

/// Lines the ledger may hold unless told otherwise. Each keeps its offset, its idempotency key and a share of its intent in
/// memory, which by their sizes is a few hundred bytes; an order makes two or three lines.
pub const LEDGER_LINES_MAX: u64 = 2_000_000;

/// What the provider needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Append-only JSON lines; created when absent, read back when present.
    pub ledger_file: PathBuf,
    /// Who may call. At least one; names and keys differ.
    pub accounts: Vec<Account>,
    /// After so many ledger lines, requests that would write another are refused with 503 `ledger_full`.
    pub ledger_lines_max: u64,
    /// Seed of the fault panel's dice, so that a drill can be repeated.
    pub fault_seed: u64,
}

/// A customer of the provider: one of our regions.
#[derive(Clone)]
pub struct Account {
    /// Appears in every ledger line.
    pub name: String,
    /// The bearer token.
    pub api_key: String,
    /// Where its webhooks go; `None` for an account without.
    pub webhook: Option<WebhookTarget>,
}

/// Where webhooks go.
#[derive(Clone)]
pub struct WebhookTarget {
    /// `http://…`
    pub url: String,
    /// Key of the HMAC, its text as bytes.
    pub secret: String,
}

/// Names only: keys and secrets stay out of logs.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({})", self.name)
    }
}

/// The command line of the `psp` process.
#[derive(Debug, clap::Parser)]
#[command(name = "psp", about = "A payment provider's stand-in: hostile, with a ledger of its own", version)]
pub struct Arguments {
    /// Address to answer on.
    #[arg(long, env, default_value = "127.3.0.20:8080")]
    pub listen: SocketAddr,
    /// The ledger: append-only JSON lines.
    #[arg(long, env)]
    ledger_file: PathBuf,
    /// name,api-key-file,webhook-url,webhook-secret-file; give it once per account. An empty webhook-url means no webhooks.
    #[arg(long = "account", env = "ACCOUNTS", value_delimiter = ';', required = true)]
    accounts: Vec<AccountArgument>,
    /// Ledger lines after which writes are refused, which bounds memory.
    #[arg(long, env, default_value_t = LEDGER_LINES_MAX)]
    ledger_lines_max: u64,
    /// Seed of the fault panel's dice.
    #[arg(long, env, default_value_t = 1)]
    fault_seed: u64,
    /// Log filter.
    #[arg(long, env, default_value = "info")]
    pub log: String,
}

impl Arguments {
    /// Reads the secrets and checks everything, before a port is bound.
    ///
    /// # Errors
    /// A file that cannot be read or is empty, or two accounts of one name or key.
    pub fn config(&self) -> anyhow::Result<Config> {
        let accounts = self.accounts.iter().map(AccountArgument::load).collect::<anyhow::Result<Vec<_>>>()?;
        for (position, account) in accounts.iter().enumerate() {
            let clash = accounts[..position].iter().any(|a| a.name == account.name || a.api_key == account.api_key);
            anyhow::ensure!(!clash, "account {} repeats the name or api key of another", account.name);
        }
        Ok(Config {
            ledger_file: self.ledger_file.clone(),
            accounts,
            ledger_lines_max: self.ledger_lines_max,
            fault_seed: self.fault_seed,
        })
    }
}

#[derive(Clone, Debug)]
struct AccountArgument {
    name: String,
    api_key_file: PathBuf,
    webhook: Option<(String, PathBuf)>,
}

impl FromStr for AccountArgument {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fields: Vec<&str> = text.split(',').map(str::trim).collect();
        let [name, api_key_file, url, secret_file] = fields.as_slice() else {
            return Err("expected name,api-key-file,webhook-url,webhook-secret-file");
        };
        if name.is_empty() || api_key_file.is_empty() || (!url.is_empty() && secret_file.is_empty()) {
            return Err("name and api-key-file are needed, and a webhook-url needs a webhook-secret-file");
        }
        let webhook = (!url.is_empty()).then(|| ((*url).to_owned(), PathBuf::from(secret_file)));
        Ok(Self { name: (*name).to_owned(), api_key_file: PathBuf::from(api_key_file), webhook })
    }
}

impl AccountArgument {
    fn load(&self) -> anyhow::Result<Account> {
        let webhook = match &self.webhook {
            None => None,
            Some((url, secret_file)) => {
                anyhow::ensure!(url.starts_with("http://"), "webhook-url of account {} must be http://…", self.name);
                Some(WebhookTarget { url: url.clone(), secret: read_secret(secret_file)? })
            }
        };
        Ok(Account { name: self.name.clone(), api_key: read_secret(&self.api_key_file)?, webhook })
    }
}

fn read_secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let secret = text.trim();
    anyhow::ensure!(!secret.is_empty(), "{} is empty", file.display());
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_four_fields() {
        assert!("east,key,http://127.1.0.13:8080/webhooks,secret".parse::<AccountArgument>().is_ok());
        assert!("east,key,,".parse::<AccountArgument>().unwrap().webhook.is_none());
        for refused in ["", "east", "east,key", ",key,,", "east,key,http://x,"] {
            assert!(refused.parse::<AccountArgument>().is_err(), "{refused:?}");
        }
    }
}
