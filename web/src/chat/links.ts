export interface TextPart {
  readonly text: string;
  readonly href: string | null;
}

const CANDIDATE = /https?:\/\/[^\s<>"']+/gi;
const TRAILING = /[.,;:!?)\]}]+$/;

/** Splits text at its web links. Only http and https addresses that parse become links. */
export function splitLinks(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let end = 0;
  for (const match of text.matchAll(CANDIDATE)) {
    const candidate = trimmed(match[0]);
    const href = webAddress(candidate);
    if (href === null) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), href: null });
    parts.push({ text: candidate, href });
    end = match.index + candidate.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), href: null });
  return parts;
}

/** Punctuation after an address belongs to the sentence, except a bracket the address opened. */
function trimmed(candidate: string): string {
  const tail = TRAILING.exec(candidate)?.[0] ?? "";
  if (tail.startsWith(")") && candidate.includes("(")) {
    return candidate.slice(0, candidate.length - tail.length + 1);
  }
  return candidate.slice(0, candidate.length - tail.length);
}

function webAddress(text: string): string | null {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}
