//! Taking over the apps of a Soketi installation.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use super::databases::{Database, PASSWORD, maria_db, postgres};
use super::program::{Home, Said, holds};

/// Soketi's table as PostgreSQL has it.
const POSTGRES: &str = r#"CREATE TABLE apps (id varchar(255) PRIMARY KEY, "key" varchar(255) NOT NULL,
    secret varchar(255) NOT NULL, max_connections integer NOT NULL,
    enable_client_messages smallint NOT NULL, "enabled" smallint NOT NULL,
    max_backend_events_per_sec integer NOT NULL, max_client_events_per_sec integer NOT NULL,
    max_read_req_per_sec integer NOT NULL, webhooks json,
    max_presence_members_per_channel integer, max_presence_member_size_in_kb integer,
    max_channel_name_length integer, max_event_channels_at_once integer,
    max_event_name_length integer, max_event_payload_in_kb integer, max_event_batch_size integer,
    enable_user_authentication smallint NOT NULL);"#;

/// The same in MariaDB, in one line.
const MARIA_DB: &str = "CREATE TABLE apps (id varchar(255) PRIMARY KEY, `key` varchar(255) NOT NULL, \
    secret varchar(255) NOT NULL, max_connections integer(10) NOT NULL, \
    enable_client_messages tinyint(1) NOT NULL, `enabled` tinyint(1) NOT NULL, \
    max_backend_events_per_sec integer(10) NOT NULL, max_client_events_per_sec integer(10) NOT NULL, \
    max_read_req_per_sec integer(10) NOT NULL, webhooks json, \
    max_presence_members_per_channel integer, max_presence_member_size_in_kb integer, \
    max_channel_name_length integer, max_event_channels_at_once integer, \
    max_event_name_length integer, max_event_payload_in_kb integer, max_event_batch_size integer, \
    enable_user_authentication tinyint(1) NOT NULL);";

/// An app with everything, one with defaults, one that cannot be: a line each.
const ROWS: &str = r#"INSERT INTO apps VALUES ('shop', 'key-of-shop', 'hush-hush-hush-hush', 200, 0, 1, 10, 20, -1, '[{"url": "https://a.example.org/hook", "event_types": ["channel_occupied", "member_added"], "headers": {"X-Token": "hush-token"}, "filter": {"channel_name_starts_with": "presence-"}}, {"lambda_function": "f", "lambda": {"region": "eu-west-1"}, "event_types": ["client_event"]}]', 50, 4, 100, 5, 60, 20, 7, 1);
INSERT INTO apps VALUES ('7', 'key-of-7', 'short', -1, 1, 0, -1, -1, -1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0);
INSERT INTO apps VALUES ('a/b', 'key-of-ab', 'hush-hush-hush-hush', -1, 1, 1, -1, -1, -1, '[]', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0);"#;

fn import(home: &Home, database: &Database, more: &[&str]) -> Said {
    let args = ["app", "import", "--database", &database.url];
    let said = home.say(&[&args, more].concat());
    for hidden in ["hush", PASSWORD, "%40"] {
        assert!(!said.out.contains(hidden) && !said.err.contains(hidden), "{said:?}");
    }
    said
}

/// What both databases must give.
fn takes_over(database: &Database) {
    let home = Home::new();
    let dry = import(&home, database, &["--dry-run"]);
    assert!(dry.out.contains("nothing was written; it would be: 2 made"), "{dry:?}");
    assert!(!home.path("data").exists());
    let said = import(&home, database, &[]);
    assert!(!said.ok, "one was left out: {said:?}");
    assert_eq!(said.out.lines().next(), Some("3 apps in table apps"));
    for part in [
        "app shop: new\n",
        "  webhook              https://a.example.org/hook of channel_occupied, member_added, channels \
         that start with \"presence-\", with headers X-Token\n",
        "  not taken: webhooks[2] calls AWS Lambda, which Mynah does not: left out\n",
        "app 7: new\n",
        "  state                disabled\n",
        "  attention: its secret is shorter than 16 bytes",
        "app a/b: id must be letters, digits or -_.~, at most 64: left out\n",
        "2 made, 0 updated, 0 unchanged, 1 left out\n",
    ] {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
    let shop = home.json(&["app", "show", "shop"]);
    assert_eq!(
        shop["limits"],
        json!({
            "connections_max": 200, "backend_events_per_s": 10, "client_events_per_s": 20,
            "presence_members_max": 50, "presence_member_bytes_max": 4_096,
            "channel_name_chars_max": 100, "event_channels_max": 5, "event_name_chars_max": 60,
            "event_bytes_max": 20_480, "batch_max": 7,
        })
    );
    let switches = [&shop["enabled"], &shop["clientEvents"], &shop["userAuthentication"]];
    assert_eq!(switches, [&json!(true), &json!(false), &json!(true)]);
    assert_eq!((&shop["tenant"], &shop["keys"][0]["key"]), (&json!("shop"), &json!("key-of-shop")));
    let seven = home.json(&["app", "show", "7"]);
    assert_eq!((&seven["limits"], &seven["enabled"]), (&json!({}), &json!(false)));
    let again = import(&home, database, &[]);
    assert!(again.out.contains("0 made, 0 updated, 2 unchanged, 1 left out"), "{again:?}");
    assert!(!holds(&home.stored(), "hush"), "secrets and headers are sealed");
}

/// Encrypted where the address asks for it, and only with who is trusted.
fn verifies(database: &Database, ask: &str) {
    let home = Home::new();
    let authority = database.authority.display().to_string();
    let url = format!("{}{ask}", database.url);
    let args = ["app", "import", "--dry-run", "--database", &url];
    let trusted = home.say(&[&args[..], &["--database-ca", &authority]].concat());
    assert!(trusted.out.contains("2 made"), "{trusted:?}");
    let refused = home.refused(&args);
    assert!(refused.contains("cannot connect") && refused.contains("ertificate"), "{refused}");
    let elsewhere = url.replace("localhost", "127.0.0.1");
    let args =
        ["app", "import", "--dry-run", "--database", &elsewhere, "--database-ca", &authority];
    let refused = home.refused(&args);
    assert!(refused.contains("cannot connect"), "its name is not in the certificate: {refused}");
}

#[test]
fn a_table_in_postgresql_is_taken_over() {
    let database = postgres(&format!("{POSTGRES}\n{ROWS}\nCREATE SCHEMA other;"));
    takes_over(&database);
    verifies(&database, "?sslmode=require");
    let home = Home::new();
    let refused = import(&home, &database, &["--table", "other.apps"]);
    assert!(refused.err.contains("relation \"other.apps\" does not exist"), "{refused:?}");
    let refused = import(&home, &database, &["--table", "apps; DROP TABLE apps"]);
    assert!(refused.err.contains("is no name of a table"), "{refused:?}");
    let named = import(&home, &database, &["--table", "public.apps", "--default-app", "7"]);
    assert!(named.out.contains("2 made"), "{named:?}");
    assert_eq!(home.json(&["app", "show", "7"])["tenant"], json!("default"));
}

#[test]
fn a_table_in_mariadb_is_taken_over() {
    let database = maria_db(&format!("{MARIA_DB}\n{ROWS}"));
    takes_over(&database);
    verifies(&database, "?require_ssl=true");
    let refused = import(&Home::new(), &database, &["--table", "other"]);
    assert!(refused.err.contains("other' doesn't exist"), "{refused:?}");
}

#[test]
fn a_database_that_is_not_there_is_said_without_the_address() {
    let home = Home::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for scheme in ["postgres", "mysql"] {
        let url = format!("{scheme}://soketi:hush@{free}/main");
        let refused = home.refused(&["app", "import", "--database", &url]);
        assert!(refused.starts_with("mynah: cannot connect to the database: "), "{refused}");
        assert!(!refused.contains("hush"), "{refused}");
    }
    let mut command = home.command(&["app", "import", "--database", "-"]);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "redis://soketi:hush@{free}").unwrap();
    let said = child.wait_with_output().unwrap();
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(text.contains("must start with postgres://") && !text.contains("hush"), "{text}");
}

