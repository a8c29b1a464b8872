import { memo } from "react";
import type { Row } from "../chat/feed";
import { personName } from "../chat/selectors";
import type { Message } from "../chat/wire";
import { Avatar } from "./Avatar";
import { MessageBubble } from "./MessageBubble";

/** What the reader can do with a stored message. */
export interface Acts {
  reply(message: Message): void;
  edit(message: Message): void;
  remove(message: Message): void;
}

interface Props {
  group: Extract<Row, { kind: "group" }>;
  acts: Acts;
  byId: ReadonlyMap<string, Message>;
  readSeq: number;
  direct: boolean;
}

export const MessageGroup = memo(function MessageGroup({
  group,
  acts,
  byId,
  readSeq,
  direct,
}: Props) {
  const name = personName(group.sender);
  return (
    <div className={group.own ? "group group-own" : "group"}>
      {group.own ? null : <Avatar id={group.sender?.id ?? ""} name={name} size="small" />}
      <div className="group-body">
        {group.own || direct ? null : (
          <p className="group-name" aria-hidden="true">
            {name}
          </p>
        )}
        {group.items.map((item) => (
          <MessageBubble
            key={item.key}
            item={item}
            own={group.own}
            senderName={group.own ? "You" : name}
            quoted={quotedOf(item.message?.replyToId ?? item.draft?.replyToId ?? null, byId)}
            read={item.message !== null && item.message.seq <= readSeq}
            acts={acts}
          />
        ))}
      </div>
    </div>
  );
});

export type Quoted = Message | "unknown" | null;

function quotedOf(id: string | null, byId: ReadonlyMap<string, Message>): Quoted {
  return id === null ? null : (byId.get(id) ?? "unknown");
}
