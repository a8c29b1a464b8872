//! Compressed polling answers, for clients that take them.

use std::io::Write as _;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

/// Shorter answers are sent as they are (engine.io does the same).
const BYTES_MIN: usize = 1024;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    /// The coding to use for a request, if any.
    pub(super) fn accepted(request: &HeaderMap) -> Option<Self> {
        let accepted = request.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
        let takes = |coding: &str| {
            accepted.split(',').any(|entry| {
                let (name, weight) = entry.split_once(';').unwrap_or((entry, ""));
                let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
                name.trim().eq_ignore_ascii_case(coding)
                    && weight.parse().is_ok_and(|q: f32| q > 0.0)
            })
        };
        if takes("gzip") { Some(Self::Gzip) } else { takes("deflate").then_some(Self::Deflate) }
    }

    fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        })
    }

    fn compress(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

/// An answer with this body, compressed if that is agreed and makes it smaller.
pub(super) fn body(bytes: Bytes, coding: Option<Coding>) -> Response<Body> {
    let compressed = coding
        .filter(|_| bytes.len() >= BYTES_MIN)
        .and_then(|coding| Some((coding, coding.compress(&bytes).ok()?)))
        .filter(|(_, compressed)| compressed.len() < bytes.len());
    let Some((coding, compressed)) = compressed else { return Response::new(Body::from(bytes)) };
    let mut response = Response::new(Body::from(compressed));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, coding.name());
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_says_what_it_takes() {
        let accepted = |text: &str| {
            let value = text.parse().unwrap();
            Coding::accepted(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
        };
        assert_eq!(accepted("gzip, deflate, br"), Some(Coding::Gzip));
        assert_eq!(accepted("br;q=1.0, Deflate;q=0.5"), Some(Coding::Deflate));
        assert_eq!(accepted("gzip;q=0, deflate; q=0.1"), Some(Coding::Deflate));
        assert_eq!(accepted("identity"), None);
        assert_eq!(Coding::accepted(&HeaderMap::new()), None);
    }

    #[test]
    fn only_long_bodies_are_compressed() {
        let coding = |length| {
            let response = body(Bytes::from(vec![b'4'; length]), Some(Coding::Gzip));
            response.headers().get(header::CONTENT_ENCODING).cloned()
        };
        assert_eq!(coding(1_023), None);
        assert_eq!(coding(1_024).unwrap(), "gzip");
        assert!(body(Bytes::from(vec![b'4'; 9_999]), None).headers().is_empty());
    }
}
