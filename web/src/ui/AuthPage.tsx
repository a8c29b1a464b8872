import { type FormEvent, useId, useState } from "react";
import { explain } from "../chat/problem";
import type { Session } from "../chat/session";
import type { Account } from "../chat/wire";
import { Mark } from "./Mark";

interface Props {
  session: Pick<Session, "login" | "register">;
  onEntered: (me: Account) => void;
}

export function AuthPage({ session, onEntered }: Props) {
  const [mode, setMode] = useState<"login" | "register">("login");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const registering = mode === "register";

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const value = (name: string) => String(form.get(name) ?? "").trim();
    const password = String(form.get("password") ?? "");
    setBusy(true);
    setError(null);
    try {
      const me = registering
        ? await session.register({
            email: value("email"),
            username: value("username"),
            name: value("name"),
            password,
          })
        : await session.login(value("who"), password);
      onEntered(me);
    } catch (failure) {
      setError(explain(failure));
      setBusy(false);
    }
  };

  return (
    <main className="auth">
      <section className="auth-card" aria-labelledby="auth-title">
        <header className="auth-head">
          <Mark size={52} />
          <h1 id="auth-title">{registering ? "Create your account" : "Welcome to Mynah"}</h1>
          <p>{registering ? "It takes a moment." : "Sign in to your conversations."}</p>
        </header>
        <form onSubmit={submit} key={mode}>
          {registering ? (
            <>
              <Field label="Name" name="name" autoComplete="name" required={false} />
              <Field label="Username" name="username" autoComplete="username" />
              <Field label="Email" name="email" type="email" autoComplete="email" />
            </>
          ) : (
            <Field label="Username or email" name="who" autoComplete="username" />
          )}
          <Field
            label="Password"
            name="password"
            type="password"
            autoComplete={registering ? "new-password" : "current-password"}
            minLength={registering ? 8 : 1}
            hint={registering ? "At least 8 characters" : undefined}
          />
          <p className="form-error" role="alert">
            {error}
          </p>
          <button type="submit" className="button button-primary button-wide" disabled={busy}>
            {busy ? "One moment…" : registering ? "Create account" : "Sign in"}
          </button>
        </form>
        <p className="auth-switch">
          {registering ? "Already have an account?" : "New here?"}{" "}
          <button
            type="button"
            className="link"
            onClick={() => {
              setError(null);
              setMode(registering ? "login" : "register");
            }}
          >
            {registering ? "Sign in" : "Create an account"}
          </button>
        </p>
      </section>
    </main>
  );
}

interface FieldProps {
  label: string;
  name: string;
  autoComplete: string;
  type?: string;
  required?: boolean;
  minLength?: number;
  hint?: string | undefined;
}

function Field({
  label,
  name,
  autoComplete,
  type = "text",
  required = true,
  minLength,
  hint,
}: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>
        {label}
        {required ? null : <span className="field-note"> (optional)</span>}
      </label>
      <input
        id={id}
        name={name}
        type={type}
        autoComplete={autoComplete}
        autoCapitalize="none"
        spellCheck={false}
        required={required}
        minLength={minLength}
        aria-describedby={hint ? `${id}-hint` : undefined}
      />
      {hint ? (
        <span className="field-note" id={`${id}-hint`}>
          {hint}
        </span>
      ) : null}
    </div>
  );
}
