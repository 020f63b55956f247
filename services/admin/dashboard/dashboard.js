// Asks the admin API what the deployment looks like, and shows it.
import { badge, date, make, milliseconds, rate, span, table } from "/dom.js";

const INTERVAL = 2000;
const SOON = 0.25; // of a certificate's life: by then it should have been renewed

const byId = (id) => document.getElementById(id);

class Rates {
  /** Requests per second from totals that only grow; a total that shrank belongs to a new process. */
  #before = new Map();

  of(key, total, now) {
    const before = this.#before.get(key);
    this.#before.set(key, { total, now });
    if (!before || now <= before.now || total < before.total) return 0;
    return (total - before.total) / ((now - before.now) / 1000);
  }
}

const rates = new Rates();

// Each part: where to ask, what it makes of the answer, what to draw.

const STATES = { healthy: "good", warming: "warn", half_open: "warn", full: "warn", failing: "warn" };

function upstreams(rows) {
  const columns = [
    ["Address", (u) => make("code", "", u.address)],
    ["State", (u) => standing(u)],
    ["Requests/s", (u) => rate(u.rate), "number"],
    ["In flight", (u) => u.num_requests, "number"],
    ["Requests", (u) => (u.requests ?? 0).toLocaleString(), "number"],
    ["Errors", (u) => make("span", u.errors ? "trouble" : "", (u.errors ?? 0).toLocaleString()), "number"],
    ["p50", (u) => milliseconds(u.latency?.p50), "number"],
    ["p90", (u) => milliseconds(u.latency?.p90), "number"],
    ["p99", (u) => milliseconds(u.latency?.p99), "number"],
  ];
  return rows.length ? table(columns, rows) : make("p", "note", "No route has an upstream.");
}

function standing(upstream) {
  const state = upstream.state ?? (upstream.healthy ? "healthy" : "unhealthy");
  const shown = make("span", "", badge(STATES[state] ?? "bad", state.replace("_", " ")));
  const since = upstream.since ? `for ${span((Date.now() - new Date(upstream.since)) / 1000)}` : "";
  const why = [upstream.reason, since].filter(Boolean).join(", ");
  if (state !== "healthy" && why) shown.append(make("small", "", why));
  // Without a check that fails an upstream counts as healthy, whatever came of its requests.
  if (state === "healthy" && upstream.errors && upstream.errors >= upstream.requests) shown.append(make("small", "trouble", "every request to it failed"));
  return shown;
}

function processes(rooms, active) {
  const found = Map.groupBy(rooms, (room) => room.process);
  const columns = [
    ["Process", ([id]) => make("code", "", id)],
    ["Rooms", ([, members]) => make("span", "rooms", ...members.map((m) => make("span", "room", m.room)))],
    ["Configuration", ([, members]) => configuration(members, active)],
  ];
  return found.size ? table(columns, [...found]) : make("p", "note", "No process has said yet what it runs.");
}

function configuration(members, active) {
  const behind = members.filter((m) => m.revision !== active);
  const shown = make("span", "", make("code", "", members[0].revision || "none yet"));
  if (active && behind.length) shown.append(" ", badge("warn", `${behind.map((m) => m.room).join(", ")} behind`));
  return shown;
}

function certificates(rows) {
  const columns = [
    ["Name", (c) => c.name],
    ["Issuer", (c) => c.issuer, "extra"],
    ["Valid until", (c) => date(c.not_after), "when"],
    ["Left", (c) => lifetime(c)],
  ];
  return rows.length ? table(columns, rows) : make("p", "note", "None was asked for.");
}

function lifetime({ not_before, not_after }) {
  const [from, to] = [new Date(not_before), new Date(not_after)];
  const left = (to - Date.now()) / 1000;
  if (left <= 0) return badge("bad", `ended ${span(-left)} ago`);
  const kind = left * 1000 < (to - from) * SOON ? "warn" : "good";
  return badge(kind, span(left));
}

