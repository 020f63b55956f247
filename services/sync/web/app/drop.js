// Dragging: files and folders from the desktop are uploaded, entries of the list are moved.

import { byId } from "./dom.js";
import { abilities, tree } from "./session.js";
import { dropped } from "./transfers/gather.js";

const INSIDE = "application/x-quantum"; // marks a drag that began in this page

/** `folder()` is where one is, null where nothing can be put. */
export function acceptDrops({ grid, folder, upload, move, chosen }) {
  let dragged = [], depth = 0, over = null;
  const hover = (node) => { if (over !== node) { over?.classList.remove("target"); over = node; over?.classList.add("target"); } };
  const end = () => { depth = 0; byId("drop").hidden = true; hover(null); };
  const targetOf = (event) => {
    const row = event.target.closest?.(".row"), crumb = event.target.closest?.("[data-folder]");
    const path = crumb ? crumb.dataset.folder : row?.dataset.path;
    if (path === undefined || (row && !tree.entry(path)?.isFolder)) return null;
    return { node: crumb ?? row, path };
  };
  const isWelcome = (event) => abilities.canWrite && folder() !== null && event.dataTransfer && [...event.dataTransfer.types].some((type) => type === "Files" || type === INSIDE);

  grid.scroller.addEventListener("dragstart", (event) => {
    const [entry] = grid.entryAt(event.target);
    if (!entry) return;
    dragged = chosen(entry);
    event.dataTransfer.setData(INSIDE, String(dragged.length));
    event.dataTransfer.effectAllowed = "move";
  });
  addEventListener("dragend", () => { dragged = []; end(); });
  addEventListener("dragenter", (event) => {
    if (!isWelcome(event) || dragged.length) return;
    depth += 1; // dragenter and dragleave come for every element that is crossed
    byId("drop").hidden = false;
  });
  addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) end(); });
  addEventListener("dragover", (event) => {
    if (!isWelcome(event)) return;
    event.preventDefault();
    const target = targetOf(event);
    const isAllowed = !dragged.some((entry) => target && (target.path === entry.path || target.path.startsWith(entry.path + "/")));
    hover(isAllowed ? target?.node ?? null : null);
    event.dataTransfer.dropEffect = dragged.length ? (target && isAllowed ? "move" : "none") : "copy";
    byId("drop-text").textContent = `Drop to upload to ${target ? `“${target.path || "All files"}”` : folder() ? `“${folder()}”` : "this share"}`;
  });
  addEventListener("drop", (event) => {
    event.preventDefault(); // a browser would leave the page for a dropped file
    const target = targetOf(event), moving = dragged;
    if (isWelcome(event)) {
      if (moving.length) { if (target) move(moving, target.path); }
      else upload(dropped(event.dataTransfer), target?.path ?? folder());
    }
    dragged = [];
    end();
  });
}
