import { type FormEvent, useState } from "react";
import type { NewRoom } from "../chat/api";
import { Dialog } from "./Dialog";

interface Props {
  onClose: () => void;
  onCreate: (room: NewRoom) => Promise<void>;
}

export function CreateRoomDialog({ onClose, onCreate }: Props) {
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const name = String(form.get("name") ?? "").trim();
    const topic = String(form.get("topic") ?? "").trim();
    if (name === "") return;
    setBusy(true);
    await onCreate({
      name,
      kind: form.get("kind") === "channel" ? "channel" : "group",
      visibility: form.get("visibility") === "public" ? "public" : "private",
      ...(topic === "" ? {} : { topic }),
    });
    setBusy(false);
  };

  return (
    <Dialog title="New room" onClose={onClose}>
      <form onSubmit={submit}>
        <div className="field">
          <label htmlFor="room-name">Name</label>
          <input id="room-name" name="name" required maxLength={255} autoComplete="off" />
        </div>
        <div className="field">
          <label htmlFor="room-topic">
            Topic <span className="field-note">(optional)</span>
          </label>
          <input id="room-topic" name="topic" maxLength={500} autoComplete="off" />
        </div>
        <Choice
          legend="Kind"
          name="kind"
          options={[
            { value: "group", label: "Group", note: "People who know each other" },
            { value: "channel", label: "Channel", note: "A place for one subject" },
          ]}
        />
        <Choice
          legend="Who can join"
          name="visibility"
          options={[
            { value: "private", label: "Private", note: "Only by invitation" },
            { value: "public", label: "Public", note: "Anyone can join" },
          ]}
        />
        <footer className="dialog-foot">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button button-primary" disabled={busy}>
            Create room
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

interface ChoiceProps {
  legend: string;
  name: string;
  options: readonly { value: string; label: string; note: string }[];
}

function Choice({ legend, name, options }: ChoiceProps) {
  return (
    <fieldset className="choice">
      <legend>{legend}</legend>
      {options.map((option, index) => (
        <label key={option.value} className="choice-option">
          <input type="radio" name={name} value={option.value} defaultChecked={index === 0} />
          <span>
            <strong>{option.label}</strong>
            <span className="field-note">{option.note}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
