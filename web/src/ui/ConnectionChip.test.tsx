import { act, cleanup, screen } from "@testing-library/react";
import { afterEach, expect, it } from "vitest";
import { ConnectionChip } from "./ConnectionChip";
import { renderInPage } from "./testing";

afterEach(cleanup);

it("shows the state, the latency, and what waits while offline", async () => {
  const { chat } = await renderInPage(<ConnectionChip />);
  expect(screen.getByRole("status").textContent).toBe("Connecting");

  await act(() => chat.link.connect());
  act(() => chat.client.store.dispatch({ type: "latency", ms: 12 }));
  expect(screen.getByRole("status").textContent).toBe("Connected");
  expect(screen.getByText("12 ms")).toBeTruthy();

  await act(() => chat.link.lose());
  act(() => chat.client.send("r1", "hello", null));
  expect(screen.getByRole("status").textContent).toBe("Offline");
  expect(screen.getByText("1 waiting")).toBeTruthy();
});
