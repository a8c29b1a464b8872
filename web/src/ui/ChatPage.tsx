import { useEffect } from "react";
import { totalUnread } from "../chat/selectors";
import { Conversation } from "./Conversation";
import { useChat } from "./context";
import { Mark } from "./Mark";
import { useRoomId } from "./route";
import { Sidebar } from "./Sidebar";

export function ChatPage() {
  const roomId = useRoomId();
  const known = useChat((state) => roomId !== null && state.rooms[roomId] !== undefined);
  const loaded = useChat((state) => state.roomsLoaded);
  const unread = useChat((state) => totalUnread(state.rooms));
  const notice = useChat((state) => state.notice);

  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) Mynah` : "Mynah";
  }, [unread]);

  return (
    <main className={roomId === null ? "page page-list" : "page page-room"}>
      <Sidebar activeId={roomId} />
      {roomId !== null && known ? (
        <Conversation key={roomId} roomId={roomId} />
      ) : (
        <div className="empty-pane">
          <Mark size={72} />
          <p>
            {roomId !== null && loaded
              ? "This room is not among yours."
              : "Pick a conversation, or start a new one."}
          </p>
          {roomId !== null && loaded ? (
            <a className="button" href="#/">
              Back to your rooms
            </a>
          ) : null}
        </div>
      )}
      <div className="notice-area" role="status" aria-live="polite">
        {notice ? <p className="notice">{notice.text}</p> : null}
      </div>
    </main>
  );
}
