// What was dropped or picked, as a flat list of {file, path}: folders are walked.

const entriesIn = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

async function* walk(entry, prefix) {
  if (entry.isFile) { yield { file: await fileOf(entry), path: prefix + entry.name }; return; }
  const reader = entry.createReader();
  let isEmpty = true;
  for (let batch = await entriesIn(reader); batch.length; batch = await entriesIn(reader)) { // a hundred at a time
    isEmpty = false;
    for (const below of batch) yield* walk(below, prefix + entry.name + "/");
  }
  if (isEmpty) yield { folder: prefix + entry.name };
}

/** Yield what a drop holds: {file, path}, and {folder} for folders with nothing in them. MUST be called in the event itself. */
export function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = entries.length ? [] : [...transfer.files];
  return (async function* all() {
    for (const entry of entries) yield* walk(entry, "");
    for (const file of files) yield { file, path: file.name };
  })();
}

/** Yield what an <input type=file> holds; with webkitdirectory the paths below the folder too. */
export async function* picked(input) {
  for (const file of input.files) yield { file, path: file.webkitRelativePath || file.name };
}
