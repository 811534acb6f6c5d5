//! Sessions: who is calling, signed by us, kept by the client. Pure: key and time come in as arguments.
//!
//! A token is `v1.<payload>.<signature>`, both parts base64url without padding. The payload is the customer's UUID (16
//! bytes) and the expiry in Unix seconds (8 bytes, big endian); the signature is HMAC-SHA256 over `v1.<payload>`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac as _};
use ids::CustomerId;
use sha2::Sha256;
use uuid::Uuid;

const VERSION: &str = "v1";
const KEY_BYTES: usize = 32;
const UUID_BYTES: usize = 16;
const PAYLOAD_BYTES: usize = UUID_BYTES + size_of::<i64>();

/// The key that signs sessions. Both regions hold the same, so a session is good in either.
#[derive(Clone)]
pub struct SessionKey(Hmac<Sha256>);

/// The text is not a session key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a session key is {KEY_BYTES} bytes in hexadecimal")]
pub struct InvalidKey;

/// What a token that we signed says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub customer: CustomerId,
    /// Until when it is good.
    pub ends_at: DateTime<Utc>,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSession {
    /// It does not have the form of a token.
    #[error("the session token is malformed")]
    Malformed,
    /// We did not sign it.
    #[error("the session token was not issued here")]
    Forged,
    /// It was good once.
    #[error("the session has expired")]
    Expired,
}

impl SessionKey {
    /// Reads a key as its file holds it; white space around it does not matter.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn from_hex(text: &str) -> Result<Self, InvalidKey> {
        let mut key = [0_u8; KEY_BYTES];
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| InvalidKey)?;
        Hmac::new_from_slice(&key).map(Self).map_err(|_| InvalidKey)
    }

    fn over(&self, signed: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update(signed)
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(secret)")
    }
}

/// A token for `customer` that is good until `expires_at`, to the second.
pub fn mint(key: &SessionKey, customer: CustomerId, expires_at: DateTime<Utc>) -> String {
    let mut payload = [0_u8; PAYLOAD_BYTES];
    payload[..UUID_BYTES].copy_from_slice(customer.as_uuid().as_bytes());
    payload[UUID_BYTES..].copy_from_slice(&expires_at.timestamp().to_be_bytes());
    let mut token = format!("{VERSION}.{}", URL_SAFE_NO_PAD.encode(payload));
    let signature = key.over(&token).finalize().into_bytes();
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    token
}

/// The session that `token` stands for.
///
/// # Errors
/// [`InvalidSession`]. Expiry is looked at only once the signature holds, so a forger learns nothing from it.
pub fn verify(key: &SessionKey, token: &str, now: DateTime<Utc>) -> Result<Session, InvalidSession> {
    let (signed, signature) = token.rsplit_once('.').ok_or(InvalidSession::Malformed)?;
    let payload = signed.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('.'));
    let payload: [u8; PAYLOAD_BYTES] = decode(payload.ok_or(InvalidSession::Malformed)?)?;
    let signature: [u8; 32] = decode(signature)?;
    // Compares in constant time.
    key.over(signed).verify_slice(&signature).map_err(|_| InvalidSession::Forged)?;
    let (customer, expires_at) = payload.split_at(UUID_BYTES);
    let expires_at = expires_at.try_into().map(i64::from_be_bytes).map_err(|_| InvalidSession::Malformed)?;
    if now.timestamp() >= expires_at {
        return Err(InvalidSession::Expired);
    }
    let customer = Uuid::from_slice(customer).map_err(|_| InvalidSession::Malformed)?;
    let ends_at = DateTime::from_timestamp(expires_at, 0).ok_or(InvalidSession::Malformed)?;
    Ok(Session { customer: CustomerId::from_uuid(customer), ends_at })
}

fn decode<const BYTES: usize>(text: &str) -> Result<[u8; BYTES], InvalidSession> {
    let mut bytes = [0_u8; BYTES];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
        Ok(length) if length == BYTES => Ok(bytes),
        _ => Err(InvalidSession::Malformed),
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
