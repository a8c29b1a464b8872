import { useCallback, useEffect, useMemo, useState } from "react";
import type { Message } from "../chat/wire";
import { Composer } from "./Composer";
import { ConfirmDialog } from "./ConfirmDialog";
import { ConversationHeader } from "./ConversationHeader";
import { useChat, usePage } from "./context";
import { MembersPanel } from "./MembersPanel";
import { TimelineView } from "./TimelineView";
import { TypingLine } from "./TypingLine";

export type Mode =
  | { kind: "write" }
  | { kind: "reply"; to: Message }
  | { kind: "edit"; message: Message };

const WRITE: Mode = { kind: "write" };

export function Conversation({ roomId }: { roomId: string }) {
  const { client, me } = usePage();
  const [mode, setMode] = useState<Mode>(WRITE);
  const [doomed, setDoomed] = useState<Message | null>(null);
  const [panel, setPanel] = useState(false);
  const connection = useChat((state) => state.connection);
  const messages = useChat((state) => state.timelines[roomId]?.messages);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new connection is a reason to try again
  useEffect(() => client.open(roomId), [client, roomId, connection === "online"]);

  const ownLast = useMemo(
    () => messages?.findLast((message) => message.senderId === me.id && message.deletedAt === null),
    [messages, me.id],
  );

  const acts = useMemo(
    () => ({
      reply: (to: Message) => setMode({ kind: "reply", to }),
      edit: (message: Message) => setMode({ kind: "edit", message }),
      remove: setDoomed,
    }),
    [],
  );

  const submit = useCallback(
    async (text: string) => {
      setMode(WRITE);
      if (mode.kind !== "edit") {
        client.send(roomId, text, mode.kind === "reply" ? mode.to.id : null);
      } else if (text !== mode.message.content && !(await client.edit(mode.message, text))) {
        setMode(mode);
      }
    },
    [client, roomId, mode],
  );

  return (
    <div className={panel ? "conversation with-panel" : "conversation"}>
      <section className="conversation-main" aria-label="Conversation">
        <ConversationHeader roomId={roomId} panel={panel} onPanel={() => setPanel(!panel)} />
        <TimelineView roomId={roomId} acts={acts} />
        <TypingLine roomId={roomId} />
        <Composer
          roomId={roomId}
          mode={mode}
          onSubmit={submit}
          onCancel={() => setMode(WRITE)}
          onEditLast={() => ownLast && acts.edit(ownLast)}
        />
      </section>
      {panel ? <MembersPanel roomId={roomId} onClose={() => setPanel(false)} /> : null}
      {doomed ? (
        <ConfirmDialog
          title="Delete this message?"
          text="It disappears for everyone in the room."
          action="Delete"
          onClose={() => setDoomed(null)}
          onConfirm={() => {
            void client.remove(doomed);
            setDoomed(null);
          }}
        />
      ) : null}
    </div>
  );
}
