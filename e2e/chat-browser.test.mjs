// The chat page in a real browser, in one room with stock clients.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before } from "node:test";
import { newUser } from "./support/api.mjs";
import { launch, Visitor } from "./support/browser.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { facts, native } from "./support/sockets.mjs";
import { until } from "./support/wait.mjs";

let server;
let browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.close();
});

const inServer = scenarios(() => server);

/** A scenario with visitors; what they saw is printed when it fails. */
function scenario(name, run) {
  inServer(
    name,
    async (t) => {
      const visitors = [];
      const visit = async () => {
        const visitor = await Visitor.open(browser, server.url);
        visitors.push(visitor);
        return visitor;
      };
      try {
        await run(t, visit);
        for (const visitor of visitors) assert.deepEqual(visitor.complaints, []);
      } catch (error) {
        for (const visitor of visitors)
          process.stderr.write(`--- a page showed ---\n${await visitor.describe()}\n`);
        throw error;
      } finally {
        for (const visitor of visitors) await visitor.context.close();
      }
    },
    120_000,
  );
}

const unique = (name) => `${name}-${randomUUID().slice(0, 8)}`;

/** A public room with a founder who is connected over `transports`. */
async function founded(t, options = {}) {
  const user = await newUser(server.url, "ada");
  const room = await user.api.createRoom(unique("room"));
  const client = await native(server.url, user, options);
  t.after(() => client.close());
  return { user, room, client };
}

/** Waits until the page shows exactly the messages of the history, in its order. */
async function assertShowsHistory(visitor, api, room) {
  const stored = (await api.history(room.id)).map(({ id }) => id);
  const shown = () => visitor.shownIds(room.name);
  await until(
    async () => (await shown()).length >= stored.length,
    "the page to show the whole room",
  );
  assert.deepEqual(await shown(), stored);
}

scenario(
  "a page, a websocket client and a polling client see the same messages",
  async (t, visit) => {
    const {
      user: ada,
      room,
      client: overWebsocket,
    } = await founded(t, { transports: ["websocket"] });
    const bo = await newUser(server.url, "bo");
    await bo.api.join(room.id);
    const overPolling = await native(server.url, bo, { transports: ["polling"], upgrade: false });
    t.after(() => overPolling.close());

    const visitor = await visit();
    await visitor.register(unique("carol"));
    await visitor.discover(room.name);
    await overWebsocket.ok("message.send", {
      roomId: room.id,
      content: "over websocket",
      clientId: "w",
    });
    await overPolling.ok("message.send", {
      roomId: room.id,
      content: "over polling",
      clientId: "p",
    });
    await visitor.sees(room.name, "over polling");
    await visitor.say("from the page");
    const isLast = ({ content }) => content === "from the page";
    await overWebsocket.got("message.created", ({ data }) => isLast(data));
    await overPolling.got("message.created", ({ data }) => isLast(data));
    await visitor.events.find(
      ({ event, data }) => event === "message.created" && isLast(data.data),
      "its own message",
    );

    const history = (await ada.api.history(room.id)).map(facts);
    assert.deepEqual(
      history.map(({ content }) => content),
      ["over websocket", "over polling", "from the page"],
    );
    const ofClient = (client) => client.all("message.created").map(({ data }) => facts(data));
    assert.deepEqual(ofClient(overWebsocket), history);
    assert.deepEqual(ofClient(overPolling), history);
    const ofPage = visitor.events.items.filter(({ event }) => event === "message.created");
    assert.deepEqual(
      ofPage.map(({ data }) => facts(data.data)),
      history,
    );
    await assertShowsHistory(visitor, ada.api, room);
  },
);

scenario(
  "the page shows the same after a reload and after a restart of the server",
  async (t, visit) => {
    const { user: ada, room } = await founded(t);
    for (const content of ["one", "two", "three"]) await ada.api.send(room.id, content);
    const visitor = await visit();
    await visitor.register(unique("dora"));
    await visitor.discover(room.name);
    await visitor.sees(room.name, "three");
    await visitor.page.reload();
    await visitor.entered();
    await visitor.log(room.name).waitFor();
    await assertShowsHistory(visitor, ada.api, room);

    await server.restart();
    await visitor.online();
    await ada.api.send(room.id, "after the restart");
    await visitor.sees(room.name, "after the restart");
    await assertShowsHistory(visitor, ada.api, room);
  },
);

scenario(
  "a second tab that was offline catches up, and sends what was written meanwhile once",
  async (t, visit) => {
    const { user: ada, room, client } = await founded(t);
    const name = unique("emil");
    const first = await visit();
    await first.register(name);
    await first.discover(room.name);
    const second = await visit();
    await second.signIn(name);
    await second.openRoom(room.name);
    await client.ok("message.send", { roomId: room.id, content: "both online", clientId: "b" });
    for (const visitor of [first, second]) await visitor.sees(room.name, "both online");

    await second.context.setOffline(true);
    await second.offline();
    const sent = [];
    for (let index = 0; index < 30; index += 1) {
      const body = { roomId: room.id, content: `missed ${index}`, clientId: `m${index}` };
      sent.push((await client.ok("message.send", body)).message);
    }
    await ada.api.ok("PATCH", `/v1/messages/${sent[3].id}`, { content: "missed 3, edited" });
    await second.say("written offline");
    await first.sees(room.name, "missed 29");

    await second.context.setOffline(false);
    await second.online();
    await second.sees(room.name, "missed 29");
    await second.sees(room.name, "missed 3, edited");
    await first.sees(room.name, "written offline");
    const history = await ada.api.history(room.id);
    assert.equal(history.filter(({ content }) => content === "written offline").length, 1);
    for (const visitor of [first, second]) await assertShowsHistory(visitor, ada.api, room);
  },
);

scenario("what people write is shown as text", async (t, visit) => {
  const { user: ada, room } = await founded(t);
  const visitor = await visit();
  await visitor.register(unique("fay"));
  await visitor.discover(room.name);
  const texts = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(2)</script>",
    '"><svg onload=alert(3)>',
    "[link](javascript:alert(4))",
    '{{constructor.constructor("alert(5)")()}}',
  ];
  for (const text of texts) await ada.api.send(room.id, text);
  for (const text of texts) await visitor.sees(room.name, text);
  const odd = visitor.log(room.name).locator('img, script, svg[onload], a[href^="javascript"]');
  assert.equal(await odd.count(), 0);
});
