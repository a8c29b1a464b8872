import { memo } from "react";
import type { Item } from "../chat/feed";
import { fullTime, time } from "../chat/format";
import { personName } from "../chat/selectors";
import { usePage } from "./context";
import { Icon, type IconName } from "./icons";
import type { Acts, Quoted } from "./MessageGroup";
import { MessageMenu } from "./MessageMenu";
import { RichText } from "./RichText";

interface Props {
  item: Item;
  own: boolean;
  senderName: string;
  quoted: Quoted;
  read: boolean;
  acts: Acts;
}

type Delivery = "pending" | "failed" | "stored" | "read";

const DELIVERY: Record<Delivery, { icon: IconName; label: string }> = {
  pending: { icon: "clock", label: "Sending" },
  failed: { icon: "alert", label: "Not sent" },
  stored: { icon: "check", label: "Sent" },
  read: { icon: "checks", label: "Read" },
};

export const MessageBubble = memo(function MessageBubble(props: Props) {
  const { item, own, senderName, quoted, read, acts } = props;
  const { message, draft } = item;
  const delivery: Delivery = draft ? draft.status : read ? "read" : "stored";
  const deleted = message !== null && message.deletedAt !== null;
  const meta = message?.editedAt && !deleted ? `edited ${time(item.at)}` : time(item.at);
  const classes = ["bubble"];
  if (own) classes.push("bubble-own");
  if (deleted) classes.push("bubble-deleted");
  if (draft) classes.push(`bubble-${draft.status}`);
  return (
    <article className="message" id={message ? `m-${message.id}` : undefined}>
      <div className="message-line">
        <div className={classes.join(" ")}>
          <span className="visually-hidden">{senderName}: </span>
          {deleted ? null : <Quote quoted={quoted} />}
          <div className="bubble-text">
            {deleted ? (
              "Message deleted"
            ) : (
              <RichText text={message?.content ?? draft?.content ?? ""} />
            )}
            <span
              className={own ? "bubble-room bubble-room-own" : "bubble-room"}
              data-text={meta}
            />
          </div>
          <span className="bubble-meta">
            <time dateTime={item.at} title={fullTime(item.at)}>
              {meta}
            </time>
            {own && !deleted ? (
              <span className={`delivery delivery-${delivery}`} title={DELIVERY[delivery].label}>
                <Icon name={DELIVERY[delivery].icon} size={15} />
                <span className="visually-hidden">{DELIVERY[delivery].label}</span>
              </span>
            ) : null}
          </span>
        </div>
        {message && !deleted ? (
          <MessageMenu message={message} own={own} senderName={senderName} acts={acts} />
        ) : null}
      </div>
      {draft?.status === "failed" ? (
        <Failure clientId={draft.clientId} error={draft.error} />
      ) : null}
    </article>
  );
});

function Quote({ quoted }: { quoted: Quoted }) {
  if (quoted === null) return null;
  if (quoted === "unknown") return <p className="quote">An earlier message</p>;
  const show = () => {
    const target = document.getElementById(`m-${quoted.id}`);
    target?.scrollIntoView({ block: "center" });
    target?.classList.remove("flash");
    // Reading the layout between the two lets the animation start again.
    void target?.offsetWidth;
    target?.classList.add("flash");
  };
  return (
    <button type="button" className="quote" onClick={show}>
      <span className="visually-hidden">In reply to </span>
      <strong>{personName(quoted.sender)}</strong>
      <span>{quoted.deletedAt === null ? quoted.content : "Message deleted"}</span>
    </button>
  );
}

function Failure({ clientId, error }: { clientId: string; error: string | null }) {
  const { client } = usePage();
  return (
    <div className="failure" role="alert">
      <span>Not sent. {error}</span>
      <button type="button" className="link" onClick={() => client.retry(clientId)}>
        Retry
      </button>
      <button type="button" className="link" onClick={() => client.discard(clientId)}>
        Discard
      </button>
    </div>
  );
}
