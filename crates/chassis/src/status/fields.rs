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

    /// Takes the name of a thing as a client chose it, or notes why it cannot be one.
    pub fn name<T: ids::ChosenName>(&mut self, field: &str, text: &str) -> Option<T> {
        self.check(field, T::chosen(text))
    }

    /// A text that people will read, of a bounded number of characters; [`text::legible`] says what else it has to be.
    pub fn text(&mut self, field: &str, text: String, min: usize, max: usize) -> Option<String> {
        self.check(field, text::check(&text, min, max).map(|()| text))
    }

    /// A text that programs gave out and only programs read, such as a cart's version: 1 to `max` visible ASCII characters.
    pub fn opaque(&mut self, field: &str, text: String, max: usize) -> Option<String> {
        if (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(text);
        }
        self.refuse(field, format_args!("must be 1 to {max} visible ASCII characters"));
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
