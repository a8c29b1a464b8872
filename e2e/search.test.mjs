// Messages are found by words, on SQLite and on PostgreSQL, at any node, soon after they were stored.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { newUser, roomOf } from "./support/api.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { Postgres, Redis } from "./support/stores.mjs";
import { until } from "./support/wait.mjs";

/** One page of what is found. */
function search(api, words, more = {}) {
  const query = new URLSearchParams({ q: words, ...more });
  return api.ok("GET", `/v1/search/messages?${query}`);
}

/** Texts of what is found, newest first. */
async function found(api, words, more) {
  return (await search(api, words, more)).items.map(({ message }) => message.content);
}

/** Waits until exactly these are found. */
function finds(api, words, texts, more) {
  const same = async () => JSON.stringify(await found(api, words, more)) === JSON.stringify(texts);
  return until(same, `${words} to find ${JSON.stringify(texts)}`);
}

describe("SQLite", () => {
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.close());
  const scenario = scenarios(() => server);
  everything(scenario, () => ({ one: server, two: server }));

  scenario("what was stored before a crash is found after it", async () => {
    const { room, users } = await roomOf(server.url, "ada", "bob");
    await Promise.all(
      Array.from({ length: 50 }, (_, n) => users[0].api.send(room.id, `kiwi ${n}`)),
    );
    await server.restart({ kill: true });
    await until(
      async () => (await found(users[1].api, "kiwi", { limit: 100 })).length === 50,
      "all",
    );
  });
});

describe("two nodes on PostgreSQL", () => {
  let postgres;
  let redis;
  let one;
  let two;
  before(async () => {
    [postgres, redis] = await Promise.all([Postgres.start(), Redis.start()]);
    const env = { DATABASE_URL: postgres.database(), ...redis.env };
    [one, two] = await Promise.all([Server.start({ env }), Server.start({ env })]);
  });
  after(async () => {
    await Promise.all([one?.close(), two?.close()]);
    await Promise.all([postgres?.close(), redis?.close()]);
  });
  const scenario = scenarios(() => ({ log: `${one?.log}\n--- second node ---\n${two?.log}` }));
  everything(scenario, () => ({ one, two }));

  scenario("when one node is killed the other goes on indexing", async () => {
    const { room, users } = await roomOf(one.url, "ada", "bob");
    const [ada, bob] = users.map((user) => user.api);
    bob.base = two.url;
    await Promise.all(Array.from({ length: 50 }, (_, n) => ada.send(room.id, `mango ${n}`)));
    await one.kill();
    await bob.send(room.id, "mango at last");
    await until(async () => (await found(bob, "mango", { limit: 100 })).length === 51, "all");
    await one.spawn();
    assert.equal((await found(ada, "mango", { limit: 100 })).length, 51);
  });
});

/** `two` searches what `one` stores; they may be the same. */
function everything(scenario, nodes) {
  scenario("a message is found at the other node as it stands in history", async () => {
    const { one, two } = nodes();
    const { room, users } = await roomOf(one.url, "ada", "bob");
    const [ada, bob] = users.map((user) => user.api);
    bob.base = two.url;
    const sent = await ada.send(room.id, "Über die <b>Brücke</b>, nach New York!");
    await finds(bob, "new york brucke", [sent.content]);
    const { items, page } = await search(bob, '"new york" ubEr');
    const [history] = await bob.history(room.id);
    assert.deepEqual(items[0].message, history);
    assert.equal(items[0].snippet, sent.content);
    const marked = items[0].matches.map(({ start, end }) => items[0].snippet.slice(start, end));
    assert.deepEqual(marked, ["Über", "New York"]);
    assert.ok(items[0].score > 0 && items[0].score <= 1);
    assert.deepEqual(page, { next: null, prev: null, hasMore: false });
  });

  scenario("only those who may read a room find what was said in it", async () => {
    const { one, two } = nodes();
    const { room, users } = await roomOf(one.url, "ada", "bob");
    const eve = await newUser(two.url, "eve");
    const [ada, bob] = users;
    const direct = await ada.api.ok("POST", "/v1/rooms/direct", { userId: bob.user.id });
    await ada.api.send(room.id, "walnut in public");
    await ada.api.send(direct.id, "walnut between us");
    bob.api.base = two.url;
    await finds(bob.api, "walnut", ["walnut between us", "walnut in public"]);
    assert.deepEqual(await found(eve.api, "walnut"), []);
    const asked = `/v1/search/messages?q=walnut&roomId=${direct.id}`;
    assert.equal((await eve.api.call("GET", asked)).status, 404);
    await eve.api.join(room.id);
    await finds(eve.api, "walnut", ["walnut in public"]);
    await ada.api.ok("DELETE", `/v1/rooms/${room.id}/members/${eve.user.id}`);
    assert.deepEqual(await found(eve.api, "walnut"), []);
  });

  scenario("edited and deleted texts are not found any more", async () => {
    const { one, two } = nodes();
    const { room, users } = await roomOf(one.url, "ada", "bob");
    const [ada, bob] = users.map((user) => user.api);
    bob.base = two.url;
    const edited = await ada.send(room.id, "cherry one");
    const deleted = await ada.send(room.id, "cherry two");
    await finds(bob, "cherry", ["cherry two", "cherry one"]);
    await ada.ok("PATCH", `/v1/messages/${edited.id}`, { content: "plum one" });
    await ada.ok("DELETE", `/v1/messages/${deleted.id}`);
    assert.deepEqual(await found(bob, "cherry"), []);
    await finds(bob, "plum", ["plum one"]);
    await ada.ok("DELETE", `/v1/rooms/${room.id}`);
    assert.deepEqual(await found(bob, "plum"), []);
  });

  scenario("pages run from the newest back through all rooms", async () => {
    const { one, two } = nodes();
    const { room, users } = await roomOf(one.url, "ada", "bob");
    const [ada, bob] = users.map((user) => user.api);
    const other = await ada.createRoom("other");
    await bob.join(other.id);
    bob.base = two.url;
    const sent = [];
    for (let n = 0; n < 25; n += 1)
      sent.unshift((await ada.send(n % 2 ? room.id : other.id, `fig ${n}`)).content);
    await until(async () => (await found(bob, "fig", { limit: 100 })).length === 25, "all of them");
    const pages = [];
    let more = { limit: 10 };
    do {
      const { items, page } = await search(bob, "fig", more);
      pages.push(...items.map(({ message }) => message.content));
      more = page.hasMore ? { limit: 10, cursor: page.next } : undefined;
    } while (more);
    assert.deepEqual(pages, sent);
    const odd = sent.filter((_, n) => n % 2);
    assert.deepEqual(await found(bob, "fig", { roomId: room.id }), odd);
    const before = { roomId: room.id, before: "number:3" };
    assert.deepEqual(await found(bob, "fig", before), ["fig 3", "fig 1"]);
    assert.deepEqual(await found(bob, "fig", { before: "2020-01-01" }), []);
  });
}
