//! A blocking HTTP/1.1 client over one kept connection: what setting up rooms and reading history need.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use memchr::memmem;

pub(crate) struct Http {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Status and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The text value of the first `"<name>":"…"` of the body.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("\"{name}\":\""))?;
        rest.split_once('"').map(|(value, _)| value)
    }

    /// This answer, or an error that quotes it unless the status is 2xx.
    pub(crate) fn success(self, what: &str) -> Result<Self> {
        if !(200..300).contains(&self.status) {
            bail!("{what}: HTTP {}: {}", self.status, self.body);
        }
        Ok(self)
    }
}

impl Http {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// True if `/readyz` answers 200.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.request("GET", "/readyz", "", "").is_ok_and(|answer| answer.status == 200)
    }

    /// Sends one request and waits for its answer; an empty token or body is left out.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        if !token.is_empty() {
            head.push_str("Authorization: Bearer ");
            head.push_str(token);
            head.push_str("\r\n");
        }
        if method != "GET" {
            head.push_str("Content-Type: application/json\r\nContent-Length: ");
            head.push_str(&body.len().to_string());
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head.push_str(body);
        self.stream.write_all(head.as_bytes())?;
        self.answer()
    }

    fn more(&mut self) -> Result<()> {
        let mut chunk = [0; 16_384];
        let count = self.stream.read(&mut chunk)?;
        if count == 0 {
            bail!("the server closed the connection");
        }
        self.buffer.extend(chunk.iter().take(count));
        Ok(())
    }

    fn answer(&mut self) -> Result<Answer> {
        self.buffer.clear();
        let head_end = loop {
            if let Some(at) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(self.buffer.get(..head_end).unwrap_or_default());
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .context("no HTTP status in the answer")?;
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok())
            .unwrap_or(0);
        while self.buffer.len() < head_end + length {
            self.more()?;
        }
        let body = self.buffer.get(head_end..).unwrap_or_default();
        Ok(Answer { status, body: String::from_utf8_lossy(body).into_owned() })
    }
}
