// A list of which only what is seen exists: 100,000 entries cost as much as thirty.
//
// It draws, scrolls, and knows which entry is active (where the keyboard is) and which are selected;
// what entries mean is its owner's. Focus stays on the grid itself (aria-activedescendant), so that
// a row may come and go without taking the focus with it.

import { element } from "../dom.js";

const BEYOND = 8; // rows drawn above and below what is seen: a turn of the wheel shows no gap
const AWAITED = 3_000; // ms in which what was just made or renamed is expected to appear
const FRESH = 2_000; // ms that a changed row stays marked

/** Emits "selection" when other entries are selected, "act" {what, entry, event} for what is done to one. */
export class Grid extends EventTarget {
  items = [];
  selected = new Set();
  #rows = new Map(); // entry -> its element, for those drawn
  #fresh = new Map();
  #activeIndex = -1;
  #activePath = null;
  #anchor = -1;
  #wanted = null; // who is to be active as soon as it is there
  #frame = 0;
  #draw;

  /** `grid` has the role, `scroller` scrolls, `draw(entry)` makes a row. */
  constructor(grid, scroller, draw) {
    super();
    this.grid = grid;
    this.scroller = scroller;
    this.#draw = draw;
    this.space = element("div", { class: "space", role: "presentation" });
    scroller.append(this.space);
    scroller.addEventListener("scroll", () => this.#later(), { passive: true });
    new ResizeObserver(() => this.#later()).observe(scroller);
  }

  get active() { return this.items[this.#activeIndex] ?? null; }
  get selection() { return this.items.filter((entry) => this.selected.has(entry.path)); }

  /** Show other items. Who was active or selected stays so while it is there. */
  show(items) {
    this.items = items;
    if (this.#activePath !== null && items[this.#activeIndex]?.path !== this.#activePath) {
      const index = items.findIndex((entry) => entry.path === this.#activePath);
      this.#activeIndex = index >= 0 ? index : Math.min(this.#activeIndex, items.length - 1);
      this.#activePath = this.active?.path ?? null;
    }
    this.#anchor = Math.min(this.#anchor, items.length - 1);
    if (this.selected.size) {
      const there = new Set(items.map((entry) => entry.path)), size = this.selected.size;
      for (const path of this.selected) if (!there.has(path)) this.selected.delete(path);
      if (this.selected.size !== size) this.#tell();
    }
    if (this.#wanted && performance.now() < this.#wanted.until) this.activate(this.#wanted.path);
    this.#later();
  }

  /** Begin anew: another folder. `active` is the path to begin at. */
  reset(items, active = null) {
    this.selected.clear();
    this.#wanted = null;
    this.#forget();
    this.items = items;
    this.#activeIndex = active === null ? -1 : items.findIndex((entry) => entry.path === active);
    this.#activePath = this.active?.path ?? null;
    this.#anchor = this.#activeIndex;
    this.scroller.scrollTop = 0;
    if (this.#activeIndex >= 0) this.#reveal(this.#activeIndex);
    this.#tell();
    this.#later();
  }

  /** Draw all rows again: they depend on more than their entries. */
  redraw() { this.#forget(); this.#later(); }

  mark(path) { this.#fresh.set(path, performance.now()); }

  /** Make the entry at `index` active; `mode` says what becomes of the selection. */
  moveTo(index, mode = "only") {
    index = Math.max(0, Math.min(index, this.items.length - 1));
    if (!this.items.length) return;
    this.#activeIndex = index;
    this.#activePath = this.items[index].path;
    if (mode === "only") { this.selected = new Set([this.#activePath]); this.#anchor = index; }
    else if (mode === "toggle") this.#toggle(this.#activePath, index);
    else if (mode === "extend") this.#extend(index);
    else if (mode === "none") { this.selected.clear(); this.#anchor = index; }
    this.#reveal(index);
    this.#tell();
    this.#later();
  }

  moveBy(rows, mode) { this.moveTo(this.#activeIndex < 0 ? 0 : this.#activeIndex + rows, mode); }

  /** Make `path` the active entry: now, or when it appears within a few seconds. */
  activate(path) {
    const index = this.items.findIndex((entry) => entry.path === path);
    this.#wanted = index < 0 ? { path, until: performance.now() + AWAITED } : null;
    if (index >= 0) this.moveTo(index, "only");
  }

  indexOf(entry) { return this.items.indexOf(entry); }
  get pageSize() { return Math.max(1, Math.floor(this.scroller.clientHeight / this.rowHeight) - 1); }
  get rowHeight() { return parseFloat(getComputedStyle(this.scroller).getPropertyValue("--row")) || 48; }

  selectAll() { this.selected = new Set(this.items.map((entry) => entry.path)); this.#tell(); this.#later(); }
  clear() { this.selected.clear(); this.#tell(); this.#later(); }

  /** The drawn element of an entry, if it is drawn. */
  elementOf(entry) { return this.#rows.get(entry) ?? null; }

  /** The entry that an event happened in, with what of it: [entry, "open" | "menu" | … | ""]. */
  entryAt(target) {
    const row = target.closest?.(".row");
    const entry = row && this.items[Number(row.dataset.index)];
    return [entry ?? null, target.closest?.("[data-do]")?.dataset.do ?? ""];
  }

  #toggle(path, index) {
    if (!this.selected.delete(path)) this.selected.add(path);
    this.#anchor = index;
  }

  #extend(index) {
    if (this.#anchor < 0) this.#anchor = index;
    const [from, to] = [Math.min(this.#anchor, index), Math.max(this.#anchor, index)];
    this.selected = new Set(this.items.slice(from, to + 1).map((entry) => entry.path));
  }

  #reveal(index) {
    const top = index * this.rowHeight, bottom = top + this.rowHeight, { scrollTop, clientHeight } = this.scroller;
    // The space must be as high as its items before it can be scrolled.
    this.space.style.height = this.items.length * this.rowHeight + "px";
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.scroller.scrollTop = bottom - clientHeight;
  }

  #tell() { this.dispatchEvent(new Event("selection")); }
  #forget() { this.space.replaceChildren(); this.#rows.clear(); }
  #later() { if (!this.#frame) this.#frame = requestAnimationFrame(() => { this.#frame = 0; this.#render(); }); }

  #render() {
    const height = this.rowHeight, { scrollTop, clientHeight } = this.scroller;
    const first = Math.max(0, Math.floor(scrollTop / height) - BEYOND);
    const last = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / height) + BEYOND);
    this.space.style.height = this.items.length * height + "px";
    this.grid.style.setProperty("--bar", this.scroller.offsetWidth - this.scroller.clientWidth + "px"); // the head leaves room for it
    this.grid.setAttribute("aria-rowcount", this.items.length + 1);
    const drawn = new Map();
    for (let index = first; index < last; index += 1) drawn.set(this.items[index], index);
    for (const [entry, row] of this.#rows) if (!drawn.has(entry)) { row.remove(); this.#rows.delete(entry); }
    for (const [entry, index] of drawn) this.#place(entry, index, height);
    const active = this.#rows.get(this.active);
    if (active) this.grid.setAttribute("aria-activedescendant", active.id);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  #place(entry, index, height) {
    let row = this.#rows.get(entry);
    if (!row) {
      row = this.#draw(entry);
      this.#rows.set(entry, row);
      this.space.append(row);
      const marked = this.#fresh.get(entry.path);
      if (marked !== undefined) {
        this.#fresh.delete(entry.path);
        if (performance.now() - marked < FRESH) row.classList.add("fresh");
      }
    }
    if (row.dataset.index !== String(index)) {
      row.dataset.index = index;
      row.id = "row-" + index;
      row.style.transform = `translateY(${index * height}px)`;
      row.setAttribute("aria-rowindex", index + 2); // the head is the first
    }
    const isSelected = this.selected.has(entry.path);
    row.classList.toggle("active", index === this.#activeIndex);
    if (row.classList.toggle("selected", isSelected) !== (row.getAttribute("aria-selected") === "true") || !row.hasAttribute("aria-selected")) {
      row.setAttribute("aria-selected", isSelected);
      row.querySelector(".pick")?.setAttribute("aria-checked", isSelected);
    }
  }
}
