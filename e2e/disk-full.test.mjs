// A full disk refuses writes with a name for it; everything else goes on, and space heals it.
import assert from "node:assert/strict";
import { roomOf } from "./support/api.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { closing, facts, native } from "./support/sockets.mjs";
import { SmallDisk } from "./support/tmpfs.mjs";
import { until } from "./support/wait.mjs";

let server;
const scenario = scenarios(() => server);
const CODES = ["STORAGE_FULL", "UNAVAILABLE"];
const PADDING = "p".repeat(1_500);

/** Sends until one is refused; the acknowledged messages and the refusal. */
async function sendUntilRefused(client, roomId, mark) {
  const acked = [];
  for (let index = 0; index < 20_000; index += 1) {
    const clientId = `${mark}-${index}`;
    const ack = await client.ask("message.send", {
      roomId,
      content: `${clientId} ${PADDING}`,
      clientId,
    });
    if (!ack.success) return { acked, refusal: ack, clientId };
    acked.push(ack.message);
  }
  throw new Error("the disk never filled up");
}

scenario(
  "sends are refused while the disk is full and work again when there is room",
  async (t) => {
    const disk = new SmallDisk(8);
    t.after(() => disk.release());
    server = await Server.start({ dataDir: disk.folder });
    t.after(() => server.close());
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const ada = await native(server.url, users[0], { reconnection: false });
    const bo = await native(server.url, users[1], { reconnection: false });
    closing(t, ada, bo);
    const kept = [
      (await ada.ok("message.send", { roomId: room.id, content: "before", clientId: "before" }))
        .message,
    ];

    disk.fill();
    const { acked, refusal, clientId } = await sendUntilRefused(ada, room.id, "full");
    kept.push(...acked);
    assert.ok(CODES.includes(refusal.code), JSON.stringify(refusal));
    const path = `/v1/rooms/${room.id}/messages`;
    const overRest = await users[1].api.call("POST", path, {
      content: `rest ${PADDING}`,
      clientId: "rest",
    });
    assert.ok([503, 507].includes(overRest.status), `REST answered ${overRest.status}`);
    assert.ok(CODES.includes(overRest.body.code), JSON.stringify(overRest.body));

    await bo.ok("ping", {});
    bo.socket.emit("typing", { roomId: room.id, isTyping: true });
    await ada.got("typing", ({ userId }) => userId === users[1].user.id);
    assert.deepEqual((await users[1].api.history(room.id)).map(facts), kept.map(facts));
    const late = await native(server.url, users[1], { reconnection: false });
    late.close();

    disk.free();
    const again = { roomId: room.id, content: "with room again", clientId };
    const healed = await until(async () => {
      const ack = await ada.ask("message.send", again);
      return ack.success && ack;
    }, "sends to work again");
    kept.push(healed.message);
    await bo.got("message.created", ({ data }) => data.id === healed.message.id);
    assert.deepEqual((await users[1].api.history(room.id)).map(facts), kept.map(facts));
    assert.equal(ada.states.items.length, 1, "no socket was lost");
    assert.equal(bo.states.items.length, 1, "no socket was lost");

    await server.restart({ kill: true });
    assert.deepEqual((await users[1].api.history(room.id)).map(facts), kept.map(facts));
  },
  120_000,
);
