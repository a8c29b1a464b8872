//! The public address: what a proxy in front lets through.

use std::time::Duration;

use axum::http::{HeaderName, Method};
use serde::Deserialize;

use super::report::{Report, span};
use super::wire::{Answer, Site, Switched};
use crate::config::Config;

const AREA: &str = "public url";
/// An address that nobody has (RFC 5737), claimed to see who believes it.
const CLAIMED: &str = "192.0.2.77";
/// Time for something that should come at once.
const SOON: Duration = Duration::from_secs(5);
/// Added to the pause between two pings.
const PING_GRACE: Duration = Duration::from_secs(3);
/// Polling requests in a row, each on its own connection, to come by every node.
const POLLS: usize = 6;

/// `{"status":"ok","client":"203.0.113.9","forwarded":true,"believed":true}`.
#[derive(Deserialize)]
struct Seen {
    status: String,
    client: Option<String>,
    forwarded: Option<bool>,
    believed: Option<bool>,
}

/// What Engine.IO opens with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    sid: String,
    ping_interval: u64,
    max_payload: usize,
}

pub(super) async fn check(config: &Config, url: &str, quick: bool, report: &mut Report) {
    let site = match Site::parse(url) {
        Ok(site) => site,
        Err(problem) => return report.wrong(AREA, problem, ""),
    };
    if !alive(&site, report).await {
        return;
    }
    let path = format!("{}?EIO=4&transport=", config.socketio.path);
    let open = polling(&site, &path, report).await;
    if let Some(open) = &open {
        body_limit(&site, &path, open, report).await;
    }
    websocket(&site, &path, quick, report).await;
}

async fn alive(site: &Site, report: &mut Report) -> bool {
    let answer = match site.get("/livez?client").await {
        Ok(answer) => answer,
        Err(problem) => {
            report.wrong(AREA, problem, "Is the name right, the proxy up, the firewall open?");
            return false;
        }
    };
    let seen: Option<Seen> = serde_json::from_str(&answer.body).ok();
    let Some(seen) = seen.filter(|seen| answer.status == 200 && seen.status == "ok") else {
        report.wrong(
            AREA,
            format!("GET /livez answers {}{}", answer.status, by(&answer)),
            advice(answer.status),
        );
        return false;
    };
    report.ok(AREA, format!("Mynah answers at it, in {}", span(answer.took)));
    let claim = [(HeaderName::from_static("x-forwarded-for"), CLAIMED)];
    let claimed = site.ask(Method::GET, "/livez?client", &claim, "").await;
    let claimed: Option<Seen> = claimed.ok().and_then(|got| serde_json::from_str(&got.body).ok());
    let is_fooled = claimed.is_some_and(|seen| seen.client.as_deref() == Some(CLAIMED));
    address(&seen, is_fooled, &answer, report);
    true
}

/// What an answer that is not ours says of where it comes from.
fn by(answer: &Answer) -> String {
    let server = answer.headers.get("server").and_then(|server| server.to_str().ok());
    server.map(|server| format!(", from {server}")).unwrap_or_default()
}

fn advice(status: u16) -> &'static str {
    match status {
        301 | 302 | 307 | 308 => {
            "It leads elsewhere: name the address that clients are really given."
        }
        401 | 403 => {
            "Something in front wants a sign-in or refuses: it must let clients through to Mynah."
        }
        404 => {
            "Something else answers here: the proxy must pass every path (/v1, /socket.io/, /app …) on."
        }
        502..=504 => {
            "The proxy does not reach Mynah: check the address and port it passes requests to."
        }
        200 => "That is not Mynah: the proxy leads to something else.",
        _ => "Look into the logs of the proxy and of Mynah.",
    }
}

