// Namespaces of an own vocabulary: by pattern, with credentials shown late or never, and their end at a stop.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { io } from "socket.io-client";
import { roomOf } from "./support/api.mjs";
import { kind } from "./support/generations.mjs";
import { JWT_SECRET, Server, scenarios } from "./support/server.mjs";
import { short } from "./support/tokens.mjs";
import { DEADLINE_MS, Recorder, within } from "./support/wait.mjs";

const VOCABULARY = `
id = "late"
namespaces = [
  { name = "/late", auth = "lazy", timeout_s = 1, end_by = "disconnect" },
  { name = "/patient", auth = "lazy", timeout_s = 60 },
  { name = "/open", auth = "anonymous" },
  "/team-*",
]
auto_join = true

[error]
ack = { ok = false, code = "$error.code" }

[in.authenticate]
command = "session.authenticate"
token = "$0.token"
user = "$0.userId"
ack = { ok = true, until = "$session.expires_at" }

[in.say]
command = "message.send"
room = "$0"
content = "$1"
ack = { ok = true, id = "$message.id" }

[out."connection.ready"]
event = "auth:success"
args = [{ userId = "$user.id" }]

[out."connection.error"]
event = "auth:error"
args = [{ code = "$error.code" }]

[out."message.created"]
event = "said"
args = ["$message.content"]
`;

let folder;
let server;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mynah-vocabulary-"));
  await writeFile(join(folder, "late.toml"), VOCABULARY);
  server = await Server.start({ env: { MYNAH_SOCKETIO__VOCABULARY_DIR: folder } });
});
after(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

const scenario = scenarios(() => server);

/** A stock socket in a namespace, and all it hears. */
function open(t, namespace, auth = {}, options = {}) {
  const socket = io(`${server.url}${namespace}`, {
    auth,
    forceNew: true,
    transports: ["websocket"],
    ...options,
  });
  t.after(() => socket.close());
  const heard = new Recorder(`a socket in ${namespace}`);
  socket.onAny((event, ...args) => heard.push({ event, args }));
  socket.on("disconnect", (reason) => heard.push({ event: "disconnect", args: [reason] }));
  socket.on("connect_error", (error) => heard.push({ event: "refused", args: [error] }));
  const got = (event) => heard.find((one) => one.event === event, event);
  const ask = (...args) => within(DEADLINE_MS, socket.emitWithAck(...args), `an ack of ${args[0]}`);
  const connected = new Promise((resolve) => socket.once("connect", resolve));
  return { socket, heard, got, ask, connected };
}

scenario("a lazy namespace lets in first and asks afterwards", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const [ada, bo] = users;
  const late = open(t, "/patient");
  await late.connected;
  assert.deepEqual(await late.ask("say", room.id, "too early"), {
    ok: false,
    code: "UNAUTHORIZED",
  });
  const wrong = await late.ask("authenticate", { token: ada.accessToken, userId: bo.user.id });
  assert.deepEqual(wrong, { ok: false, code: "FORBIDDEN" });
  assert.equal((await late.got("auth:error")).args[0].code, "FORBIDDEN");
  const right = await late.ask("authenticate", { token: ada.accessToken, userId: ada.user.id });
  assert.equal(right.ok, true);
  assert.deepEqual((await late.got("auth:success")).args[0], { userId: ada.user.id });
  assert.equal((await late.ask("say", room.id, "now")).ok, true);
  await bo.api.send(room.id, "welcome");
  await late.heard.find(({ event, args }) => event === "said" && args[0] === "welcome", "welcome");
  const other = await late.ask("authenticate", { token: bo.accessToken });
  assert.deepEqual(other, { ok: false, code: "FORBIDDEN" });
});

scenario("who does not authenticate in time is put out, told why, and stays away", async (t) => {
  const late = open(t, "/late");
  await late.connected;
  assert.equal((await late.got("auth:error")).args[0].code, "AUTH_TIMEOUT");
  assert.equal((await late.got("disconnect")).args[0], "io server disconnect");
  assert.equal(late.socket.active, false);
  // The same object may try again, with credentials this time.
  const { users } = await roomOf(server.url, "ada");
  late.socket.auth = { token: users[0].accessToken };
  late.socket.connect();
  await late.got("auth:success");
});

