import { shortWhen } from "../chat/format";
import { peerOf, preview, roomTitle, typingText } from "../chat/selectors";
import type { RoomState } from "../chat/state";
import { Avatar } from "./Avatar";
import { useChat, usePage } from "./context";
import { Icon } from "./icons";
import { roomHref } from "./route";

const BADGE_MAX = 99;

export function RoomLink({ room, active }: { room: RoomState; active: boolean }) {
  const { me } = usePage();
  const { id, kind, visibility } = room.room;
  const title = useChat((state) => roomTitle(state, room));
  const peer = useChat((state) => peerOf(state, room));
  const online = useChat((state) => (peer ? (state.online[peer.id] ?? false) : undefined));
  const typing = useChat((state) => typingText(state.typing[id]));
  const waiting = useChat((state) => state.outbox.some((draft) => draft.roomId === id));
  const last = room.lastMessage;
  return (
    <li>
      <a className="room-link" href={roomHref(id)} aria-current={active ? "page" : undefined}>
        <Avatar
          id={peer?.id ?? id}
          name={title}
          kind={kind === "direct" ? "person" : kind}
          online={online}
        />
        <span className="room-link-text">
          <span className="room-link-line">
            <span className="room-link-title">{title}</span>
            {online ? <span className="visually-hidden">, online</span> : null}
            {kind !== "direct" && visibility === "private" ? <Icon name="lock" size={13} /> : null}
            <span className="room-link-when">
              {last ? shortWhen(last.createdAt, new Date()) : ""}
            </span>
          </span>
          <span className="room-link-line">
            <span className={typing ? "room-link-preview is-typing" : "room-link-preview"}>
              {typing || (last ? preview(last, me.id, kind === "direct") : "No messages yet")}
            </span>
            {waiting ? <Icon name="clock" size={14} /> : null}
            {room.unread > 0 ? (
              <span className="badge">
                {room.unread > BADGE_MAX ? `${BADGE_MAX}+` : room.unread}
                <span className="visually-hidden"> unread</span>
              </span>
            ) : null}
          </span>
        </span>
      </a>
    </li>
  );
}
