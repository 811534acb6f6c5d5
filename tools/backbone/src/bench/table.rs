//! A section's table of figures, and the text around it.

use super::aim::Verdict;

/// Figures, each beside its aim where it has one.
#[derive(Clone, Debug)]
pub struct Figures(String);

impl Default for Figures {
    fn default() -> Self {
        Self("| | measured | aim | |\n| --- | --- | --- | --- |\n".to_owned())
    }
}

impl Figures {
    /// Adds a figure without an aim.
    pub fn add(&mut self, what: &str, measured: impl AsRef<str>) {
        self.row([what, measured.as_ref(), "", ""]);
    }

    /// Adds a figure with its aim.
    pub fn add_aimed(&mut self, what: &str, measured: impl AsRef<str>, aim: &str, verdict: Verdict) {
        self.row([what, measured.as_ref(), aim, &verdict.to_string()]);
    }

    fn row(&mut self, cells: [&str; 4]) {
        // A bar would end the cell; an error's text may hold one.
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        self.0.push_str(&format!("| {} |\n", cells.join(" | ")));
    }

    /// The table as Markdown.
    pub fn markdown(&self) -> &str {
        self.0.trim_end()
    }
}

/// Fills a section's text: `{{name}}` becomes the value of that name.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::aim::Aim;

    #[test]
    fn a_figure_stands_beside_its_aim_and_the_verdict() {
        let mut figures = Figures::default();
        figures.add("a | b", "1 s");
        figures.add_aimed("c", "2 s", "1 s", Aim::AtMost(1.0).verdict(2.0));
        let rows: Vec<&str> = figures.markdown().lines().skip(2).collect();
        assert_eq!(rows, ["| a \\| b | 1 s |  |  |", "| c | 2 s | 1 s | **missed by a factor of 2.00** |"]);
    }
}
