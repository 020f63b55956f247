// Asks the admin API what the deployment looks like and shows it. Text goes in as text, never as markup.
const INTERVAL = 3000;

const TABLES = {
  rooms: {
    path: "/rooms",
    columns: { Room: (r) => r.room, Process: (r) => r.process, Configuration: (r) => r.revision || "none yet" },
    empty: "No process has said yet what it runs.",
  },
  upstreams: {
    path: "/reverse_proxy/upstreams",
    columns: {
      Address: (u) => u.address,
      State: (u) => (u.healthy === false ? bad(u.reason || "down") : good("up")),
      "In flight": (u) => u.num_requests,
      Failures: (u) => u.fails,
    },
    empty: "No route has an upstream.",
  },
  certificates: {
    path: "/certificates",
    columns: { Name: (c) => c.name, Issuer: (c) => c.issuer, "Valid until": (c) => lifetime(c.not_after) },
    empty: "None was asked for.",
  },
  revisions: {
    path: "/revisions",
    columns: {
      Revision: (r) => r.revision,
      Author: (r) => r.author,
      When: (r) => date(r.at),
      State: (r) => (r.active ? good("in force") : ""),
    },
    empty: "Only the one the program was started with.",
  },
};

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text instanceof Node) element.append(text);
  else element.textContent = String(text ?? "");
  if (className) element.className = className;
  return element;
}

const good = (text) => make("span", text, "good");
const bad = (text) => make("span", text, "bad");
const date = (text) => new Date(text).toLocaleString();

function lifetime(text) {
  return new Date(text) < new Date() ? bad(`ended ${date(text)}`) : date(text);
}

function table(columns, rows) {
  const shown = make("table", "");
  const head = make("tr", "");
  head.append(...Object.keys(columns).map((name) => make("th", name)));
  shown.append(head);
  for (const row of rows) {
    const line = make("tr", "");
    line.append(...Object.values(columns).map((value) => make("td", value(row))));
    shown.append(line);
  }
  return shown;
}

async function show(id, { path, columns, empty }) {
  const place = document.getElementById(id);
  const answer = await fetch(path, { cache: "no-store" });
  const content = await answer.json();
  if (!answer.ok) {
    place.replaceChildren(make("p", content.error ?? `status ${answer.status}`, "bad"));
    return false;
  }
  place.replaceChildren(content.length ? table(columns, content) : make("p", empty, "empty"));
  return true;
}

async function refresh() {
  const state = document.getElementById("state");
  try {
    const outcomes = await Promise.all(Object.entries(TABLES).map(([id, wanted]) => show(id, wanted)));
    state.textContent = outcomes.every(Boolean) ? `As of ${new Date().toLocaleTimeString()}` : "Some rooms do not answer.";
  } catch {
    state.textContent = "The admin API does not answer.";
  }
  setTimeout(refresh, INTERVAL);
}

refresh();
