import { useMemo, useState } from "react";
import { personName, roomTitle, sortedRooms } from "../chat/selectors";
import { Avatar } from "./Avatar";
import { ConnectionChip } from "./ConnectionChip";
import { CreateRoomDialog } from "./CreateRoomDialog";
import { useChat, usePage } from "./context";
import { DiscoverDialog } from "./DiscoverDialog";
import { Invitations } from "./Invitations";
import { Icon } from "./icons";
import { Mark } from "./Mark";
import { PeopleDialog } from "./PeopleDialog";
import { RoomLink } from "./RoomLink";
import { goToRoom } from "./route";
import { ThemeButton } from "./ThemeButton";

type Open = "create" | "discover" | "direct" | null;

export function Sidebar({ activeId }: { activeId: string | null }) {
  const { client, me, signOut } = usePage();
  const rooms = useChat((state) => state.rooms);
  const members = useChat((state) => state.members);
  const loaded = useChat((state) => state.roomsLoaded);
  const [open, setOpen] = useState<Open>(null);
  const [filter, setFilter] = useState("");

  const shown = useMemo(() => {
    const state = { ...client.store.get(), rooms, members };
    const wanted = filter.trim().toLowerCase();
    const all = sortedRooms(rooms);
    if (wanted === "") return all;
    return all.filter((room) => roomTitle(state, room).toLowerCase().includes(wanted));
  }, [client, rooms, members, filter]);

  const enter = (roomId: string | null) => {
    if (roomId === null) return;
    setOpen(null);
    goToRoom(roomId);
  };

  return (
    <section className="sidebar" aria-label="Rooms">
      <header className="sidebar-head">
        <h1>
          <a className="brand" href="#/">
            <Mark size={30} />
            Mynah
          </a>
        </h1>
        <ConnectionChip />
      </header>
      <div className="sidebar-tools">
        <label className="search">
          <Icon name="search" size={16} />
          <span className="visually-hidden">Filter your rooms</span>
          <input
            type="search"
            placeholder="Filter rooms"
            value={filter}
            onChange={(event) => setFilter(event.target.value)}
          />
        </label>
        <div className="tool-row">
          <button type="button" className="tool" onClick={() => setOpen("create")}>
            <Icon name="plus" size={18} /> Room
          </button>
          <button type="button" className="tool" onClick={() => setOpen("direct")}>
            <Icon name="person" size={18} /> Direct
          </button>
          <button type="button" className="tool" onClick={() => setOpen("discover")}>
            <Icon name="compass" size={18} /> Discover
          </button>
        </div>
      </div>
      <nav className="room-list" aria-label="Your rooms">
        <Invitations />
        {shown.length > 0 ? (
          <ul>
            {shown.map((room) => (
              <RoomLink key={room.room.id} room={room} active={room.room.id === activeId} />
            ))}
          </ul>
        ) : (
          <p className="room-list-empty">
            {!loaded
              ? "Loading your rooms…"
              : filter === ""
                ? "No rooms yet. Create one, or discover what is public."
                : "No room by that name."}
          </p>
        )}
      </nav>
      <footer className="sidebar-foot">
        <Avatar id={me.id} name={personName(me)} size="small" />
        <span className="me">
          <span className="me-name">{personName(me)}</span>
          {me.username ? <span className="me-handle">@{me.username}</span> : null}
        </span>
        <ThemeButton />
        <button
          type="button"
          className="icon-button"
          aria-label="Sign out"
          title="Sign out"
          onClick={signOut}
        >
          <Icon name="leave" />
        </button>
      </footer>
      {open === "create" ? (
        <CreateRoomDialog
          onClose={() => setOpen(null)}
          onCreate={async (form) => enter(await client.createRoom(form))}
        />
      ) : null}
      {open === "discover" ? (
        <DiscoverDialog
          onClose={() => setOpen(null)}
          onJoin={async (row) => enter(await client.join(row))}
          onOpen={enter}
        />
      ) : null}
      {open === "direct" ? (
        <PeopleDialog
          title="New direct chat"
          action="Chat"
          onClose={() => setOpen(null)}
          onPick={async (person) => enter(await client.openDirect(person.id))}
        />
      ) : null}
    </section>
  );
}
