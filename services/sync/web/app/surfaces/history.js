// The versions of a file: look at one, save it, make it the current one again.

import { button, element } from "../dom.js";
import { conflictOf, fullTime, nameOf, sizeText, timeText } from "../format.js";
import { abilities, share } from "../session.js";
import { downloadFile } from "../transfers/download.js";
import { contentOf } from "./content.js";
import { openDialog } from "./dialog.js";
import { attempt, toast } from "./toast.js";

const VERBS = { Create: "Created", Update: "Changed", Delete: "Deleted", Move: "Moved" };

/** Words for who made a change. */
export const whoText = (client) => client === "server" ? "on the server" : client === share.clientId ? "by you, here" : client.startsWith("web-") ? "in a browser" : "by " + client;

/** Restore, asking again where the server wants to be sure. Returns whether it was done. */
export async function restoreTo(path, target, said) {
  return attempt(async () => {
    try {
      await share.restore(path, target);
    } catch (error) {
      if (error.code !== "confirm") throw error;
      const sure = await openDialog({
        title: "Restore all of it?", content: element("p", {}, `${error.body.affected} files would be deleted by this.`),
        actions: [{ label: "Cancel", value: null }, { label: "Restore", value: true, style: "primary", isDefault: true }],
      });
      if (!sure) return false;
      await share.restore(path, { ...target, confirm: error.body.confirm });
    }
    toast(said);
    return true;
  });
}

/** Show the versions of `path` in a dialog. */
export async function showHistory(path) {
  const versions = await attempt(() => share.history(path));
  if (!versions) return;
  const list = element("ol", { class: "versions" }), seen = element("div", { class: "seen", hidden: true });
  let release = () => {};
  const view = async (version, row) => {
    release();
    for (const other of list.children) other.removeAttribute("aria-current");
    row.setAttribute("aria-current", "true");
    const content = await attempt(() => contentOf(version.path, { size: version.size, version: version.version }));
    if (!content) return;
    release = content.release;
    seen.hidden = false;
    seen.replaceChildren(content.node);
  };
  const isCurrent = (index) => index === 0 && operationOf(versions[0]) !== "Delete";
  list.append(...versions.map((version, index) => drawVersion(version, { isCurrent: isCurrent(index), view, restore: () => restoreTo(path, { seq: version.seq }, `${nameOf(path)} is again what it was ${timeText(Date.parse(version.ts))}.`) })));
  await openDialog({
    title: `Versions of “${nameOf(path)}”`, kind: "wide",
    content: versions.length ? [list, seen] : element("p", {}, "Nothing is remembered of this file."),
    actions: [{ label: "Close", value: null, style: "primary", isDefault: true }],
  });
  release();
}

const operationOf = ({ operation }) => typeof operation === "string" ? operation : Object.keys(operation)[0];

function drawVersion(version, { isCurrent, view, restore }) {
  const when = Date.parse(version.ts), label = fullTime(when), kind = operationOf(version);
  const hasContent = version.is_available && kind !== "Delete";
  const row = element("li", {},
    element("div", { class: "what" },
      element("strong", {}, VERBS[kind] ?? kind), " ", whoText(version.source_client), isCurrent && element("span", { class: "chip good" }, "current"),
      element("small", { title: label }, `${timeText(when)}${kind === "Delete" ? "" : " · " + sizeText(version.size)}`)),
    hasContent && button(`View the version of ${label}`, () => view(version, row), { drawing: "eye", unseen: true, kind: "tool" }),
    hasContent && button(`Download the version of ${label}`, () => attempt(() => downloadFile(version.path, version.version)), { drawing: "download", unseen: true, kind: "tool" }),
    hasContent && !isCurrent && abilities.canWrite && button(`Restore the version of ${label}`, (event) => restore().then(() => event.target.closest("dialog").close()), { drawing: "restore", unseen: true, kind: "tool" }));
  return row;
}

/** Draw the deleted files that can be restored. */
export async function drawTrash(place) {
  const deleted = await attempt(() => share.trash());
  if (!deleted) return;
  const list = element("ul", { class: "cards" }, ...deleted.map((file) => {
    const card = element("li", {},
      element("div", { class: "what" }, element("strong", {}, nameOf(file.path)), conflictOf(nameOf(file.path)) && element("span", { class: "chip" }, "conflict"),
        element("small", { title: fullTime(Date.parse(file.ts)) }, `${file.path} · ${sizeText(file.size)} · deleted ${whoText(file.source_client)}, ${timeText(Date.parse(file.ts))}`)),
      abilities.hasHistory && button(`Versions of ${file.path}`, () => showHistory(file.path), { drawing: "history", unseen: true, kind: "tool" }),
      abilities.canWrite && button("Restore", async () => { if (await restoreTo(file.path, { seq: file.version }, `${nameOf(file.path)} is back.`)) card.remove(); }, { drawing: "restore", "aria-label": "Restore " + file.path }));
    return card;
  }));
  place.replaceChildren(deleted.length ? list : element("div", { class: "empty" }, element("p", {}, "The trash is empty"), element("p", { class: "hint" }, "What is deleted can be restored from here.")));
}
