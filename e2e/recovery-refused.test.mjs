// When a connection is not taken up again it is a new one, and no harm is done.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { newUser, roomOf } from "./support/api.mjs";
import { kind } from "./support/generations.mjs";
import { Member, VOCABULARIES } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { Client, closing } from "./support/sockets.mjs";
import { Traveller } from "./support/traveller.mjs";
import { until } from "./support/wait.mjs";

const PLACES = 3;
let server;
before(async () => {
  server = await Server.start({ env: { MYNAH_LIMITS__CONNECTIONS_PER_USER_MAX: `${PLACES}` } });
});
after(() => server?.close());

const scenario = scenarios(() => server);

/** What a library would present to be recovered: its `pid` and the place it has reached. */
const ticket = ({ socket }) => ({ pid: socket._pid, offset: socket._lastOffset });

/** Connects with that ticket; answers the client once it is connected. */
async function present(t, user, dialect, claim, options = {}) {
  const client = new Client(server.url, { ...options, token: user.accessToken, dialect });
  t.after(() => client.close());
  client.socket.auth = { ...client.socket.auth, ...claim };
  // A place is free a moment after its holder has gone.
  client.socket.on("connect_error", ({ data }) => {
    if (data?.code === "TOO_MANY_CONNECTIONS") setTimeout(() => client.socket.connect(), 50);
  });
  client.connected = await client.state("connect");
  return client;
}

scenario("forged and broken tickets give a normal connection", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const owner = await Member.open(server.url, users[1], room);
  const said = await users[0].api.send(room.id, "heard");
  await owner.hears(said.id);
  const good = ticket(owner.client);
  assert.equal(typeof good.pid, "string");
  owner.close();
  const turned = (text) => text.slice(0, -2) + (text.endsWith("A") ? "BC" : "AA");
  const claims = [
    { pid: turned(good.pid), offset: good.offset },
    { pid: good.pid.slice(1), offset: good.offset },
    { pid: "", offset: "" },
    { pid: "x".repeat(50_000), offset: "y".repeat(50_000) },
    { pid: 7, offset: 8 },
    { pid: { $ne: null }, offset: [good.offset] },
    { pid: "\u0000/../../etc/passwd", offset: "-1" },
    { pid: null, offset: null },
    { offset: good.offset },
  ];
  for (const claim of claims) {
    for (const vocabulary of Object.keys(VOCABULARIES)) {
      const client = await present(t, users[1], vocabulary, claim);
      const shown = JSON.stringify(claim).slice(0, 80);
      assert.notEqual(client.connected.recovered, true, shown);
      if (vocabulary === "native") await client.got("connection.ready");
      else await client.ok("joinRoom", { roomId: room.id });
      client.close();
    }
  }
  const last = await users[0].api.send(room.id, "still fine");
  assert.equal(last.content, "still fine");
});

scenario("a ticket with a strange place never gives a hole", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const owner = await Member.open(server.url, users[1], room);
  const said = await users[0].api.send(room.id, "heard");
  await owner.hears(said.id);
  const { pid, offset } = ticket(owner.client);
  owner.close();
  const missed = await users[0].api.send(room.id, "missed");
  for (const strange of ["", "x", "-1", "1e9", "99999999999999999999", `${offset}9999999`, 5, {}]) {
    const client = await present(t, users[1], "native", { pid, offset: strange });
    if (client.connected.recovered)
      await client.got("message.created", ({ data }) => data.id === missed.id);
    else
      await client.got("connection.ready", ({ rooms }) => rooms.some(({ id }) => id === room.id));
    client.close();
  }
});

