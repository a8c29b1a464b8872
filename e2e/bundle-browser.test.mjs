// A page with <script src="/socket.io/socket.io.js"> and nothing else, in a real browser.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { launch } from "./support/browser.mjs";
import { Member } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";

let server;
let browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.close();
});

const scenario = scenarios(() => server);

const PAGES = {
  "socket.io.js": `<script src="/socket.io/socket.io.js"></script>`,
  "socket.io.min.js": `<script src="/socket.io/socket.io.min.js"></script>`,
  "socket.io.msgpack.min.js": `<script src="/socket.io/socket.io.msgpack.min.js"></script>`,
  "socket.io.esm.min.js": `<script type="module">
    import { io } from "/socket.io/socket.io.esm.min.js";
    window.io = io;
  </script>`,
};

/** What the page itself does: connect, remember what it hears, answer what it sent. */
function chat({ token, roomId, content }) {
  const heard = [];
  window.heard = heard;
  const socket = window.io({ auth: { token, dialect: "native" } });
  window.socket = socket;
  socket.on("message.created", ({ data }) => heard.push(data.content));
  return new Promise((resolve, reject) => {
    socket.on("connect_error", (error) => reject(new Error(error.message)));
    socket.once("connection.ready", () => {
      const body = { roomId, content, clientId: content };
      socket.emit("message.send", body, (ack) => resolve(ack));
    });
  });
}

for (const [name, html] of Object.entries(PAGES)) {
  scenario(`${name}: connects, sends, hears`, async (t) => {
    const served = await fetch(`${server.url}/socket.io/${name}`);
    assert.equal(served.status, 200, `build the page first: ${await served.text()}`.slice(0, 300));
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const other = await Member.open(server.url, users[1], room);
    const context = await browser.newContext();
    t.after(async () => {
      other.close();
      await context.close();
    });
    const page = await context.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.route(`${server.url}/page.html`, (route) =>
      route.fulfill({ contentType: "text/html", body: `<!doctype html>${html}` }),
    );
    await page.goto(`${server.url}/page.html`);
    await page.waitForFunction(() => typeof window.io === "function");
    const ack = await page.evaluate(chat, {
      token: users[0].accessToken,
      roomId: room.id,
      content: "from the page",
    });
    assert.equal(ack.success, true, JSON.stringify(ack));
    await other.hears(ack.message.id);
    await other.say("to the page");
    await page.waitForFunction(() => window.heard.length === 2);
    assert.deepEqual(await page.evaluate(() => window.heard), ["from the page", "to the page"]);
    await page.waitForFunction(() => window.socket.io.engine.transport.name === "websocket");
    assert.deepEqual(complaints, []);
  });
}
