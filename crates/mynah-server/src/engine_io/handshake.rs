//! The requests of an Engine.IO client, from the query to the right answer.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use mynah_protocol::engine_io::RequestError;
use mynah_protocol::websocket;
use mynah_protocol::websocket::deflate::Agreement;

use super::deflate::agree;
use super::poll_style::PollStyle;
use super::{Application, Edge, Remote, polling, query, stream, upgrade};
use crate::coding::Coding;

/// Revision of the Engine.IO protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Revision {
    /// `EIO=3`: clients of Socket.IO 2.
    V3,
    /// `EIO=4`: clients of Socket.IO 3 and 4.
    #[default]
    V4,
}

/// How a session introduced itself: what the application may look at when it decides.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// What it speaks.
    pub revision: Revision,
    /// Query parameters, decoded, without those of Engine.IO itself.
    pub query: Vec<(String, String)>,
    /// `Authorization` header.
    pub authorization: Option<String>,
    /// Address of the peer.
    pub address: SocketAddr,
}

impl Handshake {
    /// The first value of a query parameter.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The Engine.IO parameters of a request.
#[derive(Default)]
pub(super) struct Parameters {
    revision: Option<String>,
    transport: Option<String>,
    pub(super) sid: Option<String>,
    b64: bool,
    j: Option<String>,
    rest: Vec<(String, String)>,
}

/// Longest query, in bytes: a session keeps its parameters for life.
const QUERY_BYTES_MAX: usize = 8 * 1024;

impl Parameters {
    fn of(request: &Request) -> Self {
        let query = request.uri().query().unwrap_or("");
        let mut found = Self::default();
        for (key, value) in query::pairs(query).take(query::PARAMETERS_MAX) {
            match key.as_str() {
                "EIO" => found.revision = Some(value),
                "transport" => found.transport = Some(value),
                "sid" => found.sid = Some(value),
                "b64" => found.b64 = !value.is_empty(),
                "j" => found.j = Some(value),
                "t" => {}
                _ => found.rest.push((key, value)),
            }
        }
        found
    }

    /// The revision that a new session asks for, if it may.
    fn revision(&self, allow_eio3: bool) -> Option<Revision> {
        match self.revision.as_deref() {
            Some("4") => Some(Revision::V4),
            Some("3") if allow_eio3 => Some(Revision::V3),
            Some(_) | None => None,
        }
    }

