//! Opening connections: to a single Redis, to the master that sentinels name, to the owner of our slot of a cluster.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::address::{Address, Kind, place};
use super::resp::{self, Frame};
use crate::carrier::{Incoming, Place, Stream, Tls, dial};

/// What answers there speaks another language.
pub(super) const NOT_REDIS: &str =
    "what answers there is no Redis; check host, port and rediss:// in redis_url";
/// An answer at the start is at most this long.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// A cluster whose nodes send us round and round is not asked for ever.
const MOVES_MAX: usize = 5;
/// Where sentinels tell of a new master.
const SWITCH: &[u8] = b"+switch-master";

/// Opens connections to what a url names.
pub(super) struct Opener {
    pub(super) address: Address,
    pub(super) tls: Option<Tls>,
    /// A channel of ours, whose slot says which node of a cluster to use.
    pub(super) channel: String,
    /// Where it was last.
    last: Option<Place>,
}

impl Opener {
    pub(super) fn new(address: Address, tls: Option<Tls>, channel: String) -> Self {
        Self { address, tls, channel, last: None }
    }

    /// The connection for subscriptions first, that for publications last; between them, one to a sentinel.
    pub(super) async fn open(&mut self) -> Result<Vec<Stream>, String> {
        match self.address.kind.clone() {
            Kind::Single => {
                let place = self.first()?;
                self.both(&place).await
            }
            Kind::Sentinel { master, user, password } => {
                let (sentinel, place) =
                    self.ask_sentinels(&master, user.as_deref(), password.as_deref()).await?;
                let mut streams = self.both(&place).await?;
                if let Some(stream) = streams.last_mut() {
                    is_master(stream).await.map_err(|reason| format!("{place}: {reason}"))?;
                }
                streams.insert(1, sentinel);
                Ok(streams)
            }
            Kind::Cluster => {
                let owner = self.owner().await?;
                let streams = self.both(&owner).await?;
                self.last = Some(owner);
                Ok(streams)
            }
        }
    }

    /// What the sentinel says.
    pub(super) fn told(&self, items: &[&[u8]]) -> Result<Incoming, String> {
        let Kind::Sentinel { master, .. } = &self.address.kind else {
            return Ok(Incoming::Nothing);
        };
        match items {
            [b"pong", ..] => Ok(Incoming::Answer),
            [b"message", _, text] => {
                let name = text.split(|byte| *byte == b' ').next();
                if name == Some(master.as_bytes()) {
                    return Err("another master takes over".to_owned());
                }
                Ok(Incoming::Nothing)
            }
            _ => Ok(Incoming::Nothing),
        }
    }

    fn first(&self) -> Result<Place, String> {
        self.address.places.first().cloned().ok_or_else(|| "no host".to_owned())
    }

    async fn both(&self, place: &Place) -> Result<Vec<Stream>, String> {
        let opened = tokio::try_join!(self.one(place), self.one(place));
        let (subscribing, publishing) = opened.map_err(|reason| format!("{place}: {reason}"))?;
        Ok(vec![subscribing, publishing])
    }

    async fn one(&self, place: &Place) -> Result<Stream, String> {
        let mut stream = dial(place, self.tls.as_ref()).await?;
        let (user, password) = (self.address.user.as_deref(), self.address.password.as_deref());
        sign_in(&mut stream, user, password).await?;
        Ok(stream)
    }

    /// Where the master is, and a connection on which a sentinel tells when another takes over.
    async fn ask_sentinels(
        &self,
        master: &str,
        user: Option<&str>,
        password: Option<&str>,
    ) -> Result<(Stream, Place), String> {
        let mut reasons = Vec::new();
        for place in &self.address.places {
            let asked = async {
                let mut stream = dial(place, self.tls.as_ref()).await?;
                sign_in(&mut stream, user, password).await?;
                // First to listen, then to ask: a change between the two is heard.
                ask(&mut stream, &[b"SUBSCRIBE", SWITCH]).await?;
                let mut second = dial(place, self.tls.as_ref()).await?;
                sign_in(&mut second, user, password).await?;
                let question: &[u8] = b"GET-MASTER-ADDR-BY-NAME";
                let answer = ask(&mut second, &[b"SENTINEL", question, master.as_bytes()]).await?;
                Ok::<_, String>((stream, master_in(&answer, master)?))
            };
            match asked.await {
                Ok(found) => return Ok(found),
                Err(reason) => reasons.push(format!("sentinel {place}: {reason}")),
            }
        }
        Err(reasons.join("; "))
    }

    /// The node that has the slot of our channels.
    async fn owner(&self) -> Result<Place, String> {
        let mut reasons = Vec::new();
        for seed in self.last.iter().chain(&self.address.places) {
            let mut place = seed.clone();
            for _ in 0..MOVES_MAX {
                match self.ask_owner(&place).await {
                    Ok(None) => return Ok(place),
                    Ok(Some(next)) => place = next,
                    Err(reason) => {
                        reasons.push(format!("{place}: {reason}"));
                        break;
                    }
                }
            }
        }
        Err(reasons.join("; "))
    }

