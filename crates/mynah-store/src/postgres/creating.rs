//! Making the accounts of a batch with one statement.
//!
//! When a front end that brings its own tokens moves here, thousands come for the first time together, and the same
//! ones to several nodes. So all are made in one order: otherwise two nodes would wait for each other.

use std::collections::{BTreeSet, HashMap};

use mynah_domain::TenantId;
use mynah_domain::account::{AccountError, NewAccount, User};
use mynah_domain::room::Role;
use tokio::sync::oneshot;

use super::accounts::tenant_row;
use super::params::{Param, clean};
use super::rows;
use super::sql;
use super::trouble::{Failure, Trouble};
use super::tx::Tx;

type Outcome = Result<User, AccountError>;

/// One queued account.
pub(super) struct CreateJob {
    account: NewAccount,
    /// Of the username, by which it is unique.
    key: String,
    outcome: Option<Outcome>,
    reply: oneshot::Sender<Outcome>,
}

impl CreateJob {
    /// An account to be made, and where its outcome is told.
    pub(super) fn new(mut account: NewAccount, reply: oneshot::Sender<Outcome>) -> Self {
        clean(&mut account.username);
        clean(&mut account.name);
        account.email.iter_mut().for_each(clean);
        let key = account.username.to_lowercase();
        Self { account, key, outcome: None, reply }
    }

    pub(super) fn fail(&mut self, error: AccountError) {
        self.outcome = Some(Err(error));
    }

    pub(super) fn answer(self, otherwise: AccountError) {
        // A caller that went away does not want the answer.
        drop(self.reply.send(self.outcome.unwrap_or(Err(otherwise))));
    }

    fn place(&self) -> (&str, &str, &str) {
        (self.account.tenant.as_str(), self.account.id.as_str(), &self.key)
    }

    fn made(&self) -> User {
        let NewAccount { id, tenant, username, email, name, at, .. } = self.account.clone();
        let role = Role::Member;
        User { id, tenant, username, email, name, role, created_at: at, updated_at: at }
    }
}

/// Makes the accounts; each job has its outcome afterwards.
pub(super) async fn create(tx: &Tx<'_>, jobs: &mut [&mut CreateJob]) -> Result<(), Failure> {
    if jobs.is_empty() {
        return Ok(());
    }
    jobs.sort_by(|one, other| one.place().cmp(&other.place()));
    let asked: Vec<&CreateJob> = jobs.iter().map(|job| &**job).collect();
    let mut made = insert(tx, &asked).await?;
    let left: Vec<&CreateJob> =
        asked.into_iter().filter(|job| !made.contains_key(&names(job))).collect();
    if !left.is_empty() {
        // A tenant is made with its first account.
        let tenants: BTreeSet<&TenantId> = left.iter().map(|job| &job.account.tenant).collect();
        for tenant in tenants {
            tenant_row(tx, tenant).await?;
        }
        made.extend(insert(tx, &left).await?);
    }
    for job in jobs {
        let row = made.remove(&names(job));
        job.outcome = Some(match settle(tx, job, row).await {
            Ok(user) => Ok(user),
            Err(Trouble::Refused(error)) => Err(error),
            Err(Trouble::Engine(failure)) => return Err(failure),
        });
    }
    Ok(())
}

/// Tenant, id and key of an account.
type Names = (String, String, String);

fn names(job: &CreateJob) -> Names {
    let (tenant, id, key) = job.place();
    (tenant.to_owned(), id.to_owned(), key.to_owned())
}

/// Stores those that nothing stands against and whose tenant exists.
async fn insert(tx: &Tx<'_>, jobs: &[&CreateJob]) -> Result<HashMap<Names, i64>, Failure> {
    let texts = |of: fn(&CreateJob) -> &str| jobs.iter().map(|job| of(job)).collect::<Vec<&str>>();
    let tenants = texts(|job| job.account.tenant.as_str());
    let ids = texts(|job| job.account.id.as_str());
    let usernames = texts(|job| &job.account.username);
    let keys = texts(|job| &job.key);
    let display = texts(|job| &job.account.name);
    let display_keys: Vec<String> = display.iter().map(|name| name.to_lowercase()).collect();
    let emails: Vec<Option<&str>> = jobs.iter().map(|job| job.account.email.as_deref()).collect();
    let times: Vec<i64> = jobs.iter().map(|job| job.account.at.0).collect();
    let role = Role::Member.as_str();
    let row: [&dyn Param; 9] =
        [&tenants, &ids, &usernames, &keys, &display, &display_keys, &emails, &times, &role];
    let name = |row: &tokio_postgres::Row| {
        let names = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        Ok((names, row.try_get(0)?))
    };
    Ok(tx.db.all(sql::accounts::USERS_INSERT, &row, name).await?.into_iter().collect())
}

/// What became of a job, whose account was made in this row or not at all.
async fn settle(
    tx: &Tx<'_>,
    job: &CreateJob,
    row: Option<i64>,
) -> Result<User, Trouble<AccountError>> {
    let Some(row) = row else {
        let field = taken(tx, job).await?;
        // Or by somebody who was gone when it was looked for.
        let field = field.ok_or_else(|| Failure::Again("an account came and went".to_owned()))?;
        return Err(Trouble::Refused(AccountError::Taken { field }));
    };
    if let Some(hash) = &job.account.password_hash {
        tx.db.run(sql::accounts::CREDENTIAL_INSERT, &[&row, hash]).await?;
    }
    Ok(job.made())
}

/// What of an account is somebody else's.
async fn taken(tx: &Tx<'_>, job: &CreateJob) -> Result<Option<&'static str>, Failure> {
    let (db, tenant) = (tx.db, job.account.tenant.as_str());
    let by_name: [&dyn Param; 2] = [&tenant, &job.key];
    if db.first(sql::accounts::USER_BY_USERNAME, &by_name, rows::user).await?.is_some() {
        return Ok(Some("username"));
    }
    if let Some(email) = &job.account.email
        && db.first(sql::accounts::USER_BY_EMAIL, &[&tenant, email], rows::user).await?.is_some()
    {
        return Ok(Some("email"));
    }
    let same = rows::user_by_id(db, &job.account.tenant, &job.account.id).await?;
    Ok(same.map(|_| "id"))
}