/// Whose request the server takes ours for.
fn address(seen: &Seen, is_fooled: bool, answer: &Answer, report: &mut Report) {
    let (Some(client), Some(forwarded)) = (&seen.client, seen.forwarded) else {
        return report.note(
            AREA,
            "the server is of an earlier release and does not tell client addresses",
            "",
        );
    };
    let believed = seen.believed.unwrap_or_default();
    if is_fooled {
        report.wrong(
            AREA,
            "clients can claim any address: what they send as X-Forwarded-For is believed",
            "The proxy must set the header to the address it sees, or add that at the end (nginx: proxy_set_header \
             X-Forwarded-For $remote_addr), and http.trusted_proxies must name proxies only.",
        );
    } else if believed || *client == answer.local.to_string() {
        report.ok(AREA, format!("clients have their own address: ours is {client}"));
    } else if forwarded && !believed {
        report.wrong(
            AREA,
            format!("all clients have the address {client}: the proxy tells theirs, and is not believed"),
            "Rate limits then count all of them as one. Name the proxy's network in http.trusted_proxies \
             (MYNAH_HTTP__TRUSTED_PROXIES).",
        );
    } else {
        report.note(
            AREA,
            format!("the server takes us for {client}; our address here is {}", answer.local),
            "With NAT in between that is right. If it is the proxy's address, the proxy must send X-Forwarded-For, \
             and http.trusted_proxies must name it.",
        );
    }
}

/// A handshake over polling and some requests after it, each on a connection of its own.
async fn polling(site: &Site, path: &str, report: &mut Report) -> Option<Open> {
    let opened = match site.get(&format!("{path}polling")).await {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => {
            let text = format!(
                "Socket.IO over polling: {} to the handshake{}",
                answer.status,
                by(&answer)
            );
            report.wrong(AREA, text, advice(answer.status));
            return None;
        }
        Err(problem) => {
            report.wrong(AREA, format!("Socket.IO over polling: {problem}"), "");
            return None;
        }
    };
    let open: Option<Open> =
        opened.body.strip_prefix('0').and_then(|open| serde_json::from_str(open).ok());
    let Some(open) = open else {
        let advice = "Something changes answers on their way, or the proxy leads elsewhere.";
        report.wrong(
            AREA,
            "Socket.IO over polling: the handshake's answer is not Socket.IO's",
            advice,
        );
        return None;
    };
    let session = format!("{path}polling&sid={}", open.sid);
    for turn in 1..=POLLS {
        if let Err((problem, advice)) = exchange(site, &session).await {
            let text =
                format!("Socket.IO over polling: request {turn} of {POLLS} fails: {problem}");
            report.wrong(AREA, text, advice);
            return None;
        }
    }
    let took = span(opened.took);
    report
        .ok(AREA, format!("Socket.IO over polling works, on a new connection each time ({took})"));
    Some(open)
}

/// Asks for a namespace that nobody has, which is answered at once and without an account, and hears it.
async fn exchange(site: &Site, session: &str) -> Result<(), (String, &'static str)> {
    let failed = |problem| (problem, "The proxy cuts connections; look into its log.");
    for step in ["POST", "GET"] {
        let answer = match step {
            "POST" => site.post(session, "40/doctor,").await,
            _ => site.get(session).await,
        };
        let answer = answer.map_err(failed)?;
        if answer.status == 200 && (step == "POST" || answer.body.contains("44/doctor")) {
            continue;
        }
        let known = !answer.body.contains("Session ID unknown");
        let problem = format!("{step} is answered with {}{}", answer.status, by(&answer));
        return Err(if known {
            (problem, advice(answer.status))
        } else {
            (
                "the session is not known where the request came to".to_owned(),
                "Requests reach servers that do not belong together: all nodes behind the address need the same \
                 database and broker (no sticky sessions are needed then).",
            )
        });
    }
    Ok(())
}

