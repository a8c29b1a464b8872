//! Writing what a transaction has gathered, set by set.

use std::collections::HashMap;

use mynah_domain::event::Stream;
use mynah_domain::{MessageId, TenantId, UserId};

use crate::marks;

use super::super::params::{Param, count};
use super::super::trouble::Failure;
use super::super::{rows, sql};
use super::{Tx, Unwritten};

/// The head of an inbox.
struct Inbox {
    user: UserId,
    tenant: TenantId,
    seq: u64,
    pos: u64,
}

impl Tx<'_> {
    /// Writes heads, cursors and events.
    pub(in crate::postgres) async fn flush(&mut self) -> Result<(), Failure> {
        let inboxes = self.fill_inboxes().await?;
        let messages = std::mem::take(&mut self.messages);
        tokio::try_join!(
            Box::pin(self.write_messages(&messages)),
            Box::pin(self.write_inboxes(&inboxes)),
            Box::pin(self.write_heads()),
            Box::pin(self.write_cursors()),
            Box::pin(self.write_events()),
        )?;
        Ok(())
    }

    /// Writes messages now, for those that come after them in the same transaction.
    pub(in crate::postgres) async fn flush_messages(&mut self) -> Result<(), Failure> {
        let messages = std::mem::take(&mut self.messages);
        self.write_messages(&messages).await
    }

    async fn write_messages(&self, all: &[Unwritten]) -> Result<(), Failure> {
        if all.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = all.iter().map(|(_, _, m)| m.id.as_str()).collect();
        let rooms: Vec<i64> = all.iter().map(|(room, _, _)| *room).collect();
        let seqs: Vec<i64> = all.iter().map(|(_, _, m)| count(m.seq)).collect();
        let numbers: Vec<i64> = all.iter().map(|(_, _, m)| count(m.number)).collect();
        let senders: Vec<i64> = all.iter().map(|(_, sender, _)| *sender).collect();
        let kinds: Vec<&str> = all.iter().map(|(_, _, m)| &*m.kind).collect();
        let contents: Vec<&str> = all.iter().map(|(_, _, m)| &*m.content).collect();
        let metadata: Vec<Option<&str>> =
            all.iter().map(|(_, _, m)| m.metadata.as_deref()).collect();
        let targets: Vec<Option<&str>> =
            all.iter().map(|(_, _, m)| m.reply_to.as_ref().map(MessageId::as_str)).collect();
        let clients: Vec<Option<&str>> =
            all.iter().map(|(_, _, m)| m.client_id.as_deref()).collect();
        let times: Vec<i64> = all.iter().map(|(_, _, m)| m.created_at.0).collect();
        let params: [&dyn Param; 11] = [
            &ids, &rooms, &seqs, &numbers, &senders, &kinds, &contents, &metadata, &targets,
            &clients, &times,
        ];
        self.db.run(sql::messages::MESSAGES_INSERT, &params).await?;
        Ok(())
    }

    /// Locks the inboxes that got something and gives each event its `seq`.
    async fn fill_inboxes(&mut self) -> Result<HashMap<i64, Inbox>, Failure> {
        let mut users: Vec<i64> = self.pending.iter().filter_map(|row| row.inbox).collect();
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        users.sort_unstable();
        users.dedup();
        let read = |row: &tokio_postgres::Row| {
            let (user, tenant) = (rows::user_id(row, 1)?, rows::tenant_id(row, 2)?);
            let (seq, pos) = (rows::count(row, 3)?, rows::count(row, 4)?);
            Ok((row.try_get::<_, i64>(0)?, Inbox { user, tenant, seq, pos }))
        };
        let found = self.db.all(sql::accounts::INBOXES_LOCK, &[&users], read).await?;
        let mut inboxes: HashMap<i64, Inbox> = found.into_iter().collect();
        for (event, row) in self.events.iter_mut().zip(&self.pending) {
            let Some(inbox) = row.inbox.and_then(|user| inboxes.get_mut(&user)) else { continue };
            if inbox.pos >= event.pos {
                return Err(Failure::Again("a later write was first".to_owned()));
            }
            inbox.seq += 1;
            inbox.pos = event.pos;
            event.seq = inbox.seq;
            event.stream = Stream::User(inbox.user.clone());
            event.tenant = inbox.tenant.clone();
        }
        Ok(inboxes)
    }

    async fn write_inboxes(&self, inboxes: &HashMap<i64, Inbox>) -> Result<(), Failure> {
        if inboxes.is_empty() {
            return Ok(());
        }
        let users: Vec<i64> = inboxes.keys().copied().collect();
        let seqs: Vec<i64> = inboxes.values().map(|inbox| count(inbox.seq)).collect();
        let positions: Vec<i64> = inboxes.values().map(|inbox| count(inbox.pos)).collect();
        self.db.run(sql::accounts::INBOXES_SET, &[&users, &seqs, &positions]).await?;
        Ok(())
    }

    async fn write_heads(&self) -> Result<(), Failure> {
        let mut changed = self.rooms_changed.clone();
        changed.sort_unstable();
        changed.dedup();
        let heads = changed.iter().filter_map(|row| self.rooms.get(row)).map(|(room, _)| room);
        let (mut ids, mut seqs, mut numbers, mut positions) = (vec![], vec![], vec![], vec![]);
        for head in heads {
            ids.push(head.row);
            seqs.push(count(head.room.last_seq));
            numbers.push(count(head.room.last_number));
            positions.push(count(head.last_pos));
        }
        if !ids.is_empty() {
            let params: [&dyn Param; 4] = [&ids, &seqs, &numbers, &positions];
            self.db.run(sql::rooms::ROOM_HEADS_SET, &params).await?;
        }
        Ok(())
    }

    async fn write_cursors(&self) -> Result<(), Failure> {
        let mut changed = self.members_changed.clone();
        changed.sort_unstable();
        changed.dedup();
        if changed.is_empty() {
            return Ok(());
        }
        let (mut rooms, mut users) = (vec![], vec![]);
        let (mut seqs, mut numbers) = (vec![], vec![]);
        let (mut times, mut packed) = (vec![], vec![]);
        for key in &changed {
            let Some(member) = self.members.get(key) else { continue };
            let m = &member.membership;
            rooms.push(key.0);
            users.push(key.1);
            seqs.push(count(m.last_read_seq));
            numbers.push(count(m.last_read_number));
            times.push(m.last_read_at.map(|at| at.0));
            let mut bytes = Vec::new();
            marks::encode(&member.marks, &mut bytes);
            packed.push(bytes);
        }
        let params: [&dyn Param; 6] = [&rooms, &users, &seqs, &numbers, &times, &packed];
        self.db.run(sql::rooms::MEMBER_CURSORS, &params).await?;
        Ok(())
    }

    async fn write_events(&self) -> Result<(), Failure> {
        let Some(last) = self.events.last() else { return Ok(()) };
        let streams: Vec<i64> = self.pending.iter().map(|row| row.stream).collect();
        let seqs: Vec<i64> = self.events.iter().map(|event| count(event.seq)).collect();
        let positions: Vec<i64> = self.events.iter().map(|event| count(event.pos)).collect();
        let kinds: Vec<i16> = self.pending.iter().map(|row| row.kind).collect();
        let numbers: Vec<i64> = self.pending.iter().map(|row| count(row.number)).collect();
        let actors: Vec<i64> = self.pending.iter().map(|row| row.actor).collect();
        let subjects: Vec<i64> = self.pending.iter().map(|row| row.subject).collect();
        let times: Vec<i64> = self.events.iter().map(|event| event.at.0).collect();
        let payloads: Vec<Option<&str>> =
            self.pending.iter().map(|row| row.payload.as_deref()).collect();
        let origin = i16::try_from(self.origin()).unwrap_or(i16::MAX);
        let params: [&dyn Param; 10] = [
            &streams, &seqs, &positions, &kinds, &numbers, &actors, &subjects, &times, &payloads,
            &origin,
        ];
        let (head, slot) = (count(last.pos), i32::from(self.origin()));
        let epoch = self.own.map_or(0, |own| count(own.epoch));
        let (_, heads) = tokio::try_join!(
            Box::pin(self.db.run(sql::journal::EVENTS_INSERT, &params)),
            Box::pin(async {
                self.db.run(sql::journal::LOG_HEAD_INSERT, &[&head, &slot, &epoch]).await
            }),
        )?;
        // Where the place is another's by now there is no head, and nothing is to be stored.
        if heads == 1 { Ok(()) } else { Err(Failure::Fenced) }
    }
}
