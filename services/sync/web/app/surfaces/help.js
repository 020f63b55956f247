// The keys, for those who ask: "?".

import { element } from "../dom.js";
import { openDialog } from "./dialog.js";

const command = /Mac|iP(hone|ad)/.test(navigator.userAgent) ? "⌘" : "Ctrl";

const KEYS = [
  [["↑", "↓"], "go through the list"], [["Enter"], "open"], [["Backspace"], "the folder above"], [["Space"], "select"],
  [["Shift", "↑ ↓"], "select several"], [[command, "A"], "select all"], [["F2"], "rename"], [["Delete"], "delete"],
  [[command, "Z"], "undo"], [["/"], "search"], [["Shift", "F10"], "all actions"], [["Esc"], "let go"], [["?"], "this page"],
];

export const showKeys = () => openDialog({
  title: "Keys", kind: "keys",
  content: element("dl", {}, ...KEYS.flatMap(([keys, words]) => [element("dt", {}, ...keys.map((key) => element("kbd", {}, key))), element("dd", {}, words)])),
  actions: [{ label: "Close", value: null, style: "primary", isDefault: true }],
});
