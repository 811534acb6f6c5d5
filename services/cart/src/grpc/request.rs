//! Checking requests: every field that is wrong is named, with what would be right.

use std::fmt::Display;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use tonic::Status;

/// Parses fields and collects what is wrong with them.
#[derive(Default)]
pub(super) struct Fields {
    violations: Vec<(&'static str, String)>,
}

impl Fields {
    /// Parses `text`, or notes why not.
    pub fn parse<T>(&mut self, field: &'static str, text: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.check(field, text.parse())
    }

    /// Takes a converted value, or notes why there is none.
    pub fn check<T, E: Display>(&mut self, field: &'static str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.violations.push((field, error.to_string()))).ok()
    }

    /// The refusal of what was noted.
    pub fn refusal(&self) -> Status {
        chassis::status::invalid_request(&self.violations)
    }
}

/// SHA-256 over the parts of a request that make it this request and no other. Each part is length-prefixed, so that
/// no two lists of parts run into the same bytes.
pub(super) fn digest(parts: &[&str]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_vec()
}
