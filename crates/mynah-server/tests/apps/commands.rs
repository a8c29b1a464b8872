//! Making, showing and changing apps.

use serde_json::json;

use super::program::{Home, holds};

#[test]
fn a_made_app_is_shown_without_its_secret_which_is_nowhere_in_the_clear() {
    let home = Home::new();
    assert!(home.run(&["app", "list"]).contains("mynah app create"));
    let made = home.json(&["app", "create", "--id", "shop", "--name", "The Shop"]);
    let (key, secret) = (made["key"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert_eq!((&made["id"], &made["tenant"]), (&json!("shop"), &json!("default")));
    assert!(key.len() == 20 && key.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
    assert!(secret.len() >= 32, "{secret}");
    let shown = home.run(&["app", "show", "shop"]);
    assert!(shown.contains("The Shop") && shown.contains(&format!("{key} (signs)")), "{shown}");
    let listed = home.run(&["app", "list"]);
    assert!(listed.contains("shop") && !listed.contains(secret) && !shown.contains(secret));
    let stored = home.stored();
    assert!(holds(&stored, key) && !holds(&stored, secret));
}

#[test]
fn further_apps_have_tenants_of_their_own() {
    let home = Home::new();
    let tenant = |args: &[&str]| home.json(args)["tenant"].as_str().unwrap().to_owned();
    assert_eq!(tenant(&["app", "create", "--id", "first"]), "default");
    assert_eq!(tenant(&["app", "create", "--id", "second"]), "second");
    assert_eq!(tenant(&["app", "create", "--id", "third", "--tenant", "own"]), "own");
    let made_up = home.json(&["app", "create"]);
    assert_eq!(made_up["id"], made_up["tenant"]);
    let taken = home.refused(&["app", "create", "--id", "first"]);
    assert_eq!(taken, "mynah: another app has this id\n");
    let taken = home.refused(&["app", "create", "--id", "fourth", "--tenant", "own"]);
    assert_eq!(taken, "mynah: another app has this tenant\n");
    assert!(home.refused(&["app", "create", "--id", "a/b"]).contains("id must be letters"));
}

#[test]
fn settings_are_made_and_changed() {
    let home = Home::new();
    let settings = ["--client-events", "false", "--connections-max", "50", "--reads-per-s", "5"];
    home.run(&[&["app", "create", "--id", "shop"], &settings[..]].concat());
    let shown = home.json(&["app", "show", "shop"]);
    assert_eq!(shown["limits"], json!({ "connections_max": 50, "reads_per_s": 5 }));
    assert_eq!((&shown["clientEvents"], &shown["enabled"]), (&json!(false), &json!(true)));
    let changes = ["--connections-max", "none", "--subscription-counts", "true", "--name", "New"];
    home.run(&[&["app", "set", "shop"], &changes[..]].concat());
    let shown = home.json(&["app", "show", "shop"]);
    assert_eq!(shown["limits"], json!({ "reads_per_s": 5 }));
    assert_eq!((&shown["subscriptionCounts"], &shown["name"]), (&json!(true), &json!("New")));
    assert!(home.run(&["app", "disable", "shop"]).contains("disabled: app shop"));
    assert_eq!(home.json(&["app", "show", "shop"])["enabled"], json!(false));
    assert!(home.run(&["app", "enable", "shop"]).contains("enabled: app shop"));
    let none = home.refused(&["app", "disable", "none"]);
    assert_eq!(none, "mynah: there is no app none: `mynah app list` shows all\n");
    assert!(home.refused(&["app", "set", "shop", "--reads-per-s", "many"]).contains("or none"));
}

#[test]
fn a_new_key_signs_and_old_ones_end_when_told() {
    let home = Home::new();
    let first = home.json(&["app", "create", "--id", "shop"])["key"].as_str().unwrap().to_owned();
    let rotated = home.json(&["app", "rotate", "shop"]);
    let second = rotated["key"].as_str().unwrap();
    let shown = home.run(&["app", "show", "shop"]);
    assert!(shown.contains(&format!("{second} (signs)")), "{shown}");
    assert!(shown.contains(&format!("{first}\n")), "{shown}");
    let said = home.run(&["app", "rotate", "shop", "--expire-old-after", "24h"]);
    let ends = format!("Key {first} stays valid until 2");
    assert!(said.contains(&ends) && said.contains("  secret  "), "{said}");
    let shown = home.json(&["app", "show", "shop"]);
    let keys = shown["keys"].as_array().unwrap();
    assert_eq!(keys.iter().filter(|key| key["expiresAt"].is_string()).count(), 2, "{shown}");
    assert!(keys.iter().all(|key| key["valid"] == json!(true)), "{shown}");
    home.run(&["app", "expire", "shop", &first]);
    let shown = home.run(&["app", "show", "shop"]);
    assert!(shown.contains(&format!("{first} (expired)")), "{shown}");
    let signing = keys[0]["key"].as_str().unwrap();
    home.run(&["app", "expire", "shop", second]);
    let last = home.refused(&["app", "expire", "shop", signing]);
    assert!(last.contains("is the last key of app shop"), "{last}");
    assert!(home.refused(&["app", "expire", "shop", "none"]).contains("has no key none"));
    let wrong = home.refused(&["app", "rotate", "shop", "--expire-old-after", "soon"]);
    assert!(wrong.contains("e.g. 24h"), "{wrong}");
}

#[test]
fn configured_apps_are_listed_and_changed_only_in_their_configuration() {
    let home = Home::new();
    home.run(&["app", "create", "--id", "desk"]);
    home.write(
        "mynah.toml",
        "[[pusher.apps]]\nid = \"shop\"\nkey = \"k\"\nsecret = \"the secret of the shop\"\n",
    );
    let listed = home.run(&["app", "list"]);
    assert!(listed.contains("configured") && listed.contains("hidden by a configured app"));
    assert!(!home.run(&["app", "show", "shop"]).contains("the secret"));
    for args in [["app", "rotate", "shop"], ["app", "disable", "shop"]] {
        assert!(home.refused(&args).contains("change it there"), "{args:?}");
    }
    assert!(home.refused(&["app", "create", "--id", "shop"]).contains("configured already"));
    let twin = home.refused(&["app", "create", "--id", "x", "--tenant", "default"]);
    assert!(twin.contains("has a configured app already"), "{twin}");
}

#[test]
fn production_needs_a_key_to_seal_with() {
    let production = [("MYNAH_ENV", "production")];
    let home = Home::new().with(&production);
    let refused = home.refused(&["app", "create"]);
    assert!(refused.contains("MYNAH_AUTH__ENCRYPTION_KEY"), "{refused}");
    let key = ("MYNAH_AUTH__ENCRYPTION_KEY", "kJ8vQm2xT5zR9bN4cW7yL1pD6fH3gS0a");
    let home = home.with(&[key]);
    home.run(&["app", "create", "--id", "shop"]);
    let home = home.with(&[(key.0, "another key of more than thirty-two bytes")]);
    let refused = home.refused(&["app", "show", "shop"]);
    assert!(refused.contains("sealed with another auth.encryption_key"), "{refused}");
}

#[test]
fn commands_work_while_the_server_runs_which_sees_what_they_do() {
    let home = Home::new().with(&[("MYNAH_PUSHER__APP_CACHE_TTL_S", "0")]);
    let mut server = home.serve();
    assert_eq!(server.asked("app-id", "app-key", "app-secret"), 200, "while there is no other");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let made = home.json(&["app", "create", "--id", "shop"]);
    let (first, secret) = (text(&made["key"]), text(&made["secret"]));
    assert_eq!(server.asked("shop", &first, &secret), 200);
    assert_eq!(server.asked("shop", &first, "another secret"), 401);
    assert_eq!(server.asked("app-id", "app-key", "app-secret"), 404);
    let rotated = home.json(&["app", "rotate", "shop"]);
    assert_eq!(server.asked("shop", &text(&rotated["key"]), &text(&rotated["secret"])), 200);
    assert_eq!(server.asked("shop", &first, &secret), 200, "stays valid");
    assert_eq!(server.asked("shop", &first, &text(&rotated["secret"])), 401, "is another's");
    home.run(&["app", "expire", "shop", &first]);
    assert_eq!(server.asked("shop", &first, &secret), 401);
    home.run(&["app", "disable", "shop"]);
    assert_eq!(server.asked("shop", &text(&rotated["key"]), &text(&rotated["secret"])), 403);
    home.run(&["app", "enable", "shop"]);
    server.kill();
    assert_eq!(home.json(&["app", "show", "shop"])["keys"].as_array().unwrap().len(), 2);
    let again = home.serve();
    assert_eq!(again.asked("shop", &text(&rotated["key"]), &text(&rotated["secret"])), 200);
}
