// Keys, mouse and fingers on the grid, turned into selection and into acts.

const TYPING_PAUSE = 900; // ms after which typed letters begin a new word
const HOLD = 450; // ms a finger rests on a row to select it
const isCommand = (event) => event.ctrlKey || event.metaKey;

/** Let people work on `grid`. `act(what, entry, event)`: open, menu, download, rename, remove, up, conflict. */
export function handle(grid, act) {
  grid.grid.addEventListener("keydown", (event) => onKey(grid, act, event));
  grid.grid.addEventListener("focus", () => { if (!grid.active && grid.grid.matches(":focus-visible")) grid.moveTo(0, "keep"); });
  grid.scroller.addEventListener("click", (event) => onClick(grid, act, event));
  grid.scroller.addEventListener("dblclick", (event) => {
    const [entry, what] = grid.entryAt(event.target);
    if (entry && !what) act("open", entry, event);
  });
  grid.scroller.addEventListener("contextmenu", (event) => {
    const [entry] = grid.entryAt(event.target);
    if (!entry) return;
    event.preventDefault();
    if (lastTouch) return; // a long press selects
    if (!grid.selected.has(entry.path)) grid.moveTo(grid.indexOf(entry), "only");
    act("menu", entry, event);
  });
  holdToSelect(grid);
}

let lastTouch = false;
let held = false;

function holdToSelect(grid) {
  let timer = 0;
  grid.scroller.addEventListener("pointerdown", (event) => {
    lastTouch = event.pointerType === "touch";
    held = false;
    if (!lastTouch) return;
    timer = setTimeout(() => {
      const [entry] = grid.entryAt(event.target);
      if (entry) { held = true; grid.moveTo(grid.indexOf(entry), "toggle"); navigator.vibrate?.(10); }
    }, HOLD);
  });
  for (const name of ["pointerup", "pointermove", "pointercancel"]) {
    grid.scroller.addEventListener(name, (event) => { if (name !== "pointermove" || Math.hypot(event.movementX, event.movementY) > 6) clearTimeout(timer); });
  }
}

function onClick(grid, act, event) {
  const [entry, what] = grid.entryAt(event.target);
  if (held) { held = false; event.preventDefault(); return; } // the finger that selected leaves
  if (!entry) { if (!event.target.closest("button")) grid.clear(); return; }
  const index = grid.indexOf(entry);
  if (what === "pick") { grid.moveTo(index, event.shiftKey ? "extend" : "toggle"); grid.grid.focus({ preventScroll: true }); return; }
  if (what === "open" && isCommand(event) && !entry.isFolder) event.preventDefault();
  if (what === "open" && isCommand(event) && entry.isFolder) return; // a folder in another tab
  if (event.shiftKey || isCommand(event)) {
    event.preventDefault();
    grid.moveTo(index, event.shiftKey ? "extend" : "toggle");
  } else if (lastTouch && !what && grid.selected.size) grid.moveTo(index, "toggle");
  else if (lastTouch && (!what || what === "open")) { event.preventDefault(); if (grid.selected.size) grid.moveTo(index, "toggle"); else act("open", entry, event); }
  else if (what) {
    event.preventDefault();
    if (what === "menu" && !grid.selected.has(entry.path)) grid.moveTo(index, "none");
    act(what, entry, event);
  } else grid.moveTo(index, "only");
}

function onKey(grid, act, event) {
  if (event.altKey && event.key === "ArrowUp") { event.preventDefault(); act("up", null, event); return; }
  if (event.target !== grid.grid || event.altKey) return;
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: grid.pageSize, PageUp: -grid.pageSize, Home: -Infinity, End: Infinity }[event.key];
  if (step !== undefined) {
    event.preventDefault();
    const mode = event.shiftKey ? "extend" : isCommand(event) ? "keep" : "only";
    if (Number.isFinite(step)) grid.moveBy(step, mode); else grid.moveTo(step > 0 ? grid.items.length - 1 : 0, mode);
    return;
  }
  if (onCommandKey(grid, act, event)) event.preventDefault();
}

function onCommandKey(grid, act, event) {
  const { key, shiftKey } = event, entry = grid.active;
  if (isCommand(event) && key.toLowerCase() === "a") grid.selectAll();
  else if (key === "Escape" && grid.selected.size) grid.clear();
  else if (key === "Backspace" && !isCommand(event)) act("up", null, event);
  else if (!entry) return false;
  else if (key === " ") { if (isTyping()) return type(grid, key); grid.moveTo(grid.indexOf(entry), "toggle"); }
  else if (key === "Enter") act("open", entry, event);
  else if (key === "F2") act("rename", entry, event);
  else if (key === "Delete" || (key === "Backspace" && isCommand(event))) act("remove", entry, event);
  else if (key === "ContextMenu" || (key === "F10" && shiftKey)) act("menu", entry, event);
  else if (key.length === 1 && !isCommand(event) && key !== "/" && key !== "?") return type(grid, key);
  else return false;
  return true;
}

let typed = "", typedAt = 0;
const isTyping = () => performance.now() - typedAt < TYPING_PAUSE && typed !== "";

/** Letters lead to the next entry whose name begins with them. */
function type(grid, key) {
  typed = isTyping() ? typed + key.toLowerCase() : key.toLowerCase();
  typedAt = performance.now();
  const { items } = grid, from = grid.active ? grid.indexOf(grid.active) + (typed.length === 1 ? 1 : 0) : 0;
  for (let step = 0; step < items.length; step += 1) {
    const index = (from + step) % items.length;
    if (items[index].key.startsWith(typed)) { grid.moveTo(index, "only"); break; }
  }
  return true;
}