    /// Whether a node has the slot, or which one has.
    async fn ask_owner(&self, place: &Place) -> Result<Option<Place>, String> {
        let mut stream = self.one(place).await?;
        match ask(&mut stream, &[b"SPUBLISH", self.channel.as_bytes(), b""]).await {
            Ok(_) => Ok(None),
            Err(reason) => match moved(&reason, place) {
                Some(next) => Ok(Some(next)),
                None if reason.contains("unknown command") => {
                    Err(format!("{reason}; a cluster needs Redis 7 or Valkey"))
                }
                None => Err(reason),
            },
        }
    }
}

/// `MOVED 3999 127.0.0.1:6381`; without a host it is the same.
fn moved(reason: &str, from: &Place) -> Option<Place> {
    let to = reason.strip_prefix("MOVED ")?.split_ascii_whitespace().nth(1)?;
    let (host, port) = to.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { from.host.clone() } else { host.to_owned() };
    Some(Place { host, port })
}

fn master_in(answer: &[u8], master: &str) -> Result<Place, String> {
    match resp::decode(answer) {
        Ok(Some((Frame::List(Some(items)), _))) => {
            let text = |item: &[u8]| String::from_utf8_lossy(item).into_owned();
            match items.as_slice() {
                [host, port] => {
                    let port = text(port).parse().map_err(|_no_port| NOT_REDIS.to_owned())?;
                    let host = text(host);
                    let found = if host.contains(':') { format!("[{host}]") } else { host };
                    place(&found, port).map_err(|_no_place| NOT_REDIS.to_owned())
                }
                _ => Err(NOT_REDIS.to_owned()),
            }
        }
        Ok(Some((Frame::List(None) | Frame::Bulk(None), _))) => {
            Err(format!("it knows no master `{master}`; check master= in redis_url"))
        }
        _ => Err(NOT_REDIS.to_owned()),
    }
}

async fn is_master(stream: &mut Stream) -> Result<(), String> {
    let answer = ask(stream, &[b"INFO", b"replication"]).await?;
    if String::from_utf8_lossy(&answer).contains("role:master") {
        Ok(())
    } else {
        Err("it is a replica still".to_owned())
    }
}

async fn sign_in(
    stream: &mut Stream,
    user: Option<&str>,
    password: Option<&str>,
) -> Result<(), String> {
    if let Some(password) = password {
        let mut command: Vec<&[u8]> = vec![b"AUTH"];
        command.extend(user.map(str::as_bytes));
        command.push(password.as_bytes());
        ask(stream, &command)
            .await
            .map_err(|error| format!("{error}; check user and password in redis_url"))?;
    }
    match ask(stream, &[b"PING"]).await {
        Ok(_) => Ok(()),
        Err(error) if error.starts_with("NOAUTH") => {
            Err(format!("{error} Put user and password into redis_url"))
        }
        Err(error) => Err(error),
    }
}

/// Sends a command and waits for its answer, as it came; a refusal is an error.
async fn ask(stream: &mut Stream, parts: &[&[u8]]) -> Result<Vec<u8>, String> {
    let mut command = Vec::new();
    resp::command(parts.len(), &mut command);
    for part in parts {
        resp::part(b"", part, &mut command);
    }
    stream.write_all(&command).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    loop {
        // Byte by byte, so that nothing behind it is taken.
        let byte = stream.read_u8().await.map_err(|error| error.to_string())?;
        answer.push(byte);
        if byte != b'\n' {
            if answer.len() > ANSWER_BYTES_MAX {
                return Err(NOT_REDIS.to_owned());
            }
            continue;
        }
        match resp::decode(&answer) {
            Ok(None) => {}
            Ok(Some((Frame::Error(reason), _))) => {
                return Err(String::from_utf8_lossy(reason).into_owned());
            }
            Ok(Some(_)) => return Ok(answer),
            Err(resp::Garbage) => return Err(NOT_REDIS.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_sends_us_on_says_where() {
        let from = Place { host: "a".to_owned(), port: 1 };
        let to = |reason: &str| moved(reason, &from).map(|place| place.to_string());
        assert_eq!(to("MOVED 3999 127.0.0.1:6381").as_deref(), Some("127.0.0.1:6381"));
        assert_eq!(to("MOVED 3999 :6381").as_deref(), Some("a:6381"));
        assert_eq!(to("MOVED 3999 ::1:6381").as_deref(), Some("[::1]:6381"));
        for reason in ["CLUSTERDOWN", "MOVED", "MOVED 1", "MOVED 1 x", "MOVED 1 x:y"] {
            assert_eq!(to(reason), None, "{reason}");
        }
    }
}
