import { act, cleanup, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ada, createdEvent, message } from "../chat/testing";
import { type Harness, harness, settle } from "../chat/testing-client";
import { TimelineView } from "./TimelineView";
import { renderInPage } from "./testing";

afterEach(cleanup);

const acts = { reply: vi.fn(), edit: vi.fn(), remove: vi.fn() };

async function timeline(prepare?: (chat: Harness) => void) {
  const chat = await harness();
  prepare?.(chat);
  await chat.link.connect();
  await chat.client.loadNewest("r1");
  await renderInPage(<TimelineView roomId="r1" acts={acts} />, chat);
  return chat;
}

describe("TimelineView", () => {
  it("announces messages in a log named after the room", async () => {
    const chat = await timeline();
    await act(() => chat.link.receive("message.created", createdEvent(1)));
    const log = screen.getByRole("log", { name: "Messages in Room" });
    expect(within(log).getByText("text 1")).toBeTruthy();
  });

  it("lets the reader retry or discard what was refused", async () => {
    const chat = await timeline();
    act(() => chat.client.send("r1", "hello", null));
    expect(screen.getByText("Sending")).toBeTruthy();
    await act(async () => {
      await chat.link.of("message.send")[0]?.answer({ success: false, error: "Too long." });
    });
    expect(screen.getByRole("alert").textContent).toContain("Not sent. Too long.");
    await userEvent.click(screen.getByRole("button", { name: "Retry" }));
    expect(chat.link.of("message.send")).toHaveLength(2);
    await act(async () => {
      await chat.link.of("message.send")[1]?.answer({ success: false, error: "Too long." });
    });
    await userEvent.click(screen.getByRole("button", { name: "Discard" }));
    expect(screen.queryByText("hello")).toBeNull();
  });

  it("renders markup as text and only web addresses as links", async () => {
    const content = "<img src=x> https://example.org javascript:alert(1)";
    await timeline((chat) => {
      chat.pages.push({ items: [message(1, { content })], page: { next: null, hasMore: false } });
    });
    expect(screen.getAllByRole("link").map((link) => link.textContent)).toEqual([
      "https://example.org",
    ]);
    expect(document.querySelector("img")).toBeNull();
  });

  it("offers edit and delete for own messages only, by menu and by key", async () => {
    await timeline((chat) => {
      const own = message(2, { senderId: ada.id });
      chat.pages.push({ items: [own, message(1)], page: { next: null, hasMore: false } });
    });
    const [other, own] = screen.getAllByRole("button", { name: /Actions for the message/ });
    if (!other || !own) throw new Error("two messages have two buttons");

    await userEvent.click(other);
    expect(screen.getAllByRole("menuitem").map((item) => item.textContent)).toEqual([
      "ReplyR",
      "Copy textC",
    ]);
    await userEvent.keyboard("{Escape}");
    expect(document.activeElement).toBe(other);

    await userEvent.keyboard("{ArrowDown}e");
    expect(acts.edit).toHaveBeenCalledWith(expect.objectContaining({ id: "m2" }));
  });

  it("asks for older messages from the oldest one shown", async () => {
    const chat = await timeline((given) => {
      given.pages.push({ items: [message(9), message(8)], page: { next: "x", hasMore: true } });
      given.pages.push({ items: [message(7)], page: { next: null, hasMore: false } });
    });
    await act(settle);
    expect(chat.historyCalls).toEqual([null, 8]);
    expect(screen.getByText(/beginning of/)).toBeTruthy();
  });
});
