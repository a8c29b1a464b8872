//! Pages of other origins: which headers each answer carries, and the cookie.

use axum::http::HeaderMap;

use super::*;
use crate::config::CookieConfig;
use crate::engine_io::Cookie;

const PAGE: &str = "https://app.example.org";

fn house() -> House {
    House::changed(Limits::default(), allow_page)
}

fn allow_page(options: &mut EngineOptions) {
    options.origins = Origins::new([PAGE.to_owned()], false);
}

fn request(method: &str, query: &str, origin: &str) -> Builder {
    let uri = format!("/socket.io/?{query}");
    Request::builder().method(method).uri(uri).header("origin", origin)
}

/// What a page must be told that sends credentials.
fn assert_readable(headers: &HeaderMap) {
    assert_eq!(headers["access-control-allow-origin"], PAGE);
    assert_eq!(headers["access-control-allow-credentials"], "true");
    let vary = headers.get_all("vary").iter();
    assert!(vary.into_iter().any(|value| value.to_str().unwrap().contains("Origin")));
}

async fn sid_of(response: Response) -> String {
    let text = text(response).await;
    let open: serde_json::Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_allowed_page_reads_handshake_messages_and_sends() {
    for revision in [3, 4] {
        let house = house();
        let query = format!("EIO={revision}&transport=polling");
        let open = house.answer(request("GET", &query, PAGE), "").await;
        assert_eq!(open.status(), StatusCode::OK);
        assert_readable(open.headers());
        let query = format!("{query}&sid={}", sid_of(open).await);
        let body = if revision == 3 { "5:4echo" } else { "4echo" };
        let posted = house.answer(request("POST", &query, PAGE), body).await;
        assert_eq!(posted.status(), StatusCode::OK);
        assert_readable(posted.headers());
        let got = house.answer(request("GET", &query, PAGE), "").await;
        assert_eq!(got.status(), StatusCode::OK);
        assert_readable(got.headers());
    }
}

#[tokio::test]
async fn an_allowed_page_reads_errors() {
    let house = house();
    let open = "EIO=4&transport=polling";
    for query in ["EIO=4", "EIO=4&transport=polling&sid=none", "EIO=9&transport=polling"] {
        let refused = house.answer(request("GET", query, PAGE), "").await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{query}");
        assert_readable(refused.headers());
    }
    let sid = sid_of(house.answer(request("GET", open, PAGE), "").await).await;
    let large = vec![b'4'; 1_000_001];
    let query = format!("{open}&sid={sid}");
    let refused = house.answer(request("POST", &query, PAGE), large).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_readable(refused.headers());

    let limits = RateLimits::with(|_| Rate { count: 1, window_s: 60 });
    let house = House::changed(Limits { sessions_max: 0, ..Limits::default() }, |options| {
        allow_page(options);
        options.admission = Admission::new(move |_| limits.check(Bucket::Connect, "one"));
    });
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        let refused = house.answer(request("GET", open, PAGE), "").await;
        assert_eq!(refused.status(), status);
        assert_readable(refused.headers());
        let exposed = refused.headers()["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("Retry-After") && refused.headers().contains_key("retry-after"));
    }
}

#[tokio::test]
async fn other_pages_are_refused_and_told_nothing() {
    let house = house();
    let query = "EIO=4&transport=polling";
    for page in ["https://evil.test", "null", "https://app.example.org.evil.test"] {
        let refused = house.answer(request("GET", query, page), "").await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{page}");
        assert!(!refused.headers().contains_key("access-control-allow-origin"));
        assert_eq!(refused.headers()["vary"], "Origin");
        assert_eq!(text(refused).await, r#"{"code":4,"message":"Forbidden"}"#);
    }
}

#[tokio::test]
async fn a_browser_that_asks_first_is_told_what_it_may_send() {
    let house = house();
    let asked = request("OPTIONS", "EIO=4&transport=polling", PAGE)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type, x-tenant");
    let answer = house.answer(asked, "").await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_readable(answer.headers());
    let headers = answer.headers();
    assert_eq!(headers["access-control-allow-headers"], "content-type, x-tenant");
    let methods = headers["access-control-allow-methods"].to_str().unwrap();
    assert!(methods.contains("GET") && methods.contains("POST"), "{methods}");
    let foreign = request("OPTIONS", "EIO=4&transport=polling", "https://evil.test");
    let answer = house.answer(foreign, "").await;
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn scripts_are_for_allowed_pages() {
    let house = house();
    let script = |site: &str, page: Option<&str>| {
        let uri = "/socket.io/?EIO=3&transport=polling&b64=1&j=0";
        let request = Request::get(uri).header("sec-fetch-site", site);
        match page {
            Some(page) => request.header("referer", page),
            None => request,
        }
    };
    for (site, page, status) in [
        ("same-origin", None, StatusCode::OK),
        ("cross-site", Some("https://app.example.org/chat?x"), StatusCode::OK),
        ("same-site", Some("https://app.example.org"), StatusCode::OK),
        ("cross-site", None, StatusCode::FORBIDDEN),
        ("same-site", Some("https://evil.example.org/"), StatusCode::FORBIDDEN),
        ("cross-site", Some("https://app.example.org.evil.test/"), StatusCode::FORBIDDEN),
    ] {
        let answer = house.answer(script(site, page), "").await;
        assert_eq!(answer.status(), status, "{site} {page:?}");
    }
}

#[tokio::test]
async fn only_the_handshake_sets_the_cookie() {
    let cookie = Cookie::from(&CookieConfig::default());
    let house = House::changed(Limits::default(), |options| options.cookie = Some(cookie));
    let open = house.call("GET", "", "").await;
    let set = open.headers()["set-cookie"].to_str().unwrap().to_owned();
    let sid = sid_of(open).await;
    assert_eq!(set, format!("io={sid}; Path=/; HttpOnly; SameSite=Lax"));
    let query = format!("&sid={sid}");
    for (method, body) in [("POST", "4echo"), ("GET", "")] {
        let answer = house.call(method, &query, body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!answer.headers().contains_key("set-cookie"));
    }
    let refused = house.call("POST", "", "").await;
    assert!(!refused.headers().contains_key("set-cookie"));
    let without = House::new().call("GET", "", "").await;
    assert!(!without.headers().contains_key("set-cookie"));
}
