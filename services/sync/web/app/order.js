// Which entries are shown, and in which order. Kept sorted: one change among 100,000 costs one pass.

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

const BY = {
  name: (a, b) => collator.compare(a.name, b.name),
  size: (a, b) => a.size - b.size,
  time: (a, b) => a.time - b.time,
};

/** Folders first, then by `key`; the path decides between equals, so that the order is always the same. */
export function comparison({ key, descending }) {
  const by = BY[key], sign = descending ? -1 : 1;
  return (a, b) => b.isFolder - a.isFolder || sign * by(a, b) || (key !== "name" && collator.compare(a.name, b.name)) || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
}

/** Return a question: does an entry's name hold all the words of `query`? A word with a slash is looked for in the path. */
export function matcher(query) {
  const words = query.toLowerCase().normalize("NFC").split(/\s+/).filter(Boolean);
  return (entry) => words.every((word) => (word.includes("/") ? entry.path.toLowerCase() : entry.key).includes(word));
}

/** A sorted view: `belongs(entry)` says what is in it. */
export class View {
  items = [];
  #compare;
  #belongs;

  constructor(entries, belongs, sort) {
    this.#belongs = belongs;
    this.#compare = comparison(sort);
    this.update([], entries);
  }

  sort(sort) { this.#compare = comparison(sort); this.items = [...this.items].sort(this.#compare); }

  /** Take away and add; returns whether anything shown has changed. */
  update(removed, added) {
    const gone = new Set(removed), come = [];
    for (const entry of added) if (this.#belongs(entry)) come.push(entry);
    const kept = gone.size ? this.items.filter((entry) => !gone.has(entry)) : this.items;
    if (!come.length && kept.length === this.items.length) return false;
    this.items = [...kept, ...come].sort(this.#compare); // nearly sorted: the engine's merge sort sees that
    return true;
  }
}
