// The page of a share: puts the parts together. What is shown follows from the address, the tree and the search.

import { announce, byId, decorate, element } from "./dom.js";
import { above, makeFolder, move, remove, rename } from "./actions.js";
import { showConnection } from "./connection.js";
import { countText, conflictOf, parentOf, sizeText } from "./format.js";
import { acceptDrops } from "./drop.js";
import { Grid } from "./list/grid.js";
import { handle } from "./list/hands.js";
import { drawRow } from "./list/row.js";
import { matcher, View } from "./order.js";
import { currentRoute, fileLink, folderLink, go } from "./route.js";
import { abilities, learn, share, tree } from "./session.js";
import { drawConflicts, knownConflicts, showConflict } from "./surfaces/conflicts.js";
import { showKeys } from "./surfaces/help.js";
import { drawTrash, showHistory } from "./surfaces/history.js";
import { openMenu } from "./surfaces/menu.js";
import { preparePreview, preview } from "./surfaces/preview.js";
import { attempt, undoLast } from "./surfaces/toast.js";
import { download } from "./transfers/download.js";
import { picked } from "./transfers/gather.js";
import { askAboutTaken, showUploads } from "./transfers/panel.js";
import { Uploads } from "./transfers/queue.js";

const FIRST_LOOK = 700; // ms to wait for the live connection before listing without it
const SEARCH_PAUSE = 120; // ms without a key before the list follows the search

let route = currentRoute();
let sort = { key: "name", descending: false };
let query = "";
let view = new View([], () => false, sort);
let opened = null; // the folder and search that `view` is of
let problem = ""; // why the folder cannot be shown

const grid = new Grid(byId("grid"), byId("scroller"), (entry) => drawRow(entry, { showsFolder: Boolean(query), canWrite: abilities.canWrite }));
const uploads = new Uploads((item) => (uploads.asking = (uploads.asking ?? Promise.resolve()).then(() => askAboutTaken(item, uploads.remembered ??= {}))));
uploads.addEventListener("idle", () => { uploads.remembered = {}; });

// -- What is shown

/** Show what the address says; list it if it is not known. */
async function follow({ active = null } = {}) {
  const { folder } = route, key = folder + "\n" + query;
  const isNew = opened !== key;
  if (isNew) {
    opened = key;
    problem = "";
    const inside = folder ? folder + "/" : "", matches = matcher(query);
    const belongs = query ? (entry) => entry.path.startsWith(inside) && matches(entry) : (entry) => entry.folder === folder;
    view = new View(query ? tree.all() : tree.entries(folder), belongs, sort);
    grid.redraw();
    grid.reset(view.items, active);
    drawCrumbs();
  }
  draw();
  try {
    await (query ? tree.loadAll() : tree.load(folder));
  } catch (error) {
    if (opened === key && error.name !== "AbortError") problem = error.status === 404 ? "This folder is not there" : error.status === 401 ? "" : error.message;
  }
  if (opened !== key) return;
  if (isNew && active && !grid.active) grid.activate(active);
  draw();
  showFile();
}

function isBusy() { return query ? !tree.isComplete : !tree.isLoaded(route.folder); }

function draw() {
  const isList = route.view === "files", count = view.items.length;
  byId("files").hidden = !isList;
  byId("panel").hidden = isList;
  byId("bar").hidden = !isList || grid.selected.size > 0;
  byId("selection").hidden = !isList || !grid.selected.size;
  byId("empty").hidden = count > 0 || (isBusy() && !problem);
  byId("loading").hidden = !isBusy() || Boolean(problem) || (count > 0 && !query);
  byId("scroller").hidden = !count;
  byId("writing").hidden = !abilities.canWrite;
  const [title, hint] = emptyWords();
  byId("empty-title").textContent = title;
  byId("empty-hint").textContent = hint;
  drawSummary();
  for (const head of document.querySelectorAll("[data-sort]")) {
    const isActive = head.dataset.sort === sort.key;
    head.closest("[role=columnheader]").setAttribute("aria-sort", isActive ? (sort.descending ? "descending" : "ascending") : "none");
  }
}

function emptyWords() {
  if (problem) return [problem, "It may have been moved or deleted."];
  if (query) return ["Nothing found", `No name${route.folder ? " in this folder" : ""} holds “${query}”.`];
  return ["Nothing here yet", abilities.canWrite ? "Drop files or folders anywhere on this page." : "What is put into this share appears here by itself."];
}

