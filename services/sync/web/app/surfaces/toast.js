// Short news at the edge, with at most one thing to do about it.

import { announce, button, byId, element } from "../dom.js";

const STAY = 6_000; // ms: long enough to read two lines and to reach Undo
const STAY_WITH_ACTION = 10_000;
const MOST = 3;

let undo = null;

/** Do what the newest toast offers; returns whether there was one. */
export function undoLast() {
  if (!undo) return false;
  undo();
  return true;
}

/** Another thing is being done: what came before is not what "undo" means any more. */
export function forgetUndo() { undo = null; }

/** Show `text`; `action` is {label, run}. It stays while the pointer or the focus is in it. */
export function toast(text, { action = null, kind = "" } = {}) {
  const node = element("div", { class: "toast " + kind }, element("p", {}, text));
  let timer = 0;
  const act = () => { leave(); action.run(); };
  const leave = () => { clearTimeout(timer); node.remove(); if (undo === act) undo = null; };
  const wait = () => { clearTimeout(timer); timer = setTimeout(leave, action ? STAY_WITH_ACTION : STAY); };
  if (action) { node.append(button(action.label, act, { kind: "link" })); undo = act; }
  node.append(button("Dismiss", leave, { drawing: "close", unseen: true, kind: "tool" }));
  for (const event of ["pointerenter", "focusin"]) node.addEventListener(event, () => clearTimeout(timer));
  for (const event of ["pointerleave", "focusout"]) node.addEventListener(event, wait);
  const place = byId("toasts");
  place.append(node);
  while (place.children.length > MOST) place.firstElementChild.remove();
  announce(action ? `${text} ${action.label}: press Control Z.` : text);
  wait();
  return leave;
}

/** Do `work`; what goes wrong is said. Resolves with its result, undefined if it failed. */
export async function attempt(work, prefix = "") {
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError" && error.status !== 401) toast(prefix + error.message, { kind: "bad" });
    return undefined;
  }
}
