// A menu at a place: opened by a button, a right click or the menu key.

import { element, icon } from "../dom.js";

const EDGE = 8; // pixels kept between the menu and the window's edge

let closeOpen = null;

/** Show `items` ({label, drawing, run, danger}; null is a line between groups) at a rectangle or a point. */
export function openMenu(items, { left, top, bottom = top, right = left, alignRight = false }, label, owner = document.activeElement) {
  closeOpen?.();
  const entries = items.map((item) => item === null ? element("hr", {}) : element("button", {
    type: "button", role: "menuitem", tabindex: "-1", class: item.danger ? "danger" : null, onclick: () => { close(); item.run(); },
  }, icon(item.drawing), element("span", {}, item.label)));
  const menu = element("div", { class: "menu", role: "menu", "aria-label": label, onkeydown: (event) => keys(event) }, ...entries);
  const buttons = entries.filter((entry) => entry.tagName === "BUTTON");
  const close = (refocus = true) => {
    if (closeOpen !== close) return;
    closeOpen = null;
    menu.remove();
    removeEventListener("pointerdown", outside, true);
    removeEventListener("resize", close);
    owner?.setAttribute?.("aria-expanded", "false");
    if (refocus) owner?.focus?.({ preventScroll: true });
  };
  const outside = (event) => { if (!menu.contains(event.target)) close(false); };
  const keys = (event) => {
    const at = buttons.indexOf(document.activeElement), last = buttons.length - 1;
    const next = { ArrowDown: at === last ? 0 : at + 1, ArrowUp: at <= 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (next !== undefined) buttons[next].focus();
    else if (event.key === "Escape" || event.key === "Tab") close();
    else if (event.key.length === 1) buttons.find((entry) => entry.textContent.toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  document.body.append(menu);
  const box = menu.getBoundingClientRect();
  const x = alignRight ? right - box.width : left;
  const y = bottom + box.height + EDGE > innerHeight ? Math.max(EDGE, top - box.height) : bottom;
  menu.style.left = Math.max(EDGE, Math.min(x, innerWidth - box.width - EDGE)) + "px";
  menu.style.top = y + "px";
  if (owner?.getAttribute?.("aria-haspopup")) owner.setAttribute("aria-expanded", "true");
  closeOpen = close;
  addEventListener("pointerdown", outside, true);
  addEventListener("resize", close);
  buttons[0]?.focus();
}