function drawSummary() {
  const chosen = grid.selected.size ? grid.selection : null, items = chosen ?? view.items;
  let bytes = 0;
  for (const entry of items) bytes += entry.size;
  const text = items.length ? `${countText(items.length, "item")}${bytes ? ", " + sizeText(bytes) : ""}` : "";
  byId("summary").textContent = chosen || route.view !== "files" ? "" : text;
  byId("selection-text").textContent = chosen ? `${text} selected` : "";
}

function drawCrumbs() {
  const parts = route.folder ? route.folder.split("/") : [];
  byId("crumbs").replaceChildren(element("ol", {}, ...["All files", ...parts].map((name, index) => {
    const path = parts.slice(0, index).join("/");
    return element("li", {}, element("a", { href: folderLink(path), "data-folder": path, "aria-current": index === parts.length ? "page" : null }, name));
  })));
  document.title = (parts.at(-1) ?? "Files") + " · Quantum";
}

function drawViews() {
  const conflicts = Math.max(tree.isComplete ? 0 : abilities.conflicts, knownConflicts().length);
  byId("view-conflicts").hidden = !conflicts && route.view !== "conflicts";
  byId("conflict-count").textContent = conflicts || "";
  byId("view-trash").hidden = !abilities.hasHistory;
  byId("views").hidden = byId("view-conflicts").hidden && byId("view-trash").hidden;
  for (const [name, id] of [["files", "view-files"], ["conflicts", "view-conflicts"], ["trash", "view-trash"]]) {
    if (route.view === name) byId(id).setAttribute("aria-current", "page"); else byId(id).removeAttribute("aria-current");
  }
}

function showPanel() {
  byId("panel-title").textContent = route.view === "trash" ? "Trash" : "Conflicts";
  (route.view === "trash" ? drawTrash : drawConflicts)(byId("panel-body"));
}

function showFile() {
  const entry = route.file ? tree.entry(route.file) : null;
  preview(entry && !entry.isFolder ? entry : null);
  if (route.file && !entry && tree.isLoaded(route.folder)) go(folderLink(route.folder), { replace: true });
}

// -- What changes

const pending = { removed: new Set(), added: new Set(), frame: 0 };

tree.addEventListener("change", ({ detail }) => {
  for (const entry of detail.removed) if (!pending.added.delete(entry)) pending.removed.add(entry);
  for (const entry of detail.added) pending.added.add(entry);
  pending.frame ||= requestAnimationFrame(() => {
    pending.frame = 0;
    const hasChanged = view.update(pending.removed, pending.added);
    pending.removed.clear();
    pending.added.clear();
    if (hasChanged) { grid.show(view.items); draw(); }
    drawViews();
    if (route.file) showFile();
  });
});

const WORDS = { create: "New", update: "Changed", delete: "Deleted", move: "Moved" };

share.addEventListener("change", ({ detail }) => {
  grid.mark(detail.path);
  if (!detail.isOwn && parentOf(detail.path) === route.folder) announce(`${WORDS[detail.kind]}: ${detail.path}`);
  if (conflictOf(detail.path) && route.view === "conflicts") showPanel();
});
share.addEventListener("rescan", () => { tree.expire(); attempt(learn); follow(); if (route.view !== "files") showPanel(); });
abilities.addEventListener("change", () => { grid.redraw(); draw(); drawViews(); });
grid.addEventListener("selection", () => draw());

// -- What is done

const chosen = (entry) => entry && !grid.selected.has(entry.path) ? [entry] : grid.selected.size ? grid.selection : entry ? [entry] : [];

