//! Redis with sentinels, and Redis Cluster.

use std::process::Command;

use mynah_cluster::redis::RedisOptions;
use mynah_hub::BrokerEvent;

use crate::node::{Node, message, short};
use crate::servers::{self, Server, free_port};

fn options(url: String) -> RedisOptions {
    RedisOptions { timing: short(), ..RedisOptions::new(url) }
}

fn cli(words: &[&str]) -> String {
    let output = Command::new("redis-cli").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_sentinels_the_next_master_is_followed() {
    let mut first = servers::redis(&["--requirepass", "pw", "--masterauth", "pw"]).await;
    let master = first.port.to_string();
    let replica =
        ["--replicaof", "127.0.0.1", &master, "--requirepass", "pw", "--masterauth", "pw"];
    let second = servers::redis(&replica).await;
    let sentinel = servers::sentinel(&format!(
        "sentinel monitor main 127.0.0.1 {master} 1\n\
         sentinel auth-pass main pw\n\
         sentinel down-after-milliseconds main 60000\n\
         sentinel failover-timeout main 60000"
    ))
    .await;
    let url = format!("redis-sentinel://:pw@127.0.0.1:1,127.0.0.1:{}", sentinel.port);
    let named = RedisOptions { sentinel_master: Some("main".to_owned()), ..options(url.clone()) };
    let mut ann = Node::redis(&named);
    ann.expect(BrokerEvent::Up).await;
    assert!(ann.hear(&["r:1"]).await);
    ann.say("r:1", "before");
    ann.expect(message("r:1", "before")).await;

    // A failover while the old master lives: nothing but the sentinel tells of it.
    let sentinel_port = sentinel.port.to_string();
    let failover = || {
        Command::new("redis-cli")
            .args(["-p", &sentinel_port, "sentinel", "failover", "main"])
            .output()
    };
    let began = std::time::Instant::now();
    while !String::from_utf8_lossy(&failover().unwrap().stdout).contains("OK") {
        // The sentinel has to find the replica first.
        assert!(began.elapsed() < servers::PATIENCE);
        tokio::task::yield_now().await;
    }
    ann.expect(BrokerEvent::Down).await;
    ann.until(BrokerEvent::Up).await;
    let new = cli(&["-p", &sentinel_port, "sentinel", "get-master-addr-by-name", "main"]);
    assert!(new.contains(&second.port.to_string()), "{new}");
    let mut bob = Node::redis(&options(format!("redis://:pw@127.0.0.1:{}", second.port)));
    bob.expect(BrokerEvent::Up).await;
    bob.say("r:1", "after");
    ann.expect(message("r:1", "after")).await;
    first.kill().await;

    let mut lost = Node::redis(&options(format!("{url}/0?master=other")));
    lost.expect(BrokerEvent::Down).await;
}

/// Three masters with all slots.
async fn cluster() -> Vec<Server> {
    let mut servers = Vec::new();
    for _ in 0..3 {
        let bus = free_port().to_string();
        let options = [
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus,
            "--cluster-node-timeout",
            "15000",
            "--cluster-config-file",
            "nodes-PORT.conf",
        ];
        servers.push(servers::redis(&options).await);
    }
    let places: Vec<String> =
        servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
    let mut words = vec!["--cluster", "create"];
    words.extend(places.iter().map(String::as_str));
    words.push("--cluster-yes");
    cli(&words);
    servers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_order_holds_and_a_moved_slot_is_followed() {
    let servers = cluster().await;
    let url = format!("redis-cluster://127.0.0.1:1,127.0.0.1:{}", servers[1].port);
    let mut ann = Node::redis(&options(url.clone()));
    let mut bob = Node::redis(&options(url.clone()));
    ann.until(BrokerEvent::Up).await;
    bob.until(BrokerEvent::Up).await;
    assert!(bob.hear(&["r:0", "r:1", "r:2"]).await);
    for number in 0..1000 {
        ann.say(&format!("r:{}", number % 3), format!("{number}"));
    }
    for number in 0..1000 {
        bob.expect(message(&format!("r:{}", number % 3), format!("{number}"))).await;
    }
    bob.broker.unsubscribe(vec![mynah_hub::Topic::new("r:2")]).await;
    assert!(bob.hear(&["r:3"]).await);

    // The slot of all channels goes to the next node.
    let port = |server: &Server| server.port.to_string();
    let slot = cli(&["-p", &port(&servers[0]), "cluster", "keyslot", "{mynah}:r:0"]);
    let slot = slot.trim();
    let number: u32 = slot.parse().unwrap();
    let owner = (number * 3 / 16_384) as usize;
    let next = (owner + 1) % 3;
    let id = cli(&["-p", &port(&servers[next]), "cluster", "myid"]);
    for server in [&servers[next], &servers[owner], &servers[(owner + 2) % 3]] {
        cli(&["-p", &port(server), "cluster", "setslot", slot, "node", id.trim()]);
    }
    for node in [&mut ann, &mut bob] {
        node.say("r:9", "finds out");
        node.until(BrokerEvent::Down).await;
        node.until(BrokerEvent::Up).await;
    }
    ann.say("r:1", "after");
    bob.expect(message("r:1", "after")).await;

    let place = format!("redis-cluster://127.0.0.1:{}", servers[owner].port);
    let mut stranger = Node::redis(&options(place));
    stranger.expect(BrokerEvent::Up).await;
}
