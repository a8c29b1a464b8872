import { cleanup, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../chat/problem";
import { ada } from "../chat/testing";
import { AuthPage } from "./AuthPage";

afterEach(cleanup);

describe("AuthPage", () => {
  it("signs in by username or email", async () => {
    const session = { login: vi.fn(async () => ada), register: vi.fn() };
    const onEntered = vi.fn();
    render(<AuthPage session={session} onEntered={onEntered} />);
    await userEvent.type(screen.getByLabelText("Username or email"), "ada");
    await userEvent.type(screen.getByLabelText("Password"), "correct horse{Enter}");
    expect(session.login).toHaveBeenCalledWith("ada", "correct horse");
    expect(onEntered).toHaveBeenCalledWith(ada);
  });

  it("says what the server refused and lets the reader try again", async () => {
    const refusal = new ApiError(409, "USERNAME_TAKEN", "This username is taken.");
    const session = { login: vi.fn(), register: vi.fn().mockRejectedValue(refusal) };
    render(<AuthPage session={session} onEntered={vi.fn()} />);
    await userEvent.click(screen.getByRole("button", { name: "Create an account" }));
    await userEvent.type(screen.getByLabelText("Username"), "ada");
    await userEvent.type(screen.getByLabelText("Email"), "ada@example.org");
    await userEvent.type(screen.getByLabelText(/Password/), "correct horse{Enter}");
    expect((await screen.findByRole("alert")).textContent).toBe("This username is taken.");
    const submit = screen.getByRole<HTMLButtonElement>("button", { name: "Create account" });
    expect(submit.disabled).toBe(false);
  });
});
