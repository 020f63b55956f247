// What is known of the share: folders that were listed, kept true by changes as they happen.
//
// A folder is listed when it is first looked at; the whole share only when somebody searches. An entry
// is never changed but replaced, so that whoever draws it can compare by identity.

import { join, nameOf, parentOf } from "./format.js";

function entryOf(metadata, version = metadata.version ?? null) {
  const name = nameOf(metadata.path);
  return {
    path: metadata.path, name, key: name.toLowerCase(), folder: parentOf(metadata.path), size: metadata.size, hash: metadata.hash,
    time: Date.parse(metadata.modified), isFolder: metadata.is_directory, version,
  };
}

/** `list.push(...all)` is an argument for each, and a folder may have more than a call may have. */
function extend(list, all) { for (const one of all) list.push(one); }

/** Emits "change" with {removed: entries, added: entries}; what is changed is in both. */
export class Tree extends EventTarget {
  #folders = new Map(); // path -> Map(name -> entry)
  #loaded = new Set();
  #loads = new Map(); // path (or "**") -> promise
  #journal = null; // changes that arrive while something is being listed
  #generation = 0;
  isComplete = false;

  constructor(share) {
    super();
    this.share = share;
    share.addEventListener("change", ({ detail }) => this.apply(detail));
  }

  entry(path) { return this.#folders.get(parentOf(path))?.get(nameOf(path)); }
  entries(folder) { return [...(this.#folders.get(folder)?.values() ?? [])]; }
  isLoaded(folder) { return this.isComplete || this.#loaded.has(folder); }
  *all() { for (const entries of this.#folders.values()) yield* entries.values(); }

  /** Forget that listings are true; what is there stays until it is listed again. */
  expire() {
    this.#generation += 1;
    this.#loaded.clear();
    this.#loads.clear();
    this.isComplete = false;
  }

  /** List a folder unless it is known. Entries appear while they arrive. */
  load(folder) {
    if (this.isLoaded(folder)) return Promise.resolve();
    return this.#once(folder, () => this.#list(folder, false));
  }

  /** List everything unless it is known. */
  loadAll() {
    if (this.isComplete) return Promise.resolve();
    return this.#once("**", () => this.#list("", true));
  }

  #once(key, work) {
    if (!this.#loads.has(key)) {
      const promise = work().finally(() => { if (this.#loads.get(key) === promise) this.#loads.delete(key); });
      this.#loads.set(key, promise);
    }
    return this.#loads.get(key);
  }

  async #list(folder, recursive) {
    const generation = this.#generation, journal = this.#journal ??= [], start = journal.length;
    const seen = new Set();
    let since = null;
    for await (const page of this.share.pages(folder, { recursive })) {
      if (generation !== this.#generation) return;
      since ??= page.cursor;
      this.#absorb(page.entries, seen);
    }
    this.#drop(folder, recursive, seen, journal, start);
    if (recursive) this.isComplete = true;
    this.#loaded.add(folder);
    if (!this.#folders.has(folder)) this.#folders.set(folder, new Map());
    const missed = journal.slice(start).filter((change) => change.seq === null || since === null || change.seq > since);
    for (const change of missed) this.#emit(this.#effect(change));
    if (this.#loads.size <= 1) this.#journal = null;
    // A folder that moved between two pages may have left entries in both places.
    if (missed.some(({ kind, metadata }) => kind === "move" && metadata.is_directory)) {
      this.#loaded.delete(folder);
      this.isComplete = false;
      await this.#list(folder, recursive);
    }
  }

  #absorb(metadatas, seen) {
    const removed = [], added = [];
    for (const metadata of metadatas) {
      const entry = entryOf(metadata), known = this.entry(entry.path);
      seen.add(entry.path);
      if (known && known.hash === entry.hash && known.time === entry.time && known.size === entry.size && known.version === entry.version && known.isFolder === entry.isFolder) continue;
      if (known) removed.push(known);
      added.push(this.#place(entry));
    }
    this.#emit({ removed, added });
  }

  /** Remove what an earlier listing knew and this one did not see, unless it came meanwhile. */
  #drop(folder, recursive, seen, journal, start) {
    const removed = [], came = new Set(journal.slice(start).map((change) => change.path));
    const inside = folder ? folder + "/" : "";
    for (const [path, entries] of [...this.#folders]) {
      if (!(path === folder || (recursive && path.startsWith(inside)))) continue;
      for (const entry of entries.values()) {
        if (seen.has(entry.path) || came.has(entry.path)) continue;
        entries.delete(entry.name);
        removed.push(entry);
        extend(removed, this.#cut(entry.path));
      }
    }
    if (removed.length) this.#emit({ removed, added: [] });
  }

  /** Take a change into account; those of folders that nobody looked at have no effect. */
  apply(change) {
    this.#journal?.push(change);
    this.#emit(this.#effect(change));
  }

  #emit(detail) {
    if (detail.removed.length || detail.added.length) this.dispatchEvent(new CustomEvent("change", { detail }));
  }

  #effect(change) {
    const { kind, path, from, metadata, version } = change, known = this.entry(path), removed = [], added = [];
    if (kind === "delete") {
      if (known) { this.#folders.get(known.folder).delete(known.name); removed.push(known); }
      extend(removed, this.#cut(path));
      return { removed, added };
    }
    if (known && version !== null && known.version !== null && known.version > version) return { removed, added };
    if (kind === "move") this.#carry(from, path, removed, added);
    const entry = entryOf(metadata, version);
    if (known) removed.push(known);
    if (this.isLoaded(entry.folder) || this.#folders.has(entry.folder)) added.push(this.#place(entry));
    if (entry.isFolder && kind === "create" && !this.#folders.has(path)) { this.#folders.set(path, new Map()); this.#loaded.add(path); }
    return { removed, added };
  }

  #place(entry) {
    let entries = this.#folders.get(entry.folder);
    if (!entries) this.#folders.set(entry.folder, entries = new Map());
    entries.set(entry.name, entry);
    return entry;
  }

  /** Forget what was below a folder; returns the entries. */
  #cut(folder) {
    const removed = [], inside = folder + "/";
    for (const [path, entries] of [...this.#folders]) {
      if (path !== folder && !path.startsWith(inside)) continue;
      extend(removed, entries.values());
      this.#folders.delete(path);
      this.#loaded.delete(path);
    }
    return removed;
  }

  /** Move what is known of a folder to where it is now. */
  #carry(from, to, removed, added) {
    const known = this.entry(from), inside = from + "/";
    if (known) { this.#folders.get(known.folder).delete(known.name); removed.push(known); }
    for (const [path, entries] of [...this.#folders]) {
      if (path !== from && !path.startsWith(inside)) continue;
      const place = to + path.slice(from.length);
      this.#folders.delete(path);
      if (this.#loaded.delete(path)) this.#loaded.add(place);
      const carried = this.#folders.get(place) ?? new Map();
      this.#folders.set(place, carried);
      for (const entry of entries.values()) {
        const moved = { ...entry, path: join(place, entry.name), folder: place };
        removed.push(entry);
        added.push(moved);
        carried.set(moved.name, moved);
      }
    }
  }
}
