// Signing in with pusher-js: events to one user, who of a watchlist is there, and ending a user's connections.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing, PusherClient, RawClient } from "./support/pusher-client.mjs";
import { PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";
import { Recorder } from "./support/wait.mjs";

let server;
let auth;
let backend;
before(async () => {
  server = await PusherServer.start();
  auth = await AuthProgram.start(server);
  backend = server.backend();
});
after(async () => {
  await auth?.close();
  await server?.close();
});

const scenario = scenarios(() => server);

/** A client signed in as `user`. */
async function signedIn(t, user) {
  const it = await PusherClient.open(server, auth.options({ user }));
  closing(t, it);
  it.told = await it.signIn();
  return it;
}

/** Its subscription to its own channel is done. */
const reachable = (it, id) =>
  it.frame(
    ({ event, channel }) =>
      event === "pusher_internal:subscription_succeeded" && channel === `#server-to-user-${id}`,
    "its own channel",
  );

scenario("signed in: the server repeats the user data, and reaches the user", async (t) => {
  const ada = await signedIn(t, { id: "ada", user_info: { name: "Ada" } });
  assert.deepEqual(JSON.parse(ada.told.user_data), { id: "ada", user_info: { name: "Ada" } });
  await reachable(ada, "ada");
  await backend.sendToUser("ada", "invoice", { sum: 3 });
  const { data } = await ada.user.find(({ event }) => event === "invoice", "invoice");
  assert.deepEqual(data, { sum: 3 });
});

scenario("every connection of the user hears it, nobody else does", async (t) => {
  const tabs = [await signedIn(t, { id: "bo" }), await signedIn(t, { id: "bo" })];
  const other = await signedIn(t, { id: "zoe" });
  for (const tab of tabs) await reachable(tab, "bo");
  await reachable(other, "zoe");
  await backend.sendToUser("bo", "mail", { n: 1 });
  await backend.sendToUser("zoe", "mail", { n: 2 });
  for (const tab of tabs) await tab.user.find(({ event }) => event === "mail", "mail");
  await other.user.find(({ event }) => event === "mail", "mail");
  await other.settled();
  assert.deepEqual(
    other.user.items.filter(({ event }) => event === "mail").map(({ data }) => data),
    [{ n: 2 }],
  );
});

scenario("nobody may listen to another user's channel", async (t) => {
  const victim = await signedIn(t, { id: "victim" });
  await reachable(victim, "victim");
  const name = "#server-to-user-victim";
  const nobody = await RawClient.open(server);
  const mallory = await RawClient.open(server);
  const signed = await RawClient.open(server);
  closing(t, nobody, mallory, signed);
  const proof = backend.authenticateUser(mallory.socketId, { id: "mallory" });
  mallory.send({ event: "pusher:signin", data: proof });
  await mallory.find("pusher:signin_success");
  const subscribe = (auth) => ({ event: "pusher:subscribe", data: { channel: name, auth } });
  for (const it of [nobody, mallory]) it.send(subscribe(""));
  const { key } = backend.config.token;
  const signature = backend.config.token.sign(`${signed.socketId}:${name}`);
  signed.send(subscribe(`${key}:${signature}`));
  for (const it of [nobody, mallory, signed]) {
    const { data } = await it.find("pusher:subscription_error");
    assert.equal((typeof data === "string" ? JSON.parse(data) : data).type, "AuthError");
  }
  await backend.sendToUser("victim", "secret", {});
  await victim.user.find(({ event }) => event === "secret", "secret");
  for (const it of [nobody, mallory, signed]) {
    await it.settled();
    assert.ok(it.frames.items.every(({ event }) => event !== "secret"));
  }
});

for (const [what, sign] of [
  ["another socket's signature", (it) => it.authenticateUser("1.2", { id: "ada" })],
  [
    "other user data",
    (it, id) => ({ ...it.authenticateUser(id, { id: "ada" }), user_data: '{"id":"bo"}' }),
  ],
  ["no signature", () => ({ user_data: '{"id":"ada"}' })],
  ["no user data", (it, id) => ({ auth: it.authenticateUser(id, { id: "ada" }).auth })],
  ["user data without id", (it, id) => signedData(it, id, "{}")],
  ["user data with an empty id", (it, id) => signedData(it, id, '{"id":""}')],
  ["user data with a number as id", (it, id) => signedData(it, id, '{"id":7}')],
  ["user data that is no JSON", (it, id) => signedData(it, id, "ada")],
]) {
  scenario(`not signed in: ${what}`, async (t) => {
    const raw = await RawClient.open(server);
    closing(t, raw);
    raw.send({ event: "pusher:signin", data: sign(backend, raw.socketId) });
    raw.send({ event: "pusher:ping", data: {} });
    const ended = raw.closed.then(({ code }) => ({ event: "closed", code }));
    const next = await Promise.race([raw.frames.next("an answer"), ended]);
    assert.notEqual(next.event, "pusher:signin_success");
    const other = await PusherClient.open(server);
    closing(t, other);
    await other.settled();
    assert.ok(raw.frames.items.every(({ event }) => event !== "pusher:signin_success"));
  });
}

function signedData(it, socketId, text) {
  const { key } = it.config.token;
  const signature = it.config.token.sign(`${socketId}::user::${text}`);
  return { auth: `${key}:${signature}`, user_data: text };
}

scenario("a wrong signature is answered with 4009", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  raw.send({
    event: "pusher:signin",
    data: { auth: "shop-key:00", user_data: '{"id":"ada"}' },
  });
  const { data } = await raw.find("pusher:error");
  assert.equal((typeof data === "string" ? JSON.parse(data) : data).code, 4009);
});

