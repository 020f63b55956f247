// What is shown: the folder of the address, or what a search found below it; kept true to what changes.

import { announce, byId, element } from "./dom.js";
import { conflictOf, countText, parentOf, sizeText } from "./format.js";
import { Grid } from "./list/grid.js";
import { drawRow } from "./list/row.js";
import { matcher, View } from "./order.js";
import { currentRoute, folderLink, go } from "./route.js";
import { abilities, learn, patiently, share, tree } from "./session.js";
import { drawConflicts, knownConflicts } from "./surfaces/conflicts.js";
import { drawTrash } from "./surfaces/history.js";
import { preview } from "./surfaces/preview.js";
import { attempt } from "./surfaces/toast.js";

const SEARCH_PAUSE = 120; // ms without a key before the list follows the search
const isTouched = matchMedia("(hover: none)").matches;

export let route = currentRoute();
export let query = "";
export let view = new View([], () => false, { key: "name", descending: false });
let sort = { key: "name", descending: false };
let opened = null; // the folder and search that `view` is of
let problem = ""; // why the folder cannot be shown
let standOn = null; // where to be active in the folder that comes next
let searching = 0;

export const grid = new Grid(byId("grid"), byId("scroller"), (entry) => drawRow(entry, { showsFolder: Boolean(query), canWrite: abilities.canWrite }));

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
    await patiently(() => (query ? tree.loadAll() : tree.load(folder)), {
      isWanted: () => opened === key,
      busy: (message) => { problem = `${message[0].toUpperCase()}${message.slice(1)}…`; draw(); },
    });
    problem = "";
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
  if (problem) return [problem, problem.endsWith("…") ? "It is shown as soon as it is there." : "It may have been moved or deleted."];
  if (query) return ["Nothing found", `No name${route.folder ? " in this folder" : ""} holds “${query}”.`];
  return ["Nothing here yet", abilities.canWrite ? (isTouched ? "Press Upload to put something here." : "Drop files or folders anywhere on this page.") : "What is put into this share appears here by itself."];
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
share.addEventListener("rescan", () => { tree.expire(); attempt(() => patiently(learn)); follow(); if (route.view !== "files") showPanel(); });
abilities.addEventListener("change", () => { grid.redraw(); draw(); drawViews(); });
grid.addEventListener("selection", () => draw());

/** Look for names below the folder; "" shows the folder again. */
export function search(text, { now = true } = {}) {
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

/** Order by a column, or the other way round. */
export function sortBy(key) {
  sort = { key, descending: sort.key === key ? !sort.descending : key === "time" };
  view.sort(sort);
  grid.show(view.items);
  draw();
}

/** Go to another folder and be active at `path` there. */
export function enter(folder, path) {
  standOn = path;
  go(folderLink(folder));
}

/** Follow the address. */
export function onAddress() {
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

/** Show what is known before anything was heard. */
export function begin() {
  drawCrumbs();
  drawViews();
  draw();
  if (route.view !== "files") onAddress();
}
