// The page of a share: what is there (api/list), what changes (ws), and what one can do about it.
// All addresses are relative, so that the page works below any path.

const $ = (id) => document.getElementById(id);
const CLIENT = "web-" + Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");
const HEARTBEAT = 60_000; // well below the server's five minutes
const files = new Map(); // path -> FileMetadata
const fresh = new Set(); // paths that changed since they were last drawn
let writable = false;
let sort = { key: "name", descending: false };
let loading = null; // operations that arrive while the list is being fetched

// -- Small things

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function drawing(path, box = "0 0 24 24") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", box);
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

const ICONS = {
  folder: "M3 6.5A2.5 2.5 0 0 1 5.5 4h4l2.2 2.5h6.8A2.5 2.5 0 0 1 21 9v8.5a2.5 2.5 0 0 1-2.5 2.5h-13A2.5 2.5 0 0 1 3 17.5z",
  download: "M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 19.5h14",
  remove: "M5 7h14M10 4h4M7 7l.8 12.5h8.4L17 7M10.3 11v5M13.7 11v5",
  rename: "M4.5 19.5l1-4L16 5l3 3L8.5 18.5zM13.5 7.5l3 3",
};

const encodePath = (path) => path.split("/").map(encodeURIComponent).join("/");
const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);
const parentOf = (path) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
const here = () => { try { return decodeURIComponent(location.hash.replace(/^#\/?/, "")).replace(/\/$/, ""); } catch { return ""; } };
const join = (folder, name) => (folder ? folder + "/" + name : name);

function sizeText(bytes) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
  return (unit && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)) + " " + units[unit];
}

function whenText(text) {
  const then = new Date(text), seconds = (Date.now() - then) / 1000;
  if (seconds < 45) return "just now";
  if (seconds < 3600) return Math.max(1, Math.round(seconds / 60)) + " min ago";
  if (then.toDateString() === new Date().toDateString()) return "today, " + then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return then.toLocaleDateString([], { year: "numeric", month: "short", day: "numeric" });
}

function say(text) { $("activity").textContent = text; }

function ask({ title, text = "", value = null, yes = "OK", danger = false }) {
  const dialog = $("ask"), input = $("ask-input");
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-yes").textContent = yes;
  $("ask-yes").className = danger ? "danger" : "primary";
  input.hidden = value === null;
  input.value = value ?? "";
  dialog.returnValue = "";
  dialog.showModal();
  if (value !== null) { input.focus(); input.select(); }
  return new Promise((resolve) => dialog.addEventListener("close", () =>
    resolve(dialog.returnValue === "yes" ? (value === null ? true : input.value.trim()) : null), { once: true }));
}

// Enter in the text field means yes, not the first button of the form.
$("ask-input").addEventListener("keydown", (event) => {
  if (event.key === "Enter") { event.preventDefault(); $("ask").close("yes"); }
});

async function call(method, target, body) {
  const answer = await fetch(target, { method, body, headers: { "X-Client-Id": CLIENT } });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.error || answer.status + " " + answer.statusText);
}

async function attempt(work) {
  try { await work(); } catch (error) { say("Failed: " + error.message); }
}

// -- What is there

async function load() {
  const arrived = loading = [];
  const found = new Map();
  let target = "api/list";
  while (target) {
    const answer = await call("GET", target);
    for (const metadata of await answer.json()) found.set(metadata.path, metadata);
    const next = /<([^>]*)>;\s*rel="next"/.exec(answer.headers.get("Link") || "");
    target = next ? "api/list" + next[1] : null;
  }
  if (loading !== arrived) return; // a later load took over
  files.clear();
  for (const [path, metadata] of found) files.set(path, metadata);
  loading = null;
  arrived.forEach(apply);
  const status = await (await call("GET", "api/status")).json();
  writable = status.enable_upload && status.writable;
  draw();
}

function apply(operation) {
  if (loading) { loading.push(operation); return ""; }
  const [kind, body] = Object.entries(operation)[0];
  if (kind === "Delete") { files.delete(body.path); return "Deleted " + body.path; }
  if (kind === "Move") {
    const inside = body.from + "/";
    for (const path of [...files.keys()].filter((path) => path.startsWith(inside))) {
      const moved = body.to + path.slice(body.from.length);
      files.set(moved, { ...files.get(path), path: moved });
      files.delete(path);
    }
    files.delete(body.from);
  }
  files.set(body.metadata.path, body.metadata);
  fresh.add(body.metadata.path);
  const verb = { Create: "New: ", Update: "Changed: ", Move: "Moved: " }[kind] || "";
  return verb + body.metadata.path;
}

// -- How it looks

let drawn = 0;
function draw() {
  if (!drawn) drawn = requestAnimationFrame(() => { drawn = 0; drawNow(); });
}

function drawNow() {
  const folder = here(), filter = $("filter").value.toLowerCase();
  const inside = [...files.values()].filter((m) => parentOf(m.path) === folder && nameOf(m.path).toLowerCase().includes(filter));
  const value = { name: (m) => nameOf(m.path).toLowerCase(), size: (m) => m.size, modified: (m) => Date.parse(m.modified) }[sort.key];
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0) * (sort.descending ? -1 : 1);
  inside.sort((a, b) => b.is_directory - a.is_directory || compare(value(a), value(b)) || compare(a.path, b.path));
  const focused = document.activeElement?.closest?.("tr")?.dataset.path, tool = document.activeElement?.dataset.tool;
  $("rows").replaceChildren(...inside.map(row));
  if (focused) document.querySelector(`tr[data-path="${CSS.escape(focused)}"] [data-tool="${tool}"]`)?.focus();
  fresh.clear();
  for (const head of document.querySelectorAll("th:has([data-sort])")) {
    const active = head.firstElementChild.dataset.sort === sort.key;
    if (active) head.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  $("files").hidden = !inside.length;
  $("empty").hidden = inside.length > 0;
  $("empty-text").textContent = filter ? "No name matches" : "Nothing here yet";
  $("empty-hint").textContent = filter ? "Clear the filter to see everything." : writable ? "Drop files anywhere on this page, or use the button above." : "This share is read only.";
  $("writing").hidden = !writable;
  const bytes = inside.reduce((sum, m) => sum + m.size, 0);
  $("summary").textContent = inside.length ? `${inside.length} ${inside.length === 1 ? "item" : "items"}, ${sizeText(bytes)}` : "";
  drawCrumbs(folder);
}

function drawCrumbs(folder) {
  const parts = folder ? folder.split("/") : [];
  const links = ["All files", ...parts].map((name, index) => element("a", {
    href: "#/" + encodePath(parts.slice(0, index).join("/")),
    "aria-current": index === parts.length ? "page" : false,
  }, name));
  $("crumbs").replaceChildren(...links);
}

function row(metadata) {
  const { path, is_directory: isFolder } = metadata, name = nameOf(path);
  const target = isFolder ? "#/" + encodePath(path) : "api/files/" + encodePath(path);
  const extension = name.includes(".") ? name.slice(name.lastIndexOf(".") + 1).slice(0, 4) : "file";
  const badge = element("span", { class: isFolder ? "badge folder" : "badge", "aria-hidden": "true" },
    isFolder ? drawing(ICONS.folder) : extension);
  const tools = [];
  if (!isFolder) tools.push(element("a", { class: "tool", href: target + "?download", download: name, "aria-label": "Download " + name, title: "Download", "data-tool": "download" }, drawing(ICONS.download)));
  if (writable) {
    tools.push(tool("rename", "Rename", name, () => rename(path)));
    tools.push(tool("remove", "Delete", name, () => remove(path, isFolder), "tool danger"));
  }
  return element("tr", { "data-path": path, class: fresh.has(path) ? "fresh" : false },
    element("td", {}, element("div", { class: "name" }, badge, element("a", { href: target, "data-tool": "open", target: isFolder ? false : "_blank", rel: isFolder ? false : "noopener" }, name))),
    element("td", { class: "number" }, isFolder ? "–" : sizeText(metadata.size)),
    element("td", { class: "when", title: new Date(metadata.modified).toLocaleString() }, whenText(metadata.modified)),
    element("td", { class: "tools" }, ...tools));
}

function tool(icon, title, name, onclick, kind = "tool") {
  return element("button", { type: "button", class: kind, "aria-label": `${title} ${name}`, title, "data-tool": icon, onclick }, drawing(ICONS[icon]));
}

// -- What one can do

async function remove(path, isFolder) {
  const inside = [...files.keys()].filter((other) => other.startsWith(path + "/"));
  const text = inside.length ? `“${nameOf(path)}” and ${inside.length} ${inside.length === 1 ? "item" : "items"} inside it will be deleted for everyone.` : `“${nameOf(path)}” will be deleted for everyone.`;
  if (!await ask({ title: isFolder ? "Delete this folder?" : "Delete this file?", text, yes: "Delete", danger: true })) return;
  await attempt(async () => {
    for (const other of [...inside.sort().reverse(), path]) await call("DELETE", "api/files/" + encodePath(other));
  });
}

async function rename(path) {
  const name = await ask({ title: "Rename", value: nameOf(path), yes: "Rename" });
  if (!name || name === nameOf(path)) return;
  await attempt(() => call("POST", "api/move", JSON.stringify({ from: path, to: join(parentOf(path), name) })));
}

async function makeFolder() {
  const name = await ask({ title: "New folder", value: "", yes: "Create" });
  if (name) await attempt(() => call("PUT", "api/dirs/" + encodePath(join(here(), name))));
}

function upload(file, path) {
  const bar = element("progress", { max: "1", value: "0", "aria-label": "Uploading " + path });
  const state = element("output", {}, "0 %");
  const box = element("div", { class: "transfer" }, element("span", {}, path), state, bar);
  $("transfers").append(box);
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch cannot tell how far an upload is
    request.open("PUT", "api/files/" + encodePath(path));
    request.setRequestHeader("X-Client-Id", CLIENT);
    request.upload.onprogress = (event) => {
      if (!event.lengthComputable) return;
      bar.value = event.loaded / event.total;
      state.textContent = Math.round(100 * bar.value) + " %";
    };
    request.onloadend = () => {
      if (request.status >= 200 && request.status < 300) box.remove();
      else {
        let problem = "the connection broke";
        try { problem = JSON.parse(request.responseText).error; } catch { /* no answer came */ }
        state.textContent = "Failed: " + problem;
        box.classList.add("failed");
        setTimeout(() => box.remove(), 15_000);
      }
      resolve();
    };
    request.send(file);
  });
}

