import {
  type FormEvent,
  type KeyboardEvent,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import { personName } from "../chat/selectors";
import type { Mode } from "./Conversation";
import { useChat, usePage } from "./context";
import { Icon } from "./icons";

const MAX_LENGTH = 8_000;

/** Unsent text per room, kept while the page is open. */
const unsent = new Map<string, string>();

interface Props {
  roomId: string;
  mode: Mode;
  onSubmit: (text: string) => void;
  onCancel: () => void;
  onEditLast: () => void;
}

export function Composer({ roomId, mode, onSubmit, onCancel, onEditLast }: Props) {
  const { client } = usePage();
  const offline = useChat((state) => state.connection !== "online");
  const [text, setText] = useState(() => unsent.get(roomId) ?? "");
  const field = useRef<HTMLTextAreaElement>(null);
  const editing = mode.kind === "edit" ? mode.message : null;

  useEffect(() => {
    setText(editing ? editing.content : (unsent.get(roomId) ?? ""));
  }, [editing, roomId]);

  useEffect(() => {
    // On a touch screen the keyboard would cover the room the reader has just opened.
    if (mode.kind !== "write" || window.matchMedia?.("(hover: hover)").matches) {
      field.current?.focus();
    }
  }, [mode]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the height depends on the text
  useLayoutEffect(() => {
    const area = field.current;
    if (!area) return;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight}px`;
  }, [text]);

  const change = (value: string) => {
    setText(value);
    if (!editing) {
      unsent.set(roomId, value);
      client.setTyping(roomId, value.trim() !== "");
    }
  };

  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    const content = text.trim();
    if (content === "") return;
    if (!editing) {
      unsent.delete(roomId);
      client.setTyping(roomId, false);
      setText("");
    }
    onSubmit(content);
    field.current?.focus();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      submit(event);
    } else if (event.key === "Escape" && mode.kind !== "write") {
      event.preventDefault();
      onCancel();
    } else if (event.key === "ArrowUp" && text === "" && mode.kind === "write") {
      event.preventDefault();
      onEditLast();
    }
  };

  return (
    <form className="composer" onSubmit={submit}>
      {mode.kind === "write" ? null : (
        <div className="composer-mode">
          <Icon name={editing ? "edit" : "reply"} size={16} />
          <p>
            <strong>
              {mode.kind === "reply" ? `Reply to ${personName(mode.to.sender)}` : "Edit message"}
            </strong>
            <span>{mode.kind === "reply" ? mode.to.content : mode.message.content}</span>
          </p>
          <button
            type="button"
            className="icon-button"
            aria-label={editing ? "Stop editing" : "Do not reply"}
            onClick={onCancel}
          >
            <Icon name="close" size={18} />
          </button>
        </div>
      )}
      <div className="composer-row">
        <textarea
          ref={field}
          rows={1}
          aria-label="Message"
          aria-describedby="composer-hint"
          placeholder={offline ? "Sent when you are back online" : "Write a message"}
          maxLength={MAX_LENGTH}
          value={text}
          onChange={(event) => change(event.target.value)}
          onKeyDown={onKeyDown}
        />
        <button
          type="submit"
          className="send"
          aria-label={editing ? "Save" : "Send"}
          disabled={text.trim() === ""}
        >
          <Icon name={editing ? "check" : "send"} />
        </button>
      </div>
      <p id="composer-hint" className="visually-hidden">
        Enter sends, Shift and Enter starts a new line, arrow up edits your last message.
      </p>
    </form>
  );
}
