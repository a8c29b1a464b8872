// Writes vectors.json: packets as the official implementations encode them. Binary data stands
// there as {"$binary": base64}.
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { isDeepStrictEqual } from "node:util";
import { constants, deflateRawSync } from "node:zlib";

import engine2 from "engine.io-parser-2";
import * as engine5 from "engine.io-parser";
import notepack from "notepack.io";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import msgpackParser from "socket.io-msgpack-parser";
import * as socket4 from "socket.io-parser";
import socket3 from "socket.io-parser-3";

const bytes = (text) => Buffer.from(text, "latin1");
const all = Buffer.from(Array.from({ length: 256 }, (_, index) => index));

/** A value as JSON shows it, binary data aside. */
function shown(value) {
  if (Buffer.isBuffer(value)) return { $binary: value.toString("base64") };
  if (value instanceof ArrayBuffer) return { $binary: Buffer.from(value).toString("base64") };
  if (value instanceof Date) return value.toJSON();
  if (Array.isArray(value)) return value.map((element) => shown(element) ?? null);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shown(inner)]));
  }
  return value;
}

const call = (run) => new Promise((resolve) => run(resolve));

// Engine.IO

const enginePackets = [
  { type: "open", data: '{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000}' },
  { type: "close" },
  { type: "ping" },
  { type: "ping", data: "probe" },
  { type: "pong" },
  { type: "pong", data: "probe" },
  { type: "message", data: "hello" },
  { type: "message", data: "" },
  { type: "message", data: "é€😀\u0000\u001d\n" },
  { type: "message", data: '2/chat,7["message",{"a":1}]' },
  { type: "message", data: "x".repeat(300) },
  { type: "message", data: bytes("\u0001\u0002\u0003\u0004") },
  { type: "message", data: Buffer.alloc(0) },
  { type: "message", data: all },
  { type: "upgrade" },
  { type: "noop" },
];
const payloads = [
  ...enginePackets.map((packet) => [packet]),
  [enginePackets[6], enginePackets[8], enginePackets[3]],
  [enginePackets[6], enginePackets[11], enginePackets[8], enginePackets[13]],
  enginePackets,
];

async function engine(version) {
  const packets = [];
  for (const packet of enginePackets) {
    const encoded =
      version === 4
        ? await call((done) => engine5.encodePacket(packet, true, done))
        : await call((done) => engine2.encodePacket(packet, true, done));
    const text =
      version === 4
        ? await call((done) => engine5.encodePacket(packet, false, done))
        : await call((done) => engine2.encodePacket(packet, false, done));
    packets.push({ packet: shown(packet), websocket: shown(encoded), text: shown(text) });
  }
  const lists = [];
  for (const list of payloads) {
    if (version === 4) {
      const body = await call((done) => engine5.encodePayload(list, done));
      lists.push({ packets: shown(list), text: body });
    } else {
      const text = await call((done) => engine2.encodePayload(list, false, done));
      const raw = await call((done) => engine2.encodePayloadAsBinary(list, done));
      lists.push({ packets: shown(list), text, binary: shown(raw) });
    }
  }
  return { packets, payloads: lists };
}

// Socket.IO

const date = new Date("2026-01-31T12:34:56.789Z");
const values = {
  nothing: [],
  text: ["hello", "", "é€😀", 'quote " back \\ slash / \n\t\u0001\u2028', "x".repeat(31), "x".repeat(32)],
  long: ["é".repeat(200), "y".repeat(300)],
  small: [0, -0, 1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32],
  large: [2 ** 53 - 1, 2 ** 53, 2 ** 53 + 2],
  negative: [-1, -32, -33, -128, -129, -32_768, -32_769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53), -(2 ** 63)],
  fraction: [0.1, -0.5, 1.5, 3.141592653589793, 1e-7, 5e-324, 2.5e-300, 123456.789],
  constants: [null, true, false],
  nested: [[], {}, [[1, [2, [3]]]], { a: { b: { c: [null, { d: "e" }] } } }, { "": 0, é: "ü", "a b": [] }],
  wide: [
    Array.from({ length: 15 }, (_, index) => index),
    Array.from({ length: 16 }, (_, index) => index),
    Array.from({ length: 300 }, () => 0),
    Object.fromEntries(Array.from({ length: 15 }, (_, index) => [`k${index}`, index])),
    Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`k${index}`, index])),
  ],
  lookalike: [{ _placeholder: true, num: 0 }],
};
const binary = {
  one: [bytes("\u0001\u0002\u0003")],
  none: [Buffer.alloc(0)],
  inside: [{ file: bytes("abc"), name: "a.txt", list: [bytes("x"), 1, bytes("y")] }, "after"],
  manyBytes: [all, Buffer.alloc(300, 7)],
};
/** What JSON has no spelling for, or only an inexact one; MessagePack carries it. */
const rich = {
  huge: [2 ** 63, 2 ** 64 - 2048],
  undefined: [undefined, { a: undefined, b: 1 }, [undefined]],
  dates: [date, new Date(0), new Date(-1), new Date(8.64e15), { at: date }],
  notNumbers: [NaN, Infinity, -Infinity],
  arrayBuffer: [new Uint8Array([1, 2, 3]).buffer, new ArrayBuffer(8), new ArrayBuffer(300)],
};

