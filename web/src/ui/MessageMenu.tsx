import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { time } from "../chat/format";
import type { Message } from "../chat/wire";
import { usePage } from "./context";
import { Icon, type IconName } from "./icons";
import type { Acts } from "./MessageGroup";

const MENU_PX = 200;

interface Props {
  message: Message;
  own: boolean;
  senderName: string;
  acts: Acts;
}

interface Entry {
  name: string;
  icon: IconName;
  shortcut: string;
  run: () => void;
  danger?: boolean;
}

/** The actions of one message: a menu, and the same by single keys on its button. */
export function MessageMenu({ message, own, senderName, acts }: Props) {
  const { client } = usePage();
  const [open, setOpen] = useState(false);
  const [above, setAbove] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);

  const copy = () => {
    const copied = navigator.clipboard?.writeText(message.content) ?? Promise.reject();
    copied.then(
      () => client.notify("Copied."),
      () => client.notify("The browser does not allow copying here."),
    );
  };
  const entries: Entry[] = [
    { name: "Reply", icon: "reply", shortcut: "r", run: () => acts.reply(message) },
    { name: "Copy text", icon: "copy", shortcut: "c", run: copy },
  ];
  if (own) {
    entries.push(
      { name: "Edit", icon: "edit", shortcut: "e", run: () => acts.edit(message) },
      {
        name: "Delete",
        icon: "trash",
        shortcut: "Delete",
        run: () => acts.remove(message),
        danger: true,
      },
    );
  }

  useEffect(() => {
    if (!open) return;
    menu.current?.querySelector("button")?.focus();
    const outside = (event: PointerEvent) => {
      const target = event.target as Node;
      if (!menu.current?.contains(target) && !button.current?.contains(target)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);

  const toggle = () => {
    const box = button.current?.getBoundingClientRect();
    setAbove((box?.bottom ?? 0) + MENU_PX > window.innerHeight);
    setOpen(!open);
  };

  const run = (entry: Entry) => {
    setOpen(false);
    button.current?.focus();
    entry.run();
  };

  const onButtonKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      neighbour(button.current, event.key === "ArrowUp" ? -1 : 1)?.focus();
      return;
    }
    const entry = entries.find((candidate) => candidate.shortcut === event.key);
    if (!entry) return;
    event.preventDefault();
    entry.run();
  };

  const onMenuKey = (event: KeyboardEvent) => {
    const items = [...(menu.current?.querySelectorAll("button") ?? [])];
    const at = items.indexOf(document.activeElement as HTMLButtonElement);
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0) {
      event.preventDefault();
      items.at((at + step) % items.length)?.focus();
    } else if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      setOpen(false);
      button.current?.focus();
    }
  };

  return (
    <div className={open ? "menu-anchor menu-open" : "menu-anchor"}>
      <button
        ref={button}
        type="button"
        className="icon-button menu-button"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-label={`Actions for the message by ${senderName} at ${time(message.createdAt)}`}
        onClick={toggle}
        onKeyDown={onButtonKey}
      >
        <Icon name="more" size={18} />
      </button>
      {open ? (
        <div
          ref={menu}
          className={above ? "menu menu-above" : "menu"}
          role="menu"
          tabIndex={-1}
          onKeyDown={onMenuKey}
        >
          {entries.map((entry) => (
            <button
              key={entry.name}
              type="button"
              role="menuitem"
              tabIndex={-1}
              className={entry.danger ? "menu-item menu-danger" : "menu-item"}
              onClick={() => run(entry)}
            >
              <Icon name={entry.icon} size={18} />
              {entry.name}
              <kbd>{entry.shortcut === "Delete" ? "Del" : entry.shortcut.toUpperCase()}</kbd>
            </button>
          ))}
        </div>
      ) : null}
    </div>
  );
}

function neighbour(from: HTMLElement | null, step: number): HTMLElement | undefined {
  const all = [...document.querySelectorAll<HTMLElement>(".menu-button")];
  const index = from ? all.indexOf(from) + step : -1;
  return index < 0 ? undefined : all[index];
}
