import { useEffect, useState } from "react";
import { explain } from "../chat/problem";
import { personName } from "../chat/selectors";
import type { Person } from "../chat/wire";
import { Avatar } from "./Avatar";
import { usePage } from "./context";
import { Dialog } from "./Dialog";

const TYPING_PAUSE_MS = 200;

interface Props {
  title: string;
  action: string;
  exclude?: ReadonlySet<string>;
  onClose: () => void;
  onPick: (person: Person) => Promise<void>;
}

/** Finds people by name and hands over the one picked. */
export function PeopleDialog({ title, action, exclude, onClose, onPick }: Props) {
  const { searchUsers, me } = usePage();
  const [text, setText] = useState("");
  const [found, setFound] = useState<readonly Person[] | null>(null);
  const [error, setError] = useState<string | null>(null);

  useEffect(() => {
    const wanted = text.trim();
    if (wanted === "") {
      setFound(null);
      return;
    }
    let live = true;
    const timer = setTimeout(() => {
      searchUsers(wanted).then(
        (people) => {
          if (!live) return;
          setError(null);
          setFound(people);
        },
        (failure: unknown) => live && setError(explain(failure)),
      );
    }, TYPING_PAUSE_MS);
    return () => {
      live = false;
      clearTimeout(timer);
    };
  }, [text, searchUsers]);

  const people = found?.filter((person) => person.id !== me.id && !exclude?.has(person.id));
  return (
    <Dialog title={title} onClose={onClose}>
      <div className="field">
        <label htmlFor="people-search">Name, username or email</label>
        <input
          id="people-search"
          type="search"
          autoComplete="off"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </div>
      <div className="picker" aria-live="polite">
        {error ? <p className="form-error">{error}</p> : null}
        {people?.length === 0 ? <p className="picker-empty">Nobody by that name.</p> : null}
        {people ? null : <p className="picker-empty">Start typing to find people.</p>}
        <ul>
          {people?.map((person) => (
            <li key={person.id} className="picker-row">
              <Avatar id={person.id} name={personName(person)} />
              <span className="picker-text">
                <strong>{personName(person)}</strong>
                {person.username ? <span className="field-note">@{person.username}</span> : null}
              </span>
              <button
                type="button"
                className="button button-small button-primary"
                onClick={() => void onPick(person)}
              >
                {action}
                <span className="visually-hidden"> {personName(person)}</span>
              </button>
            </li>
          ))}
        </ul>
      </div>
    </Dialog>
  );
}
