//! What the ports promise, as tests that any store is put through.
//!
//! ```
//! use mynah_testkit::conformance::Subject;
//! use mynah_testkit::{MemoryStore, Recorder};
//!
//! /// A fresh, empty store.
//! fn subject() -> Subject {
//!     let heard = Recorder::new();
//!     Subject::new(MemoryStore::new(heard.clone()), heard, ())
//! }
//! mynah_testkit::conformance_tests!(subject);
//! ```
//!
//! Each case is a public function that takes a fresh [`Subject`] and panics when a promise is broken.

pub mod accounts;
pub mod apps;
pub mod feed;
pub mod journal;
pub mod membership;
pub mod messages;
pub mod model;
pub mod nodes;
pub mod open_rooms;
pub mod outbox;
pub mod reading;
pub mod rooms;
pub mod search;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mynah_domain::account::NewAccount;
use mynah_domain::chat::ChatError;
use mynah_domain::event::Event;
use mynah_domain::message::{Appended, Draft, Message, NewMessage};
use mynah_domain::permission::{Actor, Guard, Operation};
use mynah_domain::ports::{
    AccountStore, AppStore, FeedStore, JournalStore, MessageStore, NodeStore, OpenRoomStore,
    OutboxStore, RoomStore, SearchStore,
};
use mynah_domain::room::{
    MembershipChange, MembershipChanged, NewRoom, Role, RoomCreated, RoomKind, RoomView, Visibility,
};
use mynah_domain::{MessageId, RoomId, TenantId, Timestamp, UserId};

use crate::Recorder;

/// Names every case once and hands the list to another macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_list {
    ($then:ident, $make:ident) => {
        $crate::$then!($make;
            accounts: names_are_unique_in_any_case, accounts_made_together_are_made_once, credentials_are_found_by_either_login,
                people_are_found_by_prefix, a_new_name_shows_everywhere,
                tokens_rotate_and_old_ones_end_the_sign_in, two_tabs_both_stay_signed_in,
                ended_and_expired_sign_ins_are_dead, signing_out_everywhere_names_the_living,
                ended_sign_ins_are_named_among_many;
            rooms: making_a_room_tells_everybody, a_room_with_a_stranger_is_not_made,
                a_pair_has_one_direct_room, a_changed_room_is_told_and_kept,
                a_deleted_room_vanishes, lists_run_from_the_latest_activity,
                public_rooms_show_without_their_messages, tenants_do_not_meet;
            membership: joining_and_leaving_are_told_once, private_rooms_need_an_invitation,
                removed_people_stay_out, coming_back_gives_no_higher_rank,
                nobody_gives_a_rank_above_the_own, members_come_by_time_of_joining;
            messages: concurrent_writers_leave_no_gaps, a_repeat_returns_the_first_result,
                concurrent_repeats_store_one_message, refusals_write_nothing,
                calls_of_one_task_keep_their_order, answers_need_a_target_in_the_room,
                edits_keep_the_earlier_texts, deletion_leaves_a_tombstone_only,
                messages_of_hidden_rooms_do_not_exist;
            reading: history_pages_meet_without_overlap, anchors_may_be_seq_number_or_id,
                cursors_only_move_forward, sending_reads_what_came_before,
                readers_are_dated_by_their_first_cover, marks_stay_bounded;
            journal: listeners_hear_commits_in_order_before_callers, replay_equals_what_was_heard,
                replay_gives_texts_as_of_the_event, catch_up_is_limited_and_knows_gaps,
                the_inbox_is_a_stream_of_its_own, sync_walks_all_own_streams_once,
                sync_forgets_rooms_that_were_left, sync_of_some_rooms_gives_those_and_the_inbox,
                sync_of_other_rooms_than_joined_is_the_inbox, a_page_of_nothing_moves_nowhere,
                sync_during_writes_misses_nothing, a_healthy_store_answers_probes;
            open_rooms: opened_rooms_are_given_back_in_order, opening_again_replaces,
                what_a_connection_opened_is_its_viewers, only_joined_rooms_stay_open,
                nothing_is_kept_of_what_does_not_exist, open_rooms_are_bounded,
                connections_not_seen_are_forgotten, thousands_are_kept_and_forgotten;
            apps: an_app_is_kept_word_for_word, an_app_is_found_by_id_key_and_tenant,
                ids_keys_and_tenants_are_taken_once, a_change_replaces_the_whole_app,
                of_two_changes_one_is_refused, what_is_not_there_is_not_changed,
                malformed_apps_are_not_stored, apps_are_listed_as_they_were_made,
                an_apps_tenant_has_users;
            outbox: deliveries_are_handed_out_in_order_once, a_lease_that_is_not_settled_runs_out,
                what_is_delivered_is_gone, a_failure_is_kept_and_due_later,
                endpoints_do_not_hide_each_other, waiting_endpoints_are_walked_in_pages,
                dead_letters_are_listed_by_app, dead_letters_wait_again_when_revived,
                dead_letters_are_discarded_and_pruned, beyond_the_bound_the_oldest_is_given_up,
                bytes_are_bounded_as_well, an_endpoint_is_given_up_as_a_whole,
                thousands_are_given_up_revived_and_discarded;
            feed: streams_are_read_as_they_were_told, deleted_rooms_are_still_read,
                what_does_not_exist_has_no_head, heads_come_in_the_order_asked,
                inboxes_are_their_tenants;
            nodes: the_smallest_free_slot_is_given, a_lease_that_ran_out_may_be_taken,
                a_node_of_the_same_id_takes_over, a_lease_given_back_is_free,
                concurrent_claims_get_slots_of_their_own, more_nodes_than_slots_are_refused,
                the_stores_time_goes_on;
            search: words_are_found_however_they_are_written, queries_narrow_down,
                only_rooms_that_may_be_read_are_searched, deleted_and_edited_texts_are_not_found,
                deleted_rooms_leave_the_index, what_is_not_indexed_is_not_found,
                pages_run_from_the_newest_and_meet, filters_narrow_down,
                places_and_times_are_ends, the_index_catches_up_in_steps,
                many_rooms_are_searched, concurrent_indexing_misses_nothing,
                odd_texts_are_indexed;
            model: random_histories_match_the_model;
        );
    };
}

