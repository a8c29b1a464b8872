//! Metrics under the names of another server, spelled as its scrapers expect them.
//!
//! Soketi's counters partly lack the suffix `_total`; the OpenMetrics text of [`crate::metrics`] cannot
//! name a counter like that, so these families are written by hand.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// The content type of [`prometheus`].
pub(crate) const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Sort of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    /// Only named: nothing is ever observed.
    Histogram,
}

/// One number with its labels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) labels: Vec<(&'static str, Label)>,
    pub(crate) value: f64,
}

/// A label's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Label {
    Text(String),
    Number(u64),
}

/// All numbers of one name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    /// As scraped, e.g. `soketi_new_connections_total`.
    pub(crate) name: String,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) points: Vec<Point>,
}

/// The Prometheus text format 0.0.4.
pub(crate) fn prometheus(families: &[Family]) -> String {
    let mut text = String::with_capacity(512 * families.len());
    for family in families {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        head(&mut text, &family.name, family.help, kind);
        points(&mut text, family);
        text.push('\n');
    }
    text
}

/// The OpenMetrics text format, without its last line. A counter whose name lacks `_total` is of unknown
/// type there.
pub(crate) fn open_metrics(families: &[Family]) -> String {
    let mut text = String::with_capacity(512 * families.len());
    for family in families {
        let (name, kind) = match (family.kind, family.name.strip_suffix("_total")) {
            (Kind::Counter, Some(name)) => (name, "counter"),
            (Kind::Counter, None) => (family.name.as_str(), "unknown"),
            (Kind::Gauge, _) => (family.name.as_str(), "gauge"),
            (Kind::Histogram, _) => (family.name.as_str(), "histogram"),
        };
        head(&mut text, name, family.help, kind);
        points(&mut text, family);
    }
    text
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    // Writing to a string cannot fail.
    let _ignored = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn points(text: &mut String, family: &Family) {
    for point in &family.points {
        text.push_str(&family.name);
        for (i, (name, label)) in point.labels.iter().enumerate() {
            text.push_str(if i == 0 { "{" } else { "," });
            text.push_str(name);
            text.push_str("=\"");
            match label {
                Label::Text(value) => escape(text, value),
                Label::Number(value) => {
                    let _ignored = write!(text, "{value}");
                }
            }
            text.push('"');
        }
        if !point.labels.is_empty() {
            text.push('}');
        }
        let _ignored = writeln!(text, " {}", point.value);
    }
}

fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

/// As `prom-client` gives them:
/// `[{"help","name","type","values":[{"value":1,"labels":{"app_id":"a","port":6001}}],"aggregator":"sum"}]`.
pub(crate) fn as_json(families: &[Family]) -> Value {
    let family = |family: &Family| {
        let values: Vec<Value> = family.points.iter().map(point_as_json).collect();
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        json!({
            "help": family.help,
            "name": family.name,
            "type": kind,
            "values": values,
            "aggregator": "sum",
        })
    };
    families.iter().map(family).collect()
}

fn point_as_json(point: &Point) -> Value {
    let label = |label: &Label| match label {
        Label::Text(text) => Value::from(text.as_str()),
        Label::Number(number) => Value::from(*number),
    };
    let labels: Map<String, Value> =
        point.labels.iter().map(|(name, value)| ((*name).to_owned(), label(value))).collect();
    // Whole numbers without a fraction, as JavaScript writes them.
    let value = if point.value.fract() == 0.0 && point.value.abs() < 9.0e15 {
        Value::from(point.value as i64)
    } else {
        Value::from(point.value)
    };
    json!({"value": value, "labels": labels})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str, kind: Kind) -> Family {
        let labels =
            vec![("app_id", Label::Text("a\"b\\c\n".to_owned())), ("port", Label::Number(6001))];
        let points = vec![Point { labels, value: 3.0 }];
        Family { name: name.to_owned(), help: "Of what.", kind, points }
    }

    #[test]
    fn prometheus_keeps_names_as_they_are() {
        assert_eq!(
            prometheus(&[family("soketi_socket_received_bytes", Kind::Counter)]),
            "# HELP soketi_socket_received_bytes Of what.\n\
             # TYPE soketi_socket_received_bytes counter\n\
             soketi_socket_received_bytes{app_id=\"a\\\"b\\\\c\\n\",port=\"6001\"} 3\n\n"
        );
    }

    #[test]
    fn open_metrics_names_families_without_the_suffix() {
        let text = open_metrics(&[family("x_new_total", Kind::Counter)]);
        assert!(text.starts_with("# HELP x_new Of what.\n# TYPE x_new counter\nx_new_total{"));
        let text = open_metrics(&[family("x_bytes", Kind::Counter)]);
        assert!(text.starts_with("# HELP x_bytes Of what.\n# TYPE x_bytes unknown\nx_bytes{"));
    }

    #[test]
    fn json_is_prom_clients() {
        assert_eq!(
            as_json(&[family("x", Kind::Gauge)]),
            json!([{
                "help": "Of what.", "name": "x", "type": "gauge", "aggregator": "sum",
                "values": [{"value": 3, "labels": {"app_id": "a\"b\\c\n", "port": 6001}}],
            }])
        );
    }
}
