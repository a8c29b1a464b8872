import { Icon, type IconName } from "./icons";
import { type Theme, useTheme } from "./theme";

const LOOK: Record<Theme, { icon: IconName; label: string }> = {
  system: { icon: "system", label: "Theme: as the system" },
  light: { icon: "sun", label: "Theme: light" },
  dark: { icon: "moon", label: "Theme: dark" },
};

export function ThemeButton() {
  const [theme, cycle] = useTheme();
  const { icon, label } = LOOK[theme];
  return (
    <button type="button" className="icon-button" aria-label={label} title={label} onClick={cycle}>
      <Icon name={icon} />
    </button>
  );
}
