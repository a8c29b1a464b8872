// One of several Socket.IO servers with the Redis adapter, and nothing stored: what Mynah's nodes are set beside.
// It speaks what the load program understands: a client names its room as the token, and is told the room's head.
// usage: node server.mjs PORT REDIS_URL FRAME_BYTES
import { createServer } from "node:http";
import { createRequire } from "node:module";

// The packages of the end-to-end tests.
const require = createRequire(new URL("../../e2e/package.json", import.meta.url));
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");
const { Server } = require("socket.io");

const [port, url, frameBytes] = process.argv.slice(2);
/** The WebSocket header of a frame of 126 octets and more. */
const HEADER_BYTES = 4;

const publisher = createClient({ url });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, { adapter: createAdapter(publisher, subscriber) });

/** The last number given in each room; all who send to a room are at one server. */
const heads = new Map();

function event(roomId, seq, actorId, content) {
  return {
    id: `evt_${roomId}_${seq}`,
    type: "message.created",
    roomId,
    seq,
    actorId,
    at: new Date().toISOString(),
    data: { roomId, seq, senderId: actorId, content, metadata: padding },
  };
}

let padding = "";
{
  const packet = `42${JSON.stringify(["message.created", event("r".repeat(36), 100, "s".repeat(20), "x".repeat(100))])}`;
  padding = "x".repeat(Math.max(0, Number(frameBytes) - HEADER_BYTES - packet.length));
}

io.on("connection", (socket) => {
  const room = socket.handshake.auth.token;
  socket.join(room);
  socket.emit("connection.ready", { rooms: [{ id: room, seq: heads.get(room) ?? 0 }] });
  socket.on("message.send", ({ roomId, content }, acknowledge) => {
    const seq = (heads.get(roomId) ?? 0) + 1;
    heads.set(roomId, seq);
    // The sender gets it, too, as from Mynah.
    io.to(roomId).emit("message.created", event(roomId, seq, socket.id, content));
    acknowledge({ success: true });
  });
});

// The adapter has asked for its channels; the answer to this comes after theirs.
await subscriber.ping();
http.listen(Number(port), "127.0.0.1", 4096);
