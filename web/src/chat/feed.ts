import type { Draft } from "./state";
import type { Message, Person } from "./wire";

const GROUP_MS = 5 * 60_000;

/** One bubble: a stored message or a draft on its way. */
export interface Item {
  /** Stays the same when a draft becomes a message. */
  readonly key: string;
  readonly message: Message | null;
  readonly draft: Draft | null;
  readonly at: string;
}

export type Row =
  | { readonly kind: "day"; readonly key: string; readonly at: string }
  | { readonly kind: "unread"; readonly key: string }
  | { readonly kind: "system"; readonly key: string; readonly item: Item }
  | {
      readonly kind: "group";
      readonly key: string;
      readonly own: boolean;
      readonly sender: Person | null;
      readonly items: readonly Item[];
    };

export interface FeedInput {
  readonly messages: readonly Message[];
  readonly drafts: readonly Draft[];
  readonly me: Person;
  /** Number of the last message read when the room was opened, or null for no divider. */
  readonly readUpTo: number | null;
}

interface OpenGroup {
  readonly items: Item[];
  readonly senderId: string;
}

/** Lays messages and drafts out as rows: days, the unread divider, and groups by sender. */
export function feed({ messages, drafts, me, readUpTo }: FeedInput): Row[] {
  const rows: Row[] = [];
  const all: Item[] = [...messages.map(stored), ...drafts.map(drafted)];
  let day = "";
  let divided = readUpTo === null;
  let group = null as OpenGroup | null;
  for (const item of all) {
    const senderId = item.message?.senderId ?? me.id;
    const own = senderId === me.id;
    const today = new Date(item.at).toDateString();
    if (today !== day) {
      day = today;
      group = null;
      rows.push({ kind: "day", key: `day-${today}`, at: item.at });
    }
    if (!divided && !own && item.message && item.message.number > (readUpTo ?? 0)) {
      divided = true;
      group = null;
      rows.push({ kind: "unread", key: "unread" });
    }
    if (item.message?.kind === "system") {
      group = null;
      rows.push({ kind: "system", key: item.key, item });
    } else if (group?.senderId === senderId && near(group.items.at(-1), item)) {
      group.items.push(item);
    } else {
      group = { items: [item], senderId };
      const sender = item.message?.sender ?? (own ? me : null);
      rows.push({ kind: "group", key: `group-${item.key}`, own, sender, items: group.items });
    }
  }
  return rows;
}

/** The same message gives the same item, so that an unchanged bubble is not drawn again. */
const items = new WeakMap<Message, Item>();

function stored(message: Message): Item {
  const known = items.get(message);
  if (known) return known;
  const { clientId, id, createdAt } = message;
  const item = { key: clientId ?? id, message, draft: null, at: createdAt };
  items.set(message, item);
  return item;
}

function drafted(draft: Draft): Item {
  return { key: draft.clientId, message: null, draft, at: draft.createdAt };
}

function near(a: Item | undefined, b: Item): boolean {
  return a !== undefined && Date.parse(b.at) - Date.parse(a.at) < GROUP_MS;
}
