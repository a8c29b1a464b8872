// A real browser on the chat page, driven by what a person can see and name.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { PASSWORD } from "./api.mjs";
import { Recorder } from "./wait.mjs";

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  // A page that the test answers itself counts as public, and may not open a WebSocket to this machine.
  "--disable-features=LocalNetworkAccessChecks",
];

export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (!existsSync(executablePath)) throw new Error(`no browser at ${executablePath}: set CHROMIUM`);
  return chromium.launch({ executablePath, args: ARGS });
}

/** One visitor: a browser profile with one page, and every event its socket received. */
export class Visitor {
  static async open(browser, base) {
    const visitor = new Visitor();
    visitor.base = base;
    visitor.context = await browser.newContext();
    visitor.page = await visitor.context.newPage();
    visitor.page.setDefaultTimeout(30_000);
    visitor.events = new Recorder("the page");
    visitor.complaints = [];
    visitor.page.on("pageerror", (error) => visitor.complaints.push(error.message));
    visitor.page.on("dialog", (dialog) => {
      visitor.complaints.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    visitor.page.on("websocket", (socket) => {
      socket.on("framereceived", ({ payload }) => visitor.#frame(payload));
    });
    await visitor.page.goto(base);
    return visitor;
  }

  #frame(payload) {
    const text = typeof payload === "string" ? payload : "";
    const start = /^42(?:\/[^,]*,)?\d*(\[)/.exec(text);
    if (!start) return;
    const [event, data] = JSON.parse(text.slice(text.indexOf("[")));
    this.events.push({ event, data });
  }

  /** Creates an account over the form. */
  async register(username) {
    const { page } = this;
    await page.getByRole("button", { name: /create an account|sign up|register/i }).click();
    await page.getByLabel(/^name/i).fill(username);
    await page.getByLabel(/^username/i).fill(username);
    await page.getByLabel(/^email/i).fill(`${username}@example.test`);
    await page.getByLabel(/^password/i).fill(PASSWORD);
    await page.getByRole("button", { name: /^create account|^sign up|^register/i }).click();
    await this.entered();
  }

  /** Signs in over the form. */
  async signIn(username) {
    const { page } = this;
    await page.getByLabel(/username or email|^email|^username/i).fill(username);
    await page.getByLabel(/^password/i).fill(PASSWORD);
    await page.getByRole("button", { name: /^(sign|log) in/i }).click();
    await this.entered();
  }

  /** Waits for the list of rooms and a live connection. */
  async entered() {
    await this.page.getByRole("navigation", { name: "Your rooms" }).waitFor();
    await this.online();
  }

  /** Waits until the page says that it is connected. */
  online() {
    return this.page
      .getByText(/^Connected/)
      .first()
      .waitFor({ state: "attached" });
  }

  /** Waits until the page says that it is not. */
  offline() {
    return this.page
      .getByText(/^(Reconnecting|Connecting|Offline)/)
      .first()
      .waitFor({ state: "attached" });
  }

  /** Joins a public room over the directory. */
  async discover(name) {
    await this.page.getByRole("button", { name: "Discover" }).click();
    await this.page.getByRole("button", { name: `Join ${name}` }).click();
    await this.log(name).waitFor();
  }

  /** Opens a room from the list. */
  async openRoom(name) {
    await this.page
      .getByRole("navigation", { name: "Your rooms" })
      .getByRole("link", { name })
      .click();
    await this.log(name).waitFor();
  }

  log(name) {
    return this.page.getByRole("log", { name: `Messages in ${name}` });
  }

  async say(text) {
    await this.page.getByRole("textbox", { name: "Message" }).fill(text);
    await this.page.getByRole("button", { name: "Send" }).click();
  }

  /** Waits until a text is shown in the open room. */
  sees(name, text) {
    return this.log(name).getByRole("article").filter({ hasText: text }).first().waitFor();
  }

  /** Ids of the messages shown, from top to bottom. */
  shownIds(name) {
    return this.log(name)
      .locator('article[id^="m-"], [data-message-id]')
      .evaluateAll((nodes) => nodes.map((node) => node.dataset.messageId ?? node.id.slice(2)));
  }

  /** What the page shows, for a report of a failure. */
  async describe() {
    try {
      const shown = await this.page.locator("body").ariaSnapshot({ timeout: 2_000 });
      return `${this.page.url()}\n${shown}\n${this.complaints.join("\n")}`;
    } catch (error) {
      return `the page cannot be read: ${error.message}`;
    }
  }
}
