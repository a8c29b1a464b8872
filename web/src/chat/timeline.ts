import type { Timeline } from "./state";
import type { Message } from "./wire";

/** Of two copies of one message the later one: deletion is final, then the edit count decides. */
function later(a: Message, b: Message): Message {
  if (a.deletedAt !== null) return a;
  if (b.deletedAt !== null) return b;
  return b.editCount >= a.editCount ? b : a;
}

/** Inserts or refreshes messages, keeping the list ascending and free of duplicates. */
export function merge(
  messages: readonly Message[],
  incoming: readonly Message[],
): readonly Message[] {
  const first = incoming[0];
  if (!first) return messages;
  const last = messages.at(-1);
  if (incoming.length === 1 && (!last || first.number > last.number)) return [...messages, first];
  const byNumber = new Map(messages.map((message) => [message.number, message]));
  for (const message of incoming) {
    const known = byNumber.get(message.number);
    byNumber.set(message.number, known ? later(known, message) : message);
  }
  return [...byNumber.values()].sort((a, b) => a.number - b.number);
}

/** Replaces a message that is shown; a message that is not shown stays out. */
export function refresh(timeline: Timeline, message: Message): Timeline {
  if (!timeline.messages.some((known) => known.id === message.id)) return timeline;
  return { ...timeline, messages: merge(timeline.messages, [message]) };
}

/** The tombstone of a message: its place and author stay, its text goes. */
export function tombstone(message: Message, deletedAt: string): Message {
  return { ...message, content: "", deletedAt };
}

export function remove(timeline: Timeline, messageId: string, deletedAt: string): Timeline {
  return {
    ...timeline,
    messages: timeline.messages.map((message) =>
      message.id === messageId ? tombstone(message, deletedAt) : message,
    ),
  };
}
