import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/auth.css";
import "./styles/sidebar.css";
import "./styles/conversation.css";
import "./styles/messages.css";
import "./styles/menu.css";
import "./styles/dialogs.css";
import "./styles/motion.css";
import { App } from "./ui/App";
import { applyTheme } from "./ui/theme";

applyTheme();

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
