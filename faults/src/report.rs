//! The report: one line a row, then what each row has shown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::machine::load_average;
use crate::outcome::{Outcome, megabytes, time};
use crate::plan::Plan;
use crate::rows::Row;

/// What became of a row.
pub(crate) enum Fate {
    Played(Box<Outcome>),
    /// It cannot be played with these programs, and why.
    Left(&'static str),
    /// It broke off, and why.
    Broken(String),
}

impl Fate {
    pub(crate) fn is_good(&self, short: bool) -> bool {
        match self {
            Self::Played(outcome) => outcome.is_good(short),
            Self::Left(_) => true,
            Self::Broken(_) => false,
        }
    }

    pub(crate) fn faults(&self) -> u64 {
        match self {
            Self::Played(outcome) => outcome.faults,
            Self::Left(_) | Self::Broken(_) => 0,
        }
    }

    fn verdict(&self, short: bool) -> &'static str {
        match self {
            Self::Played(outcome) if outcome.is_good(false) => "holds",
            Self::Played(outcome) if outcome.is_good(short) => "holds, times apart",
            Self::Played(_) => "**violated**",
            Self::Left(_) => "not played",
            Self::Broken(_) => "**broken off**",
        }
    }

    /// One line for the terminal.
    pub(crate) fn line(&self, short: bool) -> String {
        match self {
            Self::Played(outcome) => {
                let found = &outcome.findings;
                format!(
                    "{}: {} faults, {} acked, {} lost, {} doubled, {} out of order",
                    self.verdict(short).trim_matches('*'),
                    outcome.faults,
                    found.acked,
                    found.lost,
                    found.doubled,
                    found.out_of_order
                )
            }
            Self::Left(reason) => format!("not played: {reason}"),
            Self::Broken(reason) => format!("broken off: {reason}"),
        }
    }
}

fn optional(duration: Option<Duration>) -> String {
    duration.map_or("–".to_owned(), time)
}

/// The whole report in Markdown.
pub(crate) fn markdown(plan: &Plan, fates: &[(&Row, Fate, Duration)]) -> String {
    let mut text = String::from("# Faults\n\n");
    let setup = &plan.setup;
    let broker = if plan.nodes() > 1 { format!(", {:?}", setup.broker) } else { String::new() };
    let size = if plan.short { "short" } else { "long" };
    put(
        &mut text,
        format_args!(
            "{size} run, seed {}: {} node(s), {:?}{broker}; load average {} at the end.\n\n",
            plan.seed,
            setup.nodes,
            setup.store,
            load_average()
        ),
    );
    text.push_str(
        "| row | fault | faults | acked | lost | doubled | out of order | longest without ack | longest \
         silence after heal | memory growth | verdict |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (row, fate, _) in fates {
        put(
            &mut text,
            format_args!("| {} | {} | {} |\n", row.id, row.fault, cells(fate, plan.short)),
        );
    }
    let played = fates.iter().filter_map(|(_, fate, _)| match fate {
        Fate::Played(outcome) => Some(outcome),
        Fate::Left(_) | Fate::Broken(_) => None,
    });
    let (mut faults, mut acked, mut lost, mut doubled) = (0, 0, 0, 0);
    for outcome in played {
        faults += outcome.faults;
        acked += outcome.findings.acked;
        lost += outcome.findings.lost;
        doubled += outcome.findings.doubled;
    }
    put(
        &mut text,
        format_args!(
            "\n{faults} faults, {acked} messages acknowledged, {lost} lost, {doubled} doubled.\n"
        ),
    );
    for (row, fate, took) in fates {
        put(&mut text, format_args!("\n## {} {} ({})\n\n", row.id, row.fault, time(*took)));
        details(&mut text, fate);
    }
    text
}

fn cells(fate: &Fate, short: bool) -> String {
    let verdict = fate.verdict(short);
    let Fate::Played(outcome) = fate else {
        return format!("– | – | – | – | – | – | – | – | {verdict}");
    };
    let found = &outcome.findings;
    format!(
        "{} | {} | {} | {} | {} | {} | {} | {} | {verdict}",
        outcome.faults,
        found.acked,
        found.lost,
        found.doubled,
        found.out_of_order,
        optional(outcome.without_ack),
        optional(outcome.caught_up),
        outcome.growth.map_or("–".to_owned(), megabytes),
    )
}

fn details(text: &mut String, fate: &Fate) {
    let outcome = match fate {
        Fate::Played(outcome) => outcome,
        Fate::Left(reason) => return put(text, format_args!("Not played: {reason}.\n")),
        Fate::Broken(reason) => return put(text, format_args!("Broken off: {reason}\n")),
    };
    let found = &outcome.findings;
    if found.stored > 0 {
        put(
            text,
            format_args!(
                "{} messages stored, {} events heard, {} times told to read.\n\n",
                found.stored, found.heard, found.told_to_read
            ),
        );
    }
    for check in &outcome.checks {
        let held = if check.holds { "holds" } else { "**does not hold**" };
        let seen = if check.seen.is_empty() { String::new() } else { format!(" ({})", check.seen) };
        put(text, format_args!("* {}: {held}{seen}\n", check.what));
    }
    for remark in &outcome.remarks {
        put(text, format_args!("* {remark}\n"));
    }
    for example in &found.examples {
        put(text, format_args!("* {example}\n"));
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    text.write_fmt(what).unwrap_or_default();
}
