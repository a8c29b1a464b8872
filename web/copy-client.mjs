// Puts the browser builds of socket.io-client, as its package has them, beside the built page: the server
// hands them out under its Socket.IO path (`/socket.io/socket.io.js`).
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const BUILDS = ["socket.io", "socket.io.min", "socket.io.esm.min", "socket.io.msgpack.min"];

const home = dirname(fileURLToPath(import.meta.url));
const from = join(home, "node_modules/socket.io-client/dist");
const to = join(home, "dist/client");

await mkdir(to, { recursive: true });
for (const name of BUILDS.flatMap((build) => [`${build}.js`, `${build}.js.map`])) {
  await copyFile(join(from, name), join(to, name));
}
