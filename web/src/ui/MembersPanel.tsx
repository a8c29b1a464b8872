import { useState } from "react";
import { personName } from "../chat/selectors";
import type { ChatState } from "../chat/state";
import type { Member } from "../chat/wire";
import { Avatar } from "./Avatar";
import { ConfirmDialog } from "./ConfirmDialog";
import { useChat, usePage } from "./context";
import { Icon } from "./icons";
import { PeopleDialog } from "./PeopleDialog";
import { goHome } from "./route";

const NOBODY: readonly Member[] = [];

export function MembersPanel({ roomId, onClose }: { roomId: string; onClose: () => void }) {
  const { client, me } = usePage();
  const room = useChat((state) => state.rooms[roomId]);
  const members = useChat((state) => state.members[roomId]) ?? NOBODY;
  const online = useChat((state) => state.online);
  const [inviting, setInviting] = useState(false);
  const [leaving, setLeaving] = useState(false);
  const direct = room?.room.kind === "direct";

  return (
    <section className="panel" aria-label="Members and room">
      <header className="panel-head">
        <h2>{direct ? "People" : "Members"}</h2>
        <button type="button" className="icon-button" aria-label="Close members" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {room?.room.topic ? <p className="panel-topic">{room.room.topic}</p> : null}
      {direct ? null : (
        <div className="panel-tools">
          <button type="button" className="button button-wide" onClick={() => setInviting(true)}>
            <Icon name="plus" size={18} /> Invite people
          </button>
        </div>
      )}
      <ul className="member-list">
        {byPresence(members, online).map((member) => (
          <li key={member.userId} className="member">
            <Avatar
              id={member.userId}
              name={personName(member.user)}
              size="small"
              online={online[member.userId] ?? false}
            />
            <span className="member-name">
              {personName(member.user)}
              {member.userId === me.id ? <span className="field-note"> (you)</span> : null}
            </span>
            <span className="visually-hidden">{online[member.userId] ? "online" : "offline"}</span>
            {member.role === "member" ? null : <span className="role">{member.role}</span>}
          </li>
        ))}
      </ul>
      {direct ? null : (
        <footer className="panel-foot">
          <button
            type="button"
            className="button button-wide button-quiet-danger"
            onClick={() => setLeaving(true)}
          >
            <Icon name="leave" size={18} /> Leave room
          </button>
        </footer>
      )}
      {inviting ? (
        <PeopleDialog
          title="Invite people"
          action="Invite"
          exclude={new Set(members.map((member) => member.userId))}
          onClose={() => setInviting(false)}
          onPick={async (person) => {
            if (await client.invite(roomId, person.id)) {
              client.notify(`${personName(person)} was invited.`);
            }
          }}
        />
      ) : null}
      {leaving ? (
        <ConfirmDialog
          title={`Leave ${room?.room.name ?? "this room"}?`}
          text="You will not receive its messages any more."
          action="Leave"
          onClose={() => setLeaving(false)}
          onConfirm={async () => {
            setLeaving(false);
            if (await client.leave(roomId)) goHome();
          }}
        />
      ) : null}
    </section>
  );
}

function byPresence(members: readonly Member[], online: ChatState["online"]): Member[] {
  const rank = (member: Member) => (online[member.userId] ? 0 : 1);
  return [...members].sort(
    (a, b) => rank(a) - rank(b) || personName(a.user).localeCompare(personName(b.user)),
  );
}
