use super::*;

/// What is said about [`LEAST`] and more.
fn refusal(more: &str) -> String {
    let outcome = load::compile("own.toml", &format!("{LEAST}{more}"));
    outcome.map_or_else(|error| error.to_string(), |_| "nothing".to_owned())
}

#[track_caller]
fn refused(more: &str, place: &str, words: &str) {
    let said = refusal(more);
    assert!(said.starts_with(&format!("own.toml:{place}: ")), "{more}\n  {said}");
    assert!(said.contains(words), "{more}\n  {said}");
}

#[test]
fn the_least_vocabulary_speaks_nothing_and_refuses_silently() {
    let least = vocabulary("");
    let names: Vec<&str> = least.namespaces.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!((least.id.as_str(), names), ("least", vec!["/"]));
    assert!(!least.auto_join && least.inbound_names().next().is_none());
    assert_eq!(event(&least, "message.created", Subject::Done), None);
}

#[test]
fn inbound_mistakes_are_said_with_their_place() {
    let rule = |text: &str| format!("[in.send]\n{text}\n");
    for (text, place, words) in [
        ("command = \"message.sent\"", "6:11", "unknown command \"message.sent\"; known: message."),
        ("command = 7", "6:11", "command must be a string"),
        ("ack = {}", "5:5", "\"command\" is missing"),
        ("command = \"room.join\"\nack = {}", "6:11", "room.join needs \"room\", e.g. room = \"$0"),
        ("command = \"ping\"", "5:5", "\"ack\" is missing"),
        ("command = \"ping\"\nack = {}\nrom = \"$0\"", "8:1", "unknown key \"rom\"; known here: "),
        ("command = \"room.join\"\nroom = \"0.id\"\nack = {}", "7:8", "\"0.id\" is no path"),
        ("command = \"room.join\"\nroom = [\"$0.a\", \"$0..b\"]\nack = {}", "7:17", "is no path"),
        ("command = \"room.join\"\nroom = \"$+1\"\nack = {}", "7:8", "is no path"),
        ("command = \"room.join\"\nroom = \"$64\"\nack = {}", "7:8", "is no path"),
        ("command = \"room.join\"\nroom = []\nack = {}", "7:8", "at least one path"),
        ("command = \"room.join\"\nroom = 1.5\nack = {}", "7:8", "a path, a boolean or a whole"),
        ("command = \"ping\"\nack = { a = \"$nope\" }", "7:13", "unknown field $nope"),
        (
            "command = \"ping\"\nack = { a = \"$message.id\" }",
            "7:13",
            "$message.id is not known here; known: now",
        ),
        ("command = \"ping\"\nack = \"@nope\"", "7:7", "there is no shape \"nope\""),
        ("command = \"ping\"\nack = 1979-05-27", "7:7", "write times as strings"),
    ] {
        refused(&rule(text), place, words);
    }
    refused("[in.connect]\ncommand = \"ping\"\nack = {}", "5:5", "clients cannot send");
    refused("[in]\nsend = 1", "6:1", "send must be a table");
}

