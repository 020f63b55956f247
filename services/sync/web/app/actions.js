// What one can do to entries. Each asks what it must, does it, and says what happened.

import { applyLocally, abilities, share, tree } from "./session.js";
import { countText, join, nameOf, parentOf, split } from "./format.js";
import { badName, confirm, prompt } from "./surfaces/dialog.js";
import { restoreTo } from "./surfaces/history.js";
import { pickFolder } from "./surfaces/picker.js";
import { attempt, forgetUndo, toast } from "./surfaces/toast.js";

const taken = (folder, name) => tree.entry(join(folder, name)) ? "This name is taken." : "";

export async function makeFolder(folder) {
  const name = await prompt({ title: "New folder", label: "Name of the folder", yes: "Create", refuse: (text) => badName(text) || taken(folder, text) });
  if (!name) return null;
  const metadata = await attempt(() => share.makeDirectory(join(folder, name)));
  if (metadata) applyLocally({ kind: "create", path: metadata.path, metadata });
  return metadata?.path ?? null;
}

export async function rename(entry) {
  const name = await prompt({
    title: entry.isFolder ? "Rename the folder" : "Rename the file", label: "New name", value: entry.name, yes: "Rename",
    selected: entry.isFolder ? entry.name.length : split(entry.name)[0].length,
    refuse: (text) => badName(text) || (text === entry.name ? "" : taken(entry.folder, text)),
  });
  if (!name || name === entry.name) return null;
  const to = join(entry.folder, name);
  const done = await attempt(() => moveOne(entry, to));
  if (done) toast(`Renamed to “${name}”.`, { action: { label: "Undo", run: () => attempt(() => moveOne({ ...entry, path: to }, entry.path)) } });
  return done ? to : null;
}

async function moveOne(entry, to) {
  forgetUndo();
  const metadata = await share.move(entry.path, to, entry.hash ? { ifMatch: entry.hash } : {});
  applyLocally({ kind: "move", path: to, from: entry.path, metadata });
  return true;
}

/** Move entries into `folder`, or into one that is asked for. */
export async function move(entries, folder = null) {
  const target = folder ?? await pickFolder({
    title: entries.length === 1 ? `Move “${entries[0].name}”` : `Move ${countText(entries.length, "item")}`,
    start: entries[0].folder, forbidden: entries.filter(({ isFolder }) => isFolder).map(({ path }) => path),
  });
  if (target === null) return;
  const moving = entries.filter((entry) => entry.folder !== target && entry.path !== target && !target.startsWith(entry.path + "/"));
  const moved = [];
  for (const entry of moving) {
    const to = join(target, entry.name);
    if (await attempt(() => moveOne(entry, to), `${entry.name}: `)) moved.push([entry, to]);
  }
  if (!moved.length) return;
  const what = moved.length === 1 ? `“${moved[0][0].name}”` : countText(moved.length, "item");
  toast(`Moved ${what} to ${target ? `“${nameOf(target)}”` : "All files"}.`, {
    action: { label: "Undo", run: async () => { for (const [entry, to] of moved) await attempt(() => moveOne({ ...entry, path: to }, entry.path)); } },
  });
}

/** Delete entries: at once with Undo where the server remembers, else after a question. Returns whether it was done. */
export async function remove(entries) {
  const what = entries.length === 1 ? `“${entries[0].name}”` : countText(entries.length, "item");
  if (!abilities.hasHistory) {
    const folders = entries.filter(({ isFolder }) => isFolder).length;
    const text = `${what} ${folders ? "and everything inside " : ""}will be deleted for everyone. This cannot be undone.`;
    if (!await confirm({ title: entries.length === 1 ? `Delete this ${folders ? "folder" : "file"}?` : `Delete ${what}?`, text, yes: "Delete", danger: true })) return false;
  }
  const before = share.cursor?.seq;
  const gone = [];
  for (const entry of entries) if (await attempt(() => removeOne(entry), `${entry.name}: `)) gone.push(entry);
  if (!gone.length) return false;
  const said = `Deleted ${gone.length === 1 ? `“${gone[0].name}”` : countText(gone.length, "item")}.`;
  toast(said, abilities.hasHistory && before ? { action: { label: "Undo", run: () => undelete(gone, before) } } : {});
  return true;
}

async function undelete(entries, seq) {
  for (const entry of entries) await restoreTo(entry.path, { seq }, `“${entry.name}” is back.`);
}

async function removeOne(entry) {
  forgetUndo();
  const condition = entry.isFolder ? {} : { ifMatch: entry.hash };
  try {
    await removePath(entry, condition);
  } catch (error) {
    if (error.code !== "confirm") throw error;
    if (!await confirm({ title: "Delete so much?", text: `${countText(error.body.affected, "file")} would be deleted for everyone.`, yes: "Delete", danger: true })) return false;
    await removePath(entry, { ...condition, confirm: error.body.confirm });
  }
  applyLocally({ kind: "delete", path: entry.path });
  return true;
}

async function removePath(entry, condition) {
  if (!entry.isFolder) { await share.delete(entry.path, condition); return; }
  if (share.protocol >= 2) { await share.delete(entry.path, { ...condition, recursive: true }); return; }
  // Version 1 removes empty folders alone: the deepest first.
  const inside = (await share.list(entry.path, { recursive: true })).filter(({ path }) => path !== entry.path);
  inside.sort((a, b) => b.path.split("/").length - a.path.split("/").length || a.is_directory - b.is_directory);
  for (const { path } of inside) await share.delete(path);
  await share.delete(entry.path);
}

/** The way up: the folder above, and what to stand on there. */
export const above = (folder) => ({ folder: parentOf(folder), active: folder });
