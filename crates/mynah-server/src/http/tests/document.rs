use std::collections::BTreeSet;

use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::*;
use crate::http::fields::{Fields, Form};
use crate::http::{auth, members, messages, receipts, rooms, users};

#[tokio::test]
async fn every_documented_route_answers() {
    let door = Door::with_app();
    let document = door.get("", "/openapi.json").await.expect(200);
    assert!(text(&document["openapi"]).starts_with("3.1"));
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(names.insert(text(&operation["operationId"])), "{operation}");
            let filled = path.replace(['{', '}'], "");
            let line = format!("{} {filled}", method.to_uppercase());
            let answer = door.call("", &line, Value::Null).await;
            let open = path.starts_with("/v1/auth/")
                || path == "/v1/chat/realtime/config"
                || !path.starts_with("/v1");
            let guarded = operation.get("security").is_some();
            let status = answer.status.as_u16();
            assert!(status != 404 && status != 405 && status < 500, "{line}: {status}");
            assert_eq!(guarded, status == 401, "{line}: {status}");
            assert!(open || guarded, "{line} needs no token");
        }
    }
    assert!(names.len() >= 35, "{names:?}");
}

#[tokio::test]
async fn the_catalogue_of_routes_is_documented() {
    let door = Door::new();
    let mut document = door.get("", "/openapi.json").await.expect(200);
    let mut lines = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = text(&operation["operationId"]);
            lines.push(format!("{} {path} {id}", method.to_uppercase()));
        }
    }
    insta::assert_snapshot!("routes", lines.join("\n"));
    document["info"]["version"] = Value::Null;
    insta::assert_json_snapshot!("openapi", document);
}

/// Names a form reads and names its schema gives.
fn names<F: Form + ToSchema>() -> (BTreeSet<String>, BTreeSet<String>) {
    let mut fields = Fields::parse(b"{}").unwrap();
    F::read(&mut fields);
    let read = fields.asked.iter().map(|name| (*name).to_owned()).collect();
    let RefOr::T(Schema::Object(schema)) = F::schema() else {
        panic!("{} is no object", F::name())
    };
    (read, schema.properties.keys().cloned().collect())
}

#[test]
fn forms_read_what_their_schema_says() {
    macro_rules! agree {
        ($($form:ty),+ $(,)?) => {$(
            let (read, written) = names::<$form>();
            // `type` is the older name of `kind`.
            let read: BTreeSet<String> =
                read.into_iter().map(|n| if n == "type" { "kind".to_owned() } else { n }).collect();
            assert_eq!(read, written, "{}", stringify!($form));
        )+};
    }
    agree!(
        auth::Register,
        auth::Login,
        auth::Refresh,
        users::ProfileForm,
        users::PresenceQuery,
        rooms::NewRoom,
        rooms::RoomChange,
        rooms::DirectWith,
        members::NewMember,
        members::RoleForm,
        messages::NewMessage,
        messages::Edit,
        receipts::ReadUpTo,
        receipts::Typing,
    );
}
