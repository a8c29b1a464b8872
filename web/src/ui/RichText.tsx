import { useMemo } from "react";
import { splitLinks } from "../chat/links";

/** Message text as text nodes, with its web links made clickable. */
export function RichText({ text }: { text: string }) {
  const parts = useMemo(() => {
    let offset = 0;
    return splitLinks(text).map((part) => {
      const key = offset;
      offset += part.text.length;
      return { ...part, key };
    });
  }, [text]);
  return parts.map((part) =>
    part.href === null ? (
      part.text
    ) : (
      <a key={part.key} href={part.href} target="_blank" rel="noopener noreferrer nofollow">
        {part.text}
      </a>
    ),
  );
}
