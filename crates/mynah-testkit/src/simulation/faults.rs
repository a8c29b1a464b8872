//! What goes wrong.

use super::dice::Dice;

/// A fault of the product itself, planted to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// None.
    #[default]
    None,
    /// What was missed is never read.
    NoHealing,
    /// Beats of others are not listened to, and nothing is compared after a cut.
    NoComparing,
    /// Payloads go to the hub as they are heard.
    NoOrder,
    /// Senders are answered before the commit.
    AckBeforeCommit,
    /// A message that is sent again is stored again.
    NoClientIds,
    /// A frontier covers whatever was delivered last.
    EagerFrontier,
    /// The death of a node is not noticed.
    NoExpiry,
    /// Who is present is told by deltas alone.
    NoSnapshots,
    /// A new stream's subscribers do not wait until it is settled.
    NoSettling,
}

impl Sabotage {
    /// All that must be found.
    pub const ALL: [Self; 9] = [
        Self::NoHealing,
        Self::NoComparing,
        Self::NoOrder,
        Self::AckBeforeCommit,
        Self::NoClientIds,
        Self::EagerFrontier,
        Self::NoExpiry,
        Self::NoSnapshots,
        Self::NoSettling,
    ];
}

/// How often what goes wrong, per mille; zero for what does not in this run.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    /// A message is lost and nobody is told.
    pub(super) silent_drop: u64,
    /// A message is lost and its receiver is told.
    pub(super) told_drop: u64,
    /// A message is lost and its sender is told.
    pub(super) unsent: u64,
    pub(super) double: u64,
    /// A message takes long.
    pub(super) delay: u64,
    /// An event goes without its payload.
    pub(super) hints: u64,
    /// A question to the store is not answered.
    pub(super) store_fails: u64,
    /// It is answered late.
    pub(super) store_slow: u64,
    /// A commit fails; half as many have no known outcome.
    pub(super) commit_fails: u64,
    /// Which upheavals come, and how long the pause between them.
    pub(super) upheavals: Vec<Upheaval>,
    pub(super) every_ms: u64,
    /// As long things go wrong and clients write.
    pub(super) active_ms: u64,
    /// Nodes come back under the name they had.
    pub(super) is_named: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upheaval {
    Crash,
    Pause,
    LongPause,
    LinkCut,
    LinkFlap,
    BrokerRestart,
    StoreOutage,
    Cut,
    Stall,
}

const UPHEAVALS: [Upheaval; 9] = [
    Upheaval::Crash,
    Upheaval::Pause,
    Upheaval::LongPause,
    Upheaval::LinkCut,
    Upheaval::LinkFlap,
    Upheaval::BrokerRestart,
    Upheaval::StoreOutage,
    Upheaval::Cut,
    Upheaval::Stall,
];

impl Plan {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let mut some = |most: u64| if dice.chance(350) { dice.between(1, most) } else { 0 };
        let mut plan = Self {
            silent_drop: some(60),
            told_drop: some(30),
            unsent: some(30),
            double: some(100),
            delay: some(200),
            hints: some(400),
            store_fails: some(200),
            store_slow: some(200),
            commit_fails: some(150),
            ..Self::default()
        };
        plan.every_ms = dice.between(400, 8_000);
        // Now and then long enough for leases to run out.
        plan.active_ms = if dice.chance(150) { 45_000 } else { 12_000 };
        plan.is_named = dice.chance(500);
        plan.upheavals = UPHEAVALS.into_iter().filter(|_| dice.chance(350)).collect();
        plan
    }
}
