import { personName } from "../chat/selectors";
import { useChat, usePage } from "./context";
import { goToRoom } from "./route";

/** Rooms somebody asked the reader to join, above the list of rooms. */
export function Invitations() {
  const { client } = usePage();
  const invitations = useChat((state) => state.invitations);
  return Object.values(invitations).map(({ room, by }) => (
    <section key={room.id} className="invitation" aria-label={`Invitation to ${room.name}`}>
      <p>
        {by ? `${personName(by)} invites you to ` : "You are invited to "}
        <strong>{room.name}</strong>
      </p>
      <button
        type="button"
        className="button button-small button-primary"
        onClick={async () => {
          const roomId = await client.join(room);
          if (roomId !== null) goToRoom(roomId);
        }}
      >
        Join
      </button>
      <button
        type="button"
        className="button button-small"
        onClick={() => client.dismissInvitation(room.id)}
      >
        Not now
      </button>
    </section>
  ));
}