#[test]
fn outbound_mistakes_are_said_with_their_place() {
    let args = |value: &str| format!("[out.typing]\nevent = \"t\"\nargs = [{value}]\n");
    for (text, place, words) in [
        (
            "[out.typo]\nevent = \"t\"\nargs = []",
            "5:6",
            "unknown fact \"typo\"; known: room.created",
        ),
        ("[out.typing]\nargs = []", "5:6", "\"event\" is missing"),
        ("[out.typing]\nevent = \"t\"", "5:6", "\"args\" is missing"),
        ("[out.typing]\nevent = \"\"\nargs = []", "6:9", "cannot be an event's name"),
        ("[out.typing]\nevent = \"disconnect\"\nargs = []", "6:9", "cannot be an event's name"),
        ("[out.typing]\nevent = \"t\"\nargs = \"$now\"", "7:8", "args must be an array"),
        (
            "[out.\"message.created\"]\nevent = \"m\"\naudience = \"others\"\nargs = []",
            "7:12",
            "only typing comes from a socket that can be left out",
        ),
        (
            "[out.typing]\nevent = \"t\"\naudience = \"all\"\nargs = []",
            "7:12",
            "audience must be room or others",
        ),
    ] {
        refused(text, place, words);
    }
    for (value, column, words) in [
        ("{ \"a?\" = \"$room_id\" }", 9, "needs a member that is always there"),
        ("{ a = 1, \"b?\" = 2 }", 25, "b? is always there: drop the ?"),
        ("{ a = 1, \"a?\" = \"$room_id\" }", 18, "a is there twice"),
        ("{ \"?\" = 1 }", 11, "a member needs a name"),
        ("{ \"$every\" = \"x\" }", 11, "unknown instruction $every; known: $each"),
        ("{ \"$as\" = \"x\" }", 11, "unknown instruction $as"),
        ("{ \"$each\" = \"session.rooms\", \"$as\" = \"$room.id\" }", 21, "there is no list"),
        ("{ \"$with\" = \"@nope\" }", 21, "$with must name an object under [shapes]"),
        ("{ \"$with\" = \"nope\" }", 21, "$with must name an object under [shapes]"),
        ("{ \"$map\" = \"nope\", a = \"b\" }", 20, "unknown field $nope"),
        ("{ \"$map\" = \"typing.is_typing\", a = 1 }", 44, "the other word must be a string"),
        ("\"$read.at\"", 9, "$read.at is not known here; known: user.id"),
    ] {
        refused(&args(value), &format!("7:{column}"), words);
    }
    let each =
        "[out.\"room.history\"]\nevent = \"h\"\nargs = [{ \"$each\" = \"history.messages\" }]";
    refused(each, "7:21", "$each needs $as");
    let each = "[out.\"room.history\"]\nevent = \"h\"\n\
        args = [{ \"$each\" = \"history.messages\", \"$as\" = \"$message.id\", \"$if\" = 1 }]";
    refused(each, "7:64", "unknown key \"$if\"");
}

#[test]
fn shapes_that_contain_themselves_are_refused() {
    let out = "[out.typing]\nevent = \"t\"\nargs = [\"@a\"]\n";
    refused(
        &format!("{out}[shapes]\na = {{ b = \"@b\" }}\nb = {{ a = \"@a\" }}"),
        "10:11",
        "itself",
    );
    let with = format!("{out}[shapes]\na = {{ \"$with\" = \"@a\", b = 1 }}");
    refused(&with, "9:17", "shape \"a\" contains itself");
}

