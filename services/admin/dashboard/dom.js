// Elements and words. Text goes in as text, never as markup.

/** Make an element with a class and children; numbers and text become text. */
export function make(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.map((child) => (child instanceof Node ? child : String(child ?? ""))));
  return node;
}

/** Make a table: columns are `[title, row => content, class]`; only the body is replaced when it is drawn again. */
export function table(columns, rows) {
  const head = make("tr", "", ...columns.map(([title, , className]) => {
    const cell = make("th", className, title);
    cell.scope = "col";
    return cell;
  }));
  const lines = rows.map((row) => make("tr", "", ...columns.map(([, content, className]) => make("td", className, content(row)))));
  return make("table", "", make("thead", "", head), make("tbody", "", ...lines));
}

export const badge = (kind, words) => make("span", `badge ${kind}`, words);

export const date = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

const SPANS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** Say how long: `3 h`, of the largest unit that fits. */
export function span(seconds) {
  const [unit, size] = SPANS.find(([, least]) => seconds >= least) ?? SPANS.at(-1);
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

/** Say a latency in milliseconds; a dash when nothing was measured. */
export function milliseconds(seconds) {
  if (seconds == null) return "–";
  const ms = seconds * 1000;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** Say a rate: whole from ten on. */
export const rate = (perSecond) => (perSecond >= 10 ? Math.round(perSecond).toLocaleString() : perSecond.toFixed(1));
