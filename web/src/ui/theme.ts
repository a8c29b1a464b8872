import { useCallback, useState } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "mynah.theme";
const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

function stored(): Theme {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

/** Puts the chosen theme on the document; without a choice the system decides. */
export function applyTheme(theme: Theme = stored()): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function useTheme(): [Theme, () => void] {
  const [theme, setTheme] = useState<Theme>(stored);
  const cycle = useCallback(() => {
    setTheme((current) => {
      const next = NEXT[current];
      if (next === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, next);
      applyTheme(next);
      return next;
    });
  }, []);
  return [theme, cycle];
}
