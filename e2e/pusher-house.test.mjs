// One house: pusher-js in a thread's channel and socket.io-client in its room see the same.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { newUser } from "./support/api.mjs";
import { closing, PusherClient } from "./support/pusher-client.mjs";
import { signedByHouse, Thread, threadKey } from "./support/pusher-house.mjs";
import { PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";

let server;
before(async () => {
  server = await PusherServer.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);
const [ADA, BO] = [0, 1];

scenario("a message by REST: both hear it, with the same id, seq and text", async (t) => {
  const thread = await Thread.open(server);
  const ada = await thread.pusher(t, ADA);
  const bo = await thread.socket(t, BO);
  const sent = await thread.say(BO, "hello 🐦");
  const heard = await ada.thread.got("tenant-user-message");
  const { data } = await bo.got("message.created");
  assert.equal(heard.id, sent.id);
  assert.equal(data.id, sent.id);
  assert.deepEqual(
    {
      tenantId: heard.tenantId,
      threadKey: heard.threadKey,
      senderId: heard.senderId,
      recipientId: heard.recipientId,
      content: heard.content,
      createdAt: heard.createdAt,
      attachments: heard.attachments,
    },
    {
      tenantId: "default",
      threadKey: thread.key,
      senderId: thread.users[BO].user.id,
      recipientId: thread.users[ADA].user.id,
      content: "hello 🐦",
      createdAt: data.createdAt,
      attachments: [],
    },
  );
  assert.equal(heard.seq, data.seq);
});

scenario(
  "a message by Socket.IO: heard in the channel, also by the sender's own page",
  async (t) => {
    const thread = await Thread.open(server);
    const [ada, page] = [await thread.pusher(t, ADA), await thread.pusher(t, BO)];
    const bo = await thread.socket(t, BO);
    const { message } = await bo.ok("message.send", {
      roomId: thread.room.id,
      content: "by socket",
      clientId: "c1",
    });
    for (const it of [ada, page]) {
      const heard = await it.thread.got("tenant-user-message");
      assert.equal(heard.id, message.id);
      assert.equal(heard.content, "by socket");
    }
  },
);

scenario("order: everybody hears a hundred messages in the same order, each once", async (t) => {
  const thread = await Thread.open(server);
  const ada = await thread.pusher(t, ADA);
  const bo = await thread.socket(t, BO);
  await Promise.all(
    [ADA, BO].map(async (who) => {
      for (let n = 0; n < 50; n += 1) await thread.say(who, `${who}-${n}`);
    }),
  );
  await ada.thread.events.atLeast(100, ({ event }) => event === "tenant-user-message", "messages");
  await bo.events.atLeast(100, ({ event }) => event === "message.created", "messages");
  const byPusher = ada.thread.all("tenant-user-message").map(({ id }) => id);
  const bySocket = bo.all("message.created").map(({ data }) => data.id);
  assert.deepEqual(byPusher, bySocket);
  assert.equal(new Set(byPusher).size, 100);
});

scenario("edits and deletions", async (t) => {
  const thread = await Thread.open(server);
  const ada = await thread.pusher(t, ADA);
  const { id } = await thread.say(BO, "first");
  await thread.users[BO].api.ok("PATCH", `/v1/messages/${id}`, { content: "second" });
  const edited = await ada.thread.got("tenant-user-message-updated");
  assert.equal(edited.id, id);
  assert.equal(edited.content, "second");
  await thread.users[BO].api.ok("DELETE", `/v1/messages/${id}`);
  const deleted = await ada.thread.got("tenant-user-message-deleted");
  assert.equal(deleted.id ?? deleted.messageId, id);
});

scenario(
  "typing in the page: its user is the one who signed in, whatever the page says",
  async (t) => {
    const thread = await Thread.open(server);
    const ada = await thread.pusher(t, ADA);
    const other = await thread.pusher(t, BO);
    const bo = await thread.socket(t, BO);
    await thread.say(ADA, "there is a room now");
    await bo.got("message.created");
    ada.thread.channel.trigger("client-typing", { userId: "mallory", isTyping: true });
    const typing = await bo.got("typing");
    assert.equal(typing.userId, thread.users[ADA].user.id);
    assert.equal(typing.isTyping, true);
    const seen = await other.thread.got("client-typing");
    assert.equal(seen.userId, thread.users[ADA].user.id);
    assert.equal(seen.isTyping, true);
    ada.thread.channel.trigger("client-typing", { userId: "mallory", isTyping: false });
    await bo.got("typing", ({ isTyping }) => isTyping === false);
    await ada.settled();
    assert.deepEqual(ada.thread.all("client-typing"), [], "not to the typist's own page");
  },
);

scenario("typing by Socket.IO is client-typing in the channel", async (t) => {
  const thread = await Thread.open(server);
  await thread.say(ADA, "there is a room now");
  const ada = await thread.pusher(t, ADA);
  const bo = await thread.socket(t, BO);
  await bo.ok("typing", { roomId: thread.room.id, isTyping: true });
  const started = await ada.thread.got("client-typing");
  assert.equal(started.userId, thread.users[BO].user.id);
  assert.equal(started.isTyping, true);
  bo.close();
  const over = await ada.thread.got("client-typing", ({ isTyping }) => isTyping === false);
  assert.equal(over.userId, thread.users[BO].user.id);
});

scenario("reading by Socket.IO is told to the sender's page", async (t) => {
  const thread = await Thread.open(server);
  const ada = await thread.pusher(t, ADA);
  const bo = await thread.socket(t, BO);
  const sent = [];
  for (const text of ["one", "two", "three"]) sent.push(await thread.say(ADA, text));
  await bo.ok("room.read", { roomId: thread.room.id, messageId: sent[2].id });
  const read = await ada.thread.got("tenant-user-message-read");
  assert.equal(read.readerId, thread.users[BO].user.id);
  assert.equal(read.threadKey, thread.key);
  assert.deepEqual(
    read.messageIds,
    sent.map(({ id }) => id),
  );
  assert.match(read.readAt, /^\d{4}-\d\d-\d\dT.*\.\d{3}Z$/);
});

scenario("presence: who comes by Socket.IO is a member of the channel", async (t) => {
  const thread = await Thread.open(server);
  const ada = await thread.pusher(t, ADA);
  const boId = thread.users[BO].user.id;
  const bo = await thread.socket(t, BO);
  const added = await ada.thread.got("pusher:member_added", ({ id }) => id === boId);
  assert.equal(added.info.tenantId, "default");
  const page = await thread.pusher(t, BO);
  assert.deepEqual(
    Object.keys(page.thread.channel.members.members).sort(),
    thread.users.map(({ user }) => user.id).sort(),
  );
  bo.close();
  page.close();
  await ada.thread.got("pusher:member_removed", ({ id }) => id === boId);
  assert.equal(ada.thread.all("pusher:member_added").filter(({ id }) => id === boId).length, 1);
});

scenario("presence: who comes by pusher-js is online for Socket.IO", async (t) => {
  const thread = await Thread.open(server);
  await thread.say(BO, "we know each other");
  const bo = await thread.socket(t, BO);
  const adaId = thread.users[ADA].user.id;
  const ada = await thread.pusher(t, ADA);
  await bo.got("presence", ({ userId, status }) => userId === adaId && status === "online");
  ada.close();
  await bo.got("presence", ({ userId, status }) => userId === adaId && status === "offline");
});

scenario("the list of everybody who is there has both kinds", async (t) => {
  const thread = await Thread.open(server);
  const [adaId, boId] = thread.users.map(({ user }) => user.id);
  await thread.socket(t, BO);
  const ada = await PusherClient.open(server, signedByHouse(server, thread.users[ADA]));
  closing(t, ada);
  const online = await ada.joined("presence-tenant.default.online");
  await online.events.when(() => {
    const { members } = online.channel.members;
    return adaId in members && boId in members ? true : undefined;
  }, "both");
});

scenario(
  "strangers: refused by the house with 403, and by the server when somebody else signs",
  async (t) => {
    const thread = await Thread.open(server);
    const stranger = await newUser(server.url, "eve");
    const eve = await PusherClient.open(server, signedByHouse(server, stranger));
    closing(t, eve);
    const error = await eve.refused(thread.channel);
    assert.equal(error.status, 403);
    const backend = server.backend();
    const signed = {
      channelAuthorization: {
        customHandler: ({ socketId, channelName }, answer) =>
          answer(
            null,
            backend.authorizeChannel(socketId, channelName, { user_id: stranger.user.id }),
          ),
      },
    };
    const forged = await PusherClient.open(server, signed);
    closing(t, forged);
    const refused = await forged.refused(thread.channel);
    assert.equal(refused.type, "AuthError");
    await thread.say(ADA, "not for eve");
    for (const it of [eve, forged]) {
      await it.settled();
      assert.ok(it.frames.items.every(({ event }) => event !== "tenant-user-message"));
    }
  },
);

scenario("a user's own channels are nobody else's", async (t) => {
  const thread = await Thread.open(server);
  const ada = await PusherClient.open(server, signedByHouse(server, thread.users[ADA]));
  closing(t, ada);
  const own = `private-scheduled.default.${thread.users[ADA].user.id}`;
  await ada.joined(own);
  const error = await ada.refused(`private-scheduled.default.${thread.users[BO].user.id}`);
  assert.equal(error.status, 403);
});

scenario("events of a back end pass through the thread's channel as well", async (t) => {
  const thread = await Thread.open(server);
  const ada = await thread.pusher(t, ADA);
  const payment = { type: "payment", id: "p1", amount: 3 };
  await server.backend().trigger(thread.channel, "payment-notification", payment);
  assert.deepEqual(await ada.thread.got("payment-notification"), payment);
});

scenario(
  "names like those of the chat, for users that it does not know, are plain channels",
  async (t) => {
    const backend = server.backend();
    const as = (user_id) => ({
      channelAuthorization: {
        customHandler: ({ socketId, channelName }, answer) =>
          answer(null, backend.authorizeChannel(socketId, channelName, { user_id, user_info: {} })),
      },
    });
    const name = `presence-tenant.shop.thread.${threadKey("cm1", "cm2")}`;
    const [one, two] = [
      await PusherClient.open(server, as("cm1")),
      await PusherClient.open(server, as("cm2")),
    ];
    closing(t, one, two);
    const first = await one.joined(name);
    const second = await two.joined(name);
    await first.got("pusher:member_added");
    first.channel.trigger("client-typing", { userId: "cm1", isTyping: true });
    assert.deepEqual(await second.got("client-typing"), { userId: "cm1", isTyping: true });
    await backend.trigger(name, "tenant-user-message", { id: "m1" });
    assert.deepEqual(await second.got("tenant-user-message"), { id: "m1" });
  },
);
