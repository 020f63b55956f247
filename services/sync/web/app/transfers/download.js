// Saving: a file by its own address where that suffices, else read here and handed over.

import { element } from "../dom.js";
import { nameOf, sizeText } from "../format.js";
import { share } from "../session.js";
import { toast } from "../surfaces/toast.js";
import { zip } from "./zip.js";

const KEPT = 60_000; // ms an address of a Blob stays good: the browser may ask where to save first

function save(href, name) {
  const link = element("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

function saveBlob(blob, name) {
  const href = URL.createObjectURL(blob);
  save(href, name);
  setTimeout(() => URL.revokeObjectURL(href), KEPT);
}

/** Save one file; `version` an older content of it. A link cannot carry a token, so then it is read here. */
export async function downloadFile(path, version = null) {
  if (share.token) saveBlob(await (await share.get(path, { version })).blob(), nameOf(path));
  else save(share.url(path, { version, download: true }), nameOf(path));
}

/** Save entries: one file as it is, anything else as one archive. */
export async function download(entries) {
  if (entries.length === 1 && !entries[0].isFolder) { await downloadFile(entries[0].path); return; }
  const files = [];
  for (const entry of entries) {
    const inside = entry.isFolder ? await share.list(entry.path, { recursive: true }) : [{ path: entry.path, modified: entry.time, is_directory: false }];
    const start = entry.folder ? entry.folder.length + 1 : 0;
    for (const { path, modified, is_directory: isFolder } of inside) {
      if (!isFolder) files.push({ name: path.slice(start), time: modified, open: () => share.get(path) });
    }
  }
  if (!files.length) { toast("There is no file to download."); return; }
  const name = (entries.length === 1 ? entries[0].name : nameOf(entries[0].folder) || "files") + ".zip";
  const done = toast(`Preparing ${name}…`);
  const blob = await zip(files);
  done();
  saveBlob(blob, name);
  toast(`${name}, ${sizeText(blob.size)}`);
}