function revisions(rows) {
  const columns = [
    ["Revision", (r) => make("code", "", r.revision)],
    ["Author", (r) => r.author, "extra"],
    ["When", (r) => date(r.at), "when"],
    ["State", (r) => (r.active ? badge("good", "in force") : goBack(r.revision)), "number"],
  ];
  return rows.length ? table(columns, rows) : make("p", "note", "Only the one the program was started with.");
}

function goBack(revision) {
  const button = make("button", "", "Put in force");
  button.type = "button";
  button.setAttribute("aria-label", `Put ${revision} in force`);
  button.addEventListener("click", () => ask(revision));
  return button;
}

function ask(revision) {
  const dialog = byId("question");
  byId("question-revision").textContent = revision;
  byId("question-no").onclick = () => dialog.close();
  byId("question-yes").onclick = () => {
    dialog.close();
    document.activeElement.blur(); // the list is drawn anew, without this button
    activate(revision);
  };
  dialog.showModal();
}

async function activate(revision) {
  const path = `/revisions/${encodeURIComponent(revision)}/activate`;
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" } });
  await refresh();
  if (!answer.ok) say("trouble", `Not changed: ${(await answer.json()).error}`);
}

function tiles({ upstreams: found, certificates: held, revisions: known, rooms }) {
  const up = found?.filter((u) => u.healthy).length;
  const next = held?.length ? Math.min(...held.map((c) => new Date(c.not_after))) : null;
  const shown = [
    ["Requests/s", found && rate(found.reduce((sum, u) => sum + u.rate, 0))],
    ["Upstreams up", found && `${up} of ${found.length}`, found && up < found.length ? "bad" : ""],
    ["Processes", rooms && new Set(rooms.map((r) => r.process)).size],
    ["Next expiry", held && (next ? span((next - Date.now()) / 1000) : "–")],
    ["Configuration", known && (known.find((r) => r.active)?.revision.slice(0, 8) ?? "–")],
  ];
  return shown.map(([title, value, className]) => make("div", "", make("dt", "", title), make("dd", className, value ?? "?")));
}

// Asking.

const PATHS = { upstreams: "/reverse_proxy/upstreams", rooms: "/rooms", certificates: "/certificates", revisions: "/revisions" };

async function fetchPart(path) {
  const answer = await fetch(path, { cache: "no-store" });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error ?? `status ${answer.status}`);
  return content;
}

function draw(id, outcome, makeContent) {
  const content = outcome.status === "fulfilled" ? makeContent(outcome.value) : make("p", "note bad", outcome.reason.message);
  const place = byId(id);
  if (place.contains(document.activeElement)) return; // who is about to press a button keeps it
  place.replaceChildren(content);
}

function say(state, words) {
  const place = byId("state");
  place.dataset.state = state;
  if (place.textContent !== words) place.textContent = words;
}

async function refresh() {
  const now = performance.now();
  const names = Object.keys(PATHS);
  const settled = await Promise.allSettled(Object.values(PATHS).map(fetchPart));
  const outcomes = Object.fromEntries(names.map((name, n) => [name, settled[n]]));
  const values = Object.fromEntries(names.map((name) => [name, outcomes[name].value]));
  for (const row of values.upstreams ?? []) row.rate = rates.of(row.address, row.requests ?? 0, now);
  const active = values.revisions?.find((r) => r.active)?.revision;

  byId("tiles").replaceChildren(...tiles(values));
  draw("upstreams", outcomes.upstreams, upstreams);
  draw("processes", outcomes.rooms, (rooms) => processes(rooms, active));
  draw("certificates", outcomes.certificates, certificates);
  draw("revisions", outcomes.revisions, revisions);
  const failed = settled.filter((one) => one.status === "rejected").length;
  if (!failed) say("live", "Live");
  else say("trouble", failed === names.length ? "The admin API does not answer" : "Some rooms do not answer");
}

async function watch() {
  if (!document.hidden) await refresh();
  setTimeout(watch, INTERVAL);
}

watch();
