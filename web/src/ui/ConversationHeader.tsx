import { useEffect, useRef } from "react";
import { peerOf, roomTitle } from "../chat/selectors";
import { Avatar } from "./Avatar";
import { ConnectionChip } from "./ConnectionChip";
import { useChat } from "./context";
import { Icon } from "./icons";

interface Props {
  roomId: string;
  panel: boolean;
  onPanel: () => void;
}

export function ConversationHeader({ roomId, panel, onPanel }: Props) {
  const room = useChat((state) => state.rooms[roomId]);
  const title = useChat((state) => (room ? roomTitle(state, room) : ""));
  const peer = useChat((state) => (room ? peerOf(state, room) : null));
  const peerOnline = useChat((state) => (peer ? (state.online[peer.id] ?? false) : undefined));
  const online = useChat(
    (state) => state.members[roomId]?.filter((member) => state.online[member.userId]).length ?? 0,
  );
  const heading = useRef<HTMLHeadingElement>(null);

  useEffect(() => {
    // Without a keyboard at hand the composer is not focused, so the room's name is where reading starts.
    if (!window.matchMedia?.("(hover: hover)").matches) heading.current?.focus();
  }, []);

  if (!room) return null;
  const { kind, memberCount, topic } = room.room;
  const facts =
    kind === "direct"
      ? [peerOnline ? "Online" : "Offline"]
      : [
          `${memberCount} ${memberCount === 1 ? "member" : "members"}`,
          ...(online > 0 ? [`${online} online`] : []),
          ...(topic ? [topic] : []),
        ];
  return (
    <header className="conversation-head">
      <a className="icon-button back" href="#/" aria-label="Back to rooms">
        <Icon name="back" />
      </a>
      <Avatar
        id={peer?.id ?? roomId}
        name={title}
        kind={kind === "direct" ? "person" : kind}
        online={peerOnline}
      />
      <div className="conversation-title">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        <p>{facts.join(" · ")}</p>
      </div>
      <ConnectionChip />
      <button
        type="button"
        className="icon-button"
        aria-label="Members and room"
        title="Members and room"
        aria-expanded={panel}
        onClick={onPanel}
      >
        <Icon name="people" />
      </button>
    </header>
  );
}