scenario("another user's ticket is worth nothing, and its owner notices nothing", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo", "cy");
  const secret = await users[0].api.createRoom("secret", { visibility: "private" });
  for (const vocabulary of Object.keys(VOCABULARIES)) {
    const owner = await Member.open(server.url, users[0], room, { vocabulary });
    t.after(() => owner.close());
    if (vocabulary === "camel") await owner.client.ok("joinRoom", secret.id);
    const heard = await users[0].api.send(secret.id, "mine");
    await owner.client.got(
      owner.words.created,
      (body) => owner.words.message(body).id === heard.id,
    );
    const thief = await present(t, users[1], vocabulary, ticket(owner.client));
    assert.notEqual(thief.connected.recovered, true);
    assert.notEqual(thief.socket.id, owner.client.socket.id);
    const live = await users[0].api.send(secret.id, "mine too");
    await owner.client.got(owner.words.created, (body) => owner.words.message(body).id === live.id);
    assert.equal(owner.client.states.items.length, 1, "the owner was not disturbed");
    const { user } = await thief.socket
      .timeout(15_000)
      .emitWithAck(vocabulary === "native" ? "presence.query" : "getOnlineUsers", {
        userIds: [users[1].user.id],
      })
      .then(({ users: [user] }) => ({ user }));
    assert.equal(user.userId, users[1].user.id);
    const seen = thief.all(owner.words.created).map((body) => owner.words.message(body).roomId);
    assert.ok(!seen.includes(secret.id));
    for (const one of [owner, thief]) one.close();
  }
});

scenario(
  "the same library with another user's token is that user, from the beginning",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo", "cy");
    const traveller = await Traveller.open(t, server.url, users[1], room);
    const { client } = traveller;
    const heard = await users[0].api.send(room.id, "heard");
    await traveller.member.hears(heard.id);
    const before = client.socket.id;
    const { recovered } = await traveller.away(async () => {
      await users[0].api.send(room.id, "missed by bo");
      client.socket.auth = { token: users[2].accessToken, dialect: "native" };
    });
    assert.notEqual(recovered, true);
    assert.notEqual(client.socket.id, before);
    const ready = await client.got("connection.ready", ({ userId }) => userId === users[2].user.id);
    assert.ok(ready);
    await users[0].api.send(room.id, "live");
    await client.got("message.created", ({ data }) => data.content === "live");
    const contents = client.all("message.created").map(({ data }) => data.content);
    assert.deepEqual(contents, ["heard", "live"]);
  },
);

scenario("a client that counts per room gets all it lacks, whatever its place says", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const sent = [];
  for (const content of ["one", "two", "three"])
    sent.push(await users[0].api.send(room.id, content));
  // Its place lies behind all three; of the room it says that it has the first only.
  const first = await present(t, users[1], "native", {});
  const { pid } = ticket(first);
  first.close();
  const since = { [room.id]: sent[0].seq };
  const client = await present(t, users[1], "native", { pid, since });
  await client.got("message.created", ({ data }) => data.content === "three");
  const heard = client.all("message.created").map(({ data }) => data.content);
  assert.deepEqual(heard, ["two", "three"]);
});

scenario("a ticket buys no place beyond the bound, recovered or not", async (t) => {
  const { users } = await roomOf(server.url, "ada");
  const first = await present(t, users[0], "native", {});
  const { pid } = ticket(first);
  for (let used = 1; used < PLACES; used += 1) await present(t, users[0], "native", {});
  // A place in the log that never was: nothing can be recovered.
  const beyond = { pid, offset: "999999999999" };
  const attempts = Array.from({ length: PLACES * 3 }, async () => {
    const client = new Client(server.url, { token: users[0].accessToken, dialect: "native" });
    t.after(() => client.close());
    client.socket.auth = { ...client.socket.auth, ...beyond };
    return new Promise((resolve) => {
      client.socket.once("connect", () => resolve(true));
      client.socket.once("connect_error", () => resolve(false));
    });
  });
  const admitted = (await Promise.all(attempts)).filter(Boolean).length;
  assert.ok(admitted <= 2, `${admitted} got in with the ticket of one`);
});

