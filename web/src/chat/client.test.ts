import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ada, createdEvent, envelope, message, noor, row } from "./testing";
import { type Harness, harness, settle } from "./testing-client";

let chat: Harness;

beforeEach(async () => {
  vi.useFakeTimers();
  chat = await harness();
});

afterEach(() => {
  chat.client.stop();
  vi.useRealTimers();
});

const drafts = () => chat.state().outbox.map(({ clientId, status }) => `${clientId} ${status}`);
const stored = (number: number, clientId: string) =>
  message(number, { senderId: ada.id, clientId });

describe("sending", () => {
  it("shows a message at once and settles it with the answer", async () => {
    await chat.link.connect();
    chat.client.send("r1", "hello", null);
    expect(drafts()).toEqual(["c1 pending"]);
    expect(chat.link.of("message.send")[0]?.payload).toEqual({
      roomId: "r1",
      content: "hello",
      clientId: "c1",
    });
    await chat.link.of("message.send")[0]?.answer({ message: stored(1, "c1") });
    expect(drafts()).toEqual([]);
    expect(chat.storage.length).toBe(0);
  });

  it("keeps the order: the second message waits for the answer to the first", async () => {
    await chat.link.connect();
    chat.client.send("r1", "one", null);
    chat.client.send("r1", "two", null);
    expect(chat.link.of("message.send")).toHaveLength(1);
    await chat.link.of("message.send")[0]?.answer({ message: stored(1, "c1") });
    expect(chat.link.of("message.send")[1]?.payload.content).toBe("two");
  });

  it("marks what the server refuses as failed, with its reason, until retried", async () => {
    await chat.link.connect();
    chat.client.send("r1", "hello", null);
    await chat.link.of("message.send")[0]?.answer({ success: false, error: "Too long." });
    expect(chat.state().outbox[0]).toMatchObject({ status: "failed", error: "Too long." });

    chat.client.retry("c1");
    expect(chat.link.of("message.send")[1]?.payload.clientId).toBe("c1");
    await chat.link.of("message.send")[1]?.answer({ message: stored(1, "c1") });
    expect(drafts()).toEqual([]);
  });

  it("tries again without an answer, then gives up", async () => {
    await chat.link.connect();
    chat.client.send("r1", "hello", null);
    for (const attempt of [0, 1, 2]) await chat.link.of("message.send")[attempt]?.fail();
    expect(chat.link.of("message.send")).toHaveLength(3);
    expect(drafts()).toEqual(["c1 failed"]);
  });
});

describe("without a connection", () => {
  it("messages wait and leave in order, with the same client ids, after reconnecting", async () => {
    await chat.link.connect();
    chat.client.send("r1", "one", null);
    await chat.link.lose();
    chat.client.send("r1", "two", null);
    expect(chat.state().connection).toBe("offline");
    expect(drafts()).toEqual(["c1 pending", "c2 pending"]);

    chat.link.asked.length = 0;
    await chat.link.connect();
    await chat.link.of("message.send")[0]?.answer({ message: stored(1, "c1"), replayed: true });
    await chat.link.of("message.send")[1]?.answer({ message: stored(2, "c2") });
    expect(chat.link.of("message.send").map((asked) => asked.payload.clientId)).toEqual([
      "c1",
      "c2",
    ]);
    expect(drafts()).toEqual([]);
  });

  it("messages survive a reload", async () => {
    chat.client.send("r1", "written offline", null);
    chat.client.stop();
    chat = await harness(chat.storage);
    expect(drafts()).toEqual(["c1 pending"]);
    await chat.link.connect();
    expect(chat.link.of("message.send")[0]?.payload).toMatchObject({
      clientId: "c1",
      content: "written offline",
    });
  });

  it("a message settled by another tab is settled here", async () => {
    chat.client.send("r1", "hello", null);
    chat.client.storageChanged("mynah.outbox.ada.c1", null);
    expect(drafts()).toEqual([]);
  });

  it("a read cursor moved meanwhile is told later", async () => {
    chat.rows[0] = row({ lastSeq: 3, lastNumber: 3, unread: 3, lastMessage: message(3) });
    await chat.client.reloadRooms();
    chat.client.markRead("r1");
    expect(chat.state().rooms.r1?.unread).toBe(0);
    await chat.link.connect();
    expect(chat.link.of("room.read")[0]?.payload).toEqual({ roomId: "r1", seq: 3 });
  });
});