scenario(
  "terminate_connections ends all connections of the user with 4009, and only those",
  async (t) => {
    const tabs = [await signedIn(t, { id: "gone" }), await signedIn(t, { id: "gone" })];
    const other = await signedIn(t, { id: "stays" });
    for (const tab of tabs) await reachable(tab, "gone");
    await backend.terminateUserConnections("gone");
    for (const tab of tabs) {
      await tab.states.find((state) => state === "disconnected", "the end");
      const { data } = await tab.errors.find(({ type }) => type === "PusherError", "the reason");
      assert.equal(data.code, 4009);
    }
    await other.settled();
    assert.equal(other.state, "connected");
    await backend.terminateUserConnections("nobody");
  },
);

scenario("after a lost connection pusher-js is signed in again", async (t) => {
  const ada = await signedIn(t, { id: "again" });
  await reachable(ada, "again");
  ada.pusher.connection.connection.close();
  await ada.frames.atLeast(2, ({ event }) => event === "pusher:signin_success", "signin_success");
  await ada.frames.atLeast(
    2,
    ({ event, channel }) =>
      event === "pusher_internal:subscription_succeeded" && channel === "#server-to-user-again",
    "its own channel",
  );
  await backend.sendToUser("again", "hello", {});
  await ada.user.find(({ event }) => event === "hello", "hello");
});

/** What pusher-js tells about the watchlist of its user: `{name, user_ids}`. */
function watching(it) {
  const told = new Recorder("watchlist");
  for (const name of ["online", "offline"])
    it.pusher.user.watchlist.bind(name, (event) => told.push(event));
  return told;
}

scenario("watchlist: who is there at once, who comes, who goes", async (t) => {
  const friend = await signedIn(t, { id: "friend-here" });
  const ada = await PusherClient.open(
    server,
    auth.options({ user: { id: "watcher", watchlist: ["friend-here", "friend-later", "never"] } }),
  );
  closing(t, ada);
  const told = watching(ada);
  await ada.signIn();
  const tells = (name, id) =>
    told.find((it) => it.name === name && it.user_ids.includes(id), `${id} ${name}`);
  await tells("online", "friend-here");
  const later = await signedIn(t, { id: "friend-later" });
  await tells("online", "friend-later");
  later.close();
  await tells("offline", "friend-later");
  const stranger = await signedIn(t, { id: "stranger" });
  stranger.close();
  friend.close();
  await tells("offline", "friend-here");
  const named = told.items.flatMap(({ user_ids }) => user_ids);
  assert.ok(!named.includes("stranger"));
});
