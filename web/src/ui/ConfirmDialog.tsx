import { Dialog } from "./Dialog";

interface Props {
  title: string;
  text: string;
  action: string;
  onClose: () => void;
  onConfirm: () => void;
}

export function ConfirmDialog({ title, text, action, onClose, onConfirm }: Props) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p className="dialog-text">{text}</p>
      <footer className="dialog-foot">
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" className="button button-danger" onClick={onConfirm}>
          {action}
        </button>
      </footer>
    </Dialog>
  );
}
