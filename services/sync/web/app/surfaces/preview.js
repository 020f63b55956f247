// One file, large: opened by its address, closed by leaving it. The arrows lead to its neighbours.

import { announce, button, byId, element } from "../dom.js";
import { fullTime, sizeText, timeText } from "../format.js";
import { abilities } from "../session.js";
import { contentOf } from "./content.js";

let shown = null; // {entry, release, control}

/** `leave()` goes back to the folder, `turn(step)` to a neighbour, `act(what, entry)` does something to it. */
export function preparePreview({ leave, turn, act }) {
  const dialog = byId("preview");
  const tool = (label, drawing, run) => button(label, run, { drawing, unseen: true, kind: "tool" });
  const doing = (what) => () => act(what, shown.entry);
  byId("preview-tools").append(
    tool("Previous file", "previous", () => turn(-1)), tool("Next file", "next", () => turn(1)),
    tool("Download this file", "download", doing("download")), tool("Rename this file", "rename", doing("rename")),
    tool("Versions of this file", "history", doing("history")), tool("Delete this file", "remove", doing("remove")),
    tool("Close the preview", "close", leave));
  dialog.addEventListener("cancel", (event) => { event.preventDefault(); leave(); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog || event.target.id === "preview-body") leave(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("video, audio")) return;
    const run = { ArrowLeft: () => turn(-1), ArrowRight: () => turn(1), Delete: doing("remove"), F2: doing("rename") }[event.key];
    if (!run || event.altKey || (event.key.startsWith("Arrow") && event.target.closest("pre") && event.shiftKey)) return;
    event.preventDefault();
    run();
  });
}

/** Show `entry`, or close the preview (null). The same content again changes nothing. */
export async function preview(entry) {
  const dialog = byId("preview");
  if (!entry) { hide(dialog); return; }
  if (shown?.entry.path === entry.path && shown.entry.hash === entry.hash) return;
  forget();
  const current = shown = { entry, release() {}, control: new AbortController() };
  byId("preview-title").textContent = entry.name;
  byId("preview-facts").textContent = `${sizeText(entry.size)} · ${timeText(entry.time)}`;
  byId("preview-facts").title = fullTime(entry.time);
  for (const [drawing, allowed] of [["rename", abilities.canWrite], ["remove", abilities.canWrite], ["history", abilities.hasHistory]]) {
    byId("preview-tools").querySelector(`.icon.${drawing}`).parentElement.hidden = !allowed;
  }
  if (!dialog.open) { dialog.showModal(); byId("preview-tools").querySelector(".icon.close").parentElement.focus(); }
  const body = byId("preview-body");
  body.setAttribute("aria-busy", "true");
  try {
    const { node, release } = await contentOf(entry.path, { size: entry.size, signal: current.control.signal });
    if (shown !== current) { release(); return; }
    current.release = release;
    body.replaceChildren(node);
    announce(`Preview of ${entry.name}`);
  } catch (error) {
    if (shown === current && error.name !== "AbortError") body.replaceChildren(element("p", { class: "problem" }, error.message));
  }
  body.removeAttribute("aria-busy");
}

function forget() {
  shown?.control.abort();
  shown?.release();
  shown = null;
}

function hide(dialog) {
  if (!dialog.open) return;
  forget();
  byId("preview-body").replaceChildren();
  dialog.close();
}
