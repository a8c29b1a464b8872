import { Icon } from "./icons";

const TONES = 6;

interface Props {
  /** Decides the tone, so that a person keeps the colour when renamed. */
  id: string;
  name: string;
  kind?: "person" | "group" | "channel";
  online?: boolean | undefined;
  size?: "small" | "medium" | "large";
}

export function Avatar({ id, name, kind = "person", online, size = "medium" }: Props) {
  return (
    <span className={`avatar avatar-${size} avatar-${kind} tone-${tone(id)}`} aria-hidden="true">
      {kind === "channel" ? <Icon name="hash" size={size === "large" ? 26 : 18} /> : initials(name)}
      {online === undefined ? null : <span className={online ? "dot dot-on" : "dot"} />}
    </span>
  );
}

function tone(id: string): number {
  let hash = 0x811c9dc5;
  for (const character of id) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  return (hash >>> 8) % TONES;
}

function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters
    .map((word) => [...(word ?? "")][0] ?? "")
    .join("")
    .toUpperCase();
}
