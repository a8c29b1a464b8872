import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Api } from "../chat/api";
import { ChatClient } from "../chat/client";
import { newId } from "../chat/ids";
import { socketLink } from "../chat/link";
import { ApiError } from "../chat/problem";
import { Session } from "../chat/session";
import type { Account } from "../chat/wire";
import { AuthPage } from "./AuthPage";
import { ChatPage } from "./ChatPage";
import { PageProvider } from "./context";
import { Mark } from "./Mark";

const RETRY_MS = 3_000;
const REQUEST_MS = 20_000;

type Visit =
  | { phase: "resuming"; unreachable: boolean }
  | { phase: "signed-out" }
  | { phase: "signed-in"; me: Account };

export function App() {
  const [visit, setVisit] = useState<Visit>({ phase: "resuming", unreachable: false });
  const { session, api } = useMemo(() => {
    // A request that hangs would hold the refresh lock of every tab.
    const request = (path: string, init?: RequestInit) =>
      fetch(path, { ...init, signal: AbortSignal.timeout(REQUEST_MS) });
    const created = new Session(request, localStorage, () => setVisit({ phase: "signed-out" }));
    return { session: created, api: new Api(request, created) };
  }, []);

  useEffect(() => {
    if (visit.phase !== "resuming") return;
    if (!session.resumable) {
      setVisit({ phase: "signed-out" });
      return;
    }
    let live = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    api.me().then(
      (me) => live && setVisit({ phase: "signed-in", me }),
      (error: unknown) => {
        if (!live) return;
        if (error instanceof ApiError && error.status === 401) setVisit({ phase: "signed-out" });
        else timer = setTimeout(() => setVisit({ phase: "resuming", unreachable: true }), RETRY_MS);
      },
    );
    return () => {
      live = false;
      clearTimeout(timer);
    };
  }, [visit, session, api]);

  useEffect(() => {
    const changed = (event: StorageEvent) => {
      if (Session.isRefreshKey(event.key) && event.newValue === null) {
        setVisit({ phase: "signed-out" });
      }
    };
    window.addEventListener("storage", changed);
    return () => window.removeEventListener("storage", changed);
  }, []);

  const signOut = useCallback(() => {
    void session.logout();
    setVisit({ phase: "signed-out" });
  }, [session]);

  if (visit.phase === "resuming") return <Splash unreachable={visit.unreachable} />;
  if (visit.phase === "signed-out") {
    return <AuthPage session={session} onEntered={(me) => setVisit({ phase: "signed-in", me })} />;
  }
  return <SignedIn key={visit.me.id} me={visit.me} session={session} api={api} signOut={signOut} />;
}

interface SignedInProps {
  me: Account;
  session: Session;
  api: Api;
  signOut: () => void;
}

function SignedIn({ me, session, api, signOut }: SignedInProps) {
  const [client, setClient] = useState<ChatClient | null>(null);
  const parts = useRef({ me, session, api });

  useEffect(() => {
    const { me: account, ...rest } = parts.current;
    const created = new ChatClient(account, {
      ...rest,
      openLink: socketLink,
      storage: localStorage,
      newId,
      now: Date.now,
      visible: () => document.visibilityState === "visible",
    });
    const changed = (event: StorageEvent) => created.storageChanged(event.key, event.newValue);
    window.addEventListener("storage", changed);
    void created.start();
    setClient(created);
    return () => {
      window.removeEventListener("storage", changed);
      created.stop();
    };
  }, []);

  const page = useMemo(
    () =>
      client && {
        client,
        me,
        signOut,
        searchUsers: (text: string) => api.searchUsers(text),
        publicRooms: () => api.publicRooms(),
      },
    [client, me, signOut, api],
  );
  if (!page) return <Splash unreachable={false} />;
  return (
    <PageProvider value={page}>
      <ChatPage />
    </PageProvider>
  );
}

function Splash({ unreachable }: { unreachable: boolean }) {
  return (
    <main className="splash">
      <Mark size={56} />
      <p role="status">
        {unreachable
          ? "The server cannot be reached. Trying again…"
          : "Opening your conversations…"}
      </p>
    </main>
  );
}
