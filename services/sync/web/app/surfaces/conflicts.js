// Two people changed one file: the later content lies beside the other. Here both are seen and one is chosen.

import { button, element } from "../dom.js";
import { conflictOf, freeName, join, sizeText, timeText } from "../format.js";
import { abilities, share, tree } from "../session.js";
import { contentOf } from "./content.js";
import { openDialog } from "./dialog.js";
import { markDifferences } from "./difference.js";
import { attempt, toast } from "./toast.js";

/** Every conflict copy that is known, newest first. */
export const knownConflicts = () => [...tree.all()].filter((entry) => !entry.isFolder && conflictOf(entry.name)).sort((a, b) => b.time - a.time);

/** Draw all conflicts of the share. */
export async function drawConflicts(place) {
  if (!tree.isComplete) place.replaceChildren(element("div", { class: "empty" }, element("p", {}, "Looking through the share…")));
  await attempt(() => tree.loadAll());
  const found = knownConflicts();
  place.replaceChildren(found.length ? element("ul", { class: "cards" }, ...found.map((copy) => {
    const { original, client, time } = conflictOf(copy.name);
    return element("li", {},
      element("div", { class: "what" }, element("strong", {}, original), element("small", {}, `${copy.folder || "All files"} · another content by ${client}, ${time} · ${sizeText(copy.size)}`)),
      button("Compare", () => showConflict(copy), { drawing: "compare", "aria-label": "Compare " + copy.name }));
  })) : element("div", { class: "empty" }, element("p", {}, "No conflicts"), element("p", { class: "hint" }, "When two people change one file, both contents are kept and listed here.")));
}

async function side(title, entry) {
  const content = entry ? await attempt(() => contentOf(entry.path, { size: entry.size })) : null;
  const node = element("section", { class: "side", "aria-label": title }, element("h3", {}, title),
    element("small", {}, entry ? `${sizeText(entry.size)} · ${timeText(entry.time)}` : "It is not there any more."), content?.node ?? null);
  return { node, release: content?.release ?? (() => {}) };
}

/** Show both contents beside one another, and do what is chosen. */
export async function showConflict(copy) {
  const { original, client } = conflictOf(copy.name), place = join(copy.folder, original);
  await attempt(() => tree.load(copy.folder));
  const current = tree.entry(place);
  const sides = await Promise.all([side("Current", current), side(`By ${client}`, copy)]);
  const texts = sides.map(({ node }) => node.querySelector("pre"));
  if (texts.every(Boolean)) markDifferences(...texts);
  const choice = await openDialog({
    title: `Two contents of “${original}”`, kind: "wide", content: element("div", { class: "sides" }, ...sides.map(({ node }) => node)),
    actions: abilities.canWrite ? [
      { label: "Later", value: null, isDefault: true }, { label: "Keep both", value: "both" },
      { label: "Keep current", value: "current" }, { label: `Use the one by ${client}`, value: "copy", style: "primary" },
    ] : [{ label: "Close", value: null, style: "primary", isDefault: true }],
  });
  for (const { release } of sides) release();
  if (choice) await attempt(() => settle(choice, copy, current, place, original));
}

async function settle(choice, copy, current, place, original) {
  if (choice === "both") {
    const to = join(copy.folder, freeName(original, (name) => tree.entry(join(copy.folder, name))));
    await share.move(copy.path, to, { ifMatch: copy.hash });
  } else if (choice === "copy" && !current) await share.move(copy.path, place, { ifMatch: copy.hash });
  else {
    if (choice === "copy") await replace(copy, current, place);
    await share.delete(copy.path, { ifMatch: copy.hash });
  }
  toast(choice === "both" ? "Both are kept." : `“${original}” is settled.`);
}

/** Give `place` the copy's content, without carrying it through the browser where the server can do that (v2). */
async function replace(copy, current, place) {
  const headers = { "If-Match": `"${current.hash}"` };
  if (share.protocol >= 2) {
    const encoded = (path) => "api/manifests/" + path.split("/").map(encodeURIComponent).join("/");
    const answer = await share.request("GET", encoded(copy.path)).catch((error) => { if (error.status === 404) return null; throw error; });
    if (answer) {
      const { hash, size, chunks } = await answer.json();
      await share.request("PUT", encoded(place), { json: { hash, size, chunks }, headers });
      return;
    }
  }
  await share.put(place, await (await share.get(copy.path)).blob(), { ifMatch: current.hash });
}
