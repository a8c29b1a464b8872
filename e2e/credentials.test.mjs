// A token ends while its user is connected, and nobody has renewed it.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { kind } from "./support/generations.mjs";
import { Member } from "./support/members.mjs";
import { JWT_SECRET, Server, scenarios } from "./support/server.mjs";
import { short } from "./support/tokens.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);
const EXPIRING = { native: "session.expiring", camel: "sessionExpiring" };
/** The notice comes 30 seconds before the end: this token's within two. */
const LIFE_S = 32;

scenario(
  "told before it ends; then the transport closes, and the library asks for a fresh one",
  async (t) => {
    const cases = [
      ["4 over websocket", "native"],
      ["4 over websocket", "camel"],
      ["4 over polling", "native"],
      ["3 over polling", "camel"],
    ];
    const { room, users } = await roomOf(server.url, ...cases.map(([name]) => name.slice(0, 1)));
    // All at once: each takes as long as the token lives.
    await Promise.all(
      cases.map(async ([name, vocabulary], index) => {
        const user = users[index];
        const token = short(user.accessToken, LIFE_S, JWT_SECRET);
        const ends = Date.now() + LIFE_S * 1_000;
        const one = kind(name);
        const member = await Member.open(server.url, { ...user, accessToken: token }, room, {
          kind: one,
          vocabulary,
        });
        t.after(() => member.close());
        const { client, words } = member;
        let asked = 0;
        client.socket.auth = (answer) => {
          asked += 1;
          answer({ token: user.accessToken, dialect: words.dialect });
        };
        const { expiresAt } = await client.got(EXPIRING[vocabulary]);
        assert.ok(Math.abs(Date.parse(expiresAt) - ends) < 5_000, `${expiresAt} is when it ends`);
        const { reason } = await client.state("disconnect", 0, LIFE_S * 1_000 + 10_000);
        assert.equal(reason, "transport close");
        await client.states.atLeast(2, ({ state }) => state === "connect", "connect");
        assert.equal(asked, 1, "the library asked its page for a token");
        if (vocabulary === "camel") await client.ok("joinRoom", room.id);
        await member.say("as before");
      }),
    );
  },
  90_000,
);

scenario("a token that ends soon is heeded too, without notice", async (t) => {
  const { room, users } = await roomOf(server.url, "ada");
  const token = short(users[0].accessToken, 6, JWT_SECRET);
  const member = await Member.open(server.url, { ...users[0], accessToken: token }, room, {
    reconnection: false,
  });
  t.after(() => member.close());
  assert.equal((await member.client.state("disconnect")).reason, "transport close");
});