#[test]
fn mistakes_of_the_file_itself_are_said_with_their_place() {
    let good = LEAST;
    for (from, to, place, words) in [
        ("id = \"least\"", "id = \"Least\"", "1:6", "id must be 1 to 32 of a-z"),
        ("id = \"least\"\n", "", "1:1", "\"id\" is missing"),
        ("[\"/\"]", "[]", "2:14", "at least one namespace"),
        ("[\"/\"]", "\"/\"", "2:14", "must be an array such as"),
        ("[\"/\"]", "[\"/\", \"chat\"]", "2:20", "a namespace is a string such as"),
        ("[\"/\"]", "[\"/a,b\"]", "2:15", "a namespace is a string such as"),
        ("[\"/\"]", "[\"/a?b\"]", "2:15", "a namespace is a string such as"),
        ("[\"/\"]", "[\"/a b\"]", "2:15", "a namespace is a string such as"),
        ("[\"/\"]", "[\"/a\", \"/a\"]", "2:21", "\"/a\" is there twice"),
        ("[\"/\"]", "[{ auth = \"lazy\" }]", "2:15", "\"name\" is missing"),
        ("[\"/\"]", "[{ name = \"a\" }]", "2:24", "a namespace is a string such as"),
        ("[\"/\"]", "[{ name = \"/\", x = 1 }]", "2:29", "unknown key \"x\""),
        ("[\"/\"]", "[{ name = \"/\", auth = \"no\" }]", "2:36", "auth must be connect, lazy"),
        ("[\"/\"]", "[{ name = \"/\", timeout_s = 1 }]", "2:41", "goes with auth = \"lazy\""),
        (
            "[\"/\"]",
            "[{ name = \"/\", auth = \"lazy\", timeout_s = 0 }]",
            "2:56",
            "timeout_s must be 1 to 300",
        ),
        ("[\"/\"]", "[{ name = \"/\", end_by = 1 }]", "2:38", "end_by must be transport or"),
        ("[error]", "auto_join = \"no\"\n[error]", "3:13", "auto_join must be true or false"),
        ("[error]", "unknown_event = \"no\"\n[error]", "3:17", "must be silent or refuse"),
        ("[error]", "description = 1\n[error]", "3:15", "description must be a string"),
        ("[error]", "shapes = 1\n[error]", "3:1", "shapes must be a table"),
        ("[error]", "in = []\n[error]", "3:1", "in must be a table"),
        ("[error]", "autojoin = true\n[error]", "3:1", "unknown key \"autojoin\"; known here: id"),
        ("[error]\nack = { success = false }", "", "1:1", "the table [error] is missing"),
        ("ack = { success = false }", "", "3:2", "\"ack\" is missing"),
        ("ack = {", "event = \"e\"\nack = {", "3:2", "\"arg\" is missing"),
        ("ack = {", "arg = 1\nack = {", "4:1", "\"event\" is missing"),
        ("ack = {", "ack = {{", "4:8", ""),
        ("ack =", "ack = {}\nack =", "5:1", "duplicate key"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good);
        let said = load::compile("own.toml", &text).unwrap_err().to_string();
        assert!(said.starts_with(&format!("own.toml:{place}: ")), "{text}\n  {said}");
        assert!(said.contains(words), "{text}\n  {said}");
    }
}

#[test]
fn columns_count_characters() {
    refused("[in.\"größe\"]\ncommand = \"ping\"\nack = [\"ü\", \"$nope\"]", "7:13", "$nope");
}

fn own(file: &str, id: &str) -> (String, String) {
    (file.to_owned(), LEAST.replace("least", id))
}

#[test]
fn own_files_join_the_built_in_ones_or_take_their_place() {
    let all = Vocabularies::load(&[own("own/b.toml", "b"), own("own/camel.toml", "camel")], "b");
    let all = all.unwrap();
    let ids: Vec<&str> = all.iter().map(|v| v.id.as_str()).collect();
    assert_eq!(ids, ["camel", "native", "thread", "b"]);
    assert_eq!(all.default_index(), 3);
    assert!(all.get(0).unwrap().inbound("sendMessage").is_none(), "the own one");
}

#[test]
fn two_own_files_cannot_have_one_id() {
    let error = Vocabularies::load(&[own("a.toml", "x"), own("b.toml", "x")], "x").unwrap_err();
    assert_eq!(error.to_string(), "b.toml:1:1: the id \"x\" is that of a.toml, too");
}

#[test]
fn an_unknown_default_lists_the_known_ones() {
    let error = Vocabularies::load(&[], "kebab").unwrap_err().to_string();
    assert!(error.contains("\"kebab\"") && error.ends_with("camel, native"), "{error}");
    let error = Vocabularies::load(&[], "thread").unwrap_err().to_string();
    assert!(error.contains("\"thread\"") && error.ends_with("camel, native"), "{error}");
}

#[test]
fn a_vocabulary_of_pusher_clients_is_spoken_in_no_namespace() {
    let text = LEAST.replace("namespaces = [\"/\"]", "protocol = \"pusher\"");
    assert!(load::compile("own.toml", &text).unwrap().namespaces.is_empty());
    for (wrong, words) in [
        (
            LEAST.replace("[error]", "protocol = \"pusher\"\n[error]"),
            "2:14: a vocabulary of Pusher",
        ),
        (text.replace("pusher", "mqtt"), "2:12: protocol must be"),
    ] {
        let said = load::compile("own.toml", &wrong).unwrap_err().to_string();
        assert!(said.starts_with(&format!("own.toml:{words}")), "{said}");
    }
}