/// As large a request as the server takes.
async fn body_limit(site: &Site, path: &str, open: &Open, report: &mut Report) {
    let session = format!("{path}polling&sid={}", open.sid);
    let bytes = open.max_payload.saturating_sub(16);
    // An answer to a ping, which the server passes over.
    let answer = site.post(&session, &format!("3{}", "x".repeat(bytes))).await;
    match answer {
        Ok(answer) if answer.status == 200 => {
            report.ok(AREA, format!("requests of {} kB come through", open.max_payload / 1_000));
        }
        Ok(answer) if answer.status == 413 => report.wrong(
            AREA,
            format!("a request of {} kB is refused on its way (413){}", bytes / 1_000, by(&answer)),
            "Raise the proxy's limit above socketio.max_payload_bytes (nginx: client_max_body_size 2m).",
        ),
        Ok(answer) => {
            let text = format!("a request of {} kB is answered with {}", bytes / 1_000, answer.status);
            report.note(AREA, text, "Something in front may limit the size of requests.");
        }
        Err(problem) => {
            let text = format!("a request of {} kB fails: {problem}", bytes / 1_000);
            report.wrong(AREA, text, "Something in front limits the size of requests.");
        }
    }
}

async fn websocket(site: &Site, path: &str, quick: bool, report: &mut Report) {
    let mut socket = match site.switch(&format!("{path}websocket")).await {
        Ok(Switched::Yes(socket)) => socket,
        Ok(Switched::No(answer)) => {
            let ours = answer.body.contains("\"code\"") || answer.status == 426;
            let text = format!(
                "no WebSocket: the upgrade is answered with {}{}",
                answer.status,
                by(&answer)
            );
            let advice = if ours {
                "The request comes to Mynah without its headers Upgrade and Connection: the proxy must pass them on \
                 (nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header \
                 Connection \"upgrade\")."
            } else {
                "The proxy itself refuses it: WebSockets must be allowed for this site."
            };
            return report.wrong(AREA, text, advice);
        }
        Err(problem) => {
            let advice = "The proxy must pass the headers Upgrade and Connection on, and HTTP/1.1.";
            return report.wrong(AREA, format!("no WebSocket: {problem}"), advice);
        }
    };
    let begun = std::time::Instant::now();
    let opened = socket.next(SOON).await;
    let open: Option<Open> = match &opened {
        Ok(text) => text.strip_prefix('0').and_then(|open| serde_json::from_str(open).ok()),
        Err(_) => None,
    };
    let Some(open) = open else {
        let problem = opened.err().unwrap_or_else(|| "what comes is not Socket.IO".to_owned());
        let advice = "Something in front accepts the upgrade and then holds back what is sent: switch its buffering off.";
        return report.wrong(AREA, format!("the WebSocket opens, and then: {problem}"), advice);
    };
    let answered = match socket.send("40/doctor,").await {
        Ok(()) => socket.next(SOON).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = answered {
        let advice = "Something in front does not pass messages of clients on.";
        return report.wrong(
            AREA,
            format!("the WebSocket carries nothing to the server: {problem}"),
            advice,
        );
    }
    let took = span(begun.elapsed());
    report.ok(AREA, format!("WebSockets work, there and back ({took})"));
    if quick {
        return report.skipped(AREA, "whether a quiet WebSocket stays open (without --quick)");
    }
    let pause = Duration::from_millis(open.ping_interval);
    report.progress(&format!(
        "waiting {} s to see whether a quiet WebSocket stays open",
        pause.as_secs()
    ));
    match socket.next(pause + PING_GRACE).await {
        Ok(_ping) => report.ok(AREA, format!("a quiet WebSocket stays open until the ping after {} s", pause.as_secs())),
        Err(problem) => report.wrong(
            AREA,
            format!("a quiet WebSocket does not live until the ping after {} s: {problem}", pause.as_secs()),
            "Raise the proxy's time limit for quiet connections above socketio.ping_interval_ms, at best above 60 s \
             (nginx: proxy_read_timeout; HAProxy: timeout tunnel; AWS: idle timeout).",
        ),
    }
}
