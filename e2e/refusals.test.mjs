// A refused CONNECT, as each generation of the client library shows it.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { newUser } from "./support/api.mjs";
import { KINDS } from "./support/generations.mjs";
import { JWT_SECRET, Server, scenarios } from "./support/server.mjs";
import { forgeries } from "./support/tokens.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);
const isOld = (kind) => kind.name.startsWith("2 ");

/** Program and person must both be able to read why, in whatever form the generation has. */
function readable(refusal, kind, code) {
  if (isOld(kind)) {
    // `error` carries what Node sends to these: the data of the refusal if it has some, else its text.
    assert.ok(
      JSON.stringify(refusal.data).includes(code),
      `${kind.name}: ${JSON.stringify(refusal)}`,
    );
  } else {
    assert.equal(typeof refusal.message, "string", kind.name);
    assert.equal(refusal.data.code, code, kind.name);
    assert.equal(refusal.data.statusCode, 401, kind.name);
  }
}

scenario("an expired token, a forged one and none", async () => {
  const ada = await newUser(server.url, "ada");
  const forged = forgeries(ada.accessToken, JWT_SECRET);
  for (const kind of KINDS) {
    for (const dialect of ["native", "camel"]) {
      const refused = (token) =>
        kind.Library.refused(server.url, { ...kind.options, token, dialect });
      readable(await refused(forged.expired), kind, "TOKEN_EXPIRED");
      readable(await refused(forged["another secret"]), kind, "UNAUTHORIZED");
      readable(await refused(undefined), kind, "UNAUTHORIZED");
    }
  }
});

scenario(
  "a token that is refused leaves the library alone until it is told to connect again",
  async (t) => {
    const ada = await newUser(server.url, "ada");
    const forged = forgeries(ada.accessToken, JWT_SECRET);
    for (const kind of KINDS.filter((kind) => !isOld(kind))) {
      const client = new kind.Library(server.url, {
        ...kind.options,
        token: forged.expired,
        dialect: "native",
      });
      t.after(() => client.close());
      await client.state("connect_error");
      assert.equal(client.socket.connected, false);
      client.socket.auth = { token: ada.accessToken, dialect: "native" };
      client.socket.connect();
      await client.state("connect");
      await client.got("connection.ready");
      client.close();
    }
  },
);

scenario(
  "an unknown namespace has Node's text, and the others on the connection go on",
  async (t) => {
    const ada = await newUser(server.url, "ada");
    for (const kind of KINDS) {
      const client = await kind.Library.open(server.url, {
        ...kind.options,
        token: ada.accessToken,
        dialect: "native",
      });
      t.after(() => client.close());
      const told = new Promise((resolve) => {
        const nowhere = client.socket.io.socket("/nowhere", { query: { token: "x" } });
        nowhere.on(isOld(kind) ? "error" : "connect_error", resolve);
      });
      const error = await told;
      const text = isOld(kind) ? (error?.message ?? error) : error.message;
      assert.equal(text, "Invalid namespace", kind.name);
      assert.equal(client.socket.connected, true, kind.name);
      await client.ok("sync", { since: {} });
      client.close();
    }
  },
);

scenario("the second generation hears a refusal as the event `error`", async (t) => {
  for (const kind of KINDS.filter(isOld)) {
    const client = new kind.Library(server.url, { ...kind.options, token: "no token at all" });
    t.after(() => client.close());
    const error = await new Promise((resolve) => client.socket.on("error", resolve));
    assert.ok(["string", "object"].includes(typeof error), kind.name);
    assert.ok(JSON.stringify(error).includes("UNAUTHORIZED"), JSON.stringify(error));
    client.close();
  }
});
