//! Results as Markdown: one table per scenario, printed and, if wanted, kept in a marked section of a file.

use std::path::Path;

use anyhow::{Context as _, Result};

/// What a row must reach.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    None,
    Zero,
    AtMost(f64),
    AtLeast(f64),
    /// Times the floor of the same run.
    RatioAtMost(f64),
}

struct Row {
    metric: String,
    floor: Option<f64>,
    value: f64,
    goal: Goal,
}

/// One scenario's results.
pub(crate) struct Table {
    name: &'static str,
    title: String,
    /// What the two columns of figures are called.
    columns: [&'static str; 2],
    rows: Vec<Row>,
    notes: Vec<String>,
}

fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_nan() {
        "–".to_owned()
    } else if magnitude >= 1_000.0 {
        let whole = format!("{value:.0}");
        let mut grouped = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index) % 3 == 0 && !grouped.ends_with('-') {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    } else if value.fract().abs() < 1e-9 || magnitude >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.floor.filter(|floor| *floor > 0.0).map(|floor| self.value / floor)
    }

    fn goal(&self) -> (String, &'static str) {
        let (text, met) = match self.goal {
            Goal::None => return (String::new(), ""),
            Goal::Zero => ("0".to_owned(), self.value.abs() < 0.5),
            Goal::AtMost(limit) => (format!("≤ {}", number(limit)), self.value <= limit),
            Goal::AtLeast(limit) => (format!("≥ {}", number(limit)), self.value >= limit),
            Goal::RatioAtMost(limit) => (
                format!("≤ {} × floor", number(limit)),
                self.ratio().is_some_and(|ratio| ratio <= limit),
            ),
        };
        (text, if met { "yes" } else { "**no**" })
    }
}

impl Table {
    pub(crate) fn new(name: &'static str, title: impl Into<String>) -> Self {
        let columns = ["floor", "Mynah"];
        Self { name, title: title.into(), columns, rows: Vec::new(), notes: Vec::new() }
    }

    /// Sets other figures than Mynah's and the floor's side by side.
    pub(crate) fn with_columns(mut self, columns: [&'static str; 2]) -> Self {
        self.columns = columns;
        self
    }

    /// Adds a row without a floor.
    pub(crate) fn row(&mut self, metric: &str, value: f64, goal: Goal) {
        self.rows.push(Row { metric: metric.to_owned(), floor: None, value, goal });
    }

    /// Adds a row beside the floor's figure.
    pub(crate) fn beside(&mut self, metric: &str, floor: f64, value: f64, goal: Goal) {
        self.rows.push(Row { metric: metric.to_owned(), floor: Some(floor), value, goal });
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// The section: heading, circumstances, table, notes.
    pub(crate) fn markdown(&self, circumstances: &str) -> String {
        let mut out = format!("## {}: {}\n\n{circumstances}\n\n", self.name, self.title);
        let [floor, value] = self.columns;
        let heads = ["metric", floor, value, &format!("× {floor}"), "goal", "met"];
        out.push_str("| ");
        out.push_str(&heads.join(" | "));
        out.push_str(" |\n|---|---|---|---|---|---|\n");
        for row in &self.rows {
            let floor = row.floor.map_or(String::new(), number);
            let ratio = row.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let (goal, met) = row.goal();
            let (metric, value) = (&row.metric, number(row.value));
            let cells = [metric, &floor, &value, &ratio, &goal, met];
            out.push_str("| ");
            out.push_str(&cells.join(" | "));
            out.push_str(" |\n");
        }
        if !self.notes.is_empty() {
            out.push('\n');
        }
        for note in &self.notes {
            out.push_str("* ");
            out.push_str(note);
            out.push('\n');
        }
        out
    }

    /// Replaces this scenario's marked section of `file`, or appends it.
    pub(crate) fn write(&self, file: &Path, circumstances: &str) -> Result<()> {
        let before = std::fs::read_to_string(file).unwrap_or_else(|_| {
            "# Load results\n\nMade by `mynah-benches`; see README.md.\n".to_owned()
        });
        let section = self.markdown(circumstances);
        std::fs::write(file, with_section(&before, self.name, &section))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

fn with_section(text: &str, name: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
    let whole = format!("{begin}{section}{end}");
    let place = text
        .split_once(&begin)
        .and_then(|(head, rest)| rest.split_once(&end).map(|(_, tail)| (head, tail)));
    match place {
        Some((head, tail)) => format!("{head}{whole}{tail}"),
        None => format!("{}\n\n{whole}", text.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_others_stay() {
        let first = with_section("# T\n", "a", "old\n");
        let both = with_section(&first, "b", "other\n");
        let text = with_section(&both, "a", "new\n");
        assert_eq!(
            text,
            "# T\n\n<!-- begin a -->\nnew\n<!-- end a -->\n\n<!-- begin b -->\nother\n<!-- end b -->\n"
        );
    }

    #[test]
    fn a_row_tells_whether_its_goal_is_met() {
        let mut table = Table::new("a", "t");
        table.beside("CPU", 5.0, 5.5, Goal::RatioAtMost(1.15));
        table.row("rate", 149_000.0, Goal::AtLeast(150_000.0));
        let text = table.markdown("here");
        assert!(text.contains("| CPU | 5 | 5.50 | 1.10 | ≤ 1.15 × floor | yes |"), "{text}");
        assert!(text.contains("| rate |  | 149,000 |  | ≥ 150,000 | **no** |"), "{text}");
    }
}