    /// Whether the answer would be a script that any page can include.
    fn is_script(&self) -> bool {
        self.j.is_some() && self.revision.as_deref() == Some("3")
    }
}

/// Every request to the edge's path.
pub(super) async fn entry<A: Application>(
    State(edge): State<Arc<Edge<A>>>,
    Remote { 0: address }: Remote,
    request: Request,
) -> Response {
    let headers = request.headers().clone();
    if request.method() == Method::OPTIONS {
        let mut response = StatusCode::NO_CONTENT.into_response();
        edge.options.origins.answer_preflight(&headers, response.headers_mut());
        return response;
    }
    let mut response = serve(&edge, address, request).await;
    edge.options.origins.answer(&headers, response.headers_mut());
    response
}

async fn serve<A: Application>(
    edge: &Arc<Edge<A>>,
    address: SocketAddr,
    request: Request,
) -> Response {
    if request.uri().query().is_some_and(|query| query.len() > QUERY_BYTES_MAX) {
        return (StatusCode::URI_TOO_LONG, [(header::CONNECTION, "close")]).into_response();
    }
    let parameters = Parameters::of(&request);
    let is_upgrade = request.headers().contains_key(header::UPGRADE);
    let (origins, headers) = (&edge.options.origins, request.headers());
    let is_permitted = origins.permits(headers)
        && (is_upgrade || !parameters.is_script() || origins.permits_script(headers));
    if is_permitted
        && let Some(sid) = &parameters.sid
        && edge.registry.find(sid).is_none()
        && let Some(forwarder) = &edge.options.forwarder
        && let Some(address) = forwarder.elsewhere(sid, &request)
    {
        let passed = forwarder.pass_on(request, &address).await;
        return passed.unwrap_or_else(|_unreachable| refuse(RequestError::UnknownSid));
    }
    let outcome = if is_permitted {
        judge(edge, &parameters, &request, is_upgrade)
    } else {
        Err(RequestError::Forbidden)
    };
    match outcome {
        Err(error) if is_upgrade => refuse_upgrade(error),
        Err(error) => refuse(error),
        Ok(())
            if parameters.sid.is_none()
                && let Some(refusal) = edge.options.admission.refusal(&request) =>
        {
            refusal
        }
        Ok(()) if is_upgrade => websocket_request(edge, parameters, address, request),
        Ok(()) => polling_request(edge, parameters, address, request).await,
    }
}

/// The checks of engine.io's `verify`, in its order.
fn judge<A: Application>(
    edge: &Edge<A>,
    parameters: &Parameters,
    request: &Request,
    is_upgrade: bool,
) -> Result<(), RequestError> {
    let Some(transport @ ("polling" | "websocket")) = parameters.transport.as_deref() else {
        return Err(RequestError::UnknownTransport);
    };
    if let Some(sid) = &parameters.sid {
        let session = edge.registry.find(sid).ok_or(RequestError::UnknownSid)?;
        let fits = is_upgrade || (transport == "polling" && !session.is_upgraded());
        return if fits { Ok(()) } else { Err(RequestError::BadRequest) };
    }
    if request.method() != Method::GET {
        return Err(RequestError::BadHandshakeMethod);
    }
    if (transport == "websocket") != is_upgrade {
        return Err(RequestError::BadRequest);
    }
    match parameters.revision(edge.options.allow_eio3) {
        Some(_) => Ok(()),
        None => Err(RequestError::UnsupportedProtocolVersion),
    }
}

async fn polling_request<A: Application>(
    edge: &Arc<Edge<A>>,
    parameters: Parameters,
    address: SocketAddr,
    request: Request,
) -> Response {
    let Some(sid) = &parameters.sid else {
        let revision = parameters.revision(edge.options.allow_eio3).unwrap_or_default();
        let style = PollStyle::of(revision, parameters.b64, parameters.j.as_deref());
        let handshake = introduce(revision, parameters.rest, request.headers(), address);
        return polling::open(edge, handshake, style).await;
    };
    let Some(session) = edge.registry.find(sid) else { return refuse(RequestError::UnknownSid) };
    match *request.method() {
        Method::GET => {
            let coding = Coding::accepted(request.headers());
            let coding = coding.filter(|_| edge.options.http_compression);
            polling::get(edge, &session, coding).await
        }
        Method::POST => polling::post(edge, &session, request).await,
        _ => refuse(RequestError::BadRequest),
    }
}

fn websocket_request<A: Application>(
    edge: &Arc<Edge<A>>,
    parameters: Parameters,
    address: SocketAddr,
    mut request: Request,
) -> Response {
    let accept = match accept(&request) {
        Ok(accept) => accept,
        Err(error) => return refuse_handshake(error),
    };
    let revision = parameters.revision(edge.options.allow_eio3).unwrap_or_default();
    let handshake = introduce(revision, parameters.rest, request.headers(), address);
    let agreement = agree(request.headers(), edge.options.per_message_deflate);
    let pending = hyper::upgrade::on(&mut request);
    let edge = Arc::clone(edge);
    match parameters.sid {
        None => tokio::spawn(stream::serve(edge, pending, handshake, agreement)),
        Some(sid) => tokio::spawn(upgrade::serve(edge, pending, sid, agreement)),
    };
    switching_protocols(&accept, agreement)
}

/// Most bytes of a bearer header that are kept.
const AUTHORIZATION_BYTES_MAX: usize = 8 * 1024;

fn introduce(
    revision: Revision,
    query: Vec<(String, String)>,
    headers: &HeaderMap,
    address: SocketAddr,
) -> Arc<Handshake> {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .filter(|text| text.len() <= AUTHORIZATION_BYTES_MAX)
        .map(str::to_owned);
    Arc::new(Handshake { revision, query, authorization, address })
}

/// Judges a WebSocket handshake; gives the value for `Sec-WebSocket-Accept`.
pub(crate) fn accept(request: &Request) -> Result<String, websocket::HandshakeError> {
    let version = match request.version() {
        Version::HTTP_11 => (1, 1),
        Version::HTTP_10 => (1, 0),
        _ => (2, 0),
    };
    let mut check = websocket::Handshake::new(request.method().as_str(), version);
    for (name, value) in request.headers() {
        check.header(name.as_str(), value.as_bytes());
    }
    websocket::check_handshake(&check)
}

/// `101 Switching Protocols`, with the extension agreed on.
pub(crate) fn switching_protocols(accept: &str, agreement: Option<Agreement>) -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    let extension = agreement.map(|agreement| HeaderValue::from_str(&agreement.header()));
    if let Some(Ok(extension)) = extension {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, extension);
    }
    response
}

/// A refused WebSocket handshake.
pub(crate) fn refuse_handshake(error: websocket::HandshakeError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = (status, error.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A refused request: `{"code":1,"message":"Session ID unknown"}`.
pub(super) fn refuse(error: RequestError) -> Response {
    let status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
    let body = Body::from(error.json_body());
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A refused upgrade: its message as text, and the connection closed.
fn refuse_upgrade(error: RequestError) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html"), (header::CONNECTION, "close")];
    (StatusCode::BAD_REQUEST, headers, error.message()).into_response()
}