function socketPackets(version) {
  const packets = [
    { type: 0, nsp: "/" },
    { type: 0, nsp: "/chat" },
    { type: 1, nsp: "/" },
    { type: 1, nsp: "/chat" },
    { type: 2, nsp: "/", data: ["hello"] },
    { type: 2, nsp: "/", data: ["hello"], id: 0 },
    { type: 2, nsp: "/chat/room", data: ["hello", 1], id: 2 ** 53 },
    { type: 2, nsp: "/", data: [7, "numeric name"] },
    { type: 2, nsp: "/", data: ['name "quoted" é', 1] },
    { type: 3, nsp: "/", data: [], id: 0 },
    { type: 3, nsp: "/chat", data: ["ok", { a: 1 }], id: 123 },
  ];
  if (version === 5) {
    packets.push(
      { type: 0, nsp: "/", data: {} },
      { type: 0, nsp: "/", data: { token: "a,b", deep: { x: [1] } } },
      { type: 0, nsp: "/chat", data: { sid: "abcdefghij0123456789" } },
      { type: 4, nsp: "/", data: { message: "no", data: { code: 1 } } },
      { type: 4, nsp: "/chat", data: { message: "Invalid namespace" } },
    );
  } else {
    packets.push(
      { type: 0, nsp: "/chat?token=1&x=y" },
      { type: 4, nsp: "/", data: "no" },
      { type: 4, nsp: "/chat", data: "Invalid namespace" },
      { type: 4, nsp: "/chat", data: { message: "no" } },
    );
  }
  for (const list of Object.values(values)) {
    packets.push({ type: 2, nsp: "/", data: ["values", ...list] });
  }
  for (const list of Object.values(binary)) {
    packets.push({ type: 2, nsp: "/", data: ["binary", ...list] });
    packets.push({ type: 2, nsp: "/chat", data: ["binary", ...list], id: 12 });
    packets.push({ type: 3, nsp: "/chat", data: list, id: 12 });
  }
  return packets;
}

/** The text of a packet and its attachments. */
async function asText(packet, version = 5) {
  const copy = { ...packet };
  if (version === 5) return new socket4.Encoder().encode(copy);
  // The parser of revision 4 is told which packets are binary.
  if (JSON.stringify(shown(packet)).includes('"$binary"')) {
    copy.type += 3;
    copy.data = [...packet.data];
  }
  return call((done) => new socket3.Encoder().encode(copy, done));
}

async function socket(version) {
  const vectors = [];
  for (const packet of socketPackets(version)) {
    vectors.push({ packet: shown(packet), messages: (await asText(packet, version)).map(shown) });
  }
  return vectors;
}

// Socket.IO as MessagePack

/** The packet that its text stands for, with the keys in the order of `packet`. */
async function throughText(packet) {
  const messages = (await asText(packet)).map((message) =>
    message instanceof ArrayBuffer ? Buffer.from(message) : message,
  );
  const decoder = new socket4.Decoder();
  const decoded = await call((done) => {
    decoder.on("decoded", done);
    for (const message of messages) decoder.add(message);
  });
  const ordered = {};
  for (const key of Object.keys(packet)) {
    if (decoded[key] !== undefined) ordered[key] = decoded[key];
  }
  return { messages, ordered };
}

/** `exact` if the text says all that the packet does; errors have their keys in two orders. */
async function vector(from, packet) {
  const message = notepack.encode(packet);
  const { messages, ordered } = await throughText(packet);
  const isUnusual =
    (packet.type === 4 && Object.keys(packet)[1] === "nsp") || packet.data?.[0] === "huge";
  const exact =
    from === "server" && !isUnusual && isDeepStrictEqual(notepack.encode(ordered), message);
  const { type, nsp, id, data } = packet;
  return {
    from,
    exact,
    packet: shown({ type, nsp, id, data }),
    messages: messages.map(shown),
    msgpack: shown(message),
  };
}

