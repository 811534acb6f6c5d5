//! Checking a request's fields: all that is wrong with it is told at once, field by field.

use std::fmt::Display;
use std::str::FromStr;

use tonic::Status;

/// Parses fields, and collects what is wrong with them.
#[derive(Debug, Default)]
pub struct Fields {
    violations: Vec<(String, String)>,
}

impl Fields {
    /// Notes that `field`, as the proto spells it, breaks a rule; `description` says what would be right.
    pub fn refuse(&mut self, field: impl Into<String>, description: impl Display) {
        self.violations.push((field.into(), description.to_string()));
    }

    /// Keeps a converted value, or notes why there is none.
    pub fn check<T, E: Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.refuse(field, error)).ok()
    }

    /// Parses `text`, or notes why it does not parse.
    pub fn parse<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        self.check(field, text.parse())
    }

    /// A text of a bounded number of characters. Control characters are refused: they belong in no name or token, and
    /// Postgres cannot even store a NUL.
    pub fn text(&mut self, field: &str, text: String, min: usize, max: usize) -> Option<String> {
        let length = text.chars().count();
        if (min..=max).contains(&length) && !text.chars().any(char::is_control) {
            return Some(text);
        }
        self.refuse(field, format_args!("must be {min} to {max} characters, none of them a control character"));
        None
    }

    /// The value, if nothing was wrong. `None` always has a violation beside it.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names every field noted.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Status> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ => Err(self.refusal()),
        }
    }

    /// INVALID_ARGUMENT that names every field noted.
    pub fn refusal(&self) -> Status {
        super::invalid_request(&self.violations)
    }
}
