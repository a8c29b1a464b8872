import type { Api } from "./api";
import { ChatClient } from "./client";
import type { Link, LinkEvents } from "./link";
import type { Session } from "./session";
import type { ChatState } from "./state";
import type { KeyValue } from "./storage";
import { ada, memoryStorage, row, START } from "./testing";
import type { Ack, Message, Page, RoomRow } from "./wire";

export interface Asked {
  readonly name: string;
  readonly payload: Record<string, unknown>;
  answer(ack: Partial<Ack>): Promise<void>;
  fail(): Promise<void>;
}

/** A link whose other end is the test. */
export class FakeLink implements Link {
  readonly asked: Asked[] = [];
  readonly told: { name: string; payload: unknown }[] = [];
  events: LinkEvents | null = null;
  opened = 0;
  up = false;

  open(): void {
    this.opened += 1;
  }

  close(): void {
    this.up = false;
  }

  ask(name: string, payload: unknown): Promise<Ack> {
    if (!this.up) return Promise.reject(new Error("offline"));
    return new Promise((resolve, reject) => {
      this.asked.push({
        name,
        payload: payload as Record<string, unknown>,
        answer: (ack) => {
          resolve({ success: true, ...ack });
          return settle();
        },
        fail: () => {
          reject(new Error("timeout"));
          return settle();
        },
      });
    });
  }

  tell(name: string, payload: unknown): void {
    if (this.up) this.told.push({ name, payload });
  }

  of(name: string): Asked[] {
    return this.asked.filter((asked) => asked.name === name);
  }

  async connect(heads: Record<string, number> = { r1: 0 }, epoch = "a1"): Promise<void> {
    this.up = true;
    const rooms = Object.entries(heads).map(([id, seq]) => ({ id, seq }));
    await this.receive("connection.ready", { userId: ada.id, user: ada, rooms, epoch });
  }

  async lose(): Promise<void> {
    this.up = false;
    this.events?.down();
    for (const asked of this.asked) await asked.fail();
  }

  async receive(name: string, payload: unknown): Promise<void> {
    this.events?.event(name, payload);
    await settle();
  }
}

/** Lets every promise that is ready run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

export interface Harness {
  readonly client: ChatClient;
  readonly link: FakeLink;
  readonly storage: KeyValue;
  readonly rows: RoomRow[];
  readonly pages: Page<Message>[];
  readonly historyCalls: (number | null)[];
  state(): ChatState;
}

/** A started client over a fake link and fake REST answers. */
export async function harness(storage: KeyValue = memoryStorage()): Promise<Harness> {
  const link = new FakeLink();
  const rows = [row()];
  const pages: Page<Message>[] = [];
  const historyCalls: (number | null)[] = [];
  const api = {
    joinedRooms: async () => rows,
    members: async () => [],
    join: async () => undefined,
    history: async (_roomId: string, before: number | null) => {
      historyCalls.push(before);
      return pages.shift() ?? { items: [], page: { next: null, hasMore: false } };
    },
  } as unknown as Api;
  const session = {
    token: async () => "token",
    refresh: async () => "token",
  } as unknown as Session;
  let ids = 0;
  const client = new ChatClient(ada, {
    session,
    api,
    openLink: (events) => {
      link.events = events;
      return link;
    },
    storage,
    newId: () => {
      ids += 1;
      return `c${ids}`;
    },
    now: () => START,
    visible: () => false,
  });
  await client.start();
  return { client, link, storage, rows, pages, historyCalls, state: client.store.get };
}
