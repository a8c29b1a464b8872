// Writes the seeds of the fuzz targets that are small vectors of vectors.json and pusher.json.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const vectors = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url), "utf8"));
const pusher = JSON.parse(readFileSync(new URL("pusher.json", import.meta.url), "utf8"));
const BYTES_MAX = 400;

const bytes = (value) =>
  typeof value === "string" ? Buffer.from(value) : Buffer.from(value.$binary, "base64");

function write(target, inputs) {
  const folder = new URL(`../../../../fuzz/seeds/${target}/`, import.meta.url);
  mkdirSync(folder, { recursive: true });
  inputs
    .filter((input) => input.length <= BYTES_MAX)
    .forEach((input, index) => {
      const name = `golden_${String(index).padStart(2, "0")}`;
      writeFileSync(new URL(name, folder), input);
    });
}

/** A whole frame of a server; `first` is its first byte. */
function frame(first, payload) {
  const length =
    payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([first, ...length]), payload]);
}

const joined = (messages) => {
  const parts = messages.map(bytes);
  return Buffer.concat(parts.flatMap((part, index) => (index ? [Buffer.of(0xff), part] : [part])));
};

write("engine_io", vectors.engine_io.payloads.map(({ text }) => bytes(text)));
write(
  "engine_io_v3",
  vectors.engine_io_v3.payloads.flatMap(({ text, binary }) => [
    Buffer.concat([Buffer.of(0), bytes(text)]),
    Buffer.concat([Buffer.of(1), bytes(binary)]),
  ]),
);
write(
  "socket_io",
  [...vectors.socket_io, ...vectors.socket_io_v4].map(({ messages }) => joined(messages)),
);
write("msgpack", [
  ...vectors.socket_io_msgpack.map(({ msgpack }) => bytes(msgpack)),
  ...vectors.socket_io.slice(0, 20).map(({ messages }) => Buffer.from(`4${messages[0]}`)),
]);
write("deflate", [
  ...vectors.deflate.map(({ payload }) =>
    Buffer.concat([Buffer.of(6, 3), frame(0xc1, bytes(payload))]),
  ),
  Buffer.from("\u0006\u0001permessage-deflate; client_max_window_bits"),
  Buffer.from('\u0006\u0001foo; a="\\"", permessage-deflate; server_max_window_bits=10'),
]);
write(
  "websocket",
  vectors.socket_io.slice(0, 16).map(({ messages }) =>
    Buffer.concat([Buffer.of(1, 5), frame(0x81, Buffer.from(`4${messages[0]}`))]),
  ),
);
write("pusher_frame", [
  ...pusher.sent.map((text) => Buffer.from(text)),
  ...pusher.channels.map(({ channel }) => Buffer.from(channel)),
  ...pusher.channels.flatMap(({ channel_data }) => channel_data ? [Buffer.from(channel_data)] : []),
  ...pusher.users.map(({ user_data }) => Buffer.from(user_data)),
]);
write(
  "pusher_http",
  pusher.requests.map(({ query, body }) => Buffer.from(body === "" ? query : body)),
);
write(
  "pusher_signature",
  pusher.requests.map(({ method, path, query, body }) =>
    Buffer.from([method, path, query, body].join("\n")),
  ),
);
