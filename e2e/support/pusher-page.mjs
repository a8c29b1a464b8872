// Pages with the browser builds of pusher-js and laravel-echo, on an origin of their own.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

const library = (name) =>
  readFileSync(fileURLToPath(new URL(`../node_modules/${name}`, import.meta.url)));

const FILES = {
  "/pusher.js": library("pusher-js/dist/web/pusher.js"),
  "/pusher.min.js": library("pusher-js/dist/web/pusher-with-encryption.min.js"),
  "/echo.js": library("laravel-echo/dist/echo.iife.js"),
};

/** A page that loads these; `scripts` by their paths. */
export const html = (...scripts) =>
  `<!doctype html><title>page</title>${scripts.map((src) => `<script src="${src}"></script>`).join("")}`;

/** Serves `/`, `/plain`, `/echo` and the libraries. */
export class PageServer {
  static async start() {
    const pages = new PageServer();
    const documents = {
      "/": html("/pusher.min.js"),
      "/plain": html("/pusher.js"),
      "/echo": html("/pusher.min.js", "/echo.js"),
    };
    pages.http = createServer(({ url }, response) => {
      const file = FILES[url];
      const page = documents[url];
      const type = file ? "text/javascript" : "text/html";
      response.writeHead(file || page ? 200 : 404, { "content-type": `${type}; charset=utf-8` });
      response.end(file ?? page ?? "");
    });
    await new Promise((resolve) => pages.http.listen(0, "127.0.0.1", resolve));
    pages.origin = `http://127.0.0.1:${pages.http.address().port}`;
    return pages;
  }

  close() {
    this.http.closeAllConnections();
    return new Promise((resolve) => this.http.close(resolve));
  }
}

/** Opens pages of a browser; each has `complaints`, what went wrong in it. */
export async function visit(t, browser, url, { route } = {}) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(error.message));
  if (route) await route(page);
  await page.goto(url);
  return page;
}

/** The libraries as the server's own origin would serve them, since it has no such files. */
export async function sameOrigin(page, base) {
  await page.route(`${base}/page.html`, (route) =>
    route.fulfill({ contentType: "text/html", body: html("/page/pusher.min.js") }),
  );
  await page.route(`${base}/page/pusher.min.js`, (route) =>
    route.fulfill({ contentType: "text/javascript", body: FILES["/pusher.min.js"] }),
  );
}
