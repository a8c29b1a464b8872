import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

const BOTTOM_PX = 80;
const TOP_PX = 500;
/** What stays visible above the unread divider. */
const DIVIDER_PX = 96;

interface Input {
  /** Key of the first and of the last row; null while nothing is shown. */
  readonly firstKey: string | null;
  readonly lastKey: string | null;
  readonly lastIsOwn: boolean;
  readonly onNearTop: () => void;
}

interface Scroll {
  readonly scroller: RefObject<HTMLDivElement | null>;
  readonly content: RefObject<HTMLDivElement | null>;
  readonly divider: RefObject<HTMLDivElement | null>;
  readonly atBottom: boolean;
  readonly onScroll: () => void;
  readonly toBottom: () => void;
}

/**
 * Keeps the reader's place: at the bottom it follows new messages, anywhere else nothing moves, also
 * when older messages are put in above.
 */
export function useTimelineScroll({ firstKey, lastKey, lastIsOwn, onNearTop }: Input): Scroll {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const divider = useRef<HTMLDivElement>(null);
  const seen = useRef<{ first: string | null; last: string | null; height: number }>({
    first: null,
    last: null,
    height: 0,
  });
  const follow = useRef(true);
  const [atBottom, setAtBottom] = useState(true);

  const toBottom = useCallback(() => {
    const box = scroller.current;
    if (!box) return;
    box.scrollTop = box.scrollHeight;
    follow.current = true;
    setAtBottom(true);
  }, []);

  const onScroll = useCallback(() => {
    const box = scroller.current;
    if (!box) return;
    follow.current = box.scrollHeight - box.scrollTop - box.clientHeight < BOTTOM_PX;
    setAtBottom(follow.current);
    if (box.scrollTop < TOP_PX) onNearTop();
  }, [onNearTop]);

  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box || firstKey === null) return;
    const before = seen.current;
    if (before.first === null) {
      if (divider.current) {
        box.scrollTop = divider.current.offsetTop - DIVIDER_PX;
        onScroll();
      } else {
        toBottom();
      }
    } else if (before.first !== firstKey && before.last === lastKey) {
      box.scrollTop += box.scrollHeight - before.height;
    } else if (before.last !== lastKey && (follow.current || lastIsOwn)) {
      toBottom();
    }
    seen.current = { first: firstKey, last: lastKey, height: box.scrollHeight };
    if (box.scrollHeight <= box.clientHeight + BOTTOM_PX) onNearTop();
  }, [firstKey, lastKey, lastIsOwn, toBottom, onScroll, onNearTop]);

  useEffect(() => {
    const box = scroller.current;
    const inner = content.current;
    if (!box || !inner || typeof ResizeObserver === "undefined") return;
    const observer = new ResizeObserver(() => {
      if (follow.current) box.scrollTop = box.scrollHeight;
      seen.current.height = box.scrollHeight;
    });
    observer.observe(box);
    observer.observe(inner);
    return () => observer.disconnect();
  }, []);

  return { scroller, content, divider, atBottom, onScroll, toBottom };
}