async function uploadAll(list) {
  const folder = here(), waiting = [...list];
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await upload(next.file, join(folder, next.path));
  };
  await Promise.all([worker(), worker(), worker()]);
}

async function entriesOf(entry, prefix = "") {
  if (entry.isFile) return [{ path: prefix + entry.name, file: await new Promise((ok, no) => entry.file(ok, no)) }];
  const reader = entry.createReader(), found = [];
  for (;;) {
    const batch = await new Promise((ok, no) => reader.readEntries(ok, no));
    if (!batch.length) return found;
    for (const below of batch) found.push(...await entriesOf(below, prefix + entry.name + "/"));
  }
}

$("pick").addEventListener("click", () => $("picker").click());
$("picker").addEventListener("change", () => {
  uploadAll([...$("picker").files].map((file) => ({ file, path: file.name })));
  $("picker").value = "";
});
$("new-folder").addEventListener("click", makeFolder);
$("filter").addEventListener("input", draw);
addEventListener("hashchange", () => { $("filter").value = ""; draw(); });
for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => {
  sort = { key: button.dataset.sort, descending: sort.key === button.dataset.sort && !sort.descending };
  draw();
});

let depth = 0; // dragenter and dragleave come for every element that is crossed
addEventListener("dragenter", (event) => { if (writable && event.dataTransfer.types.includes("Files")) { depth += 1; $("drop").hidden = false; } });
addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) $("drop").hidden = true; });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  $("drop").hidden = true;
  if (!writable) return;
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  attempt(async () => uploadAll((await Promise.all(entries.map((entry) => entriesOf(entry)))).flat()));
});

// -- Live

function show(state, text) {
  $("connection").dataset.state = state;
  $("connection").textContent = text;
}

let pause = 500;
function connect() {
  const address = new URL("ws", location.href.replace(/#.*/, ""));
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  let heart = 0;
  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "Subscribe", client_id: CLIENT }));
    heart = setInterval(() => socket.send('{"type":"Ping"}'), HEARTBEAT);
  };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "Ack" && message.operation_id === "subscribe") {
      pause = 500;
      show("live", "Live");
      attempt(load); // what changed while nobody listened
    } else if (message.type === "FileOperation") {
      const text = apply(message.operation);
      if (text && message.source_client !== CLIENT) say(text);
      draw();
    } else if (message.type === "Ping") socket.send('{"type":"Pong"}');
    else if (message.type === "Error") say(message.message);
  };
  socket.onclose = () => {
    clearInterval(heart);
    show("off", "Reconnecting…");
    setTimeout(connect, pause * (0.5 + Math.random()));
    pause = Math.min(2 * pause, 15_000);
  };
}

attempt(load);
connect();
setInterval(draw, 60_000); // "5 min ago" grows older
