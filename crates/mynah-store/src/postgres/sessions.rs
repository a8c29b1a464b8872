//! Sign-ins and their refresh tokens; the rules are told in the SQLite adapter's module of this name.
//! Whoever exchanges a token or ends a sign-in first locks the sign-in, so that two nodes do not exchange
//! one token unseen by each other.

use std::collections::HashSet;

use mynah_domain::account::{NewSession, RotateSession, Rotation};
use mynah_domain::ports::StoreError;
use mynah_domain::{SessionFamily, TenantId, Timestamp, UserId};
use tokio_postgres::Row;

use super::db::Db;
use super::params::Param;
use super::trouble::{Failure, Trouble, inconsistent};
use super::tx::Tx;
use super::{rows, sql};

type Outcome<T> = Result<T, Trouble<StoreError>>;

pub(super) async fn open(tx: &mut Tx<'_>, session: &NewSession) -> Outcome<()> {
    let user = tx.user(&session.tenant, &session.user).await?;
    let user = user.ok_or_else(|| inconsistent("users", &session.user))?;
    tx.db.run(sql::accounts::SESSION_PRUNE, &[&user.row, &session.at.0]).await?;
    let (family, ends) = (session.family.as_str(), session.expires_at.0);
    let params: [&dyn Param; 4] = [&family, &user.row, &session.at.0, &ends];
    let id = |row: &Row| row.try_get::<_, i64>(0);
    let row = tx.db.first(sql::accounts::SESSION_INSERT, &params, id).await?;
    let row = row.ok_or_else(|| inconsistent("sessions", &session.family))?;
    let token: [&dyn Param; 4] = [&row, &None::<i64>, &session.refresh_fingerprint, &ends];
    tx.db.run(sql::accounts::TOKEN_INSERT, &token).await?;
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

async fn token(tx: &Tx<'_>, fingerprint: &str) -> Result<Option<Token>, Failure> {
    tx.db.rows(sql::accounts::SESSION_LOCK_OF_TOKEN, &[&fingerprint]).await?;
    let read = |row: &Row| {
        Ok(Token {
            row: row.try_get(0)?,
            session: row.try_get(1)?,
            expires_at: Timestamp(row.try_get(2)?),
            used_at: rows::time_if(row, 3)?,
            family: SessionFamily::trusted(row.try_get::<_, String>(4)?),
            user: row.try_get(5)?,
            revoked: rows::time_if(row, 6)?.is_some(),
        })
    };
    tx.db.first(sql::accounts::TOKEN, &[&fingerprint], read).await
}

pub(super) async fn rotate(tx: &mut Tx<'_>, rotation: &RotateSession) -> Outcome<Rotation> {
    let Some(token) = token(tx, &rotation.presented).await? else { return Ok(Rotation::Invalid) };
    if token.revoked || token.expires_at <= rotation.at {
        return Ok(Rotation::Invalid);
    }
    let (at, ends) = (rotation.at.0, rotation.expires_at.0);
    if let Some(used_at) = token.used_at {
        let in_grace = rotation.at.since_ms(used_at) <= rotation.grace_ms;
        let children = tx.db.rows(sql::accounts::TOKEN_USED_CHILD, &[&token.row]).await?;
        if !in_grace || !children.is_empty() {
            end(tx, token.session, "refresh token reused", rotation.at).await?;
            return Ok(Rotation::Reused { family: token.family });
        }
    } else {
        tx.db.run(sql::accounts::TOKEN_USE, &[&token.row, &at]).await?;
    }
    tx.db.run(sql::accounts::TOKEN_PRUNE, &[&token.session, &at]).await?;
    let parent = Some(token.row);
    let next: [&dyn Param; 4] = [&token.session, &parent, &rotation.next, &ends];
    tx.db.run(sql::accounts::TOKEN_INSERT, &next).await?;
    tx.db.run(sql::accounts::SESSION_EXTEND, &[&token.session, &ends]).await?;
    let user = tx.user_row(token.user).await?.user.clone();
    Ok(Rotation::Rotated { family: token.family, user })
}

/// Ends a sign-in; its tokens are no longer needed.
async fn end(tx: &Tx<'_>, session: i64, reason: &str, at: Timestamp) -> Result<(), Failure> {
    tx.db.run(sql::accounts::SESSION_REVOKE, &[&session, &at.0, &reason]).await?;
    tx.db.run(sql::accounts::TOKENS_DROP, &[&session]).await?;
    Ok(())
}

pub(super) async fn revoke(
    tx: &Tx<'_>,
    family: &SessionFamily,
    reason: &str,
    at: Timestamp,
) -> Outcome<()> {
    let id = |row: &Row| row.try_get::<_, i64>(0);
    let row = tx.db.first(sql::accounts::SESSION_BY_FAMILY, &[&family.as_str()], id).await?;
    if let Some(row) = row {
        end(tx, row, reason, at).await?;
    }
    Ok(())
}

pub(super) async fn revoke_all(
    tx: &mut Tx<'_>,
    (tenant, user): (&TenantId, &UserId),
    reason: &str,
    at: Timestamp,
) -> Outcome<Vec<SessionFamily>> {
    let Some(user) = tx.user(tenant, user).await? else { return Ok(Vec::new()) };
    let read = |row: &Row| {
        let family = SessionFamily::trusted(row.try_get::<_, String>(1)?);
        Ok((row.try_get::<_, i64>(0)?, family))
    };
    let alive = tx.db.all(sql::accounts::SESSIONS_ALIVE_OF, &[&user.row, &at.0], read).await?;
    for (row, _) in &alive {
        end(tx, *row, reason, at).await?;
    }
    Ok(alive.into_iter().map(|(_, family)| family).collect())
}

pub(super) async fn ended(
    db: &Db,
    families: &[SessionFamily],
    at: Timestamp,
) -> Outcome<Vec<SessionFamily>> {
    let names: Vec<&str> = families.iter().map(SessionFamily::as_str).collect();
    let read = |row: &Row| row.try_get::<_, String>(0);
    let alive = db.all(sql::accounts::SESSIONS_ALIVE, &[&names, &at.0], read).await?;
    let alive: HashSet<String> = alive.into_iter().collect();
    Ok(families.iter().filter(|family| !alive.contains(family.as_str())).cloned().collect())
}
