//! What a doctor finds.

use std::time::Duration;

use serde::Serialize;

/// How good or bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Ok,
    /// Works, and should be looked at.
    Note,
    /// Does not work.
    Wrong,
    /// Was not looked at.
    Skipped,
}

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok     ",
            Self::Note => "note   ",
            Self::Wrong => "WRONG  ",
            Self::Skipped => "skipped",
        }
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was looked at: `configuration`, `data folder`, `store`, `broker`, `clock`, `nodes`, `public url`.
    pub area: &'static str,
    /// How it is.
    pub grade: Grade,
    /// A sentence.
    pub text: String,
    /// What to do, in sentences; empty where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

/// All that was found, told as it is found.
pub struct Report {
    findings: Vec<Finding>,
    say: Option<fn(&str)>,
}

/// `{"ok":false,"findings":[{"area":"store","grade":"wrong","text":"…","advice":"…"}]}`.
#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    findings: &'a [Finding],
}

impl Report {
    /// An empty one; each finding goes to `say` at once, if there is one.
    pub fn new(say: Option<fn(&str)>) -> Self {
        Self { findings: Vec::new(), say }
    }

    /// All is well.
    pub fn ok(&mut self, area: &'static str, text: impl Into<String>) {
        self.add(area, Grade::Ok, (text.into(), String::new()));
    }

    /// Works, but.
    pub fn note(&mut self, area: &'static str, text: impl Into<String>, advice: &str) {
        self.add(area, Grade::Note, (text.into(), advice.to_owned()));
    }

    /// Does not work.
    pub fn wrong(&mut self, area: &'static str, text: impl Into<String>, advice: &str) {
        self.add(area, Grade::Wrong, (text.into(), advice.to_owned()));
    }

    /// Was not looked at, and why.
    pub fn skipped(&mut self, area: &'static str, text: impl Into<String>) {
        self.add(area, Grade::Skipped, (text.into(), String::new()));
    }

    /// Says what takes long; is no finding.
    pub fn progress(&self, text: &str) {
        if let Some(say) = self.say {
            say(&format!("   …    {text}"));
        }
    }

    fn add(&mut self, area: &'static str, grade: Grade, (text, advice): (String, String)) {
        if let Some(say) = self.say {
            say(&format!("{} {area}: {text}", grade.word()));
            if !advice.is_empty() {
                say(&format!("        → {advice}"));
            }
        }
        self.findings.push(Finding { area, grade, text, advice });
    }

    /// Whether nothing is wrong.
    pub fn is_ok(&self) -> bool {
        !self.findings.iter().any(|finding| finding.grade == Grade::Wrong)
    }

    /// What was found.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The report for machines.
    ///
    /// # Errors
    /// Never in practice: all parts are plain text.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&Document { ok: self.is_ok(), findings: &self.findings })
    }
}

/// `4 ms`, `0.3 ms`, `2.1 s`.
pub(super) fn span(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1_000.0;
    if ms >= 1_000.0 {
        format!("{:.1} s", ms / 1_000.0)
    } else if ms >= 10.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{ms:.1} ms")
    }
}
