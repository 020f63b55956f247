// The uploads as a card at the corner of the page.

import { announce, button, byId, element, icon } from "../dom.js";
import { countText, durationText, nameOf, parentOf, sizeText } from "../format.js";
import { openDialog } from "../surfaces/dialog.js";

const MOST_DRAWN = 40; // the rest is a number: a person reads the first lines of such a list
const RANK = { failed: 0, active: 1, waiting: 2, done: 3, skipped: 4 };

/** Ask what to do with a name that is taken. `remember.answer` is set when it is meant for all. */
export async function askAboutTaken(item, remember) {
  if (remember.answer) return remember.answer;
  const all = element("input", { type: "checkbox", id: "for-all" });
  const answer = await openDialog({
    title: `“${nameOf(item.path)}” is there already`,
    content: [
      element("p", {}, parentOf(item.path) ? `In “${parentOf(item.path)}”. What shall become of the one you are uploading?` : "What shall become of the one you are uploading?"),
      element("label", { class: "check", for: "for-all" }, all, "Do the same for all others"),
    ],
    actions: [
      { label: "Skip", value: "skip" }, { label: "Keep both", value: "both" },
      { label: "Replace", value: "replace", style: "primary", isDefault: true },
    ],
  });
  if (all.checked) remember.answer = answer ?? "skip";
  return answer ?? "skip";
}

/** Keep the card true to `uploads`. */
export function showUploads(uploads) {
  const card = byId("transfers"), bar = element("progress", { max: "1", value: "0", "aria-label": "All uploads" });
  const title = element("h2", {}), facts = element("p", { class: "facts" }), list = element("ul", {});
  const fold = button("Fold the list of uploads", () => {
    const folded = card.classList.toggle("folded");
    fold.setAttribute("aria-expanded", !folded);
  }, { drawing: "down", unseen: true, kind: "tool", "aria-expanded": "true" });
  const dismiss = button("Close", () => { if (uploads.isBusy) uploads.cancelAll(); uploads.clear(); }, { drawing: "close", unseen: true, kind: "tool" });
  card.append(element("header", {}, element("div", {}, title, facts), fold, dismiss), bar, list);
  let frame = 0;
  const draw = () => {
    frame = 0;
    card.hidden = !uploads.items.length;
    if (card.hidden) return;
    drawHead(uploads, { title, facts, bar, dismiss });
    const shown = [...uploads.items].sort((a, b) => RANK[a.state] - RANK[b.state]).slice(0, MOST_DRAWN);
    const focused = document.activeElement?.closest?.("#transfers li")?.dataset.path;
    list.replaceChildren(...shown.map((item) => drawItem(uploads, item)));
    if (uploads.items.length > shown.length) list.append(element("li", { class: "rest" }, `and ${countText(uploads.items.length - shown.length, "more file")}`));
    if (focused) list.querySelector(`[data-path="${CSS.escape(focused)}"] button`)?.focus();
  };
  uploads.addEventListener("change", () => { frame ||= requestAnimationFrame(draw); });
  uploads.addEventListener("idle", () => announce(headline(uploads)));
}

function headline(uploads) {
  const failed = uploads.count("failed"), done = uploads.count("done");
  if (uploads.isBusy) return `Uploading ${countText(uploads.items.length, "file")}`;
  if (failed) return `${countText(failed, "upload")} failed`;
  return done ? `${countText(done, "file")} uploaded` : "Nothing uploaded";
}

function drawHead(uploads, { title, facts, bar, dismiss }) {
  const { total, loaded, rate, isBusy } = uploads;
  title.textContent = headline(uploads);
  const left = durationText(uploads.secondsLeft);
  facts.textContent = isBusy ? [`${sizeText(loaded)} of ${sizeText(total)}`, rate && `${sizeText(rate)}/s`, left && `${left} left`].filter(Boolean).join(" · ") : sizeText(loaded);
  bar.value = total ? loaded / total : 1;
  bar.hidden = !isBusy;
  const label = isBusy ? "Cancel all uploads" : "Close the list of uploads";
  dismiss.setAttribute("aria-label", label);
  dismiss.title = label;
}

function drawItem(uploads, item) {
  const { state, file, path } = item, name = nameOf(path);
  const share = file.size ? item.loaded / file.size : 0;
  const text = { waiting: "Waiting", done: item.conflictOf ? "Kept beside" : sizeText(file.size), failed: item.problem, skipped: "Skipped", active: Math.floor(100 * share) + " %" }[state];
  const control = state === "failed" ? button(`Try ${name} again`, () => uploads.again(item), { drawing: "restore", unseen: true, kind: "tool" })
    : state === "waiting" || state === "active" ? button(`Cancel ${name}`, () => uploads.cancel(item), { drawing: "close", unseen: true, kind: "tool" })
    : element("span", { class: "mark" }, icon(state === "done" ? "check" : "close"));
  const bar = state === "active" ? element("progress", { max: "1", value: share, "aria-label": "Uploading " + name }) : null;
  return element("li", { class: state, "data-path": path }, element("span", { class: "name", title: path }, name), element("span", { class: "state" }, text), control, bar);
}
