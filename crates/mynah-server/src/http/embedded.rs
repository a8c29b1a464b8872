//! The files that the binary carries, as the build script put them in: compressed.

use std::io::Read as _;

use axum::http::header::{CONTENT_ENCODING, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use flate2::read::GzDecoder;

use crate::coding::Coding;

/// All of them; none if the page was not built before the binary.
static FILES: &[Embedded] = &include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// One file.
pub(super) struct Embedded {
    /// Below the page's folder: `assets/index-B5Qt9EMX.js`.
    pub(super) path: &'static str,
    /// Its content.
    pub(super) gzip: &'static [u8],
}

impl Embedded {
    /// The file with this path.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.path == path)
    }

    /// What a GET is answered: 304 to whoever has the file, the compressed file to whoever takes that,
    /// otherwise the file as it is.
    pub(super) fn answer(&self, request: &HeaderMap) -> Response {
        let is_compressed = Coding::accepted(request) == Some(Coding::Gzip);
        let sum = self.sum();
        let tag = format!("\"{sum}{}\"", if is_compressed { "-gzip" } else { "" });
        let shared = [(ETAG, tag.as_str()), (VARY, "Accept-Encoding")];
        if is_known(request, &sum) {
            return (StatusCode::NOT_MODIFIED, shared).into_response();
        }
        if is_compressed {
            let coding = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
            return (shared, coding, Bytes::from_static(self.gzip)).into_response();
        }
        match self.content() {
            Ok(content) => (shared, content).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    /// The file as it was before it was compressed.
    pub(super) fn content(&self) -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        GzDecoder::new(self.gzip).read_to_end(&mut content)?;
        Ok(content)
    }

    /// The last eight bytes of the compressed file are a sum and the length of the content.
    fn sum(&self) -> String {
        let start = self.gzip.len().saturating_sub(8);
        let end = self.gzip.get(start..).unwrap_or_default();
        end.iter().fold(String::new(), |sum, byte| format!("{sum}{byte:02x}"))
    }
}

/// Whether the client has the content, in whatever coding.
fn is_known(request: &HeaderMap, sum: &str) -> bool {
    let known = request.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|known| known == "*" || known.contains(sum))
}

/// A file for tests: `content` as the build script would carry it.
#[cfg(test)]
pub(super) fn sample(content: &[u8]) -> Embedded {
    use std::io::Write as _;

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    Embedded { path: "sample", gzip: encoder.finish().unwrap().leak() }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::header::ACCEPT_ENCODING;

    use super::*;

    const CONTENT: &[u8] = b"let it be, let it be, let it be, let it be";

    fn ask(name: axum::http::HeaderName, value: &HeaderValue) -> Response {
        sample(CONTENT).answer(&HeaderMap::from_iter([(name, value.clone())]))
    }

    async fn body(response: Response) -> Bytes {
        to_bytes(response.into_body(), usize::MAX).await.unwrap()
    }

    #[tokio::test]
    async fn each_client_gets_the_coding_that_it_takes() {
        let plain = sample(CONTENT).answer(&HeaderMap::new());
        assert!(!plain.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(plain.headers()[VARY], "Accept-Encoding");
        assert_eq!(body(plain).await, CONTENT);
        let gzip = ask(ACCEPT_ENCODING, &HeaderValue::from_static("br, gzip"));
        assert_eq!(gzip.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(body(gzip).await, sample(CONTENT).gzip);
        let deflate = ask(ACCEPT_ENCODING, &HeaderValue::from_static("deflate"));
        assert_eq!(body(deflate).await, CONTENT);
    }

    #[test]
    fn whoever_has_the_content_in_one_coding_is_not_sent_the_other() {
        let plain = sample(CONTENT).answer(&HeaderMap::new()).headers()[ETAG].clone();
        let gzip = ask(ACCEPT_ENCODING, &HeaderValue::from_static("gzip")).headers()[ETAG].clone();
        assert_ne!(plain, gzip, "a tag names the bytes");
        for known in [plain, gzip] {
            assert_eq!(ask(IF_NONE_MATCH, &known).status(), StatusCode::NOT_MODIFIED);
            let other =
                sample(b"let it go").answer(&HeaderMap::from_iter([(IF_NONE_MATCH, known)]));
            assert_eq!(other.status(), StatusCode::OK);
        }
    }
}