scenario("a lazy namespace takes credentials at the connection, too", async (t) => {
  const { users } = await roomOf(server.url, "ada");
  const late = open(t, "/late", { token: users[0].accessToken });
  await late.got("auth:success");
});

scenario("an anonymous client stays, may do nothing, and may say who it is later", async (t) => {
  const { room, users } = await roomOf(server.url, "ada");
  const guest = open(t, "/open");
  await guest.connected;
  assert.deepEqual(await guest.ask("say", room.id, "hi"), { ok: false, code: "UNAUTHORIZED" });
  assert.equal((await guest.ask("authenticate", { token: users[0].accessToken })).ok, true);
  assert.equal((await guest.ask("say", room.id, "hi")).ok, true);
  const forged = open(t, "/open", { token: "nonsense" });
  assert.equal((await forged.got("refused")).args[0].data.statusCode, 401);
});

scenario("namespaces by pattern: each its own, unknown ones refused", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const sockets = ["/team-red", "/team-blue"].map((name, index) =>
    open(t, name, { token: users[index].accessToken }),
  );
  const [red, blue] = sockets;
  await Promise.all(sockets.map(({ got }) => got("auth:success")));
  assert.equal((await red.ask("say", room.id, "one room, two names")).ok, true);
  await Promise.all(sockets.map(({ got }) => got("said")));
  blue.socket.disconnect();
  assert.equal((await red.ask("say", room.id, "still here")).ok, true);
  for (const name of ["/team-", "/team-a/b", "/teams"]) {
    const refused = open(t, name, { token: users[0].accessToken });
    assert.equal((await refused.got("refused")).args[0].message, "Invalid namespace", name);
  }
});

for (const name of ["4 over websocket", "4 over polling"]) {
  scenario(`a stop says DISCONNECT where the vocabulary wants it: ${name}`, async (t) => {
    const { users } = await roomOf(server.url, "ada");
    const { transports } = kind(name).options;
    const { accessToken: token } = users[0];
    const told = open(t, "/late", { token }, { transports });
    const cut = open(t, "/team-x", { token }, { transports });
    await Promise.all([told.got("auth:success"), cut.got("auth:success")]);
    await server.restart();
    assert.equal((await told.got("disconnect")).args[0], "io server disconnect");
    assert.notEqual((await cut.got("disconnect")).args[0], "io server disconnect");
    assert.equal(told.socket.active, false);
  });
}

scenario("a token that ends says DISCONNECT there, too", async (t) => {
  const { users } = await roomOf(server.url, "ada");
  const token = short(users[0].accessToken, 6, JWT_SECRET);
  const told = open(t, "/late", { token });
  await told.got("auth:success");
  assert.equal((await told.got("disconnect")).args[0], "io server disconnect");
});

// The last one: the names it uses up are free again after a minute only.
scenario(
  "more namespaces by pattern than can be told apart are refused, and others go on",
  async (t) => {
    const { users } = await roomOf(server.url, "ada");
    const token = users[0].accessToken;
    const first = open(t, "/team-first", { token });
    await first.got("auth:success");
    const { manager, accepted, refused } = { manager: first.socket.io, accepted: [], refused: [] };
    const all = Array.from({ length: 260 }, (_, index) => {
      const socket = manager.socket(`/team-${index}`, { auth: { token } });
      return new Promise((resolve) => {
        socket.once("connect", () => resolve(accepted.push(index)));
        socket.once("connect_error", ({ data }) => resolve(refused.push(data)));
      });
    });
    await within(DEADLINE_MS, Promise.all(all), "an answer to each");
    assert.ok(accepted.length > 20, `${accepted.length} were accepted`);
    assert.ok(refused.length > 0);
    for (const data of refused) {
      assert.ok(["TOO_MANY_NAMESPACES", "TOO_MANY_CONNECTIONS"].includes(data.code), data.code);
    }
    assert.equal(first.socket.connected, true);
  },
);
