//! Starting with what a Soketi installation has.

use super::program::Home;

const PRODUCTION: [(&str, &str); 2] =
    [("MYNAH_ENV", "production"), ("JWT_SECRET", "kJ8vQm2xT5zR9bN4cW7yL1pD6fH3gS0a")];

#[test]
fn soketis_names_are_said_at_the_check_and_its_secrets_are_not() {
    let home = Home::new().with(&[
        ("SOKETI_DEFAULT_APP_SECRET", "hush-hush-hush"),
        ("SOKETI_ADAPTER_DRIVER", "redis"),
        ("SOKETI_DB_REDIS_PASSWORD", "hush-hush-hush"),
        ("SOKETI_COLOUR", "red"),
    ]);
    let said = home.say(&["config", "check"]);
    assert!(said.ok && said.out.contains("the configuration is fine"), "{said:?}");
    for name in ["SOKETI_ADAPTER_DRIVER", "SOKETI_DB_REDIS_PASSWORD", "SOKETI_COLOUR"] {
        assert!(said.err.contains(name), "{said:?}");
    }
    let printed = home.run(&["config", "print"]);
    assert!(printed.contains("port = 6001") && printed.contains("app-key"), "{printed}");
    assert!(!printed.contains("hush") && !said.err.contains("hush"));
}

#[test]
fn a_json_file_given_as_configuration_is_soketis() {
    let home = Home::new();
    let json =
        r#"{"port": 6123, "appManager.array.apps": [{"id": "a", "key": "k", "secret": "s"}]}"#;
    home.write("soketi.json", json);
    home.write("mynah.toml", "[pusher]\nbatch_max = 7\n");
    let printed = home.run(&["--config", "soketi.json", "config", "print"]);
    for part in ["port = 6123", "batch_max = 7", "id = \"a\""] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
    let listed = home.run(&["app", "list", "--config", "soketi.json"]);
    assert!(listed.contains("configured"), "{listed}");
}

#[test]
fn production_does_not_start_with_soketis_defaults() {
    let home = Home::new().with(&PRODUCTION).with(&[("SOKETI_DEFAULT_APP_ENABLED", "true")]);
    let refused = home.refused(&["serve"]);
    for part in ["default app-id", "default app-key", "default app-secret"] {
        assert!(refused.contains(part), "{refused}");
    }
}

#[test]
fn a_start_with_another_key_than_secrets_were_sealed_with_is_refused() {
    let name = "MYNAH_AUTH__ENCRYPTION_KEY";
    let ports = [("PORT", "0"), ("MYNAH_ADMIN__PORT", "0")];
    let home = Home::new().with(&PRODUCTION).with(&ports);
    let home = home.with(&[(name, "nR4bV7cX1zM9kP2wQ8tY5uJ3hG6fD0sA")]);
    home.run(&["app", "create", "--id", "shop"]);
    let home = home.with(&[(name, "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0xR")]);
    let refused = home.refused(&["serve"]);
    assert!(refused.contains("sealed with another auth.encryption_key"), "{refused}");
    let home = home.with(&[(name, "")]);
    let refused = home.refused(&["serve"]);
    assert!(refused.contains("without auth.encryption_key"), "{refused}");
}
