import { cleanup, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { message } from "../chat/testing";
import { harness } from "../chat/testing-client";
import { Composer } from "./Composer";
import type { Mode } from "./Conversation";
import { renderInPage } from "./testing";

afterEach(cleanup);

async function composer(mode: Mode = { kind: "write" }) {
  const props = { onSubmit: vi.fn(), onCancel: vi.fn(), onEditLast: vi.fn() };
  const chat = await harness();
  await chat.link.connect();
  await renderInPage(<Composer roomId={crypto.randomUUID()} mode={mode} {...props} />, chat);
  return { ...props, chat, field: screen.getByLabelText<HTMLTextAreaElement>("Message") };
}

describe("Composer", () => {
  it("sends with Enter and starts a line with Shift and Enter", async () => {
    const { field, onSubmit } = await composer();
    await userEvent.type(field, "one{Shift>}{Enter}{/Shift}two{Enter}");
    expect(onSubmit).toHaveBeenCalledExactlyOnceWith("one\ntwo");
    expect(field.value).toBe("");
  });

  it("sends nothing when there is nothing but space", async () => {
    const { field, onSubmit } = await composer();
    await userEvent.type(field, "   {Enter}");
    expect(onSubmit).not.toHaveBeenCalled();
    expect(screen.getByRole<HTMLButtonElement>("button", { name: "Send" }).disabled).toBe(true);
  });

  it("offers the last own message with ArrowUp, only while empty", async () => {
    const { field, onEditLast } = await composer();
    await userEvent.type(field, "{ArrowUp}");
    expect(onEditLast).toHaveBeenCalledOnce();
    await userEvent.type(field, "x{ArrowUp}");
    expect(onEditLast).toHaveBeenCalledOnce();
  });

  it("shows the text to edit and leaves with Escape", async () => {
    const { field, onCancel } = await composer({ kind: "edit", message: message(1) });
    expect(field.value).toBe("text 1");
    await userEvent.type(field, "{Escape}");
    expect(onCancel).toHaveBeenCalledOnce();
  });

  it("tells the others that the reader is typing, once in a while", async () => {
    const { field, chat } = await composer();
    await userEvent.type(field, "abc");
    expect(chat.link.told.map((told) => told.name)).toEqual(["typing"]);
  });
});
