import { describe, expect, it } from "vitest";
import { feed } from "./feed";
import { dayName } from "./format";
import { splitLinks } from "./links";
import { typingText } from "./selectors";
import { ada, draft, message, noor } from "./testing";

describe("splitLinks", () => {
  const links = (text: string) =>
    splitLinks(text)
      .filter((part) => part.href !== null)
      .map((part) => part.text);

  it.each([
    ["see https://example.org/a?b=c#d.", ["https://example.org/a?b=c#d"]],
    ["(https://example.org/a_(b))", ["https://example.org/a_(b)"]],
    ["http://a.example and https://b.example", ["http://a.example", "https://b.example"]],
    ["javascript:alert(1) data:text/html,x ftp://a.example", []],
    ["https://", []],
  ])("%s", (text, expected) => {
    expect(links(text)).toEqual(expected);
  });

  it("loses no text", () => {
    const text = "a https://example.org/x, b\nc <https://y.example> d";
    expect(
      splitLinks(text)
        .map((part) => part.text)
        .join(""),
    ).toBe(text);
  });
});

describe("feed", () => {
  const kinds = (input: Partial<Parameters<typeof feed>[0]>) =>
    feed({ messages: [], drafts: [], me: ada, readUpTo: null, ...input }).map((row) =>
      row.kind === "group" ? `${row.own ? "own" : "other"} ${row.items.length}` : row.kind,
    );

  it("groups by sender and puts the divider before the first unread message", () => {
    const messages = [message(1), message(2), message(3, { senderId: ada.id }), message(4)];
    expect(kinds({ messages, readUpTo: 1 })).toEqual([
      "day",
      "other 1",
      "unread",
      "other 1",
      "own 1",
      "other 1",
    ]);
  });

  it("starts a new group after a pause and a new day at midnight", () => {
    const messages = [
      message(1, { createdAt: "2026-11-21T10:00:00.000Z" }),
      message(2, { createdAt: "2026-11-21T10:04:00.000Z" }),
      message(3, { createdAt: "2026-11-21T10:30:00.000Z" }),
      message(4, { createdAt: "2026-11-23T10:30:00.000Z" }),
    ];
    expect(kinds({ messages })).toEqual(["day", "other 2", "other 1", "day", "other 1"]);
  });

  it("keeps the key of a draft when it becomes a message", () => {
    const before = feed({ messages: [], drafts: [draft("c1")], me: ada, readUpTo: null });
    const own = message(1, { senderId: ada.id, clientId: "c1" });
    const after = feed({ messages: [own], drafts: [], me: ada, readUpTo: null });
    expect(after.map((row) => row.key)).toEqual(before.map((row) => row.key));
  });
});

describe("words", () => {
  it("name who is typing", () => {
    const typist = (user: typeof ada) => ({ user, until: 0 });
    expect(typingText(undefined)).toBe("");
    expect(typingText({ a: typist(ada) })).toBe("Ada is typing");
    expect(typingText({ a: typist(ada), b: typist(noor) })).toBe("Ada and Noor are typing");
    const third = typist({ id: "x", username: "x", name: "Xi" });
    expect(typingText({ a: typist(ada), b: typist(noor), c: third })).toBe(
      "Ada, Noor and 1 other are typing",
    );
  });

  it("name recent days", () => {
    const now = new Date(2026, 10, 21, 9);
    expect(dayName(new Date(2026, 10, 21, 1).toISOString(), now)).toBe("Today");
    expect(dayName(new Date(2026, 10, 20, 23).toISOString(), now)).toBe("Yesterday");
  });
});
