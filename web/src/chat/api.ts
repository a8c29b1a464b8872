import { type Fetch, readProblem } from "./problem";
import type { Session } from "./session";
import type {
  Account,
  Member,
  Message,
  Page,
  Person,
  Room,
  RoomKind,
  RoomRow,
  Visibility,
} from "./wire";

export interface NewRoom {
  readonly name: string;
  readonly kind: Exclude<RoomKind, "direct">;
  readonly visibility: Visibility;
  readonly topic?: string;
}

const PAGES_MAX = 20;

/** REST calls of the page, each one authorised and retried once after a refresh. */
export class Api {
  readonly #fetch: Fetch;
  readonly #session: Session;

  constructor(fetch: Fetch, session: Session) {
    this.#fetch = fetch;
    this.#session = session;
  }

  me(): Promise<Account> {
    return this.#call("GET", "/v1/users/me");
  }

  async joinedRooms(): Promise<readonly RoomRow[]> {
    const rows: RoomRow[] = [];
    let cursor: string | null = null;
    for (let count = 0; count < PAGES_MAX; count += 1) {
      const query: string = new URLSearchParams({
        filter: "joined",
        limit: "100",
        ...(cursor === null ? {} : { cursor }),
      }).toString();
      const page: Page<RoomRow> = await this.#call("GET", `/v1/rooms?${query}`);
      rows.push(...page.items);
      cursor = page.page.next;
      if (!page.page.hasMore || cursor === null) break;
    }
    return rows;
  }

  async publicRooms(): Promise<readonly RoomRow[]> {
    const page = await this.#call<Page<RoomRow>>("GET", "/v1/rooms?filter=public&limit=100");
    return page.items;
  }

  createRoom(room: NewRoom): Promise<Room> {
    return this.#call("POST", "/v1/rooms", { ...room, memberIds: [] });
  }

  openDirect(userId: string): Promise<Room> {
    return this.#call("POST", "/v1/rooms/direct", { userId });
  }

  async join(roomId: string): Promise<void> {
    await this.#call("POST", `/v1/rooms/${encodeURIComponent(roomId)}/join`);
  }

  async leave(roomId: string): Promise<void> {
    await this.#call("POST", `/v1/rooms/${encodeURIComponent(roomId)}/leave`);
  }

  async members(roomId: string): Promise<readonly Member[]> {
    const path = `/v1/rooms/${encodeURIComponent(roomId)}/members?limit=200`;
    return (await this.#call<Page<Member>>("GET", path)).items;
  }

  async addMember(roomId: string, userId: string): Promise<void> {
    await this.#call("POST", `/v1/rooms/${encodeURIComponent(roomId)}/members`, { userId });
  }

  /** Newest first; `before` is the sequence of the oldest message already shown. */
  history(roomId: string, before: number | null): Promise<Page<Message>> {
    const query = new URLSearchParams({
      limit: "50",
      ...(before === null ? {} : { before: String(before) }),
    });
    return this.#call("GET", `/v1/rooms/${encodeURIComponent(roomId)}/messages?${query}`);
  }

  async searchUsers(text: string): Promise<readonly Person[]> {
    const answer = await this.#call<readonly Person[] | { items: readonly Person[] }>(
      "GET",
      `/v1/users/search?${new URLSearchParams({ q: text })}`,
    );
    return "items" in answer ? answer.items : answer;
  }

  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const token = await this.#session.token();
    let response = await this.#send(method, path, body, token);
    if (response.status === 401) {
      response = await this.#send(method, path, body, await this.#session.renew(token));
    }
    if (!response.ok) throw await readProblem(response);
    const text = await response.text();
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  #send(method: string, path: string, body: unknown, token: string): Promise<Response> {
    const headers: Record<string, string> = { authorization: `Bearer ${token}` };
    if (body === undefined) return this.#fetch(path, { method, headers });
    headers["content-type"] = "application/json";
    return this.#fetch(path, { method, headers, body: JSON.stringify(body) });
  }
}
