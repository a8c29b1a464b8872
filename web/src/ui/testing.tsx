import { type RenderResult, render } from "@testing-library/react";
import type { ReactNode } from "react";
import { vi } from "vitest";
import { ada, noor } from "../chat/testing";
import { type Harness, harness } from "../chat/testing-client";
import { PageProvider } from "./context";

/** A component inside the page of a signed-in, connected reader. */
export async function renderInPage(
  children: ReactNode,
  chat?: Harness,
): Promise<RenderResult & { chat: Harness }> {
  const given = chat ?? (await harness());
  const page = {
    client: given.client,
    me: ada,
    searchUsers: async () => [ada, noor],
    publicRooms: async () => [],
    signOut: vi.fn(),
  };
  return { ...render(<PageProvider value={page}>{children}</PageProvider>), chat: given };
}
