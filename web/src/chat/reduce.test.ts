import { describe, expect, it } from "vitest";
import { reduce } from "./reduce";
import type { ChatState } from "./state";
import { ada, createdEvent, draft, envelope, message, row, stateAfter } from "./testing";

const contents = (state: ChatState) =>
  state.timelines.r1?.messages.map((known) => known.content) ?? [];

describe("events of a room", () => {
  it("are shown in order and counted as unread", () => {
    const state = stateAfter(
      { type: "event", envelope: createdEvent(1) },
      { type: "event", envelope: createdEvent(2) },
    );
    expect(contents(state)).toEqual(["text 1", "text 2"]);
    expect(state.rooms.r1).toMatchObject({ head: 2, unread: 2, lastMessage: { number: 2 } });
  });

  it("are applied once even when they arrive twice", () => {
    const event = { type: "event" as const, envelope: createdEvent(1) };
    const state = stateAfter(event, event);
    expect(contents(state)).toEqual(["text 1"]);
    expect(state.rooms.r1?.unread).toBe(1);
  });

  it("wait behind a gap and follow when it closes", () => {
    const gapped = stateAfter(
      { type: "event", envelope: createdEvent(1) },
      { type: "event", envelope: createdEvent(3) },
    );
    expect(contents(gapped)).toEqual(["text 1"]);
    expect(gapped.rooms.r1).toMatchObject({ head: 1, held: [{ seq: 3 }] });

    const closed = reduce(gapped, { type: "event", envelope: createdEvent(2) });
    expect(contents(closed)).toEqual(["text 1", "text 2", "text 3"]);
    expect(closed.rooms.r1).toMatchObject({ head: 3, held: [] });
  });

  it("that the reader may not see leave no gap once the server says how far it is", () => {
    const gapped = stateAfter({ type: "event", envelope: createdEvent(1, { seq: 4 }) });
    const closed = reduce(gapped, { type: "caught-up", roomId: "r1", seq: 4 });
    expect(contents(closed)).toEqual(["text 1"]);
    expect(closed.rooms.r1).toMatchObject({ head: 4, held: [] });
  });

  it("edit and delete messages in place", () => {
    const edited = message(1, { content: "better", editCount: 1, editedAt: "x" });
    const gone = { messageId: "m2", deletedAt: "2026-11-21T11:00:00.000Z" };
    const state = stateAfter(
      { type: "event", envelope: createdEvent(1) },
      { type: "event", envelope: createdEvent(2) },
      { type: "event", envelope: envelope(3, "message.updated", edited) },
      { type: "event", envelope: envelope(4, "message.deleted", gone) },
    );
    expect(contents(state)).toEqual(["better", ""]);
    expect(state.timelines.r1?.messages[1]?.deletedAt).toBe(gone.deletedAt);
    expect(state.rooms.r1?.lastMessage?.deletedAt).toBe(gone.deletedAt);
  });

  it("do not undo a later edit that history already brought", () => {
    const state = stateAfter(
      {
        type: "history",
        roomId: "r1",
        items: [message(1, { content: "second edit", editCount: 2 })],
        hasMore: false,
      },
      { type: "event", envelope: createdEvent(1) },
      {
        type: "event",
        envelope: envelope(2, "message.updated", message(1, { content: "first", editCount: 1 })),
      },
    );
    expect(contents(state)).toEqual(["second edit"]);
  });

  it("remove the room when the reader is taken out", () => {
    const left = envelope(1, "member.left", { roomId: "r1", userId: ada.id });
    expect(stateAfter({ type: "event", envelope: left }).rooms).toEqual({});
  });
});

