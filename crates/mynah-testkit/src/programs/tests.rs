//! Real programs, started, killed and started again.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::{ask, free_port};
use super::{Data, Nats, Postgres, Redis};

const NO_SYNC: &[&str] = &["fsync=off"];

#[test]
fn postgres_keeps_what_it_committed_and_loses_what_it_shall() {
    let mut database = Postgres::start(&["synchronous_commit=on"]).expect("started");
    database.query("CREATE TABLE t (n int); INSERT INTO t VALUES (7)").expect("stored");
    database.kill().expect("killed");
    assert!(ask(database.port(), b"").is_none());
    database.restart(Data::Kept).expect("started again");
    assert_eq!(database.query("SELECT n FROM t").expect("read").trim(), "7");
    database.restart(Data::Lost).expect("started anew");
    assert!(database.query("SELECT n FROM t").is_err());
}

#[test]
fn a_paused_postgres_hangs_with_all_its_sessions() {
    let mut database = Postgres::start(NO_SYNC).expect("started");
    database.pause().expect("paused");
    let states = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
        stat.rsplit_once(") ").expect("a state").1.chars().next()
    };
    assert_eq!(states(database.process.id()), Some('T'));
    database.resume().expect("resumed");
    assert_eq!(database.query("SELECT 1").expect("answered").trim(), "1");
}

#[test]
fn redis_and_nats_come_back_on_their_ports() {
    let mut redis = Redis::start().expect("started");
    let set = |redis: &Redis| ask(redis.port(), b"SET key value\r\n");
    let get = |redis: &Redis| ask(redis.port(), b"GET key\r\n").expect("answered");
    set(&redis).expect("answered");
    redis.restart(Data::Lost).expect("started anew");
    assert_eq!(get(&redis), b"$-1\r\n");
    redis.pause().expect("paused");
    redis.resume().expect("resumed");
    assert_eq!(get(&redis), b"$-1\r\n");
    let mut nats = Nats::start().expect("started");
    nats.kill().expect("killed");
    assert!(ask(nats.port(), b"").is_none());
    nats.restart().expect("started again");
    assert!(ask(nats.port(), b"").expect("answered").starts_with(b"INFO"));
}

/// The watcher's script, with a program and a folder that their owner leaves behind.
#[test]
fn the_watcher_kills_and_removes_when_its_input_ends() {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let mut redis = Command::new("redis-server")
        .args(["--port", &free_port().expect("a port").to_string(), "--save", ""])
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    let mut shell = Command::new("sh")
        .args(["-c", super::watcher::SCRIPT, "watcher"])
        .arg(&folder)
        .stdin(Stdio::piped())
        .spawn()
        .expect("started");
    let mut pipe = shell.stdin.take().expect("an input");
    writeln!(pipe, "kill 999999\nkill {}\ngone 999999", redis.id()).expect("told");
    drop(pipe);
    redis.wait().expect("it ends");
    shell.wait().expect("it ends");
    assert!(!Path::new(&folder).exists());
}
