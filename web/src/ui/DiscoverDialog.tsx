import { useEffect, useState } from "react";
import { explain } from "../chat/problem";
import type { RoomRow } from "../chat/wire";
import { Avatar } from "./Avatar";
import { useChat, usePage } from "./context";
import { Dialog } from "./Dialog";

interface Props {
  onClose: () => void;
  onJoin: (row: RoomRow) => Promise<void>;
  onOpen: (roomId: string) => void;
}

export function DiscoverDialog({ onClose, onJoin, onOpen }: Props) {
  const { publicRooms } = usePage();
  const joined = useChat((state) => state.rooms);
  const [rows, setRows] = useState<readonly RoomRow[] | null>(null);
  const [error, setError] = useState<string | null>(null);

  useEffect(() => {
    publicRooms().then(setRows, (failure: unknown) => setError(explain(failure)));
  }, [publicRooms]);

  return (
    <Dialog title="Public rooms" onClose={onClose}>
      <div className="picker" aria-live="polite">
        {error ? <p className="form-error">{error}</p> : null}
        {rows === null && !error ? <p className="picker-empty">Loading…</p> : null}
        {rows?.length === 0 ? (
          <p className="picker-empty">There are no public rooms yet. Create the first one.</p>
        ) : null}
        <ul>
          {rows?.map((row) => (
            <li key={row.id} className="picker-row">
              <Avatar
                id={row.id}
                name={row.name ?? ""}
                kind={row.kind === "channel" ? "channel" : "group"}
              />
              <span className="picker-text">
                <strong>{row.name}</strong>
                <span className="field-note">
                  {row.memberCount} {row.memberCount === 1 ? "member" : "members"}
                  {row.topic ? ` · ${row.topic}` : ""}
                </span>
              </span>
              {joined[row.id] ? (
                <button
                  type="button"
                  className="button button-small"
                  onClick={() => onOpen(row.id)}
                >
                  Open<span className="visually-hidden"> {row.name}</span>
                </button>
              ) : (
                <button
                  type="button"
                  className="button button-small button-primary"
                  onClick={() => void onJoin(row)}
                >
                  Join<span className="visually-hidden"> {row.name}</span>
                </button>
              )}
            </li>
          ))}
        </ul>
      </div>
    </Dialog>
  );
}
