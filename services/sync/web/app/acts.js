// What is done to what is shown, by whatever hand: menu, key, button, finger.

import { above, makeFolder, move, remove, rename } from "./actions.js";
import { byId } from "./dom.js";
import { enter, grid, query, route, search, view } from "./folder.js";
import { conflictOf, countText } from "./format.js";
import { fileLink, folderLink, go } from "./route.js";
import { abilities } from "./session.js";
import { showConflict } from "./surfaces/conflicts.js";
import { showHistory } from "./surfaces/history.js";
import { openMenu } from "./surfaces/menu.js";
import { attempt } from "./surfaces/toast.js";
import { download } from "./transfers/download.js";
import { picked } from "./transfers/gather.js";
import { askAboutTaken } from "./transfers/panel.js";
import { Uploads } from "./transfers/queue.js";

export const uploads = new Uploads((item) => (uploads.asking = (uploads.asking ?? Promise.resolve()).then(() => askAboutTaken(item, uploads.remembered ??= {}))));
uploads.addEventListener("idle", () => { uploads.remembered = {}; });

/** What an act at `entry` is about: the selection, if the entry is in it. */
export const chosen = (entry) => entry && !grid.selected.has(entry.path) ? [entry] : grid.selected.size ? grid.selection : entry ? [entry] : [];

/** Do something to an entry, or (null) to what is selected. */
export async function act(what, entry, event) {
  const acts = {
    open: () => go(entry.isFolder ? folderLink(entry.path) : query ? fileLink(entry.folder, entry.name) : fileLink(route.folder, entry.name)),
    up: () => { if (query) search(""); else if (route.folder) { const { folder, active } = above(route.folder); enter(folder, active); } },
    menu: () => showMenu(entry, event),
    download: () => attempt(() => download(entry && event ? [entry] : chosen(entry))),
    rename: async () => { const path = abilities.canWrite && await rename(entry); if (path) afterRename(entry, path); },
    move: () => abilities.canWrite && move(chosen(entry)),
    remove: async () => { if (abilities.canWrite && await remove(route.file ? [entry] : chosen(entry)) && route.file) leave(); },
    history: () => abilities.hasHistory && !entry.isFolder && showHistory(entry.path),
    conflict: () => showConflict(entry),
  };
  await acts[what]?.();
  if (["rename", "move", "remove"].includes(what) && !document.querySelector("dialog[open]")) byId("grid").focus({ preventScroll: true });
}

function afterRename(entry, path) {
  if (route.file === entry.path) go(fileLink(entry.folder, path.slice(path.lastIndexOf("/") + 1)), { replace: true });
  grid.activate(path);
}

function showMenu(entry, event) {
  const many = chosen(entry).length > 1, row = grid.elementOf(entry), from = event.target.closest?.("[data-do=menu]");
  const place = from ? { ...from.getBoundingClientRect().toJSON(), alignRight: true }
    : event.type === "contextmenu" && event.clientX ? { left: event.clientX, top: event.clientY } : { left: row.getBoundingClientRect().left + 40, top: row.getBoundingClientRect().bottom };
  const item = (label, drawing, what, danger = false) => ({ label, drawing, danger, run: () => act(what, entry) });
  const canSee = !many && !entry.isFolder && abilities.hasHistory, change = abilities.canWrite;
  const items = [
    !many && item("Open", entry.isFolder ? "folder" : "eye", "open"), item("Download", "download", "download"),
    canSee && item("Versions", "history", "history"), !many && conflictOf(entry.name) !== null && item("Settle the conflict", "compare", "conflict"),
    change && null, change && !many && item("Rename", "rename", "rename"), change && item("Move…", "move", "move"),
    change && null, change && item("Delete", "remove", "remove", true),
  ].filter((one) => one !== false);
  openMenu(items, place, many ? `Actions for ${countText(chosen(entry).length, "item")}` : `Actions for ${entry.name}`, byId("grid"));
}

/** Preview a neighbour. */
export function turn(step) {
  const files = view.items.filter((entry) => !entry.isFolder), at = files.findIndex((entry) => entry.path === route.file);
  const next = files[at + step];
  if (next) go(fileLink(route.folder, next.name), { replace: true });
}

/** Close the preview. */
export function leave() {
  if (!route.file) return;
  const path = route.file;
  go(folderLink(route.folder), { replace: true });
  grid.activate(path);
  byId("grid").focus({ preventScroll: true });
}

export async function newFolder() {
  const path = await makeFolder(route.folder);
  if (!path) return;
  grid.activate(path);
  byId("grid").focus({ preventScroll: true });
}

export const upload = (source, folder = route.folder) => attempt(() => uploads.add(source, folder));

export function pick(input) {
  upload(picked(input)).then(() => { input.value = ""; });
}

export function chooseUpload(event) {
  openMenu([
    { label: "Files", drawing: "file", run: () => byId("pick-files").click() },
    { label: "A folder", drawing: "folder", run: () => byId("pick-folder").click() },
  ], { ...event.currentTarget.getBoundingClientRect().toJSON(), alignRight: true }, "Upload", event.currentTarget);
}
