// One entry as it is drawn.

import { button, element, icon } from "../dom.js";
import { conflictOf, fullTime, kindOf, sizeText, split, timeText } from "../format.js";
import { fileLink, folderLink } from "../route.js";

const LONGEST_BADGE = 4; // letters of an extension that fit its tile

/** The drawing of a folder, or a file's extension on the colour of its kind. */
export function badge(entry) {
  if (entry.isFolder) return element("span", { class: "badge folder", "aria-hidden": "true" }, icon("folder"));
  const extension = split(entry.name)[1].slice(1);
  return element("span", { class: "badge " + kindOf(entry.name), "aria-hidden": "true" },
    extension && extension.length <= LONGEST_BADGE ? element("span", {}, extension) : icon("file"));
}

export const linkOf = (entry) => entry.isFolder ? folderLink(entry.path) : fileLink(entry.folder, entry.name);

/** Draw an entry; what is clicked in it is told apart by `data-do`. `showsFolder`: where it was found. */
export function drawRow(entry, { showsFolder = false, canWrite = false }) {
  const conflict = conflictOf(entry.name), when = timeText(entry.time);
  const detail = showsFolder ? (entry.folder || "All files") : entry.isFolder ? when : `${sizeText(entry.size)} · ${when}`;
  const name = element("a", { href: linkOf(entry), tabindex: "-1", draggable: "false", "data-do": "open", title: showsFolder ? entry.path : entry.name }, entry.name);
  const tool = (label, drawing, what) => button(`${label} ${entry.name}`, null, { drawing, unseen: true, kind: "tool", tabindex: "-1", "data-do": what });
  const more = tool("Actions for", "more", "menu");
  more.setAttribute("aria-haspopup", "menu");
  return element("div", { role: "row", class: "row", "data-path": entry.path, draggable: canWrite ? "true" : "false" },
    element("div", { role: "gridcell", class: "cell name" },
      element("button", { type: "button", role: "checkbox", "aria-checked": "false", "aria-label": "Select " + entry.name, tabindex: "-1", class: "pick", "data-do": "pick" }, badge(entry), icon("check")),
      element("div", { class: "words" }, element("span", { class: "line" }, name, conflict && element("button", { type: "button", class: "chip", tabindex: "-1", "data-do": "conflict", title: `${conflict.client}, ${conflict.time}` }, "conflict")),
        element("span", { class: showsFolder ? "detail always" : "detail" }, detail))),
    element("div", { role: "gridcell", class: "cell size" }, entry.isFolder ? element("span", { class: "unseen" }, "folder") : sizeText(entry.size)),
    element("div", { role: "gridcell", class: "cell time", title: fullTime(entry.time) }, when),
    element("div", { role: "gridcell", class: "cell tools" },
      entry.isFolder ? null : tool("Download", "download", "download"), more));
}
