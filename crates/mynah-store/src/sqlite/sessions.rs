//! Sign-ins and their refresh tokens.
//!
//! Every token of a living sign-in is a row until it expires, so that an old one that turns up again is
//! recognised. A token is good once. Two tabs that wake up together present the same token: the second
//! gets a token of its own, as long as the first exchange is younger than the grace **and** none of the
//! tokens given for it has been exchanged in turn (then it no longer directly precedes). Tokens given
//! for one token are siblings: both stay good, neither ends the other, so both tabs stay signed in.
//! Anything else that is presented twice ends the sign-in.

use mynah_domain::account::{NewSession, RotateSession, Rotation};
use mynah_domain::ports::StoreError;
use mynah_domain::{SessionFamily, TenantId, Timestamp, UserId};
use rusqlite::Connection;

use super::trouble::{Trouble, inconsistent};
use super::tx::Tx;
use super::{rows, sql};

type Outcome<T> = Result<T, Trouble<StoreError>>;

pub(super) fn open(tx: &mut Tx<'_>, session: &NewSession) -> Outcome<()> {
    let user = tx.user(&session.tenant, &session.user)?;
    let user = user.ok_or_else(|| inconsistent("users", &session.user))?;
    rows::execute(tx.conn, sql::SESSION_PRUNE, (user.row, session.at.0))?;
    let params = (session.family.as_str(), user.row, session.at.0, session.expires_at.0);
    rows::execute(tx.conn, sql::SESSION_INSERT, params)?;
    let row = tx.conn.last_insert_rowid();
    let token = (row, None::<i64>, &session.refresh_fingerprint, session.expires_at.0);
    rows::execute(tx.conn, sql::TOKEN_INSERT, token)?;
    Ok(())
}

struct Token {
    row: i64,
    session: i64,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
    family: SessionFamily,
    user: i64,
    revoked: bool,
}

fn token(tx: &Tx<'_>, fingerprint: &str) -> Outcome<Option<Token>> {
    let found = rows::first(tx.conn, sql::TOKEN, [fingerprint], |row| {
        Ok(Token {
            row: row.get(0)?,
            session: row.get(1)?,
            expires_at: Timestamp(row.get(2)?),
            used_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
            family: SessionFamily::trusted(row.get::<_, String>(4)?),
            user: row.get(5)?,
            revoked: row.get::<_, Option<i64>>(6)?.is_some(),
        })
    })?;
    Ok(found)
}

pub(super) fn rotate(tx: &mut Tx<'_>, rotation: &RotateSession) -> Outcome<Rotation> {
    let Some(token) = token(tx, &rotation.presented)? else { return Ok(Rotation::Invalid) };
    if token.revoked || token.expires_at <= rotation.at {
        return Ok(Rotation::Invalid);
    }
    if let Some(used_at) = token.used_at {
        let in_grace = rotation.at.since_ms(used_at) <= rotation.grace_ms;
        let overtaken = in_grace
            && rows::first(tx.conn, sql::TOKEN_USED_CHILD, [token.row], |_| Ok(()))?.is_some();
        if !in_grace || overtaken {
            end(tx, token.session, "refresh token reused", rotation.at)?;
            return Ok(Rotation::Reused { family: token.family });
        }
    } else {
        rows::execute(tx.conn, sql::TOKEN_USE, (token.row, rotation.at.0))?;
    }
    rows::execute(tx.conn, sql::TOKEN_PRUNE, (token.session, rotation.at.0))?;
    let next = (token.session, token.row, &rotation.next, rotation.expires_at.0);
    rows::execute(tx.conn, sql::TOKEN_INSERT, next)?;
    rows::execute(tx.conn, sql::SESSION_EXTEND, (token.session, rotation.expires_at.0))?;
    let user = tx.user_row::<StoreError>(token.user)?.user.clone();
    Ok(Rotation::Rotated { family: token.family, user })
}

/// Ends a sign-in; its tokens are no longer needed.
fn end(tx: &Tx<'_>, session: i64, reason: &str, at: Timestamp) -> Outcome<()> {
    rows::execute(tx.conn, sql::SESSION_REVOKE, (session, at.0, reason))?;
    rows::execute(tx.conn, sql::TOKENS_DROP, [session])?;
    Ok(())
}

pub(super) fn revoke(
    tx: &Tx<'_>,
    family: &SessionFamily,
    reason: &str,
    at: Timestamp,
) -> Outcome<()> {
    let row = rows::first(tx.conn, sql::SESSION_BY_FAMILY, [family.as_str()], |r| r.get(0))?;
    row.map_or(Ok(()), |row| end(tx, row, reason, at))
}

pub(super) fn revoke_all(
    tx: &mut Tx<'_>,
    (tenant, user): (&TenantId, &UserId),
    reason: &str,
    at: Timestamp,
) -> Outcome<Vec<SessionFamily>> {
    let Some(user) = tx.user(tenant, user)? else { return Ok(Vec::new()) };
    let alive = rows::all(tx.conn, sql::SESSIONS_ALIVE_OF, (user.row, at.0), |row| {
        Ok((row.get::<_, i64>(0)?, SessionFamily::trusted(row.get::<_, String>(1)?)))
    })?;
    for (row, _) in &alive {
        end(tx, *row, reason, at)?;
    }
    Ok(alive.into_iter().map(|(_, family)| family).collect())
}

pub(super) fn alive(conn: &Connection, family: &SessionFamily, at: Timestamp) -> Outcome<bool> {
    let found = rows::first(conn, sql::SESSION_ALIVE, (family.as_str(), at.0), |_| Ok(()))?;
    Ok(found.is_some())
}

pub(super) fn ended(
    conn: &Connection,
    families: Vec<SessionFamily>,
    at: Timestamp,
) -> Outcome<Vec<SessionFamily>> {
    let mut ended = Vec::new();
    for family in families {
        if !alive(conn, &family, at)? {
            ended.push(family);
        }
    }
    Ok(ended)
}