fn file(home: &Home, apps: &Value) -> Said {
    home.write("soketi.json", &json!({ "appManager": { "array": { "apps": apps } } }).to_string());
    home.say(&["app", "import", "--soketi-config", "soketi.json"])
}

#[test]
fn a_file_is_taken_over_and_done_again_updates() {
    let home = Home::new();
    let mut app = json!({ "id": "shop", "key": "first", "secret": "hush-hush-hush-hush" });
    let said = file(&home, &json!([app]));
    assert!(said.ok && said.out.contains("may send events: here they may"), "{said:?}");
    assert_eq!(home.json(&["app", "show", "shop"])["tenant"], json!("default"), "the only one");
    let rotated = home.json(&["app", "rotate", "shop"]);
    home.run(&["app", "set", "shop", "--name", "The Shop", "--subscription-counts", "true"]);
    app["maxConnections"] = json!(9);
    app["enableClientMessages"] = json!(false);
    let said = file(&home, &json!([app]));
    assert!(said.ok && said.out.contains("1 updated"), "{said:?}");
    let shown = home.json(&["app", "show", "shop"]);
    assert_eq!(
        (&shown["limits"], &shown["clientEvents"]),
        (&json!({"connections_max": 9}), &json!(false))
    );
    assert_eq!((&shown["name"], &shown["subscriptionCounts"]), (&json!("The Shop"), &json!(true)));
    let keys: Vec<&Value> = shown["keys"].as_array().unwrap().iter().map(|k| &k["key"]).collect();
    assert_eq!(keys, [&rotated["key"], &json!("first")], "what was made here since stays");
    app["key"] = json!("third");
    let said = file(&home, &json!([app]));
    assert!(said.out.contains("key                  third (signs)"), "{said:?}");
    assert!(file(&home, &json!([app])).out.contains("1 unchanged"));
}

#[test]
fn what_cannot_be_taken_is_said_and_the_others_are_taken() {
    let home = Home::new();
    let said = file(
        &home,
        &json!([
            { "id": "a", "key": "k1", "secret": "hush-hush-hush-hush", "maxConnections": "many" },
            { "id": "b", "key": "k1", "secret": "hush-hush-hush-hush" },
            { "key": "k3", "secret": "hush-hush-hush-hush" },
            { "id": "d", "key": "k4", "secret": ["hush"] },
        ]),
    );
    assert!(!said.ok, "{said:?}");
    for part in [
        "app a: new\n",
        "  not taken: maxConnections must be a number, not \"many\"\n",
        "app b: another app has this key: left out\n",
        "app 3 has no id: left out\n",
        "app d: left out\n  not taken: secret must be a text\n",
        "1 made, 0 updated, 0 unchanged, 3 left out\n",
    ] {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
    assert!(!said.out.contains("hush"), "{said:?}");
}

#[test]
fn production_takes_no_well_known_secrets() {
    let home = Home::new().with(&[
        ("MYNAH_ENV", "production"),
        ("MYNAH_AUTH__ENCRYPTION_KEY", "kJ8vQm2xT5zR9bN4cW7yL1pD6fH3gS0a"),
    ]);
    let said = file(&home, &json!([{ "id": "app-id", "key": "app-key", "secret": "app-secret" }]));
    assert!(said.out.contains("app app-id: its id is Soketi's default app-id"), "{said:?}");
    assert!(home.run(&["app", "list"]).contains("there is no app yet"));
}
