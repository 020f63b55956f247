// Uploads: a few at a time, each with its progress; all together with a rate and the time that is left.

import { join, freeName, nameOf, parentOf } from "../format.js";
import { applyLocally, share, tree } from "../session.js";

const AT_ONCE = 3; // more only divide the same line, fewer wait for the server between small files
const SAMPLE = 500; // ms between measurements of the rate
const WEIGHT = 0.3; // of the newest measurement: a rate that is steady but follows within a few seconds
const AGAIN = 3; // times a small upload is tried again when the connection breaks or the server is busy

/** Emits "change" when anything about the uploads has. */
export class Uploads extends EventTarget {
  items = []; // {path, file, state: waiting|active|done|failed|skipped, loaded, problem, control}
  rate = 0; // bytes per second
  #next = 0;
  #active = 0;
  #sampler = 0;
  #sampled = 0;
  #ask;

  /** `ask(item, current)` answers what to do about a name that is taken: "replace", "both", "skip". */
  constructor(ask) { super(); this.#ask = ask; }

  get total() { return this.items.reduce((sum, item) => sum + item.file.size, 0); }
  get loaded() { return this.items.reduce((sum, item) => sum + (item.state === "done" || item.state === "skipped" ? item.file.size : item.loaded), 0); }
  get secondsLeft() { return this.rate ? (this.total - this.loaded) / this.rate : Infinity; }
  get isBusy() { return this.items.some(({ state }) => state === "waiting" || state === "active"); }
  count(state) { return this.items.reduce((count, item) => count + (item.state === state), 0); }

  /** Upload everything from `source` (gather.js) into `folder`. */
  async add(source, folder) {
    for await (const { file, path, folder: empty } of source) {
      if (empty) { await share.makeDirectory(join(folder, empty)); continue; }
      this.items.push({ path: join(folder, path), file, state: "waiting", loaded: 0, problem: "", control: new AbortController() });
      this.#work();
    }
  }

  cancel(item) {
    if (item.state === "waiting") item.state = "skipped";
    item.control.abort();
    this.#changed();
  }

  cancelAll() { for (const item of this.items) if (item.state === "waiting" || item.state === "active") this.cancel(item); }

  again(item) {
    Object.assign(item, { state: "waiting", loaded: 0, problem: "", control: new AbortController() });
    this.#next = 0;
    this.#work();
  }

  /** Forget what is over. */
  clear() {
    this.items = this.items.filter(({ state }) => state === "waiting" || state === "active");
    this.#next = 0;
    this.#changed();
  }

  #changed() { this.dispatchEvent(new Event("change")); }

  #work() {
    while (this.#active < AT_ONCE) {
      while (this.#next < this.items.length && this.items[this.#next].state !== "waiting") this.#next += 1;
      const item = this.items[this.#next];
      if (!item) break;
      this.#active += 1;
      item.state = "active";
      this.#upload(item).finally(() => { this.#active -= 1; this.#work(); });
    }
    if (this.#active && !this.#sampler) {
      this.#sampled = this.loaded;
      this.#sampler = setInterval(() => this.#sample(), SAMPLE);
    } else if (!this.#active && this.#sampler) {
      clearInterval(this.#sampler);
      this.#sampler = this.rate = 0;
      this.dispatchEvent(new Event("idle"));
    }
    this.#changed();
  }

  #sample() {
    const now = this.loaded, measured = Math.max(0, now - this.#sampled) * 1000 / SAMPLE;
    this.#sampled = now;
    this.rate = this.rate ? WEIGHT * measured + (1 - WEIGHT) * this.rate : measured;
    this.#changed();
  }

  async #upload(item) {
    try {
      const known = tree.entry(item.path);
      const answer = known && !known.isFolder ? await this.#ask(item, known) : "new";
      item.state = await this.#write(item, answer, known?.hash) ? "done" : "skipped";
    } catch (error) {
      item.state = error.name === "AbortError" ? "skipped" : "failed";
      item.problem = error.message;
    }
  }

  /** Write as decided; ask when somebody else was faster. Returns false if the answer was to skip. */
  async #write(item, answer, hash) {
    for (;;) {
      if (answer === "skip") return false;
      if (answer === "both") item.path = join(parentOf(item.path), freeName(nameOf(item.path), (name) => tree.entry(join(parentOf(item.path), name))));
      try {
        const written = await this.#send(item, answer === "replace" ? { ifMatch: hash } : { ifNew: true });
        item.loaded = item.file.size;
        item.conflictOf = written.conflictOf;
        if (written.metadata) applyLocally({ kind: "create", path: written.path, metadata: written.metadata });
        return true;
      } catch (error) {
        if (error.status !== 412) throw error;
        const current = error.body.current ?? (await share.list(parentOf(item.path))).find(({ path }) => path === item.path);
        hash = current?.hash;
        item.loaded = 0;
        answer = current ? await this.#ask(item, current) : "new";
      }
    }
  }

  async #send(item, condition) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await share.put(item.path, item.file, {
          ...condition, signal: item.control.signal, modified: new Date(item.file.lastModified),
          onProgress: (loaded) => { item.loaded = Math.min(loaded, item.file.size); },
        });
      } catch (error) {
        if (!(error.status === 0 || error.status === 429 || error.status === 503) || attempt >= AGAIN) throw error;
        item.loaded = 0;
        await new Promise((resolve) => { setTimeout(resolve, 1000 * (error.retryAfter ?? 2 ** attempt)); });
      }
    }
  }
}
