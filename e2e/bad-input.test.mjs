// Wrong, forged and senseless requests: a typed answer each, and the server goes on.
import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";
import { Api, newUser, roomOf } from "./support/api.mjs";
import { JWT_SECRET, Server, scenarios } from "./support/server.mjs";
import { Client, camel, native } from "./support/sockets.mjs";
import { forgeries, read } from "./support/tokens.mjs";

const UNKNOWN = "00000000-0000-4000-8000-000000000000";
let server;
let room;
let users;
let healthy;
let sent = 0;

before(async () => {
  server = await Server.start();
  ({ room, users } = await roomOf(server.url, "ada", "bo"));
  healthy = await native(server.url, users[0], { reconnection: false });
});
after(async () => {
  healthy?.close();
  await server?.close();
});
afterEach(async () => {
  sent += 1;
  const content = `healthy ${sent}`;
  const ack = await healthy.ok("message.send", { roomId: room.id, content, clientId: content });
  await healthy.got("message.created", ({ data }) => data.id === ack.message.id);
  assert.equal(healthy.states.items.length, 1, "the other client never lost its connection");
});

const scenario = scenarios(() => server);

function assertRefused(ack, what) {
  assert.equal(ack?.success, false, `${what} answered ${JSON.stringify(ack)}`);
  assert.equal(typeof ack.error, "string", what);
  assert.match(ack.code, /^[A-Z][A-Z_]+$/, what);
  assert.doesNotMatch(ack.code, /INTERNAL/, what);
}

const NONSENSE = [
  null,
  5,
  true,
  "text",
  [],
  [[]],
  {},
  { roomId: null },
  { roomId: 5 },
  { roomId: {} },
];
const OF = {
  "message.send": (id) => [
    { roomId: id },
    { roomId: id, content: null, clientId: "c" },
    { roomId: id, content: 5, clientId: "c" },
    { roomId: id, content: ["a"], clientId: "c" },
    { roomId: id, content: { $gt: "" }, clientId: "c" },
    { roomId: id, content: "", clientId: "c" },
    { roomId: id, content: "x", clientId: { n: 5 } },
    { roomId: id, content: "x", clientId: "c".repeat(10_000) },
    { roomId: id, content: "x", clientId: "k", kind: 7 },
    { roomId: id, content: "x", clientId: "r", replyToId: { a: 1 } },
    { roomId: id, content: "x".repeat(200_000), clientId: "long" },
  ],
  "message.edit": () => [
    { messageId: 5, content: "x" },
    { messageId: UNKNOWN },
    { messageId: UNKNOWN, content: "x" },
  ],
  "message.delete": () => [{ messageId: [] }, { messageId: UNKNOWN }, { messageId: "' OR 1=1 --" }],
  "room.join": () => [
    { roomId: UNKNOWN },
    { roomId: "../../etc/passwd" },
    { roomId: "x".repeat(50_000) },
  ],
  "room.leave": () => [{ roomId: UNKNOWN }],
  "room.create": () => [
    { name: 5 },
    { name: "x", kind: "palace" },
    { name: "x".repeat(50_000), kind: "group" },
  ],
  "room.invite": (id) => [
    { roomId: id },
    { roomId: id, userId: 5 },
    { roomId: id, userId: UNKNOWN },
  ],
  "room.kick": (id) => [
    { roomId: id, userId: UNKNOWN },
    { roomId: id, userId: null },
  ],
  "room.read": (id) => [
    { roomId: id, seq: "many" },
    { roomId: id, seq: -1 },
    { roomId: id, messageId: 5 },
  ],
  typing: (id) => [
    { roomId: id, isTyping: "perhaps" },
    { roomId: UNKNOWN, isTyping: true },
  ],
  "presence.query": () => [{ userIds: "all" }, { userIds: [5] }],
  sync: (id) => [{ since: 5 }, { since: { [id]: "x" } }, { since: { [id]: -1 } }],
};

for (const [event, special] of Object.entries(OF)) {
  scenario(`${event}: wrong types are refused with a code, the socket stays`, async (t) => {
    const client = await native(server.url, users[1], { reconnection: false });
    t.after(() => client.close());
    // What is nonsense for a room event may be a fair question for these two.
    const general = ["presence.query", "sync"].includes(event) ? [null, 5, "text"] : NONSENSE;
    for (const payload of [...general, ...special(room.id)]) {
      assertRefused(
        await client.ask(event, payload),
        `${event} ${JSON.stringify(payload)?.slice(0, 80)}`,
      );
    }
    assertRefused(await client.ask(event), `${event} without an argument`);
    const error = await client.got("error");
    assert.equal(error.event, event);
    await client.ok("ping", {});
  });
}

for (const event of [
  "joinRoom",
  "sendMessage",
  "editMessage",
  "deleteMessage",
  "markAsRead",
  "typing",
]) {
  scenario(`${event}: wrong types are refused with a code, the socket stays`, async (t) => {
    const client = await camel(server.url, users[1], { reconnection: false });
    t.after(() => client.close());
    for (const payload of NONSENSE)
      assertRefused(await client.ask(event, payload), `${event} ${JSON.stringify(payload)}`);
    await client.got("exception");
    await client.ok("joinRoom", room.id);
  });
}

scenario("unknown events are answered, never left hanging", async (t) => {
  const client = await native(server.url, users[1], { reconnection: false });
  t.after(() => client.close());
  for (const event of [
    "no.such.event",
    "",
    "constructor",
    "__proto__",
    "toString",
    "message.created",
    "x".repeat(5_000),
  ]) {
    assertRefused(await client.ask(event, { roomId: room.id }), event.slice(0, 40));
  }
  client.socket.emit("no.such.event", "without ack");
  await client.ok("ping", {});
});

