// The official Admin UI: its bundle, served as its README says, and its account on the server under test.
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { instrument } from "@socket.io/admin-ui";
import { Server as NodeServer } from "socket.io";

export const ADMIN = { username: "admin", password: "changeit" };

/** Settings of a server that lets `ADMIN` in; the hash is one that bcryptjs made. */
export const ADMIN_ENV = {
  MYNAH_ADMIN_UI__ENABLED: "true",
  MYNAH_ADMIN_UI__USERNAME: ADMIN.username,
  MYNAH_ADMIN_UI__PASSWORD_HASH: "$2b$04$lz0tWNMJvUKxbwR.zTFyquFI1znJcceYQPSbUtlpelvW2j95hhte2",
};

/** The original: a Node server with the package's server half, in the mode that Mynah speaks. */
export function startNode() {
  const http = createServer();
  const io = new NodeServer(http);
  const { MYNAH_ADMIN_UI__USERNAME: username, MYNAH_ADMIN_UI__PASSWORD_HASH: password } = ADMIN_ENV;
  const auth = { type: "basic", username, password };
  instrument(io, { auth, mode: "production", readonly: true });
  return new Promise((resolve) => {
    http.listen(0, "127.0.0.1", () => {
      const url = `http://127.0.0.1:${http.address().port}`;
      resolve({ url, close: () => io.close() });
    });
  });
}

const KINDS = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
};

const main = createRequire(import.meta.url).resolve("@socket.io/admin-ui");
const DIST = path.join(path.dirname(main), "..", "ui", "dist");

/** Serves the bundle on a free port. */
export function serveUi() {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const file = path.join(DIST, pathname === "/" ? "index.html" : path.normalize(pathname));
    if (!file.startsWith(DIST) || !existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": KINDS[path.extname(file)] ?? "text/plain" });
    return createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const url = `http://127.0.0.1:${server.address().port}/`;
      resolve({ url, close: () => new Promise((closed) => server.close(closed)) });
    });
  });
}