/// Makes a test of each case; `$make` is a function that gives a fresh [`Subject`].
#[macro_export]
macro_rules! conformance_tests {
    ($make:ident) => {
        $crate::conformance_list!(conformance_tests, $make);
    };
    ($make:ident; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$module::$case(super::$make()).await;
            })+
        })+
    };
}

/// Makes a test of each group of cases, which share something that is slow to start: `$make::start()`
/// gives it, and its method `subject()`, which is async, a fresh [`Subject`] for each case.
#[macro_export]
macro_rules! conformance_groups {
    ($make:ident) => {
        $crate::conformance_list!(conformance_groups, $make);
    };
    ($make:ident; $($module:ident: $($case:ident),+;)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $module() {
            let make = $make::start();
            $(
                println!("{}::{}", stringify!($module), stringify!($case));
                $crate::conformance::$module::$case(make.subject().await).await;
            )+
        })+
    };
}

/// A store under test, fresh and empty.
pub struct Subject {
    /// Accounts.
    pub accounts: Arc<dyn AccountStore>,
    /// Apps.
    pub apps: Arc<dyn AppStore>,
    /// Rooms.
    pub rooms: Arc<dyn RoomStore>,
    /// Messages.
    pub messages: Arc<dyn MessageStore>,
    /// The journal.
    pub journal: Arc<dyn JournalStore>,
    /// What connections have open.
    pub open: Arc<dyn OpenRoomStore>,
    /// What is to be told outside.
    pub outbox: Arc<dyn OutboxStore>,
    /// Streams, for those who deliver them.
    pub feed: Arc<dyn FeedStore>,
    /// Who takes part.
    pub nodes: Arc<dyn NodeStore>,
    /// The index of messages.
    pub search: Arc<dyn SearchStore>,
    /// What the store's listener has heard.
    pub heard: Arc<Recorder>,
    ticks: AtomicI64,
    _keep: Box<dyn Any + Send + Sync>,
}

impl Subject {
    /// Takes a store whose listener is `heard`; `keep` lives as long as the subject (a temporary folder).
    pub fn new<S>(store: Arc<S>, heard: Arc<Recorder>, keep: impl Any + Send + Sync) -> Self
    where
        S: AccountStore
            + AppStore
            + RoomStore
            + MessageStore
            + JournalStore
            + OpenRoomStore
            + OutboxStore
            + FeedStore
            + NodeStore
            + SearchStore
            + 'static,
    {
        Self {
            accounts: store.clone(),
            apps: store.clone(),
            rooms: store.clone(),
            messages: store.clone(),
            journal: store.clone(),
            open: store.clone(),
            outbox: store.clone(),
            feed: store.clone(),
            nodes: store.clone(),
            search: store,
            heard,
            ticks: AtomicI64::new(1_767_225_600_000),
            _keep: Box::new(keep),
        }
    }

    /// A moment later than all before.
    pub fn tick(&self) -> Timestamp {
        Timestamp(self.ticks.fetch_add(1_000, Ordering::SeqCst))
    }

    fn account(&self, name: &str) -> NewAccount {
        NewAccount {
            id: UserId::trusted(name),
            tenant: TenantId::single(),
            username: name.to_owned(),
            email: Some(format!("{name}@example.org")),
            name: format!("{name} Example"),
            password_hash: Some(format!("hash of {name}")),
            at: self.tick(),
        }
    }

    /// Makes an account and gives its actor.
    pub async fn user(&self, name: &str) -> Actor {
        let user = self.accounts.create_account(self.account(name)).await.expect("account");
        Actor { tenant: user.tenant, user: user.id, role: user.role }
    }

