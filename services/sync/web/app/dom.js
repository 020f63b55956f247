// Elements and icons. Nothing here knows what the page is about.

export const byId = (id) => document.getElementById(id);

/** Make an element: attributes (`on…` are listeners; false and null are left out), then children. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null && child !== false));
  return node;
}

const DRAWINGS = {
  folder: "M3 6.5A2.5 2.5 0 0 1 5.5 4h4l2.2 2.5h6.8A2.5 2.5 0 0 1 21 9v8.5a2.5 2.5 0 0 1-2.5 2.5h-13A2.5 2.5 0 0 1 3 17.5z",
  file: "M6 3.5h7.5L19 9v10a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 5 19V5a1.5 1.5 0 0 1 1-1.5zM13.5 3.5V9H19",
  download: "M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 19.5h14",
  upload: "M12 15V4m-4.5 4.5L12 4l4.5 4.5M5 19.5h14",
  remove: "M5 7h14M10 4h4M7 7l.8 12.5h8.4L17 7M10.3 11v5M13.7 11v5",
  rename: "M4.5 19.5l1-4L16 5l3 3L8.5 18.5zM13.5 7.5l3 3",
  move: "M3.5 17V7A1.5 1.5 0 0 1 5 5.5h4l2 2h8A1.5 1.5 0 0 1 20.5 9v8a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 17zM9 13h6m-2.5-2.5L15 13l-2.5 2.5",
  more: "M12 5.5v.01M12 12v.01M12 18.5v.01",
  history: "M4 12a8 8 0 1 0 2.6-5.900M4 4.5V8h3.5M12 8v4.300l2.8 1.7",
  restore: "M4 9h10.5a5 5 0 0 1 0 10H9M4 9l4-4M4 9l4 4",
  close: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  check: "M5.5 12.5l4.2 4.2 8.8-9.2",
  search: "M10.8 17.100a6.3 6.3 0 1 0 0-12.6 6.3 6.3 0 0 0 0 12.600zM15.5 15.5L20 20",
  plus: "M12 5v14M5 12h14",
  previous: "M14.5 6l-6 6 6 6",
  next: "M9.5 6l6 6-6 6",
  down: "M7 10l5 5 5-5",
  warning: "M12 4.5L21 19.5H3zM12 10.5v4M12 17v.01",
  eye: "M2.8 12S6 5.5 12 5.5 21.2 12 21.2 12 18 18.5 12 18.5 2.8 12 2.8 12zM12 14.700a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.400z",
  compare: "M12 3.5v17M4 7h5v10H4zM15 7h5v10h-5z",
  keyboard: "M3 7.5h18v9.5H3zM6.5 10.5v.01M10 10.5v.01M13.5 10.5v.01M17 10.5v.01M8 14h8",
};

/** Return a drawing that says nothing to a screen reader: the words are the control's own. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon " + name);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", DRAWINGS[name]);
  svg.append(path);
  return svg;
}

/** A button: `label` is seen unless `drawing` stands for it; a screen reader hears it either way. */
export function button(label, onclick, { drawing = null, kind = "", unseen = false, ...attributes } = {}) {
  return element("button", {
    type: "button", class: kind || null, onclick, "aria-label": unseen ? label : null, title: unseen ? label : null, ...attributes,
  }, drawing && icon(drawing), unseen ? null : element("span", {}, label));
}

/** Put drawings into the controls of the page that name one in `data-icon`. */
export function decorate(root = document) {
  for (const node of root.querySelectorAll("[data-icon]")) node.prepend(icon(node.dataset.icon));
}

/** Say something to people who do not see the page. */
export function announce(text) {
  const place = byId("announcer");
  place.textContent = place.textContent === text ? text + "\u00a0" : text; // the same words again are heard again
}