describe("reconnecting", () => {
  it("tells the server how far every room has come", async () => {
    await chat.link.connect();
    await chat.link.receive("message.created", createdEvent(1));
    await chat.link.lose();
    expect(await chat.link.events?.auth()).toEqual({
      token: "token",
      dialect: "native",
      since: { r1: 1 },
      epoch: "a1",
    });
  });

  it("starts over from a head that lies back when the server's log is another one", async () => {
    await chat.link.connect();
    for (let seq = 1; seq <= 10; seq += 1)
      await chat.link.receive("message.created", createdEvent(seq));
    await chat.link.lose();
    chat.rows[0] = row({ lastSeq: 7, lastNumber: 7, lastMessage: message(7) });
    await chat.link.connect({ r1: 7 }, "b2");
    await chat.link.receive("room.resync", { roomId: "r1", seq: 7 });
    expect(chat.state().rooms.r1?.head).toBe(7);
    await chat.link.receive("message.created", createdEvent(8));
    expect(chat.state().rooms.r1?.head).toBe(8);
    expect(await chat.link.events?.auth()).toMatchObject({ epoch: "b2" });
  });

  it("reloads what is shown when too much was missed", async () => {
    chat.pages.push({ items: [message(1)], page: { next: null, hasMore: false } });
    chat.client.open("r1");
    await settle();
    await chat.link.connect();
    chat.pages.push({ items: [message(80)], page: { next: null, hasMore: true } });
    await chat.link.receive("room.resync", { roomId: "r1", seq: 120 });
    expect(chat.state().timelines.r1).toMatchObject({ status: "ready", hasMore: true });
    expect(chat.state().timelines.r1?.messages.map((known) => known.number)).toEqual([80]);
    expect(chat.state().rooms.r1?.head).toBe(120);
  });

  it("takes no page into the new timeline that was meant for the old one", async () => {
    chat.pages.push({ items: [message(50)], page: { next: "x", hasMore: true } });
    await chat.client.loadNewest("r1");
    await chat.link.connect();
    chat.pages.push({ items: [message(49)], page: { next: "x", hasMore: true } });
    chat.pages.push({ items: [message(120)], page: { next: "x", hasMore: true } });
    const older = chat.client.loadOlder("r1");
    await chat.link.receive("room.resync", { roomId: "r1", seq: 120 });
    await older;
    expect(chat.state().timelines.r1?.messages.map((known) => known.number)).toEqual([120]);
  });

  it("asks for what the room list knows and no event told", async () => {
    await chat.link.connect();
    chat.rows[0] = row({ lastSeq: 2, lastNumber: 2, unread: 2, lastMessage: message(2) });
    await chat.client.reloadRooms();
    await settle();
    const [sync] = chat.link.of("sync");
    expect(sync?.payload).toEqual({ since: { r1: 0 }, epoch: "a1" });
    await sync?.answer({ events: [createdEvent(1), createdEvent(2)], next: { r1: 2 }, gap: [] });
    expect(chat.state().rooms.r1).toMatchObject({ head: 2, unread: 2 });
  });

  it("opens the link again, ever more slowly, when it is refused", async () => {
    expect(chat.link.opened).toBe(1);
    chat.link.events?.refused("TOKEN_EXPIRED");
    await settle();
    vi.advanceTimersByTime(500);
    expect(chat.link.opened).toBe(2);
    chat.link.events?.refused("TOKEN_EXPIRED");
    await settle();
    vi.advanceTimersByTime(500);
    expect(chat.link.opened).toBe(2);
    vi.advanceTimersByTime(500);
    expect(chat.link.opened).toBe(3);
  });
});

describe("a gap in a room", () => {
  beforeEach(async () => {
    await chat.link.connect();
    await chat.link.receive("message.created", createdEvent(1));
    await chat.link.receive("message.created", createdEvent(3));
  });

  it("is closed by asking for what is missing", async () => {
    const [sync] = chat.link.of("sync");
    expect(sync?.payload).toEqual({ since: { r1: 1 }, epoch: "a1" });
    await sync?.answer({ events: [createdEvent(2)], next: { r1: 3 }, gap: [] });
    expect(chat.state().rooms.r1).toMatchObject({ head: 3, held: [], unread: 3 });
  });

  it("is asked for once while more events arrive", async () => {
    await chat.link.receive("message.created", createdEvent(4));
    expect(chat.link.of("sync")).toHaveLength(1);
  });

  it("becomes a resync when the server has trimmed its log", async () => {
    await chat.link.of("sync")[0]?.answer({ events: [], next: {}, gap: ["r1"] });
    expect(chat.state().rooms.r1).toMatchObject({ head: 3, held: [] });
  });
});

describe("rooms", () => {
  it("can be joined by invitation", async () => {
    await chat.link.connect();
    const room = row({ id: "r2", name: "Secret" });
    const invited = envelope(1, "room.invited", { room, by: noor });
    await chat.link.receive("room.invited", { ...invited, roomId: null });
    expect(chat.state().invitations.r2).toMatchObject({ by: noor });

    chat.rows.push(room);
    expect(await chat.client.join(room)).toBe("r2");
    expect(chat.state().invitations).toEqual({});
    expect(chat.state().rooms.r2?.room.name).toBe("Secret");
  });

  it("appear when someone else adds the reader", async () => {
    await chat.link.connect();
    const added = row({ id: "r2", name: "Surprise" });
    chat.rows.push(added);
    await chat.link.receive("room.added", {
      ...envelope(1, "room.added", { room: added, role: "member" }),
      roomId: null,
    });
    expect(chat.state().rooms.r2?.room.name).toBe("Surprise");
  });
});
