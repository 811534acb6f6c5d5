//! `Psp-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`. Pure: told the time.

use std::time::Duration;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The header's name.
pub const HEADER: &str = "psp-signature";
/// How far the signed time may be from ours, either way: a delivery and clock skew. A captured request is no use after that;
/// before that a repeat is harmless by itself.
const TOLERANCE: Duration = Duration::from_secs(300);
/// Longest header that is read: a time and a few signatures.
const HEADER_BYTES_MAX: usize = 1_024;
/// Signatures that are tried. More than one while a secret is being rotated.
const SIGNATURES_MAX: usize = 4;

/// The secret shared with the provider. Prints as dots.
pub struct WebhookSecret(Hmac<Sha256>);

/// Why a request is not the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No header, or one that does not read.
    #[error("the signature is missing or malformed")]
    Malformed,
    /// Signed too long ago, or in the future.
    #[error("the signature's time is too far from now")]
    OutOfTime,
    /// Not signed with our secret, or changed since.
    #[error("the signature does not match")]
    Mismatch,
}

/// The secret's file is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the webhook secret is empty")]
pub struct EmptySecret;

impl WebhookSecret {
    /// Takes the text of the secret's file.
    ///
    /// # Errors
    /// [`EmptySecret`]: anybody could sign with it.
    pub fn new(text: &str) -> Result<Self, EmptySecret> {
        let secret = text.trim();
        if secret.is_empty() {
            return Err(EmptySecret);
        }
        Hmac::new_from_slice(secret.as_bytes()).map(Self).map_err(|_| EmptySecret)
    }

    /// Verifies `header` over `body` at `now` (since the Unix epoch). Signatures are compared in constant time.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, header: &str, body: &[u8], now: Duration) -> Result<(), SignatureError> {
        if header.len() > HEADER_BYTES_MAX {
            return Err(SignatureError::Malformed);
        }
        let values = |name: &'static str| {
            header
                .split(',')
                .filter_map(move |part| part.trim().split_once('='))
                .filter_map(move |(key, value)| (key == name).then_some(value))
        };
        let time = values("t").next().ok_or(SignatureError::Malformed)?;
        let seconds: u64 = time.parse().map_err(|_| SignatureError::Malformed)?;
        if Duration::from_secs(seconds).abs_diff(now) > TOLERANCE {
            return Err(SignatureError::OutOfTime);
        }
        // The time as it was sent, not as we would print it: it is what was signed.
        let mac = self.0.clone().chain_update(time).chain_update(b".").chain_update(body);
        let matches = values("v1")
            .take(SIGNATURES_MAX)
            .filter_map(|signature| hex::decode(signature).ok())
            .any(|signature| mac.clone().verify_slice(&signature).is_ok());
        if matches { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `echo -n '1700000000.{}' | openssl dgst -sha256 -hmac whsec`
    const SIGNED: &str = "t=1700000000,v1=7d44587dddbaf4c7f70fef20f48cd594834ffea1641e3ac227b84408298738af";

    fn verify(header: &str, body: &[u8], now: u64) -> Result<(), SignatureError> {
        WebhookSecret::new("whsec\n").unwrap().verify(header, body, Duration::from_secs(now))
    }

    #[test]
    fn a_genuine_signature_is_believed_for_five_minutes_either_way() {
        for now in [1_700_000_000, 1_700_000_300, 1_699_999_700] {
            assert_eq!(verify(SIGNED, b"{}", now), Ok(()));
        }
        for now in [1_700_000_301, 1_699_999_699, 0] {
            assert_eq!(verify(SIGNED, b"{}", now), Err(SignatureError::OutOfTime));
        }
    }

    #[test]
    fn whatever_is_changed_the_signature_no_longer_matches() {
        let now = 1_700_000_000;
        assert_eq!(verify(SIGNED, b"{ }", now), Err(SignatureError::Mismatch));
        assert_eq!(verify(&SIGNED.replace("1700000000", "1700000001"), b"{}", now), Err(SignatureError::Mismatch));
        assert_eq!(verify(&SIGNED.replace("7d44", "7d45"), b"{}", now), Err(SignatureError::Mismatch));
        assert_eq!(verify(&SIGNED[..SIGNED.len() - 2], b"{}", now), Err(SignatureError::Mismatch));
        assert_eq!(verify("t=1700000000", b"{}", now), Err(SignatureError::Mismatch));
        assert_eq!(verify("t=1700000000,v1=zz", b"{}", now), Err(SignatureError::Mismatch));
        let long = "v1=00,".repeat(500);
        for malformed in ["", "v1=00", "t=soon,v1=00", "t=-5,v1=00", &long] {
            assert_eq!(verify(malformed, b"{}", now), Err(SignatureError::Malformed), "{malformed}");
        }
    }

    #[test]
    fn one_good_signature_among_several_is_enough() {
        let rotated = SIGNED.replace("v1=", &format!("v1={},v1=", "00".repeat(32)));
        assert_eq!(verify(&rotated, b"{}", 1_700_000_000), Ok(()));
    }

    #[test]
    fn an_empty_secret_is_refused() {
        assert!(matches!(WebhookSecret::new(" \n"), Err(EmptySecret)));
    }
}
