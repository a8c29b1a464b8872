// laravel-echo as a Laravel front end uses it.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import Echo from "laravel-echo";
import Pusher from "pusher-js";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing } from "./support/pusher-client.mjs";
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

/** Echo as a page sets it up; `member` is who the application takes it for. */
function echo(t, { member, user, ...more } = {}) {
  const params = {
    ...(member ? { member: JSON.stringify(member) } : {}),
    ...(user ? { user: JSON.stringify(user) } : {}),
  };
  const it = new Echo({
    broadcaster: "pusher",
    Pusher,
    key: server.apps[0].key,
    authEndpoint: `${auth.url}/broadcasting/auth`,
    userAuthentication: { endpoint: `${auth.url}/broadcasting/user-auth`, headers: {}, params },
    auth: { headers: {}, params },
    bearerToken: "token-of-the-page",
    ...server.clientOptions,
    ...more,
  });
  closing(t, { close: () => it.disconnect() });
  return it;
}

/** Resolves with the first argument of the first call. */
function once(listen) {
  return new Promise((resolve) => {
    listen((data) => resolve(data));
  });
}

const joined = (channel) => once((done) => channel.subscribed(done));

scenario("channel: listens with the namespace of the application", async (t) => {
  const channel = echo(t).channel("orders");
  const heard = once((done) => channel.listen("OrderShipped", done));
  const dotted = once((done) => channel.listen(".custom.name", done));
  await joined(channel);
  await backend.trigger("orders", "App\\Events\\OrderShipped", { id: 1 });
  await backend.trigger("orders", "custom.name", { id: 2 });
  assert.deepEqual(await heard, { id: 1 });
  assert.deepEqual(await dotted, { id: 2 });
});

scenario("listenToAll hears every event of the channel", async (t) => {
  const channel = echo(t).channel("all");
  const heard = new Recorder("echo");
  channel.listenToAll((event, data) => heard.push({ event, data }));
  await joined(channel);
  await backend.trigger("all", "App\\Events\\A", { n: 1 });
  await backend.trigger("all", "App\\Events\\B", { n: 2 });
  await heard.atLeast(2, () => true, "events");
  assert.deepEqual(heard.items, [
    { event: "A", data: { n: 1 } },
    { event: "B", data: { n: 2 } },
  ]);
});

scenario("private: authorised with the bearer token; whispers reach the others", async (t) => {
  const [one, two] = [echo(t), echo(t)];
  const [hers, his] = [one.private("chat.1"), two.private("chat.1")];
  const whisper = once((done) => his.listenForWhisper("typing", done));
  await Promise.all([joined(hers), joined(his)]);
  const { headers, asked } = auth.requests.at(-1);
  assert.equal(headers.authorization, "Bearer token-of-the-page");
  assert.equal(asked.channel_name, "private-chat.1");
  hers.whisper("typing", { name: "Ada" });
  assert.deepEqual(await whisper, { name: "Ada" });
});

scenario("private: a refusal reaches error()", async (t) => {
  const byApplication = echo(t).private("forbidden");
  const error = await once((done) => byApplication.error(done));
  assert.equal(error.type, "AuthError");
  assert.equal(error.status, 403);
  const customHandler = (_, answer) => answer(null, { auth: "shop-key:00" });
  const wrong = echo(t, { channelAuthorization: { customHandler } }).private("orders");
  const refused = await once((done) => wrong.error(done));
  assert.equal(refused.type, "AuthError");
  assert.equal(refused.status, 401);
});

scenario("presence: here, joining, leaving", async (t) => {
  const [ada, bo] = ["ada", "bo"].map((id) =>
    echo(t, { member: { user_id: id, user_info: { id, name: id } } }),
  );
  const hers = ada.join("room.1");
  const joining = once((done) => hers.joining(done));
  const leaving = once((done) => hers.leaving(done));
  assert.deepEqual(await once((done) => hers.here(done)), [{ id: "ada", name: "ada" }]);
  const his = bo.join("room.1");
  assert.deepEqual((await once((done) => his.here(done))).map(({ id }) => id).sort(), [
    "ada",
    "bo",
  ]);
  assert.deepEqual(await joining, { id: "bo", name: "bo" });
  const whisper = once((done) => hers.listenForWhisper("typing", done));
  his.whisper("typing", { n: 1 });
  assert.deepEqual(await whisper, { n: 1 });
  bo.leave("room.1");
  assert.deepEqual(await leaving, { id: "bo", name: "bo" });
});

scenario("encryptedPrivate: decrypted in the page", async (t) => {
  const channel = echo(t).encryptedPrivate("safe");
  const heard = once((done) => channel.listen("Opened", done));
  await joined(channel);
  await backend.trigger("private-encrypted-safe", "App\\Events\\Opened", { code: 42 });
  assert.deepEqual(await heard, { code: 42 });
});

scenario("notification: Laravel's broadcast notifications", async (t) => {
  const channel = echo(t).private("App.Models.User.1");
  const heard = once((done) => channel.notification(done));
  await joined(channel);
  const event = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated";
  await backend.trigger("private-App.Models.User.1", event, { id: "n1", type: "Invoice" });
  assert.deepEqual(await heard, { id: "n1", type: "Invoice" });
});

scenario("toOthers: the socket id that Echo adds leaves the sender out", async (t) => {
  const [one, two] = [echo(t), echo(t)];
  const [hers, his] = [one.channel("board"), two.channel("board")];
  const seen = [new Recorder("one"), new Recorder("two")];
  hers.listen("Moved", (data) => seen[0].push(data));
  his.listen("Moved", (data) => seen[1].push(data));
  await Promise.all([joined(hers), joined(his)]);
  await backend.trigger("board", "App\\Events\\Moved", { n: 1 }, { socket_id: one.socketId() });
  await backend.trigger("board", "App\\Events\\Moved", { n: 2 });
  await seen[0].find(({ n }) => n === 2, "the second");
  await seen[1].find(({ n }) => n === 2, "the second");
  assert.deepEqual(seen[0].items, [{ n: 2 }]);
  assert.deepEqual(seen[1].items, [{ n: 1 }, { n: 2 }]);
});

scenario("signin: a user's own events", async (t) => {
  const page = echo(t, { user: { id: "ada" } });
  page.connector.signin();
  const { pusher } = page.connector;
  await once((done) =>
    pusher.connection.bind("message", (frame) => {
      if (frame.event.endsWith("subscription_succeeded")) done(frame);
    }),
  );
  const heard = once((done) => pusher.user.bind("invoice", done));
  await backend.sendToUser("ada", "invoice", { sum: 3 });
  assert.deepEqual(await heard, { sum: 3 });
});

scenario("leaveChannel: not heard any more", async (t) => {
  const page = echo(t);
  const channel = page.channel("left");
  const seen = new Recorder("echo");
  channel.listen("Tick", (data) => seen.push(data));
  await joined(channel);
  const fence = page.channel("fence");
  const fenced = once((done) => fence.listen("Tick", done));
  await joined(fence);
  page.leaveChannel("left");
  const { pusher } = page.connector;
  const pong = once((done) =>
    pusher.connection.bind("message", (frame) => {
      if (frame.event === "pusher:pong") done(frame);
    }),
  );
  pusher.send_event("pusher:ping", {});
  await pong;
  await backend.trigger(["left", "fence"], "App\\Events\\Tick", {});
  await fenced;
  assert.deepEqual(seen.items, []);
});
