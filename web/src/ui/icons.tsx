import type { ReactNode } from "react";

const paths = {
  plus: <path d="M10 4v12M4 10h12" />,
  compass: (
    <>
      <circle cx="10" cy="10" r="7" />
      <path d="m12.8 7.2-1.5 4.1-4.1 1.5 1.5-4.1z" />
    </>
  ),
  person: (
    <>
      <circle cx="10" cy="6.8" r="3.1" />
      <path d="M3.8 16.5c.8-3.2 3.3-4.8 6.2-4.8s5.4 1.6 6.2 4.8" />
    </>
  ),
  people: (
    <>
      <circle cx="7.5" cy="7" r="2.8" />
      <path d="M2.2 16c.6-2.9 2.7-4.4 5.3-4.4s4.7 1.5 5.3 4.4M12.8 4.5a2.7 2.7 0 0 1 0 5.1M14.8 12c1.6.6 2.6 2 3 4" />
    </>
  ),
  back: <path d="M12.5 4.5 7 10l5.5 5.5" />,
  close: <path d="m5 5 10 10M15 5 5 15" />,
  send: <path d="M10 16V4.5M5 9.3l5-5 5 5" />,
  more: <path d="M5 10h.01M10 10h.01M15 10h.01" strokeWidth="2.6" />,
  reply: <path d="M8 5 3.5 9.5 8 14M4 9.5h7.5a5 5 0 0 1 5 5v.5" />,
  edit: <path d="m12.8 4.2 3 3-8.6 8.6-3.7.7.7-3.7z" />,
  copy: (
    <>
      <rect x="7" y="7" width="9" height="9" rx="2" />
      <path d="M13 7V5.5A1.5 1.5 0 0 0 11.5 4h-6A1.5 1.5 0 0 0 4 5.5v6A1.5 1.5 0 0 0 5.5 13H7" />
    </>
  ),
  trash: <path d="M4 6h12M8 6V4h4v2M5.5 6l.7 10h7.6l.7-10M8.5 9v4M11.5 9v4" />,
  retry: <path d="M15.5 10a5.5 5.5 0 1 1-1.7-4M16 3.5V7h-3.5" />,
  check: <path d="m4.5 10.5 3.5 3.5 7.5-8" />,
  checks: <path d="m2 10.5 3.5 3.5L12 6.5M9.5 13l1 1L18 6.5" />,
  clock: (
    <>
      <circle cx="10" cy="10" r="6.5" />
      <path d="M10 6.5V10l2.3 1.5" />
    </>
  ),
  alert: (
    <>
      <circle cx="10" cy="10" r="7" />
      <path d="M10 6.5v4M10 13.5h.01" />
    </>
  ),
  down: <path d="M10 4.5V15M5.2 10.5 10 15.3l4.8-4.8" />,
  hash: <path d="M8 4 6.5 16M13.5 4 12 16M4 8h12.5M3.5 12H16" />,
  lock: (
    <>
      <rect x="4.5" y="9" width="11" height="7.5" rx="2" />
      <path d="M7 9V6.5a3 3 0 0 1 6 0V9" />
    </>
  ),
  leave: (
    <path d="M8 4H5.5A1.5 1.5 0 0 0 4 5.5v9A1.5 1.5 0 0 0 5.5 16H8M12 6.5 15.5 10 12 13.5M15 10H8" />
  ),
  sun: (
    <>
      <circle cx="10" cy="10" r="3.2" />
      <path d="M10 2.8v1.7M10 15.5v1.7M2.8 10h1.7M15.5 10h1.7M4.9 4.9l1.2 1.2M13.9 13.9l1.2 1.2M4.9 15.1l1.2-1.2M13.9 6.1l1.2-1.2" />
    </>
  ),
  moon: <path d="M16 11.8A6.5 6.5 0 0 1 8.2 4a6.5 6.5 0 1 0 7.8 7.8z" />,
  system: (
    <>
      <rect x="3" y="4" width="14" height="9.5" rx="1.8" />
      <path d="M7.5 16.5h5" />
    </>
  ),
  search: (
    <>
      <circle cx="9" cy="9" r="5" />
      <path d="m13 13 3.5 3.5" />
    </>
  ),
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof paths;

/** A line icon; it says nothing to screen readers, its control carries the label. */
export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg
      className="icon"
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {paths[name]}
    </svg>
  );
}
