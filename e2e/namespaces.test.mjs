// Several namespaces on one connection, for each generation of the client library.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { KINDS } from "./support/generations.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { DEADLINE_MS, Recorder, within } from "./support/wait.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);
const isOld = (kind) => kind.name.startsWith("2 ");

/** Joins one more namespace on the connection that `client` has; `heard` = texts of messages there. */
async function beside(client, kind, namespace, token, dialect = "native") {
  const own = { token, dialect };
  const options = isOld(kind) ? { query: own } : { auth: own };
  const socket = client.socket.io.socket(namespace, options);
  const heard = new Recorder(`${kind.name} in ${namespace}`);
  socket.on("message.created", ({ data }) => heard.push(data.content));
  const connected = new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    for (const refused of ["connect_error", "error"]) socket.once(refused, reject);
  });
  await within(DEADLINE_MS, connected, `${kind.name} to join ${namespace}`);
  const ask = (event, body) =>
    within(
      DEADLINE_MS,
      new Promise((resolve) => socket.emit(event, body, resolve)),
      `the ack of ${event} in ${namespace}`,
    );
  return { socket, heard, ask };
}

for (const kind of KINDS) {
  scenario(`${kind.name}: / and /mynah at once, each with its own vocabulary`, async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const [ada, bo] = users;
    const client = await kind.Library.open(server.url, {
      ...kind.options,
      token: bo.accessToken,
      dialect: "camel",
    });
    t.after(() => client.close());
    await client.ok("joinRoom", { roomId: room.id });
    const mynah = await beside(client, kind, "/mynah", bo.accessToken);
    assert.notEqual(mynah.socket.id, client.socket.id, "each namespace has its own socket id");
    const one = await ada.api.send(room.id, "one");
    await client.got("newMessage", ({ id }) => id === one.id);
    await mynah.heard.find((text) => text === "one", "one");

    const fromRoot = await client.ok("sendMessage", { roomId: room.id, content: "from root" });
    const body = { roomId: room.id, content: "from mynah", clientId: "m" };
    const fromMynah = await mynah.ask("message.send", body);
    assert.equal(fromMynah.success, true);
    await client.got("newMessage", ({ id }) => id === fromMynah.message.id);
    await mynah.heard.find((text) => text === "from mynah", "its own");
    assert.deepEqual(
      client.all("newMessage").map(({ content }) => content),
      ["one", "from root", "from mynah"],
    );
    assert.deepEqual(mynah.heard.items, ["one", "from root", "from mynah"]);
    assert.equal(fromRoot.message.content, "from root");
  });

  scenario(`${kind.name}: leaves one namespace, stays in the other, and comes back`, async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const [ada, bo] = users;
    const client = await kind.Library.open(server.url, {
      ...kind.options,
      token: bo.accessToken,
      dialect: "camel",
    });
    t.after(() => client.close());
    await client.ok("joinRoom", { roomId: room.id });
    const mynah = await beside(client, kind, "/mynah", bo.accessToken);
    const session = client.socket.io.engine.id;
    mynah.socket.disconnect();
    const unheard = await ada.api.send(room.id, "left");
    await client.got("newMessage", ({ id }) => id === unheard.id);
    assert.deepEqual(mynah.heard.items, []);
    const back = new Promise((resolve) => mynah.socket.once("connect", resolve));
    mynah.socket.connect();
    await within(DEADLINE_MS, back, "the way back");
    await ada.api.send(room.id, "back");
    await mynah.heard.find((text) => text === "back", "the message after the return");
    // A library that knows recovery presents its ticket here too, and is told what it missed.
    const missed = mynah.socket.recovered ? ["left"] : [];
    assert.deepEqual(mynah.heard.items, [...missed, "back"]);
    assert.equal(client.socket.io.engine.id, session, "on one connection all the time");
    assert.equal(client.states.items.length, 1);
    if (isOld(kind)) return;
    // The root namespace can be left as well.
    client.socket.disconnect();
    await ada.api.send(room.id, "without root");
    await mynah.heard.find((text) => text === "without root", "a message without the root");
    assert.equal(client.socket.io.engine.id, session);
  });

  scenario(`${kind.name}: refused in one namespace, at home in the other`, async (t) => {
    const { users } = await roomOf(server.url, "ada");
    const client = await kind.Library.open(server.url, {
      ...kind.options,
      token: users[0].accessToken,
      dialect: "native",
    });
    t.after(() => client.close());
    for (const [namespace, token] of [
      ["/nowhere", users[0].accessToken],
      ["/mynah", "no token"],
    ]) {
      await assert.rejects(beside(client, kind, namespace, token), (error) => {
        const text =
          typeof error === "string" ? error : JSON.stringify({ ...error, m: error.message });
        const expected = namespace === "/nowhere" ? "Invalid namespace" : "UNAUTHORIZED";
        assert.ok(text.includes(expected), `${namespace}: ${text}`);
        return true;
      });
    }
    await client.ok("sync", { since: {} });
    assert.equal(client.states.items.filter(({ state }) => state === "disconnect").length, 0);
  });
}