scenario("a ticket is no credential: signed out means refused", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const traveller = await Traveller.open(t, server.url, users[1], room);
  const { client } = traveller;
  const from = client.states.items.length;
  traveller.line.refusing = true;
  traveller.line.cut();
  await client.state("disconnect", from);
  await users[1].api.ok("POST", "/v1/auth/logout-all", {});
  traveller.line.refusing = false;
  const refusal = await client.states.find(
    ({ state, data }) => state === "connect_error" && data,
    "the refusal",
  );
  assert.equal(refusal.data.statusCode, 401);
});

scenario("too much was missed: a new connection that says where the room stands", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo", "cy");
  const native = await Traveller.open(t, server.url, users[1], room);
  const camel = await Traveller.open(t, server.url, users[2], room, { vocabulary: "camel" });
  const writer = await Member.open(server.url, users[0], room);
  t.after(() => writer.close());
  await writer.say("heard");
  for (const { member } of [native, camel]) await member.hearsText("heard");
  const write = async () => {
    const say = (index) => writer.say(`m${index}`);
    for (let index = 0; index < 1_200; index += 100)
      await Promise.all(Array.from({ length: 100 }, (_, add) => say(index + add)));
  };
  let done;
  const written = new Promise((resolve) => (done = resolve));
  const backs = [native, camel].map((traveller) => traveller.away(() => written));
  for (const { client } of [native, camel])
    await client.states.find(({ state }) => state === "disconnect", "the cut");
  await write();
  done();
  for (const { recovered } of await Promise.all(backs)) assert.notEqual(recovered, true);
  const { lastSeq } = await users[0].api.ok("GET", `/v1/rooms/${room.id}`);
  const ready = await native.client.got("connection.ready", ({ rooms }) =>
    rooms.some(({ id, seq }) => id === room.id && seq === lastSeq),
  );
  assert.ok(ready);
  await camel.client.ok("joinRoom", room.id);
  const pages = () => camel.client.all("roomHistory");
  await until(() => pages().length === 2, "the history once more");
  assert.equal(pages()[1].messages.at(-1).content, "m1199");
  await writer.say("live");
  for (const { member } of [native, camel]) {
    await member.hearsText("live");
    const contents = member.heard().map(({ content }) => content);
    assert.deepEqual(contents, ["heard", "live"]);
  }
});

scenario("a taken-over connection frees its place", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const traveller = await Traveller.open(t, server.url, users[1], room, {
    kind: kind("4 over websocket"),
  });
  // Every old connection still looks open: more than a user may have, were they counted.
  for (let round = 0; round < PLACES * 3; round += 1) {
    const { recovered } = await traveller.halfOpen();
    assert.equal(recovered, true, `round ${round}`);
  }
  const more = [];
  for (let index = 1; index < PLACES; index += 1)
    more.push(await Client.open(server.url, { token: users[1].accessToken, dialect: "native" }));
  closing(t, ...more);
  const refused = await Client.refused(server.url, {
    token: users[1].accessToken,
    dialect: "native",
  });
  assert.equal(typeof refused.data.code, "string");
  await users[0].api.send(room.id, "once");
  await traveller.heardAll(users[0].api);
});

scenario(
  "two at once with one ticket: one connection goes on, nothing is heard twice",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const owner = await newUser(server.url, "owner");
    await owner.api.join(room.id);
    const first = await Member.open(server.url, owner, room);
    const heard = await users[0].api.send(room.id, "heard");
    await first.hears(heard.id);
    const claim = ticket(first.client);
    first.close();
    await users[0].api.send(room.id, "missed");
    const both = await Promise.all([
      present(t, owner, "native", claim, { reconnection: false }),
      present(t, owner, "native", claim, { reconnection: false }),
    ]);
    await users[0].api.send(room.id, "live");
    const alive = await until(
      () => both.find((one) => one.socket.connected && one.all("message.created").length > 0),
      "one of them to hear",
    );
    await alive.got("message.created", ({ data }) => data.content === "live");
    for (const one of both) {
      const contents = one.all("message.created").map(({ data }) => data.content);
      assert.equal(new Set(contents).size, contents.length, "each once");
    }
  },
);
