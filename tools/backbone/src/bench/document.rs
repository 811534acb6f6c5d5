//! The document: sections between markers, so that a benchmark replaces its own and leaves every other word alone.
//!
//! ```text
//! <!-- bench:replay -->
//! … written by the benchmark `replay` …
//! <!-- /bench:replay -->
//! ```
//! What stands outside the markers is written by people, and stays.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What a new document begins with.
const PREAMBLE: &str = include_str!("sections/preamble.md");

/// A section could not be put into its document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The document is not as the markers want it; it was left as it is.
    #[error("{} is left as it is", file.display())]
    Markers {
        /// The document.
        file: PathBuf,
        /// What is wrong.
        source: MarkerError,
    },
    /// It cannot be read or written.
    #[error("cannot write {}", file.display())]
    Io {
        /// The document.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Markers that do not tell where a section is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// A name has to stand in a comment and be told from others.
    #[error("{0:?} does not name a section: a-z, 0-9 and - do")]
    Name(String),
    /// One marker of the pair is missing, they stand the wrong way round, or there are several.
    #[error("the section {0} does not begin once and end once after that")]
    Unpaired(String),
    /// The text would open or close a section itself.
    #[error("the text of the section {0} holds a marker")]
    Nested(String),
}

/// Puts a section into the document at `path`, in the place of its former self, else at the end. A document that is not there
/// is begun. A reader sees the old document or the new one.
///
/// # Errors
/// [`DocumentError`].
pub fn replace_section(path: &Path, name: &str, markdown: &str) -> Result<(), DocumentError> {
    let io = |source| DocumentError::Io { file: path.to_owned(), source };
    let document = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => PREAMBLE.to_owned(),
        Err(error) => return Err(io(error)),
    };
    let changed = with_section(&document, name, markdown)
        .map_err(|source| DocumentError::Markers { file: path.to_owned(), source })?;
    let new = path.with_extension("md.new");
    fs::write(&new, changed).map_err(io)?;
    fs::rename(&new, path).map_err(io)
}

/// The document with this section in the place of its former self, else at the end. Pure.
///
/// # Errors
/// [`MarkerError`].
pub fn with_section(document: &str, name: &str, markdown: &str) -> Result<String, MarkerError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(MarkerError::Name(name.to_owned()));
    }
    if ["<!-- bench:", "<!-- /bench:"].iter().any(|marker| markdown.contains(marker)) {
        return Err(MarkerError::Nested(name.to_owned()));
    }
    let (begin, end) = (format!("<!-- bench:{name} -->"), format!("<!-- /bench:{name} -->"));
    let section = format!("{begin}\n{}\n{end}", markdown.trim());
    let mut begins = document.match_indices(&begin).map(|(at, _)| at);
    let mut ends = document.match_indices(&end).map(|(at, marker)| at + marker.len());
    match (begins.next(), ends.next(), begins.next(), ends.next()) {
        (None, None, None, None) => Ok(format!("{}\n\n{section}\n", document.trim_end())),
        (Some(from), Some(to), None, None) if from < to => {
            let (before, after) = (document.get(..from).unwrap_or_default(), document.get(to..).unwrap_or_default());
            Ok(format!("{before}{section}{after}"))
        }
        _ => Err(MarkerError::Unpaired(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCUMENT: &str = "# Title\n\n<!-- bench:a -->\nold a\n<!-- /bench:a -->\n\nby hand\n\n<!-- bench:ab -->\nold ab\n<!-- /bench:ab -->\nend\n";

    #[test]
    fn a_section_takes_the_place_of_its_former_self_and_nothing_else_changes() {
        assert_eq!(with_section(DOCUMENT, "a", "\nnew\n\n").unwrap(), DOCUMENT.replace("old a\n", "new\n"));
        assert_eq!(with_section(DOCUMENT, "ab", "new").unwrap(), DOCUMENT.replace("old ab\n", "new\n"));
    }

    #[test]
    fn a_section_that_is_not_there_comes_last() {
        let changed = with_section(DOCUMENT, "b", "new").unwrap();
        assert_eq!(changed, format!("{DOCUMENT}\n<!-- bench:b -->\nnew\n<!-- /bench:b -->\n"));
    }

    #[test]
    fn markers_that_do_not_say_where_a_section_is_are_an_error() {
        let unpaired = Err(MarkerError::Unpaired("a".to_owned()));
        for document in [
            "<!-- bench:a -->",
            "<!-- /bench:a -->",
            "<!-- /bench:a --> <!-- bench:a -->",
            "<!-- bench:a --> <!-- bench:a --> <!-- /bench:a -->",
            "<!-- bench:a --> <!-- /bench:a --> <!-- bench:a --> <!-- /bench:a -->",
        ] {
            assert_eq!(with_section(document, "a", "new"), unpaired, "{document}");
        }
        assert_eq!(with_section("", "A b", ""), Err(MarkerError::Name("A b".to_owned())));
        assert_eq!(with_section("", "a", "<!-- /bench:b -->"), Err(MarkerError::Nested("a".to_owned())));
    }

    #[test]
    fn a_document_that_is_not_there_is_begun_and_then_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("benchmarks.md");
        replace_section(&file, "a", "one").unwrap();
        replace_section(&file, "b", "two").unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(PREAMBLE.trim_end()), "{text}");
        assert!(text.contains("one") && text.contains("two"), "{text}");
        fs::write(&file, "<!-- bench:a -->").unwrap();
        assert!(matches!(replace_section(&file, "a", "three"), Err(DocumentError::Markers { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), "<!-- bench:a -->", "what is wrong is left as it is");
    }

    proptest! {
        #[test]
        fn prop_writing_a_section_twice_is_writing_it_once(document in "[^<]{0,80}", one in "[^<]{0,40}", two in "[^<]{0,40}") {
            let first = with_section(&document, "a", &one).unwrap();
            let second = with_section(&first, "a", &two).unwrap();
            prop_assert_eq!(second, with_section(&document, "a", &two).unwrap());
        }
    }
}
