import type { Connection } from "../chat/state";
import { useChat } from "./context";

const LABEL: Record<Connection, string> = {
  connecting: "Connecting",
  online: "Connected",
  offline: "Offline",
};

/** State of the live connection, with the round trip time while it is up. */
export function ConnectionChip() {
  const connection = useChat((state) => state.connection);
  const latency = useChat((state) => state.latencyMs);
  const waiting = useChat(
    (state) => state.outbox.filter((draft) => draft.status === "pending").length,
  );
  const detail =
    connection === "online"
      ? latency === null
        ? null
        : `${latency} ms`
      : waiting > 0
        ? `${waiting} waiting`
        : null;
  return (
    <span className={`chip chip-${connection}`}>
      <span className="chip-dot" aria-hidden="true" />
      <span className="chip-label" role="status">
        {LABEL[connection]}
      </span>
      {detail === null ? null : <span className="chip-detail">{detail}</span>}
    </span>
  );
}