async function act(what, entry, event) {
  const acts = {
    open: () => go(entry.isFolder ? folderLink(entry.path) : query ? fileLink(entry.folder, entry.name) : fileLink(route.folder, entry.name)),
    up: () => { if (query) search(""); else if (route.folder) { const { folder, active } = above(route.folder); standOn = active; go(folderLink(folder)); } },
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
  setTimeout(() => grid.activate(path), 60);
}

function showMenu(entry, event) {
  const many = chosen(entry).length > 1, row = grid.elementOf(entry), from = event.target.closest?.("[data-do=menu]");
  const place = from ? { ...from.getBoundingClientRect().toJSON(), alignRight: true }
    : event.type === "contextmenu" && event.clientX ? { left: event.clientX, top: event.clientY } : { left: row.getBoundingClientRect().left + 40, top: row.getBoundingClientRect().bottom };
  const item = (label, drawing, what, danger = false) => ({ label, drawing, danger, run: () => act(what, entry) });
  const items = [
    !many && item("Open", entry.isFolder ? "folder" : "eye", "open"), item("Download", "download", "download"),
    !many && !entry.isFolder && abilities.hasHistory && item("Versions", "history", "history"),
    !many && conflictOf(entry.name) && item("Settle the conflict", "compare", "conflict"),
    ...(abilities.canWrite ? [!many && item("Rename", "rename", "rename"), item("Move…", "move", "move"), null, item("Delete", "remove", "remove", true)] : []),
  ].filter((entry) => entry !== false);
  openMenu(items, place, many ? `Actions for ${countText(chosen(entry).length, "item")}` : `Actions for ${entry.name}`, byId("grid"));
}

function turn(step) {
  const files = view.items.filter((entry) => !entry.isFolder), at = files.findIndex((entry) => entry.path === route.file);
  const next = files[at + step];
  if (next) go(fileLink(route.folder, next.name), { replace: true });
}

function leave() {
  if (!route.file) return;
  const path = route.file;
  go(folderLink(route.folder), { replace: true });
  grid.activate(path);
  byId("grid").focus({ preventScroll: true });
}

let standOn = null;
let searching = 0;

function search(text, { now = true } = {}) {
  if (byId("search").value !== text) byId("search").value = text;
  clearTimeout(searching);
  searching = setTimeout(async () => {
    if (query === text.trim()) return;
    query = text.trim();
    if (route.view !== "files") go(folderLink(""));
    await follow();
    if (query) announce(`${countText(view.items.length, "item")} found`);
  }, now ? 0 : SEARCH_PAUSE);
}

async function newFolder() {
  const path = await makeFolder(route.folder);
  if (path) setTimeout(() => { grid.activate(path); byId("grid").focus({ preventScroll: true }); }, 60);
}

const upload = (source, folder = route.folder) => attempt(() => uploads.add(source, folder));

function pick(input) {
  upload(picked(input)).then(() => { input.value = ""; });
}

function chooseUpload(event) {
  openMenu([
    { label: "Files", drawing: "file", run: () => byId("pick-files").click() },
    { label: "A folder", drawing: "folder", run: () => byId("pick-folder").click() },
  ], { ...event.currentTarget.getBoundingClientRect().toJSON(), alignRight: true }, "Upload", event.currentTarget);
}

function onKey(event) {
  if (event.target.closest?.("input, textarea, dialog, [role=menu]")) return;
  const isCommand = event.ctrlKey || event.metaKey;
  if (event.key === "/" && !isCommand) byId("search").focus();
  else if (event.key === "?") showKeys();
  else if (isCommand && event.key.toLowerCase() === "z") { if (!undoLast()) return; } else return;
  event.preventDefault();
}

// -- Begin

function onAddress() {
  const before = route;
  route = currentRoute();
  if (before.folder !== route.folder || before.view !== route.view) {
    grid.clear();
    if (query && route.file === null) { query = ""; byId("search").value = ""; }
  }
  drawViews();
  if (route.view !== "files") { preview(null); showPanel(); draw(); return; }
  const active = standOn;
  standOn = null;
  follow({ active });
}

function listen() {
  addEventListener("hashchange", onAddress);
  addEventListener("keydown", onKey);
  byId("search").addEventListener("input", ({ target }) => search(target.value, { now: false }));
  byId("search").addEventListener("keydown", (event) => {
    if (event.key === "Escape") { search(""); byId("grid").focus(); } else if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); byId("grid").focus(); grid.moveTo(0); }
  });
  byId("new-folder").addEventListener("click", newFolder);
  byId("upload").addEventListener("click", chooseUpload);
  byId("keys").addEventListener("click", showKeys);
  for (const id of ["pick-files", "pick-folder"]) byId(id).addEventListener("change", ({ target }) => pick(target));
  for (const [id, what] of [["selected-download", "download"], ["selected-move", "move"], ["selected-remove", "remove"]]) byId(id).addEventListener("click", () => act(what, null));
  byId("selected-none").addEventListener("click", () => { grid.clear(); byId("grid").focus(); });
  for (const head of document.querySelectorAll("[data-sort]")) head.addEventListener("click", () => {
    sort = { key: head.dataset.sort, descending: sort.key === head.dataset.sort ? !sort.descending : head.dataset.sort === "time" };
    view.sort(sort);
    grid.show(view.items);
    draw();
  });
  setInterval(() => grid.redraw(), 60_000); // "5 min ago" grows older
}

decorate();
listen();
handle(grid, act);
preparePreview({ leave, turn, act });
showUploads(uploads);
acceptDrops({ grid, folder: () => route.view === "files" ? route.folder : null, upload, move, chosen });
showConnection();
drawCrumbs();
drawViews();
draw();
share.connect(); // it lists once it is live, so that nothing is missed between
setTimeout(() => { if (share.state !== "live" && share.state !== "unauthorized") { attempt(learn); onAddress(); } }, FIRST_LOOK);
if (route.view !== "files") onAddress();
