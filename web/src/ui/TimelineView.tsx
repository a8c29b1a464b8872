import { useCallback, useEffect, useMemo, useState } from "react";
import { feed, type Row } from "../chat/feed";
import { dayName } from "../chat/format";
import { readByOthers, roomTitle, timelineOf } from "../chat/selectors";
import type { Message } from "../chat/wire";
import { useChat, usePage } from "./context";
import { Icon } from "./icons";
import { Mark } from "./Mark";
import { type Acts, MessageGroup } from "./MessageGroup";
import { useTimelineScroll } from "./useTimelineScroll";
import { useVisible } from "./useVisible";

export function TimelineView({ roomId, acts }: { roomId: string; acts: Acts }) {
  const { client, me } = usePage();
  const timeline = useChat((state) => timelineOf(state, roomId));
  const outbox = useChat((state) => state.outbox);
  const room = useChat((state) => state.rooms[roomId]);
  const title = useChat((state) => (room ? roomTitle(state, room) : ""));
  const readSeq = useChat((state) => readByOthers(state, roomId));
  const visible = useVisible();
  const unread = room?.unread ?? 0;
  const direct = room?.room.kind === "direct";
  const [readUpTo, setReadUpTo] = useState(() => (room && unread > 0 ? room.lastReadNumber : null));

  const { messages, hasMore, status } = timeline;
  const shown = messages.length > 0 || status === "ready";
  const rows = useMemo(() => {
    const drafts = outbox.filter((draft) => draft.roomId === roomId);
    return feed({ messages, drafts, me, readUpTo });
  }, [messages, outbox, roomId, me, readUpTo]);
  const byId = useMemo(() => new Map(messages.map((message) => [message.id, message])), [messages]);

  const loadOlder = useCallback(() => void client.loadOlder(roomId), [client, roomId]);
  const firstKey = shown ? (messages[0]?.id ?? "empty") : null;
  const lastRow = rows.at(-1);
  const lastItem = lastRow?.kind === "group" ? lastRow.items.at(-1) : undefined;
  const scroll = useTimelineScroll({
    firstKey,
    lastKey: lastItem?.key ?? lastRow?.key ?? null,
    lastIsOwn: lastRow?.kind === "group" && lastRow.own,
    onNearTop: loadOlder,
  });

  const reading = visible && scroll.atBottom && status === "ready";
  const lastReadNumber = room?.lastReadNumber ?? 0;

  useEffect(() => {
    if (!visible) setReadUpTo(null);
  }, [visible]);

  useEffect(() => {
    // Whoever looks away, or further up, finds the divider where they left.
    if (!reading && unread > 0) setReadUpTo((known) => known ?? lastReadNumber);
  }, [reading, unread, lastReadNumber]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new last message is a reason to read again
  useEffect(() => {
    if (reading) client.markRead(roomId);
  }, [reading, client, roomId, room?.lastMessage?.seq]);

  return (
    <div className="timeline">
      <div className="timeline-scroll" ref={scroll.scroller} onScroll={scroll.onScroll}>
        <div
          className="timeline-content"
          ref={scroll.content}
          role="log"
          aria-label={`Messages in ${title}`}
          aria-busy={status === "loading"}
        >
          {shown && !hasMore ? (
            <div className="beginning">
              <Mark size={44} />
              <p>
                This is the beginning of {direct ? "your chat with " : null}
                <strong>{title}</strong>.
              </p>
            </div>
          ) : (
            <HistoryState status={status} onRetry={() => client.open(roomId)} />
          )}
          {rows.map((row) => (
            <RowView
              key={row.key}
              row={row}
              acts={acts}
              byId={byId}
              readSeq={readSeq}
              divider={scroll.divider}
              direct={direct}
            />
          ))}
        </div>
      </div>
      {scroll.atBottom ? null : (
        <button type="button" className="jump" onClick={scroll.toBottom}>
          <Icon name="down" size={18} />
          {unread > 0 ? `${unread} new` : "Latest"}
        </button>
      )}
    </div>
  );
}

interface RowProps {
  row: Row;
  acts: Acts;
  byId: ReadonlyMap<string, Message>;
  readSeq: number;
  divider: React.RefObject<HTMLDivElement | null>;
  direct: boolean;
}

function RowView({ row, acts, byId, readSeq, divider, direct }: RowProps) {
  switch (row.kind) {
    case "day":
      return (
        <div className="day">
          <span>{dayName(row.at, new Date())}</span>
        </div>
      );
    case "unread":
      return (
        <div className="unread-line" ref={divider}>
          <span>New messages</span>
        </div>
      );
    case "system":
      return <p className="system-line">{row.item.message?.content}</p>;
    case "group":
      return <MessageGroup group={row} acts={acts} byId={byId} readSeq={readSeq} direct={direct} />;
  }
}

function HistoryState({ status, onRetry }: { status: string; onRetry: () => void }) {
  if (status === "failed") {
    return (
      <div className="history-state">
        <button type="button" className="button button-small" onClick={onRetry}>
          Could not load messages. Try again
        </button>
      </div>
    );
  }
  return (
    <div className="history-state" aria-hidden="true">
      <span className="spinner" />
    </div>
  );
}
