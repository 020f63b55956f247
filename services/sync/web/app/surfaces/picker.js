// Choosing a folder to move things to.

import { element } from "../dom.js";
import { join, parentOf } from "../format.js";
import { tree } from "../session.js";
import { badge } from "../list/row.js";
import { openDialog } from "./dialog.js";
import { attempt } from "./toast.js";

/** Ask for a folder; `forbidden` folders (what is moved) and those below cannot be chosen. Resolves with a path or null. */
export function pickFolder({ title, start, forbidden = [] }) {
  let here = start;
  const place = element("p", { class: "place", "aria-live": "polite" }), list = element("ul", { class: "folders" });
  const line = (label, path, drawn) => element("li", {}, element("button", { type: "button", onclick: () => show(path) }, drawn, element("span", {}, label)));
  async function show(folder) {
    here = folder;
    place.textContent = folder || "All files";
    await attempt(() => tree.load(folder));
    if (here !== folder) return;
    const inside = tree.entries(folder).filter((entry) => entry.isFolder && !forbidden.includes(entry.path)).sort((a, b) => a.name.localeCompare(b.name));
    const up = folder ? [line("Up", parentOf(folder), badge({ isFolder: true }))] : [];
    list.replaceChildren(...up, ...inside.map((entry) => line(entry.name, join(folder, entry.name), badge(entry))));
    if (!list.children.length) list.append(element("li", { class: "rest" }, "There is no folder in here."));
    if (document.activeElement === document.body || !document.activeElement?.isConnected) list.querySelector("button")?.focus();
  }
  show(start);
  return openDialog({
    title, content: [place, list],
    actions: [{ label: "Cancel", value: null }, { label: "Move here", value: () => here, style: "primary", isDefault: true }],
  });
}