describe("own messages", () => {
  const own = message(1, { senderId: ada.id, clientId: "c1" });

  it("replace their draft, whichever of event and answer comes first", () => {
    const add = { type: "draft-added" as const, draft: draft("c1") };
    const known = { type: "message-known" as const, message: own };
    const event = { type: "event" as const, envelope: envelope(1, "message.created", own) };
    for (const order of [
      [add, known, event],
      [add, event, known],
    ]) {
      const state = stateAfter(...order);
      expect(state.outbox).toEqual([]);
      expect(contents(state)).toEqual(["text 1"]);
      expect(state.rooms.r1).toMatchObject({ head: 1, unread: 0, lastReadNumber: 1 });
    }
  });

  it("known only from their answer leave no gap for the next event", () => {
    const state = stateAfter(
      { type: "message-known", message: own },
      { type: "event", envelope: createdEvent(2) },
    );
    expect(state.rooms.r1).toMatchObject({ head: 2, held: [] });
  });

  it("answered before an earlier event arrived wait for it", () => {
    const later = message(2, { senderId: ada.id, clientId: "c1" });
    const ahead = stateAfter({ type: "message-known", message: later });
    expect(ahead.rooms.r1).toMatchObject({ head: 0, ahead: [2] });
    const state = reduce(ahead, { type: "event", envelope: createdEvent(1) });
    expect(contents(state)).toEqual(["text 1", "text 2"]);
    expect(state.rooms.r1).toMatchObject({ head: 2, ahead: [] });
  });

  it("found in history settle their draft", () => {
    const state = stateAfter(
      { type: "draft-added", draft: draft("c1") },
      { type: "history", roomId: "r1", items: [own], hasMore: false },
    );
    expect(state.outbox).toEqual([]);
  });
});

describe("history", () => {
  it("is merged below what arrived live, without duplicates", () => {
    const state = stateAfter(
      { type: "event", envelope: createdEvent(1, { number: 5 }) },
      {
        type: "history",
        roomId: "r1",
        items: [message(5), message(4), message(3)],
        hasMore: true,
      },
    );
    expect(state.timelines.r1?.messages.map((known) => known.number)).toEqual([3, 4, 5]);
    expect(state.timelines.r1?.hasMore).toBe(true);
  });

  it("is forgotten on a resync, and the head moves to where the server is", () => {
    const state = stateAfter(
      { type: "event", envelope: createdEvent(1) },
      { type: "resync", roomId: "r1", seq: 90 },
    );
    expect(state.rooms.r1?.head).toBe(90);
    expect(state.timelines.r1).toEqual({ messages: [], hasMore: true, status: "idle" });
  });
});

describe("unread", () => {
  it("is not counted twice when the room list already included a missed message", () => {
    const rows = [row({ lastSeq: 2, lastNumber: 2, unread: 2, lastMessage: message(2) })];
    const state = stateAfter(
      { type: "rooms", rows, complete: true },
      { type: "event", envelope: createdEvent(1) },
      { type: "event", envelope: createdEvent(2) },
    );
    expect(state.rooms.r1).toMatchObject({ head: 2, unread: 2 });
  });

  it("goes down when another device of the reader has read", () => {
    const state = stateAfter(
      { type: "event", envelope: createdEvent(1) },
      { type: "event", envelope: createdEvent(2) },
      { type: "read", roomId: "r1", userId: ada.id, seq: 1, number: 1 },
    );
    expect(state.rooms.r1).toMatchObject({ unread: 1, lastReadSeq: 1 });
  });
});

describe("typing", () => {
  it("ends with the message, and by itself", () => {
    const user = { id: "noor", username: "noor", name: "Noor" };
    const typing = stateAfter({ type: "typing", roomId: "r1", user, until: 100 });
    expect(Object.keys(typing.typing.r1 ?? {})).toEqual(["noor"]);
    const sent = reduce(typing, { type: "event", envelope: createdEvent(1) });
    expect(sent.typing.r1).toEqual({});
    expect(reduce(typing, { type: "typing-expired", now: 100 }).typing.r1).toEqual({});
    expect(reduce(typing, { type: "typing-expired", now: 99 })).toBe(typing);
  });
});