    /// Makes `N` accounts `u0`, `u1` …
    pub async fn users<const N: usize>(&self) -> [Actor; N] {
        let mut actors = Vec::with_capacity(N);
        for n in 0..N {
            actors.push(self.user(&format!("u{n}")).await);
        }
        actors.try_into().expect("N were made")
    }

    /// Makes a room, or says why not.
    ///
    /// # Errors
    /// As the port.
    pub async fn try_room(
        &self,
        (owner, others): (&Actor, &[&Actor]),
        kind: RoomKind,
        visibility: Visibility,
        id: &str,
    ) -> Result<RoomCreated, ChatError> {
        let new = NewRoom {
            id: RoomId::trusted(id),
            tenant: owner.tenant.clone(),
            kind,
            visibility,
            name: (kind != RoomKind::Direct).then(|| format!("Room {id}")),
            topic: None,
            created_by: owner.user.clone(),
            members: others.iter().map(|a| a.user.clone()).collect(),
            at: self.tick(),
        };
        self.rooms.create_room(new).await
    }

    /// A private group.
    pub async fn group(&self, owner: &Actor, others: &[&Actor], id: &str) -> RoomId {
        let made = self.try_room((owner, others), RoomKind::Group, Visibility::Private, id).await;
        made.expect("room").view.room.id.clone()
    }

    /// A public channel.
    pub async fn channel(&self, owner: &Actor, others: &[&Actor], id: &str) -> RoomId {
        let made = self.try_room((owner, others), RoomKind::Channel, Visibility::Public, id).await;
        made.expect("room").view.room.id.clone()
    }

    /// Sends a message with everything said.
    ///
    /// # Errors
    /// As the port.
    pub async fn send(
        &self,
        actor: &Actor,
        room: &RoomId,
        (id, draft): (&str, Draft),
    ) -> Result<Appended, ChatError> {
        let new =
            NewMessage { id: MessageId::trusted(id), room: room.clone(), draft, at: self.tick() };
        let guard = Guard::new(actor, Operation::SendMessage);
        self.messages.append_message(guard, new).await
    }

    /// Sends a plain text whose id is the text.
    pub async fn say(&self, actor: &Actor, room: &RoomId, text: &str) -> Message {
        let draft = Draft { content: text.to_owned(), ..Draft::default() };
        let sent = self.send(actor, room, (text, draft)).await.expect("sent");
        (*sent.message).clone()
    }

    /// Changes a standing with the guard that the use case would take.
    ///
    /// # Errors
    /// As the port.
    pub async fn change(
        &self,
        actor: &Actor,
        room: &RoomId,
        change: MembershipChange,
    ) -> Result<MembershipChanged, ChatError> {
        let operation = match &change {
            MembershipChange::Join => Operation::JoinRoom,
            MembershipChange::Leave => Operation::LeaveRoom,
            MembershipChange::Add { role, .. } if *role > Role::Member => Operation::ChangeRole,
            MembershipChange::Invite { .. } | MembershipChange::Add { .. } => {
                Operation::InviteMember
            }
            MembershipChange::Kick { .. } => Operation::KickMember,
            MembershipChange::Ban { .. } => Operation::BanMember,
            MembershipChange::SetRole { .. } => Operation::ChangeRole,
        };
        let guard = Guard::new(actor, operation);
        self.rooms.change_membership(guard, room, change, self.tick()).await
    }

    /// Edits a message.
    ///
    /// # Errors
    /// As the port.
    pub async fn edit(
        &self,
        actor: &Actor,
        id: &MessageId,
        text: &str,
    ) -> Result<Message, ChatError> {
        let guard = Guard::new(actor, Operation::EditMessage);
        self.messages.edit_message(guard, id, text.to_owned(), self.tick()).await
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// As the port.
    pub async fn delete(&self, actor: &Actor, id: &MessageId) -> Result<Message, ChatError> {
        let guard = Guard::new(actor, Operation::DeleteMessage);
        self.messages.delete_message(guard, id, self.tick()).await
    }

    /// All events of a room, as its member reads them back.
    pub async fn replay(&self, actor: &Actor, room: &RoomId) -> Vec<Event> {
        let guard = Guard::new(actor, Operation::ReadHistory);
        self.journal.room_events(guard, room, 0, 1_000).await.expect("replay").events
    }

    /// A room as somebody sees it.
    pub async fn view(&self, actor: &Actor, room: &RoomId) -> RoomView {
        self.rooms.room(actor, room).await.expect("read").expect("there is such a room")
    }

    /// Names of all events heard since the first `skip`.
    pub fn names_since(&self, skip: usize) -> Vec<&'static str> {
        self.heard.events().iter().skip(skip).map(|e| e.fact.name()).collect()
    }
}

/// The guard of a member who reads.
pub(crate) fn reading(actor: &Actor) -> Guard {
    Guard::new(actor, Operation::ReadHistory)
}
