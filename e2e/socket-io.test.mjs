// The 32 Socket.IO (revision 5) cases against the echo program.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { engineCases, openWire } from "./support/engine-cases.mjs";
import { Conformance, scenarios } from "./support/server.mjs";

const PATH = "/socket.io/";
let program;
before(async () => {
  program = await Conformance.start();
});
after(() => program?.close());

const scenario = scenarios(() => program);
const base = () => program.url;

engineCases(scenario, base, PATH);

/** Connects to a namespace; checks the answer and the `auth` event that repeats the payload. */
async function join(wire, { nsp = "", payload } = {}) {
  const prefix = nsp ? `${nsp},` : "";
  wire.send(`40${prefix}${payload ? JSON.stringify(payload) : ""}`);
  const answer = await wire.next("the connect answer");
  assert.ok(answer.startsWith(`40${prefix}{`), answer);
  const body = JSON.parse(answer.slice(2 + prefix.length));
  assert.deepEqual(Object.keys(body), ["sid"]);
  assert.equal(
    await wire.next("the auth event"),
    `42${prefix}["auth",${JSON.stringify(payload ?? {})}]`,
  );
  return body.sid;
}

async function joined(options) {
  const wire = await openWire(base(), PATH);
  const sid = await join(wire, options);
  return { wire, sid };
}

for (const nsp of ["", "/custom"]) {
  const shown = nsp || "/";
  scenario(`connect to ${shown} without payload`, async () => {
    const { wire } = await joined({ nsp });
    wire.end();
  });

  scenario(`connect to ${shown} with payload`, async () => {
    const { wire } = await joined({ nsp, payload: { token: "123" } });
    wire.end();
  });
}

scenario("connect to an unknown namespace is refused by name", async () => {
  const wire = await openWire(base(), PATH);
  wire.send("40/nowhere");
  assert.equal(await wire.next("the refusal"), '44/nowhere,{"message":"Invalid namespace"}');
  await join(wire);
  wire.end();
});

scenario("connect: a first packet that is not CONNECT closes", async () => {
  const wire = await openWire(base(), PATH);
  wire.send("4abc");
  await wire.closed();
});

scenario("connect: no CONNECT in time closes", async () => {
  const wire = await openWire(base(), PATH);
  await wire.closed("the idle socket to be closed", 5_000);
});

scenario("disconnect from / leaves the other namespaces alone", async () => {
  const { wire } = await joined();
  await join(wire, { nsp: "/custom" });
  wire.send("41");
  wire.send('42/custom,["message","still here"]');
  assert.equal(await wire.next("an answer on /custom"), '42/custom,["message-back","still here"]');
  wire.end();
});

scenario("disconnect from /custom leaves / alone", async () => {
  const { wire } = await joined();
  await join(wire, { nsp: "/custom" });
  wire.send("41/custom");
  wire.send('42["message","still here"]');
  assert.equal(await wire.next("an answer on /"), '42["message-back","still here"]');
  wire.end();
});

scenario("message: arguments come back", async () => {
  const { wire } = await joined();
  const args = [1, "2", { 3: [true, null] }, "ä\u2028€"];
  wire.send(`42${JSON.stringify(["message", ...args])}`);
  assert.deepEqual(JSON.parse((await wire.next("the event")).slice(2)), ["message-back", ...args]);
  wire.end();
});

/** Reads a packet with two attachments and compares it, whatever the spacing of its JSON. */
async function assertBinary(wire, head, args, attachments) {
  const text = await wire.next("the binary packet");
  assert.ok(text.startsWith(head), text);
  assert.deepEqual(JSON.parse(text.slice(head.length)), args);
  for (const attachment of attachments)
    assert.deepEqual(await wire.next("an attachment"), attachment);
}

const PLACEHOLDERS = [0, 1].map((num) => ({ _placeholder: true, num }));
const ATTACHMENTS = [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])];

scenario("message: two attachments come back", async () => {
  const { wire } = await joined();
  wire.send(`452-${JSON.stringify(["message", ...PLACEHOLDERS])}`);
  for (const attachment of ATTACHMENTS) wire.send(attachment);
  await assertBinary(wire, "452-", ["message-back", ...PLACEHOLDERS], ATTACHMENTS);
  wire.end();
});

scenario("ack: arguments come back", async () => {
  const { wire } = await joined();
  wire.send('42456["message-with-ack",1,"2",{"3":[false]}]');
  const text = await wire.next("the ack");
  assert.ok(text.startsWith("43456["), text);
  assert.deepEqual(JSON.parse(text.slice(5)), [1, "2", { 3: [false] }]);
  wire.end();
});

scenario("ack: two attachments come back", async () => {
  const { wire } = await joined();
  wire.send(`452-789${JSON.stringify(["message-with-ack", ...PLACEHOLDERS])}`);
  for (const attachment of ATTACHMENTS) wire.send(attachment);
  await assertBinary(wire, "462-789", PLACEHOLDERS, ATTACHMENTS);
  wire.end();
});

for (const [what, packets] of [
  ["an unknown packet type", ["4abc", '49["message"]']],
  ["an event payload that is not a non-empty array", ["42{}", "42[]", "42null"]],
  ["an ack id that is not a number", ['42abc["message-with-ack",1]']],
]) {
  scenario(`invalid: ${what} closes`, async () => {
    for (const packet of packets) {
      const { wire } = await joined();
      wire.send(packet);
      await wire.closed(`${packet} to close`);
    }
  });
}