scenario("fields that only the server may set have no effect", async (t) => {
  const client = await native(server.url, users[1], { reconnection: false });
  t.after(() => client.close());
  const evil = {
    id: UNKNOWN,
    seq: 1_000_000,
    number: 1_000_000,
    senderId: users[0].user.id,
    userId: users[0].user.id,
    tenantId: "other",
    createdAt: "2001-01-01T00:00:00.000Z",
    isAdmin: true,
    role: "owner",
  };
  const ack = await client.ask("message.send", {
    ...evil,
    roomId: room.id,
    content: "honest",
    clientId: "evil-1",
  });
  if (ack.success) {
    assert.equal(ack.message.senderId, users[1].user.id);
    assert.notEqual(ack.message.id, UNKNOWN);
    assert.ok(ack.message.seq < 1_000_000);
    assert.ok(ack.message.createdAt > "2020");
  } else assertRefused(ack, "a message with foreign fields");
  const patched = await users[1].api.call("PATCH", "/v1/users/me", {
    name: "Bo",
    role: "admin",
    isAdmin: true,
  });
  assert.ok([200, 400, 422].includes(patched.status));
  const me = await users[1].api.ok("GET", "/v1/users/me");
  assert.equal(me.role, users[1].user.role);
});

scenario("forged and expired tokens are refused on the socket and over REST", async () => {
  const all = Object.entries(forgeries(users[1].accessToken, JWT_SECRET));
  assert.ok(read(users[1].accessToken).claims.exp, "tokens end");
  for (const [name, token] of all) {
    for (const options of [{ dialect: "native" }, {}, { nsp: "/mynah" }]) {
      for (const transports of [["websocket"], ["polling"]]) {
        const { message, data } = await Client.refused(server.url, {
          token,
          transports,
          ...options,
        });
        assert.equal(typeof message, "string", name);
        assert.equal(data?.statusCode, 401, `${name}: ${JSON.stringify(data)}`);
        assert.equal(data.code, name === "expired" ? "TOKEN_EXPIRED" : data.code);
        assert.match(data.code, /^[A-Z_]+$/, name);
      }
    }
    const { status, body } = await new Api(server.url, token || " ").call("GET", "/v1/auth/me");
    assert.equal(status, 401, name);
    assert.match(body.code, /^[A-Z_]+$/, name);
  }
  for (const auth of [
    { token: 5 },
    { token: {} },
    { token: null },
    {},
    { token: ["a"] },
    { token: "x".repeat(100_000) },
  ]) {
    const { data } = await Client.refused(server.url, { token: "unused", auth });
    assert.equal(data?.statusCode, 401, JSON.stringify(auth).slice(0, 60));
  }
});

scenario("an unknown namespace is refused by name", async () => {
  const { message } = await Client.refused(server.url, {
    token: users[1].accessToken,
    nsp: "/no-such-namespace",
  });
  assert.equal(message, "Invalid namespace");
});

scenario("REST: bodies and paths that make no sense", async () => {
  const ada = users[1].api;
  const messages = `/v1/rooms/${room.id}/messages`;
  const cases = [
    ["POST", messages, '{"content":', [400]],
    ["POST", messages, "[]", [400, 422]],
    ["POST", messages, "null", [400, 422]],
    ["POST", messages, { content: 5 }, [400, 422]],
    ["POST", messages, { content: "" }, [400, 422]],
    ["POST", messages, { content: "x".repeat(200_000) }, [400, 413, 422]],
    ["POST", messages, { content: "x".repeat(5_000_000) }, [413]],
    ["POST", messages, `{"content":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, [400, 422]],
    ["POST", `/v1/rooms/${UNKNOWN}/messages`, { content: "x" }, [403, 404]],
    ["GET", `/v1/rooms/${UNKNOWN}`, undefined, [404]],
    ["GET", "/v1/rooms/%00/messages", undefined, [400, 404]],
    ["GET", "/v1/rooms/not-an-id", undefined, [400, 404]],
    ["GET", `${messages}?limit=-1`, undefined, [400, 422]],
    ["GET", `${messages}?limit=many`, undefined, [400, 422]],
    ["GET", `${messages}?before=number:x`, undefined, [400, 422]],
    ["GET", "/v1/sync?since=yesterday", undefined, [400, 422]],
    ["DELETE", `/v1/messages/${UNKNOWN}`, undefined, [403, 404]],
    ["PUT", "/v1/auth/login", {}, [404, 405]],
  ];
  for (const [method, path, body, statuses] of cases) {
    const answer = await ada.call(method, path, body);
    const shown = `${method} ${path} ${JSON.stringify(body)?.slice(0, 60)}: ${answer.status} ${JSON.stringify(answer.body)}`;
    assert.ok(statuses.includes(answer.status), shown);
    assert.equal(typeof answer.body.code, "string", shown);
  }
  const plain = await ada.call("POST", messages, "content=x", {
    "content-type": "application/x-www-form-urlencoded",
  });
  assert.ok([400, 415, 422].includes(plain.status), `a form answered ${plain.status}`);
});

scenario("many clients that give up half-way leave nothing behind", async () => {
  const mallory = await newUser(server.url, "mallory");
  const clients = Array.from(
    { length: 40 },
    () => new Client(server.url, { token: mallory.accessToken, reconnection: false }),
  );
  for (const client of clients) client.close();
  const last = await native(server.url, mallory);
  last.close();
});
