// The page of a share: puts the parts together, and begins.

import { act, chooseUpload, chosen, leave, newFolder, pick, turn, upload, uploads } from "./acts.js";
import { move } from "./actions.js";
import { showConnection } from "./connection.js";
import { byId, decorate } from "./dom.js";
import { acceptDrops } from "./drop.js";
import { begin, grid, onAddress, route, search, sortBy } from "./folder.js";
import { handle } from "./list/hands.js";
import { learn, patiently, share } from "./session.js";
import { showKeys } from "./surfaces/help.js";
import { preparePreview } from "./surfaces/preview.js";
import { attempt, undoLast } from "./surfaces/toast.js";
import { showUploads } from "./transfers/panel.js";

const FIRST_LOOK = 700; // ms to wait for the live connection before listing without it

function onKey(event) {
  if (event.target.closest?.("input, textarea, dialog, [role=menu]")) return;
  const isCommand = event.ctrlKey || event.metaKey;
  if (event.key === "/" && !isCommand) byId("search").focus();
  else if (event.key === "?") showKeys();
  else if (isCommand && event.key.toLowerCase() === "z") { if (!undoLast()) return; } else return;
  event.preventDefault();
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
  for (const head of document.querySelectorAll("[data-sort]")) head.addEventListener("click", () => sortBy(head.dataset.sort));
  setInterval(() => grid.redraw(), 60_000); // "5 min ago" grows older
}

decorate();
listen();
handle(grid, act);
preparePreview({ leave, turn, act });
showUploads(uploads);
acceptDrops({ grid, folder: () => route.view === "files" ? route.folder : null, upload, move, chosen });
showConnection();
begin();
share.connect(); // it lists once it is live, so that nothing is missed between
setTimeout(() => { if (share.state !== "live" && share.state !== "unauthorized") { attempt(() => patiently(learn)); onAddress(); } }, FIRST_LOOK);
