// A Socket.IO session written packet by packet, for input no client library would send.
import { Polling, Wire } from "./engine.mjs";

const PATH = "/socket.io/";

/** A websocket that has joined the root namespace with the native vocabulary. */
export async function rawWire(base, token) {
  const wire = await Wire.open(base, PATH);
  await wire.next("the open packet");
  wire.send(`40${JSON.stringify({ token, dialect: "native" })}`);
  await nextStarting(wire, "40");
  return wire;
}

/** Reads on until a text packet starts with `head`. */
export async function nextStarting(wire, head) {
  for (;;) {
    const packet = await wire.next(`a packet ${head}`);
    if (typeof packet === "string" && packet.startsWith(head)) return packet;
    if (typeof packet === "string" && packet.startsWith("44"))
      throw new Error(`refused: ${packet}`);
  }
}

/** A polling session that has joined the root namespace with the native vocabulary. */
export async function rawPolling(base, token) {
  const session = await Polling.open(base, PATH);
  await session.send(`40${JSON.stringify({ token, dialect: "native" })}`);
  const [first] = await session.packets(1);
  if (!first.startsWith("40")) throw new Error(`refused: ${first}`);
  return session;
}
