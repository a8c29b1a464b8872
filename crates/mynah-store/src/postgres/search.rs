//! Finding messages by words.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use mynah_domain::RoomId;
use mynah_domain::chat::ChatError;
use mynah_domain::message::Position;
use mynah_domain::permission::{Access, Guard};
use mynah_domain::ports::{SearchStore, StoreError};
use mynah_domain::room::Room;
use mynah_domain::search::{Indexed, LOOKED_AT_MAX, Limit, Matches, SEARCHED_ROOMS_MAX, Wanted};
use tokio_postgres::{Error, Row};

use crate::search::Asked;

use super::db::Db;
use super::history::resolve;
use super::params::{Param, count};
use super::pool::{answer, reading};
use super::rows::{self, MessageRow, RoomRow};
use super::trouble::Trouble;
use super::{PostgresStore, index, lists, sql};

type Found<T> = Result<T, Trouble<ChatError>>;

#[async_trait]
impl SearchStore for PostgresStore {
    async fn find_messages(&self, guard: Guard, wanted: &Wanted) -> Result<Matches, ChatError> {
        reading!(self.reads, db => find(db, &guard, wanted))
    }

    async fn index_messages(&self, limit: u32) -> Result<Indexed, StoreError> {
        let step = async {
            let db = self.reads.writing().await?;
            let done = index::step(&db, limit.max(1)).await?;
            db.commit().await?;
            Ok(done)
        };
        answer(Box::pin(step).await)
    }

    async fn unindexed(&self) -> Result<u64, StoreError> {
        reading!(self.reads, db => index::behind(db))
    }
}

/// Where is searched: ids are those within the database.
struct Reach {
    rooms: HashMap<i64, Room>,
    numbers: RangeInclusive<u64>,
}

/// A row of the index: pos, room, number.
type Candidate = (u64, i64, i64);

fn candidate(row: &Row) -> Result<Candidate, Error> {
    Ok((rows::count(row, 0)?, row.try_get(1)?, row.try_get(2)?))
}

async fn find(db: &Db, guard: &Guard, wanted: &Wanted) -> Found<Matches> {
    let nothing = Ok(Matches { messages: Vec::new(), next: None });
    let sender = match &wanted.from {
        Some(from) => match rows::user_by_id(db, &guard.actor.tenant, from).await? {
            Some(user) => Some(user.row),
            None => return nothing,
        },
        None => None,
    };
    let reach = reach(db, guard, wanted).await?;
    if reach.rooms.is_empty() {
        return nothing;
    }
    let rooms: Vec<i64> = reach.rooms.keys().copied().collect();
    let asked = Asked { wanted, rooms: &rooms, sender }.tsquery();
    let (first, last) = (count(*reach.numbers.start()), count(*reach.numbers.end()));
    let below = count(wanted.below.unwrap_or(u64::MAX));
    let most = LOOKED_AT_MAX as i64 + 1;
    let params: [&dyn Param; 6] = [&asked, &rooms, &below, &first, &last, &most];
    // Planned for what is asked: rare words are looked up, common ones met on the way from the newest back.
    let found = db.rows_planned(sql::search::SEARCH, &params).await?;
    let found: Vec<Candidate> = found.iter().map(candidate).collect::<Result<_, _>>()?;
    sift(db, &reach, (wanted, &found)).await
}

/// Takes of what the index offers what is wanted as it is now.
async fn sift(
    db: &Db,
    reach: &Reach,
    (wanted, offered): (&Wanted, &[Candidate]),
) -> Found<Matches> {
    let mut messages = Vec::new();
    for offer in offered.chunks(wanted.limit.max(1)) {
        let mut found = read(db, offer).await?;
        for (pos, room, number) in offer {
            let is_last = offered.get(LOOKED_AT_MAX).is_some_and(|last| last.0 == *pos);
            if messages.len() == wanted.limit || is_last {
                return Ok(Matches { messages, next: Some(pos + 1) });
            }
            let Some(mut found) = found.remove(&(*room, *number)) else { continue };
            let Some(room) = reach.rooms.get(room) else { continue };
            rows::place(&mut found.message, room);
            if wanted.accepts(&found.message) {
                messages.push(found.message);
            }
        }
    }
    Ok(Matches { messages, next: None })
}

async fn read(db: &Db, offer: &[Candidate]) -> Found<HashMap<(i64, i64), MessageRow>> {
    let (rooms, numbers): (Vec<i64>, Vec<i64>) =
        offer.iter().map(|(_, room, number)| (*room, *number)).unzip();
    let found = db
        .all(sql::search::SEARCH_MESSAGES, &[&rooms, &numbers], |row| rows::message(row, None))
        .await?;
    let key = |found: &MessageRow| (found.room_row, count(found.message.number));
    Ok(found.into_iter().map(|found| (key(&found), found)).collect())
}

/// The room that is named, or those that the actor has joined.
async fn reach(db: &Db, guard: &Guard, wanted: &Wanted) -> Found<Reach> {
    if let Some(id) = &wanted.room {
        let room = lists::enter(db, guard, id).await?;
        let numbers = numbers(db, &room, wanted).await?;
        return Ok(Reach { rooms: HashMap::from([(room.row, room.room)]), numbers });
    }
    let mut reach = Reach { rooms: HashMap::new(), numbers: 0..=u64::MAX };
    let actor = &guard.actor;
    let Some(user) = rows::user_by_id(db, &actor.tenant, &actor.user).await? else {
        return Ok(reach);
    };
    let mut joined = db.all(sql::rooms::ROOMS_JOINED, &[&user.row], rows::room).await?;
    joined.sort_unstable_by_key(|room| std::cmp::Reverse(room.last_pos));
    joined.truncate(SEARCHED_ROOMS_MAX);
    let ids: Vec<i64> = joined.iter().map(|room| room.row).collect();
    let none = RoomId::trusted("");
    let member =
        |row: &Row| Ok((row.try_get::<_, i64>(0)?, rows::membership(row, &none, &actor.user)?));
    let members = db.all(sql::rooms::MEMBERS_OF, &[&user.row, &ids], member).await?;
    let members: HashMap<i64, _> = members.into_iter().collect();
    for room in joined {
        let membership = members.get(&room.row);
        let access = Access { room: &room.room, membership, author: None, target: None };
        if guard.check(&access).is_ok() {
            reach.rooms.insert(room.row, room.room);
        }
    }
    Ok(reach)
}

/// Numbers of the messages between the places that are named.
async fn numbers(db: &Db, room: &RoomRow, wanted: &Wanted) -> Found<RangeInclusive<u64>> {
    let first = match &wanted.after {
        Some(Limit::Place(place)) => resolve(db, room, place).await?.saturating_add(1),
        Some(Limit::Time(_)) | None => 0,
    };
    let last = match &wanted.before {
        Some(Limit::Place(Position::Seq(seq))) => {
            resolve(db, room, &Position::Seq(seq.saturating_sub(1))).await?
        }
        Some(Limit::Place(place)) => resolve(db, room, place).await?.saturating_sub(1),
        Some(Limit::Time(_)) | None => u64::MAX,
    };
    Ok(first..=last)
}
