//! Every SQL statement of the adapter, by area, so that a test can look at each.

/// Columns of a user; see `rows::user`.
macro_rules! user {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, u.ext_id, t.ext_id, u.username, u.email, u.name, u.role, u.created_at, \
             u.updated_at, u.inbox_seq, u.inbox_pos ",
            $rest
        )
    };
}

/// Columns of a room; see `rows::room`.
macro_rules! room {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.ext_id, t.ext_id, r.kind, r.visibility, r.name, r.topic, c.ext_id, \
             r.member_count, r.last_seq, r.last_number, r.last_pos, r.created_at, r.updated_at, \
             r.deleted_at, r.direct_low, r.direct_high ",
            $rest
        )
    };
}

/// Columns of a message and its sender; see `rows::message`.
macro_rules! message {
    ($rest:literal) => {
        concat!(
            "SELECT m.room_id, m.ext_id, m.seq, m.number, m.kind, m.content, m.metadata, \
             m.reply_to, m.client_id, m.edit_count, m.edited_at, m.deleted_at, m.created_at, \
             u.ext_id, u.username, u.name, m.sender_id ",
            $rest
        )
    };
}

/// Columns of a row of the journal; see `facts::event_row`.
macro_rules! event {
    ($rest:literal) => {
        concat!(
            "SELECT e.pos, e.stream_id, e.seq, e.kind, e.origin, e.actor_id, e.subject_id, e.at, \
             e.payload ",
            $rest
        )
    };
}

/// Columns of an app; see `apps::AppRow`.
macro_rules! app {
    ($rest:literal) => {
        concat!(
            "SELECT a.id, a.ext_id, t.ext_id, a.name, a.is_enabled, a.client_events, \
             a.user_authentication, a.subscription_counts, a.limits, a.webhooks, a.version, \
             a.created_at, a.updated_at ",
            $rest
        )
    };
}

/// Columns of a membership; see `rows::member`.
macro_rules! member {
    ($rest:literal) => {
        concat!(
            "SELECT s.room_id, s.user_id, s.state, s.role, s.joined_at, s.last_read_seq, \
             s.last_read_number, s.last_read_at, s.marks ",
            $rest
        )
    };
}

/// Columns of a delivery; see `outbox::delivery`.
macro_rules! delivery {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, e.app, e.url, e.rule, d.order_key, d.event, d.created_at, d.queued_at, \
             d.attempts, d.next_at, d.died_at, d.last_error ",
            $rest
        )
    };
}

macro_rules! statements {
    ($($name:ident = $sql:expr;)+) => {
        $(pub(in crate::postgres) const $name: &str = $sql;)+

        /// Name and text of each.
        #[cfg(test)]
        pub(in crate::postgres) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

pub(super) mod accounts;
pub(super) mod apps;
pub(super) mod journal;
pub(super) mod messages;
pub(super) mod nodes;
pub(super) mod outbox;
pub(super) mod rooms;
pub(super) mod search;

/// All statements of all areas.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let chat = [rooms::ALL, messages::ALL, journal::ALL, search::ALL];
    let beside = [accounts::ALL, apps::ALL, nodes::ALL, outbox::ALL];
    chat.into_iter().chain(beside).flatten().copied()
}
