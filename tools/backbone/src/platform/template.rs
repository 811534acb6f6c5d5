//! Fills the configuration files of `deploy/local/`: `{{name}}` becomes the value of that name.

/// Fills a template. The templates are compiled in and the names are ours, so a mismatch is a mistake in this crate: a name
/// without a value stays in the text, where the tests of each server's configuration find it.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_values() {
        assert_eq!(fill("port={{port}} at {{host}}:{{port}}", &[("port", "1"), ("host", "h")]), "port=1 at h:1");
    }
}
