//! Appending the messages of a batch, set by set.
//!
//! Rooms are locked first, all with one statement in the order of their ids. What the guards need is read
//! under those locks; `seq` and `number` are allotted in memory, and each table is written once.

use std::collections::HashMap;
use std::sync::Arc;

use mynah_domain::chat::ChatError;
use mynah_domain::event::Fact;
use mynah_domain::message::{Appended, Message, NewMessage};
use mynah_domain::permission::{Access, Denied, Guard};
use mynah_domain::room::Room;
use mynah_domain::{MessageId, RoomId};
use tokio::sync::oneshot;

use super::params::{Param, clean, count};
use super::rows;
use super::sql;
use super::trouble::{Failure, Trouble};
use super::tx::{Tx, Who};

/// One queued message.
pub(super) struct AppendJob {
    guard: Guard,
    new: NewMessage,
    outcome: Option<Result<Appended, ChatError>>,
    reply: oneshot::Sender<Result<Appended, ChatError>>,
}

impl AppendJob {
    /// A message to be stored, and where its outcome is told.
    pub(super) fn new(
        guard: Guard,
        mut new: NewMessage,
        reply: oneshot::Sender<Result<Appended, ChatError>>,
    ) -> Self {
        let draft = &mut new.draft;
        clean(&mut draft.content);
        let more = [&mut draft.kind, &mut draft.metadata, &mut draft.client_id];
        more.into_iter().flatten().for_each(clean);
        Self { guard, new, outcome: None, reply }
    }

    pub(super) fn bytes(&self) -> usize {
        self.new.draft.content.len() + self.new.draft.metadata.as_ref().map_or(0, String::len)
    }

    pub(super) fn fail(&mut self, error: ChatError) {
        self.outcome = Some(Err(error));
    }

    pub(super) fn answer(self, otherwise: ChatError) {
        // A caller that went away does not want the answer.
        drop(self.reply.send(self.outcome.unwrap_or(Err(otherwise))));
    }

    fn client_id(&self) -> Option<&str> {
        self.new.draft.client_id.as_deref()
    }
}

/// What a write will lock: known before, all of a batch is locked in one order.
pub(super) enum Locks {
    /// It stores no events, and needs no place in the log.
    Nothing,
    /// It is not known before.
    Unknown,
    /// A room.
    Room(RoomId),
    /// The room of a message.
    RoomOf(MessageId),
}

/// Names a send for ever: room, sender, client id.
type Send = (i64, i64, String);

/// What is known of the sends and answers of a batch.
#[derive(Default)]
struct Known {
    sends: HashMap<Send, Arc<Message>>,
    rooms_of: HashMap<String, i64>,
}

/// Judges and stores messages; each job has its outcome afterwards. Locks the rooms of the other writes
/// as well, which are named in `rooms`.
pub(super) async fn append(
    tx: &mut Tx<'_>,
    jobs: &mut [&mut AppendJob],
    rooms: Vec<String>,
) -> Result<(), Failure> {
    let mut known = Known::default();
    lock_rooms(tx, jobs, (rooms, &mut known)).await?;
    if jobs.is_empty() {
        return Ok(());
    }
    lock_members(tx, jobs, &mut known).await?;
    for job in jobs {
        job.outcome = Some(match store(tx, job, &mut known) {
            Ok(appended) => Ok(appended),
            Err(Trouble::Refused(error)) => Err(error),
            Err(Trouble::Engine(failure)) => return Err(failure),
        });
    }
    Ok(())
}

/// The rooms that writes other than messages name.
pub(super) async fn named_rooms(tx: &Tx<'_>, named: &[&Locks]) -> Result<Vec<String>, Failure> {
    let (mut rooms, mut messages) = (Vec::new(), Vec::new());
    for locks in named {
        match locks {
            Locks::Nothing | Locks::Unknown => {}
            Locks::Room(room) => rooms.push(room.as_str().to_owned()),
            Locks::RoomOf(message) => messages.push(message.as_str()),
        }
    }
    if !messages.is_empty() {
        let id = |row: &tokio_postgres::Row| row.try_get::<_, String>(0);
        rooms.extend(tx.db.all(sql::rooms::ROOMS_OF_MESSAGES, &[&messages], id).await?);
    }
    Ok(rooms)
}

async fn lock_rooms(
    tx: &mut Tx<'_>,
    jobs: &[&mut AppendJob],
    (named, known): (Vec<String>, &mut Known),
) -> Result<(), Failure> {
    let rooms = jobs.iter().map(|job| job.new.room.as_str());
    let mut rooms: Vec<&str> = rooms.chain(named.iter().map(String::as_str)).collect();
    rooms.sort_unstable();
    rooms.dedup();
    let actors = jobs.iter().map(|job| &job.guard.actor);
    let mut actors: Vec<_> = actors.map(|a| (a.tenant.as_str(), a.user.as_str())).collect();
    actors.sort_unstable();
    actors.dedup();
    let (tenants, users): (Vec<&str>, Vec<&str>) = actors.into_iter().unzip();
    let targets = jobs.iter().filter_map(|job| job.new.draft.reply_to.as_ref());
    let targets: Vec<&str> = targets.map(MessageId::as_str).collect();
    let db = tx.db;
    let place = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    let (rooms, users, targets) = tokio::try_join!(
        Box::pin(async { db.all(sql::rooms::ROOMS_LOCK, &[&rooms], rows::room).await }),
        Box::pin(async {
            db.all(sql::accounts::USERS_BY_ID, &[&tenants, &users], rows::user).await
        }),
        Box::pin(async {
            if targets.is_empty() {
                return Ok(Vec::new());
            }
            db.all(sql::messages::MESSAGE_PLACES, &[&targets], place).await
        }),
    )?;
    for room in rooms {
        tx.keep_locked(room);
    }
    for user in users {
        tx.keep_user(user);
    }
    known.rooms_of.extend(targets);
    Ok(())
}

