//! Rooms and members, made over REST before anybody connects, so that no join is fanned out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, anyhow};

use crate::http::Http;
use crate::launch::{MynahSetup, Server};

/// Requests under way at a time: enough for the server to commit them in groups.
const WORKERS: usize = 64;

/// Runs `job` for every index below `count` on a few kept connections; stops at the first failure.
fn spread<T: Send>(
    server: &Server,
    count: usize,
    job: impl Fn(&mut Http, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(count));
    let work = || -> Result<()> {
        let mut http = Http::connect(server.address)?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(());
            }
            let made =
                job(&mut http, index).inspect_err(|_| next.store(count, Ordering::Relaxed))?;
            done.lock().map_err(|_poisoned| anyhow!("a worker failed"))?.push((index, made));
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS.min(count)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().map_err(|_panic| anyhow!("a worker failed")).flatten()
        })
    })?;
    let mut done = done.into_inner().map_err(|_poisoned| anyhow!("a worker failed"))?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, made)| made).collect())
}

/// Name of the user with an index, as in its token.
pub(crate) fn user(index: usize) -> String {
    format!("{index:05}")
}

/// Makes `rooms` public channels and lets user `u` join the rooms `joins[u]`; returns the room ids.
pub(crate) fn build(
    server: &Server,
    setup: &MynahSetup,
    rooms: usize,
    joins: &[Vec<u32>],
) -> Result<Vec<String>> {
    let owner = setup.token("owner", 1);
    // The owner exists once, before many requests ask for it at the same time.
    Http::connect(server.address)?
        .request("GET", "/v1/auth/me", &owner, "")?
        .success("GET /v1/auth/me")?;
    let ids = spread(server, rooms, |http, index| {
        let body = format!(r#"{{"name":"bench-{index}","kind":"channel","visibility":"public"}}"#);
        let answer = http.request("POST", "/v1/rooms", &owner, &body)?.success("POST /v1/rooms")?;
        Ok(answer.text("id").context("a room without id")?.to_owned())
    })?;
    spread(server, joins.len(), |http, index| {
        let token = setup.token(&user(index), 1);
        for &room in joins.get(index).into_iter().flatten() {
            let id = ids.get(room as usize).context("no such room")?;
            let path = format!("/v1/rooms/{id}/join");
            http.request("POST", &path, &token, "{}")?.success("POST /v1/rooms/:id/join")?;
        }
        Ok(())
    })?;
    Ok(ids)
}
