// The REST interface as a client program uses it.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { DEADLINE_MS } from "./wait.mjs";

export class Api {
  constructor(base, token) {
    this.base = base;
    this.token = token;
  }

  /** `{status, type, headers, body}`; the body is parsed when it is JSON. */
  async call(method, path, body, headers = {}) {
    const response = await fetch(this.base + path, {
      method,
      signal: AbortSignal.timeout(DEADLINE_MS),
      headers: {
        ...(this.token ? { authorization: `Bearer ${this.token}` } : {}),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
    });
    const type = response.headers.get("content-type") ?? "";
    const text = await response.text();
    const parsed = type.includes("json") && text ? JSON.parse(text) : text;
    return { status: response.status, type, headers: response.headers, body: parsed };
  }

  /** The body of a 2xx answer; anything else is an error that shows it. */
  async ok(method, path, body, headers) {
    const answer = await this.call(method, path, body, headers);
    const shown = `${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`;
    assert.ok(answer.status >= 200 && answer.status < 300, shown);
    return answer.body;
  }

  createRoom(name, more = {}) {
    return this.ok("POST", "/v1/rooms", { name, kind: "group", visibility: "public", ...more });
  }

  join(roomId) {
    return this.ok("POST", `/v1/rooms/${roomId}/join`, {});
  }

  send(roomId, content, clientId) {
    return this.ok("POST", `/v1/rooms/${roomId}/messages`, {
      content,
      ...(clientId ? { clientId } : {}),
    });
  }

  /** All messages of a room with a number above `after`, oldest first. */
  async history(roomId, after = 0) {
    const found = [];
    let before = "";
    for (;;) {
      const { items, page } = await this.ok(
        "GET",
        `/v1/rooms/${roomId}/messages?limit=100${before}`,
      );
      for (const message of items) if (message.number > after) found.push(message);
      const last = items.at(-1);
      if (!last || last.number <= after + 1 || page.hasMore === false) return found.reverse();
      before = `&before=number:${last.number}`;
    }
  }

  /** All events that the user may see with a position above `since`; `next` continues there. */
  async sync(since = "0") {
    const events = [];
    let next = since;
    for (;;) {
      const page = await this.ok("GET", `/v1/sync?since=${next}&limit=100`);
      assert.equal(page.gap, false, "the log is whole");
      events.push(...page.events);
      if (page.events.length === 0 || page.next === next) return { events, next: page.next };
      next = page.next;
    }
  }
}

export const PASSWORD = "correct horse 42";

/** Registers a user; `{api, user, email, accessToken, refreshToken}`. */
export async function newUser(base, name) {
  const username = `${name}-${randomUUID().slice(0, 8)}`;
  const email = `${username}@example.test`;
  const answer = await new Api(base).ok("POST", "/v1/auth/register", {
    email,
    username,
    name,
    password: PASSWORD,
  });
  return { ...answer, username, email, api: new Api(base, answer.accessToken) };
}

/** Several users, all members of one room that the first one created. */
export async function roomOf(base, ...names) {
  const users = [];
  for (const name of names) users.push(await newUser(base, name));
  const room = await users[0].api.createRoom(`room ${randomUUID().slice(0, 8)}`);
  for (const user of users.slice(1)) await user.api.join(room.id);
  return { room, users };
}
