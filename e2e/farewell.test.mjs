// How each library takes the ends a server can make of a connection.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { newUser } from "./support/api.mjs";
import { KINDS, staysAway } from "./support/generations.mjs";
import { JWT_SECRET, Server, scenarios } from "./support/server.mjs";
import { short } from "./support/tokens.mjs";
import { until } from "./support/wait.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);
const VOCABULARIES = { native: "session.closed", camel: "sessionClosed" };

/**
 * One connected client of each kind and vocabulary, all of `user`. `token()` is what each comes with at
 * first; whenever it comes again it has the user's own.
 */
async function everyKind(t, user, token = () => user.accessToken) {
  const made = [];
  t.after(() => {
    for (const { client } of made) client.close();
  });
  for (const kind of KINDS) {
    for (const dialect of Object.keys(VOCABULARIES)) {
      const options = { ...kind.options, token: token(), dialect };
      const client = await kind.Library.open(server.url, options);
      if (client.introduce) client.introduce(user.accessToken);
      else client.socket.auth = (answer) => answer({ token: user.accessToken, dialect });
      made.push({ client, dialect, name: `${kind.name} ${dialect}`, Library: kind.Library });
    }
  }
  return made;
}

scenario("signed out: told why, disconnected by the server, and it stays away", async (t) => {
  const ada = await newUser(server.url, "ada");
  const clients = await everyKind(t, ada);
  await ada.api.ok("POST", "/v1/auth/logout-all", {});
  for (const { client, dialect, name } of clients) {
    const { reason } = await client.state("disconnect");
    assert.equal(reason, "io server disconnect", name);
    assert.equal((await client.got(VOCABULARIES[dialect])).reason, "signed out", name);
    assert.ok(staysAway(client), `${name} stays away`);
  }
  const bo = await newUser(server.url, "bo");
  const bystander = await everyKind(t, bo);
  for (const { client } of bystander) assert.equal(client.socket.connected, true);
});

scenario(
  "token expired: the transport closes, and the library is back with a fresh token",
  async (t) => {
    const ada = await newUser(server.url, "ada");
    const clients = await everyKind(t, ada, () => short(ada.accessToken, 5, JWT_SECRET));
    for (const { client, name } of clients) {
      const { reason } = await client.state("disconnect");
      assert.equal(reason, "transport close", name);
      await client.states.atLeast(2, ({ state }) => state === "connect", "connect");
      await client.ok("sync", { since: {} });
    }
  },
);

scenario(
  "the server stops: the transport closes, and the library is back when it is",
  async (t) => {
    const ada = await newUser(server.url, "ada");
    const clients = await everyKind(t, ada);
    await server.restart();
    for (const { client, name } of clients) {
      const { reason } = await client.state("disconnect");
      assert.ok(["transport close", "transport error"].includes(reason), `${name}: ${reason}`);
      await client.states.atLeast(2, ({ state }) => state === "connect", "connect");
      await client.ok("sync", { since: {} });
    }
  },
);

scenario("a client that leaves is gone at once, and its own reason says so", async (t) => {
  const ada = await newUser(server.url, "ada");
  const bo = await newUser(server.url, "bo");
  const direct = await ada.api.ok("POST", "/v1/rooms/direct", { userId: bo.user.id });
  const clients = await everyKind(t, bo);
  const status = async () => {
    const { users } = await ada.api.ok("POST", "/v1/presence/query", { userIds: [bo.user.id] });
    return users[0].status;
  };
  assert.ok(direct.id);
  await until(async () => (await status()) === "online", "bo to be online");
  for (const { client, name } of clients) {
    client.close();
    const { reason } = await client.state("disconnect");
    assert.equal(reason, "io client disconnect", name);
  }
  await until(async () => (await status()) === "offline", "bo to be offline");
});
