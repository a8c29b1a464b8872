//! What a client says of the content codings that it takes.

use axum::http::{HeaderMap, header};

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    /// The coding to use for a request, if any.
    pub(crate) fn accepted(request: &HeaderMap) -> Option<Self> {
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
}