/** A parser that notes every packet written, with fixed socket ids. */
function noting(into) {
  class Encoder extends msgpackParser.Encoder {
    encode(packet) {
      const data = packet.data?.sid ? { ...packet.data, sid: "abcdefghij0123456789" } : packet.data;
      into.push("data" in packet ? { ...packet, data } : { ...packet });
      return super.encode(packet);
    }
  }
  return { ...msgpackParser, Encoder };
}

/** A conversation of an official server and an official client. */
async function conversation() {
  const fromServer = [];
  const fromClient = [];
  const http = createServer();
  const server = new Server(http, { parser: noting(fromServer), transports: ["websocket"] });
  server.of("/closed").use((_, next) => next(Object.assign(new Error("no entry"), { data: { code: 7 } })));
  const everything = Object.entries({ ...values, ...binary, ...rich });
  server.on("connection", async (socket) => {
    socket.emit("welcome");
    socket.join("room");
    server.to("room").emit("to room", { a: 1 });
    for (const [name, list] of everything) socket.emit(name, ...list);
    socket.emit("question", "?", () => {});
    socket.on("ask", (value, answer) => answer(value, null));
    socket.on("ask nothing", (answer) => answer());
  });
  server.of("/chat").on("connection", (socket) => {
    socket.emit("in chat", 1);
    socket.emit("question", () => {});
    socket.on("ask", (value, answer) => answer({ value }));
  });
  http.listen(0);
  await once(http, "listening");
  const { port } = http.address();
  const parser = noting(fromClient);
  const main = io(`http://localhost:${port}`, {
    parser,
    transports: ["websocket"],
    reconnection: false,
  });
  const [chat, closed, unknown] = ["/chat", "/closed", "/unknown"].map((name) =>
    main.io.socket(name, { auth: { token: "secret", n: 1 } }),
  );
  main.on("question", (_, answer) => answer("!"));
  chat.on("question", (answer) => answer({ yes: true }));
  for (const socket of [chat, closed, unknown]) socket.connect();
  await Promise.all([
    call((done) => closed.on("connect_error", done)),
    call((done) => unknown.on("connect_error", done)),
    chat.emitWithAck("ask", bytes("chat")),
  ]);
  for (const [name, list] of everything) main.emit(name, ...list);
  await main.emitWithAck("ask", { buffer: bytes("a") });
  await main.emitWithAck("ask nothing");
  chat.disconnect();
  const ended = call((done) => main.on("disconnect", done));
  server.of("/").disconnectSockets();
  await ended;
  main.close();
  server.close();
  return { fromServer, fromClient };
}

async function msgpack() {
  const { fromServer, fromClient } = await conversation();
  const vectors = [];
  for (const packet of fromServer) vectors.push(await vector("server", packet));
  for (const packet of fromClient) vectors.push(await vector("client", packet));
  const seen = new Set();
  return vectors.filter(({ from, msgpack: { $binary } }) => {
    const isNew = !seen.has(from + $binary);
    seen.add(from + $binary);
    return isNew;
  });
}

// permessage-deflate, as ws compresses

function deflate() {
  const texts = [
    "",
    "a",
    "Hello",
    '42["message",{"text":"hello hello hello","room":"general"}]',
    "é€😀".repeat(20),
    "0123456789abcdef".repeat(100),
    JSON.stringify(Object.values(values)).slice(0, 3000),
  ];
  const vectors = [];
  for (const text of texts) {
    for (const [level, windowBits] of [[6, 15], [9, 9], [1, 12], [0, 15]]) {
      const options = { level, windowBits, finishFlush: constants.Z_SYNC_FLUSH };
      const stream = deflateRawSync(text, options);
      const payload = stream.length > 4 ? stream.subarray(0, -4) : Buffer.of(0);
      vectors.push({ text, payload: shown(payload) });
    }
  }
  return vectors;
}

const manifest = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
const vectors = {
  captured_from: manifest.dependencies,
  engine_io: await engine(4),
  engine_io_v3: await engine(3),
  socket_io: await socket(5),
  socket_io_v4: await socket(4),
  socket_io_msgpack: await msgpack(),
  deflate: deflate(),
};
const line = (value) => JSON.stringify(value);
const list = (entries) => `[\n${entries.map(line).join(",\n")}\n]`;
const section = (value) => {
  if (Array.isArray(value)) return list(value);
  if (!Array.isArray(value.packets)) return line(value);
  return `{"packets":${list(value.packets)},"payloads":${list(value.payloads)}}`;
};
const entries = Object.entries(vectors).map(([key, value]) => `${line(key)}:${section(value)}`);
writeFileSync(new URL("vectors.json", import.meta.url), `{\n${entries.join(",\n")}\n}\n`);