/// Room and actor of a job, if both exist.
fn parties(tx: &Tx<'_>, job: &AppendJob) -> Option<(i64, Who)> {
    let room = tx.locked_row(&job.new.room)?;
    Some((room, tx.known_user(&job.guard.actor.tenant, &job.guard.actor.user)?))
}

async fn lock_members(
    tx: &mut Tx<'_>,
    jobs: &[&mut AppendJob],
    known: &mut Known,
) -> Result<(), Failure> {
    let mut people = HashMap::new();
    let (mut rooms, mut senders, mut clients) = (vec![], vec![], vec![]);
    for job in jobs {
        let Some((room, actor)) = parties(tx, job) else { continue };
        if let Some(client) = job.client_id() {
            rooms.push(room);
            senders.push(actor.row);
            clients.push(client);
        }
        people.insert((room, actor.row), (job.new.room.clone(), actor.profile.id.clone()));
    }
    let (places, persons): (Vec<i64>, Vec<i64>) = people.keys().copied().unzip();
    let db = tx.db;
    let member = |row: &tokio_postgres::Row| {
        let key = (row.try_get(0)?, row.try_get(1)?);
        let Some((room, user)) = people.get(&key) else { return Ok(None) };
        Ok(Some((key, rows::member(row, room, user)?)))
    };
    let (members, sent) = tokio::try_join!(
        Box::pin(async { db.all(sql::rooms::MEMBERS_LOCK, &[&places, &persons], member).await }),
        Box::pin(async {
            if clients.is_empty() {
                return Ok(Vec::new());
            }
            let params: [&dyn Param; 3] = [&rooms, &senders, &clients];
            db.all(sql::messages::MESSAGES_BY_CLIENT, &params, |r| rows::message(r, None)).await
        }),
    )?;
    for (key, member) in members.into_iter().flatten() {
        tx.keep_member(key, member);
    }
    for mut found in sent {
        rows::place(&mut found.message, &tx.room(found.room_row)?.room);
        let client = found.message.client_id.clone().unwrap_or_default();
        let send = (found.room_row, found.sender_row, client);
        known.sends.insert(send, Arc::new(found.message));
    }
    Ok(())
}

fn store(
    tx: &mut Tx<'_>,
    job: &AppendJob,
    known: &mut Known,
) -> Result<Appended, Trouble<ChatError>> {
    let (row, actor) = parties(tx, job).ok_or(Denied::Hidden)?;
    let (room, member, _) = tx.access(row, Some(actor.row), None)?;
    let membership = member.map(|m| &m.membership);
    job.guard.check(&Access { room: &room.room, membership, author: None, target: None })?;
    let new = &job.new;
    if let Some(target) = &new.draft.reply_to
        && known.rooms_of.get(target.as_str()) != Some(&row)
    {
        return Err(ChatError::MissingMessage.into());
    }
    let send = job.client_id().map(|client| (row, actor.row, client.to_owned()));
    if let Some(first) = send.as_ref().and_then(|send| known.sends.get(send)) {
        return Ok(Appended { message: first.clone(), replayed: true });
    }
    let message = Arc::new(draft_message(&room.room, &actor, new));
    known.sends.extend(send.map(|send| (send, message.clone())));
    known.rooms_of.insert(message.id.as_str().to_owned(), row);
    tx.room(row)?.room.last_number += 1;
    let fact = Fact::MessageCreated { message: message.clone() };
    let seq = tx.emit_in_room::<ChatError>(row, &actor, (count(message.number), new.at), fact)?;
    tx.move_cursor((row, actor.row), (seq, message.number), new.at);
    tx.keep_message((row, actor.row, message.clone()));
    Ok(Appended { message, replayed: false })
}

/// The message as it will stand at the end of the room's stream.
fn draft_message(room: &Room, sender: &Who, new: &NewMessage) -> Message {
    Message {
        id: new.id.clone(),
        tenant: room.tenant.clone(),
        room: room.id.clone(),
        seq: room.last_seq + 1,
        number: room.last_number + 1,
        sender: sender.profile.clone(),
        kind: new.draft.kind.clone().unwrap_or_else(|| "text".to_owned()),
        content: new.draft.content.clone(),
        metadata: new.draft.metadata.clone(),
        reply_to: new.draft.reply_to.clone(),
        client_id: new.draft.client_id.clone(),
        edit_count: 0,
        edited_at: None,
        deleted_at: None,
        created_at: new.at,
    }
}
