import { typingText } from "../chat/selectors";
import { useChat } from "./context";

export function TypingLine({ roomId }: { roomId: string }) {
  const text = useChat((state) => typingText(state.typing[roomId]));
  return (
    <p className="typing" role="status">
      {text === "" ? null : (
        <>
          <span className="typing-dots" aria-hidden="true">
            <span />
            <span />
            <span />
          </span>
          {text}
        </>
      )}
    </p>
  );
}
