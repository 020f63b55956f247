// Questions. Each returns a promise of the answer, null when the person turned away.

import { button, element } from "../dom.js";

/** Show a dialog made of `content`; resolves with what `close(value)` was given, null for Escape. */
export function openDialog({ title, kind = "", content, actions = [] }) {
  return new Promise((resolve) => {
    let answer = null;
    const close = (value) => { answer = value; dialog.close(); };
    const heading = element("h2", { id: "dialog-title-" + (openDialog.count = (openDialog.count ?? 0) + 1) }, title);
    const dialog = element("dialog", { class: "question " + kind, "aria-labelledby": heading.id });
    const form = element("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); form.querySelector("[data-default]")?.click(); } },
      heading, ...[content].flat(), element("div", { class: "choices" }, ...actions.map(({ label, value, style = "", isDefault = false }) =>
        button(label, () => close(typeof value === "function" ? value() : value), { kind: style, "data-default": isDefault }))));
    dialog.append(form);
    dialog.addEventListener("close", () => { dialog.remove(); resolve(answer); });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    document.body.append(dialog);
    dialog.showModal();
    (dialog.querySelector("[autofocus]") ?? dialog.querySelector("[data-default]"))?.focus();
  });
}

export const confirm = ({ title, text, yes, danger = false }) => openDialog({
  title, content: element("p", {}, text),
  actions: [{ label: "Cancel", value: null }, { label: yes, value: true, style: danger ? "danger" : "primary", isDefault: true }],
});

/** Ask for a line of text; `selected` characters of `value` are selected; `refuse(text)` says why not. */
export function prompt({ title, label, value = "", yes = "OK", selected = value.length, refuse = () => "", secret = false, text = "" }) {
  const problem = element("p", { class: "problem", id: "prompt-problem", role: "alert" });
  const input = element("input", {
    type: secret ? "password" : "text", value, autocomplete: "off", spellcheck: "false", autocapitalize: "off", "aria-label": label,
    "aria-describedby": problem.id, autofocus: true, oninput: () => { problem.textContent = ""; },
  });
  queueMicrotask(() => input.setSelectionRange(0, selected));
  const accept = () => input.value.trim();
  const answered = openDialog({
    title, content: [text && element("p", {}, text), input, problem],
    actions: [{ label: "Cancel", value: null }, { label: yes, value: accept, style: "primary", isDefault: true }],
  });
  // A refused text keeps the dialog open: the click never reaches the button.
  input.form.querySelector("[data-default]").addEventListener("click", (event) => {
    const reason = input.value.trim() ? refuse(input.value.trim()) : "A name is needed.";
    if (!reason) return;
    event.stopImmediatePropagation();
    problem.textContent = reason;
    input.focus();
  }, { capture: true });
  return answered;
}

/** Why a name cannot be a file's, as the server would say; "" if it can. */
export function badName(name) {
  if (/[<>:"|?*\\/\u0000-\u001f]/.test(name)) return 'A name cannot have any of / \\ < > : " | ? *';
  if (/[. ]$/.test(name)) return "A name cannot end with a dot or a space.";
  if (name === ".quantum") return "This name is reserved.";
  if (new TextEncoder().encode(name).length > 255) return "This name is too long.";
  return "";
}
