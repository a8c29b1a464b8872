//! Compressed polling answers, for clients that take them.

use std::io::Write as _;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::coding::Coding;

/// Shorter answers are sent as they are (engine.io does the same).
const BYTES_MIN: usize = 1024;

impl Coding {
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
