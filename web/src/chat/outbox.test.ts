import { describe, expect, it } from "vitest";
import { Outbox } from "./outbox";
import { draft, memoryStorage } from "./testing";

describe("Outbox", () => {
  it("gives back drafts oldest first, also the failed ones", () => {
    const storage = memoryStorage();
    const outbox = new Outbox(storage, "ada");
    const later = draft("a", { createdAt: "2026-11-21T10:00:05.000Z" });
    const failed = draft("b", { status: "failed", error: "Refused." });
    outbox.save(later);
    outbox.save(failed);
    expect(new Outbox(storage, "ada").load()).toEqual([failed, later]);
  });

  it("keeps users apart", () => {
    const storage = memoryStorage();
    new Outbox(storage, "ada").save(draft("a"));
    expect(new Outbox(storage, "noor").load()).toEqual([]);
  });

  it("forgets what was dropped and what cannot be read", () => {
    const storage = memoryStorage();
    const outbox = new Outbox(storage, "ada");
    outbox.save(draft("a"));
    outbox.drop("a");
    storage.setItem("mynah.outbox.ada.broken", "{");
    storage.setItem("mynah.outbox.ada.other", '{"clientId":1}');
    expect(outbox.load()).toEqual([]);
    expect(storage.length).toBe(0);
  });

  it("survives a storage that is full", () => {
    const storage = memoryStorage();
    storage.setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
    expect(new Outbox(storage, "ada").save(draft("a"))).toBe(false);
  });
});
