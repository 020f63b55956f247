// quantum-sync.js: a client of a Quantum share for browsers (and any runtime with fetch and WebSocket).
//
//   import { QuantumSync } from "https://files.example.com/quantum-sync.js";
//   const share = new QuantumSync();
//   share.addEventListener("change", ({ detail }) => console.log(detail.kind, detail.path));
//   share.connect();
//   await share.put("notes/today.md", "# Hello");
//
// One file, no dependencies, no build step. docs/quantum-sync-js.md has the whole interface,
// docs/sync-protocol.md what is said on the wire. Version 2 of the protocol is used where the server
// speaks it (resume without gaps, versions, history), version 1 otherwise.

const HEARTBEAT = 30_000; // ms between Pings: well below the server's five minutes and proxies' one
const SILENCE = 75_000; // ms without a word, Pongs included: the connection is gone though nobody said so
const SHORTEST_PAUSE = 500; // ms before the first attempt to connect again; doubles, jittered,
const LONGEST_PAUSE = 15_000; // up to this, so that a restarted server is not met by everyone at once
const ACK_PAUSE = 1_000; // ms between acknowledgements: what the protocol asks for
const RESUMABLE_FROM = 8 * 1024 * 1024; // bytes: below it, sending again costs less than asking how much arrived
const DIGEST_UP_TO = 16 * 1024 * 1024; // bytes: crypto.subtle wants a content in memory as a whole
const ATTEMPTS = 8; // in a row without a byte of progress, then a resumable upload fails

/** A request that was refused. `status` is 0 when no answer came. */
export class SyncError extends Error {
  constructor(status, body = {}, retryAfter = null) {
    super(body.error || (status ? `the server answered ${status}` : "the connection broke"));
    this.name = "SyncError";
    this.status = status;
    this.code = body.code || null; // "conflict", "confirm", "rescan", "unauthorized", ...
    this.body = body; // all that the server said: current, confirm, affected, ...
    this.retryAfter = retryAfter; // seconds, or null
  }
}

/** Return a path as it is written in a URL: each name escaped, the slashes kept. */
export const encodePath = (path) => path.split("/").map(encodeURIComponent).join("/");

/** One share. See the head of this file, and the comment of each method. */
export class QuantumSync extends EventTarget {
  #socket = null;
  #retry = null;
  #beat = null;
  #heard = 0;
  #pause = SHORTEST_PAUSE;
  #acknowledging = null;
  #wanted = false;
  #started = false;
  #tus = null;

  /**
   * @param {object} [options]
   * @param {string|URL} [options.base] the share's address; default: where this module came from
   * @param {string} [options.token] a bearer token; may be set later: `share.token = ...`
   * @param {string} [options.clientId] 1-128 visible ASCII characters; default: random
   * @param {string[]} [options.paths] globs of what to hear of (v2)
   * @param {{log: string, seq: number}} [options.resume] an earlier `cursor`: go on from there (v2)
   * @param {Storage} [options.uploads] where unfinished uploads are remembered, such as sessionStorage
   */
  constructor({ base, token = null, clientId, paths = null, resume = null, uploads = null } = {}) {
    super();
    this.base = new URL(base ?? ".", base ? globalThis.document?.baseURI ?? import.meta.url : import.meta.url);
    this.token = token;
    this.clientId = clientId || "web-" + Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");
    this.paths = paths;
    this.cursor = resume; // {log, seq}: keep it to resume later
    this.uploads = uploads;
    this.state = "closed";
    this.protocol = 0; // 0 until the server has said something, then 1 or 2
  }

  // -- Live

  /** Connect, and connect again whenever the connection is lost, until `close()`. */
  connect() {
    if (this.#wanted) return;
    this.#wanted = true;
    globalThis.addEventListener?.("online", this.#hurry);
    globalThis.document?.addEventListener("visibilitychange", this.#hurry);
    this.#open();
  }

  /** Disconnect and stay away. */
  close() {
    this.#wanted = false;
    clearTimeout(this.#retry);
    globalThis.removeEventListener?.("online", this.#hurry);
    globalThis.document?.removeEventListener("visibilitychange", this.#hurry);
    this.#socket?.close(1000);
    this.#become("closed");
  }

  /** Try to connect now rather than when the pause is over. */
  retry() {
    this.#pause = SHORTEST_PAUSE;
    if (this.#wanted && !this.#socket) this.#open();
  }

  #hurry = () => { if (globalThis.document?.visibilityState !== "hidden" && this.state !== "unauthorized") this.retry(); };

  #become(state, detail = {}) {
    this.state = state;
    this.#emit("state", { state, ...detail });
  }

  #emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  #open() {
    clearTimeout(this.#retry);
    if (this.state !== "offline") this.#become("connecting");
    const address = new URL("ws", this.base);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = this.#socket = new WebSocket(address);
    let opened = false;
    socket.onopen = () => { opened = true; this.#subscribe(socket); };
    socket.onmessage = ({ data }) => this.#receive(socket, JSON.parse(data));
    socket.onclose = () => { if (socket === this.#socket) this.#lost(opened); };
  }

  #subscribe(socket) {
    const { token, cursor, paths, clientId } = this;
    socket.send(JSON.stringify({
      type: "Subscribe", client_id: clientId, protocol: 2,
      ...(token && { token }), ...(paths && { paths }),
      ...(cursor && { resume_from: cursor.seq, log: cursor.log }),
    }));
    this.#heard = Date.now();
    this.#beat = setInterval(() => {
      if (Date.now() - this.#heard > SILENCE) { socket.onclose = null; socket.close(); this.#lost(true); }
      else socket.send('{"type":"Ping"}');
    }, HEARTBEAT);
  }

  async #lost(opened) {
    clearInterval(this.#beat);
    clearTimeout(this.#acknowledging);
    this.#acknowledging = this.#socket = null;
    if (!this.#wanted || this.state === "unauthorized") return;
    const wait = this.#pause * (0.5 + Math.random());
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
    this.#become("offline", { retryIn: wait });
    this.#retry = setTimeout(() => this.#open(), wait);
    // A browser does not say why it could not connect; one cheap request does.
    if (!opened) await this.status().catch((error) => { if (error.status === 401) this.#refused(error); });
  }

  #refused(error) {
    if (this.state !== "live") { // who may read without a token stays connected
      clearTimeout(this.#retry);
      if (this.state !== "unauthorized") this.#become("unauthorized", { error });
    }
    this.#emit("unauthorized", { error });
  }

  #receive(socket, message) {
    this.#heard = Date.now();
    if (message.type === "FileOperation") this.#changed(message);
    else if (message.type === "Ping") socket.send('{"type":"Pong"}');
    else if (message.type === "Ack" && message.operation_id === "subscribe") this.#subscribed(message);
    else if (message.type === "Ack" && message.operation_id === "head") this.#advance(message.head);
    else if (message.type === "Error") this.#problem(message);
  }

  #subscribed(message) {
    this.protocol = message.protocol >= 2 ? 2 : 1;
    const resumed = this.protocol === 2 && this.cursor && this.cursor.log === message.log;
    if (!resumed) this.cursor = this.protocol === 2 ? { log: message.log, seq: message.head } : null;
    this.#pause = SHORTEST_PAUSE;
    this.#become("live", { resumed: Boolean(resumed) });
    if (!resumed) this.#emit("rescan", { reason: this.#started ? "gap" : "start" });
    this.#started = true;
  }

  #changed(message) {
    const [kind, body] = Object.entries(message.operation)[0];
    const change = {
      kind: kind.toLowerCase(), path: body.path ?? body.metadata.path, from: body.from ?? null, metadata: body.metadata ?? null,
      source: message.source_client, isOwn: message.source_client === this.clientId,
      seq: message.seq ?? null, version: message.version ?? null, opId: message.op_id ?? null, time: message.ts ?? null,
    };
    if (change.seq !== null && this.cursor && change.seq <= this.cursor.seq) return; // once is enough
    this.#emit("change", change);
    this.#advance(change.seq, change.opId);
  }

  #advance(seq, opId = "head") {
    if (!seq || !this.cursor) return;
    this.cursor = { log: this.cursor.log, seq };
    this.#acknowledging ??= setTimeout(() => {
      this.#acknowledging = null;
      if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify({ type: "Ack", operation_id: opId ?? "head", seq: this.cursor.seq }));
    }, ACK_PAUSE);
  }

  #problem(message) {
    if (message.code === "rescan") {
      this.cursor = { log: message.log, seq: message.resume_from };
      this.#emit("rescan", { reason: "gap" });
    } else if (message.code === "unauthorized") {
      this.state = "connecting";
      this.#refused(new SyncError(401, { error: message.message, code: message.code }));
      this.#socket?.close();
    } else this.#emit("problem", { message: message.message, code: message.code ?? null, detail: message });
  }

  /** Use another token and connect at once. */
  authorize(token) {
    this.token = token;
    this.state = "connecting";
    const socket = this.#socket;
    this.#socket = null;
    if (socket) { socket.onclose = null; socket.close(); clearInterval(this.#beat); }
    if (this.#wanted) this.#open();
  }

  // -- Requests

  /** The fields every request carries. */
  get headers() {
    return { "X-Client-Id": this.clientId, ...(this.token && { Authorization: "Bearer " + this.token }) };
  }

  /** The address of a file's content: `{download: true}` to save it, `{version: N}` for an older one. Without the token. */
  url(path, { download = false, version = null } = {}) {
    const query = [download && "download", version !== null && `version=${version}`].filter(Boolean).join("&");
    return new URL(`api/files/${encodePath(path)}${query && "?" + query}`, this.base).href;
  }

  /** Send any request below the share; returns the Response, throws SyncError unless it is 2xx. */
  async request(method, target, { body, headers = {}, json, signal } = {}) {
    let answer;
    try {
      answer = await fetch(new URL(target, this.base), {
        method, signal, body: json === undefined ? body : JSON.stringify(json),
        headers: { ...this.headers, ...(json !== undefined && { "Content-Type": "application/json" }), ...headers },
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new SyncError(0);
    }
    if (answer.headers.has("Sync-Log")) this.protocol = 2;
    if (answer.ok) return answer;
    const error = new SyncError(answer.status, await answer.json().catch(() => ({})), Number(answer.headers.get("Retry-After")) || null);
    if (error.status === 401) this.#refused(error);
    throw error;
  }

  /** Yield `{entries, log, cursor}` page by page: metadata in path order, and the seq it is true for (v2). */
  async *pages(path = "", { recursive = false, limit = 10_000, signal } = {}) {
    let query = new URLSearchParams({ path, recursive, limit, versions: true }).toString();
    while (query) {
      const answer = await this.request("GET", "api/list?" + query, { signal });
      const entries = await answer.json();
      yield { entries, log: answer.headers.get("Sync-Log"), cursor: Number(answer.headers.get("Sync-Cursor")) || null };
      query = /<[^>?]*\?([^>]*)>\s*;\s*rel="?next"?/.exec(answer.headers.get("Link") || "")?.[1];
    }
  }

  /** Return the metadata of what is in a folder (`recursive`: and below it). */
  async list(path = "", options = {}) {
    const found = [];
    for await (const page of this.pages(path, options)) found.push(...page.entries);
    return found;
  }

  /** Return a file as a Response: `.text()`, `.blob()`, `.body`. */
  get(path, { version = null, headers, signal } = {}) {
    return this.request("GET", this.url(path, { version }), { headers, signal });
  }

  /**
   * Write a file: text, bytes, a Blob or a File. Returns `{path, metadata, version, isNew, conflictOf}`.
   * - `ifMatch`: the hash that must be there now; `ifNew`: nothing may be there. Else SyncError 412.
   * - `keepBoth`: rather than 412 the content is kept beside as a conflict copy, `conflictOf` says of what (v2).
   * - `modified`: the file's own time, a Date. `onProgress(loaded, total)`. `signal` ends it.
   * Large contents are sent so that a lost connection costs little, where the server can.
   */
  async put(path, content, options = {}) {
    const blob = content instanceof Blob ? content : new Blob([content]);
    if (blob.size >= RESUMABLE_FROM && await this.canResume()) return this.#putResumable(path, blob, options);
    const answer = await this.#send("PUT", this.url(path) + (options.keepBoth ? "?on_conflict=copy" : ""), blob, {
      ...this.#conditions(options), ...await digestOf(blob),
      ...(options.modified && { "Sync-Modified": options.modified.toISOString() }),
    }, options);
    return this.#written(path, answer);
  }

  /** Delete a file or a folder. `recursive`: with what is in it. `confirm`: from a SyncError 428. */
  async delete(path, { recursive = false, ifMatch, base, confirm } = {}) {
    const query = recursive ? "?recursive=true" : "";
    await this.request("DELETE", this.url(path) + query, { headers: this.#conditions({ ifMatch, base, confirm }) });
  }

  /** Make a folder, and those above it. */
  async makeDirectory(path) { return (await this.request("PUT", "api/dirs/" + encodePath(path))).json(); }

  /** Move or rename a file or a folder; the target must be free. */
  async move(from, to, { ifMatch, base } = {}) {
    return (await this.request("POST", "api/move", { json: { from, to }, headers: this.#conditions({ ifMatch, base }) })).json();
  }

  /** Facts about the share: whether it can be written, how much there is. */
  async status() { return (await this.request("GET", "api/status")).json(); }

  /** Return the versions of a file, newest first (v2). */
  async history(path, { limit = 100 } = {}) {
    return (await (await this.request("GET", `api/history/${encodePath(path)}?limit=${limit}`)).json()).versions;
  }

  /** Return the deleted files that can be restored (v2). */
  async trash({ limit = 1000 } = {}) { return (await this.request("GET", "api/trash?limit=" + limit)).json(); }

  /** Make a file, a folder or ("") the share what it was right after `seq`, or at `time` (v2). */
  async restore(path, { seq, time, dryRun = false, confirm } = {}) {
    const json = { path, dry_run: dryRun, ...(seq !== undefined ? { seq } : { time }) };
    return (await this.request("POST", "api/restore", { json, headers: this.#conditions({ confirm }) })).json();
  }

  // -- Writing

  #conditions({ ifMatch, ifNew, base, confirm }) {
    return {
      ...(ifMatch && { "If-Match": `"${ifMatch}"` }), ...(ifNew && { "If-None-Match": "*" }),
      ...(base && { "Sync-Base": String(base) }), ...(confirm && { "Sync-Confirm": confirm }),
    };
  }

  async #written(path, answer) {
    const metadata = JSON.parse(answer.text || "null");
    const location = answer.header("Content-Location");
    const kept = location && answer.header("Sync-Conflict") ? decodeURIComponent(location.replace(/^.*?\/api\/files\//, "")) : path;
    return { path: kept, metadata, version: Number(answer.header("Sync-Version")) || null, isNew: answer.status === 201, conflictOf: answer.header("Sync-Conflict") ? path : null };
  }

  /** fetch cannot tell how far an upload is: XMLHttpRequest can. Resolves with {status, text, header}. */
  #send(method, target, body, headers, { onProgress, signal } = {}) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, target);
      for (const [name, value] of Object.entries({ ...this.headers, ...headers })) request.setRequestHeader(name, value);
      if (onProgress) request.upload.onprogress = ({ loaded, total }) => onProgress(loaded, total);
      const abort = () => request.abort();
      signal?.addEventListener("abort", abort);
      request.onloadend = () => {
        signal?.removeEventListener("abort", abort);
        const { status, responseText: text } = request;
        if (status >= 200 && status < 300) return resolve({ status, text, header: (name) => request.getResponseHeader(name) });
        if (signal?.aborted) return reject(new DOMException("the upload was ended", "AbortError"));
        const error = new SyncError(status, parsed(text), Number(request.getResponseHeader("Retry-After")) || null);
        if (status === 401) this.#refused(error);
        return reject(error);
      };
      if (signal?.aborted) request.onloadend(); else request.send(body);
    });
  }

  // -- Resumable uploads (tus 1.0)

  /** Whether the server takes resumable uploads; asked once, and only of servers that speak v2. */
  canResume() {
    if (this.protocol < 2) return Promise.resolve(false);
    this.#tus ??= this.request("OPTIONS", "api/uploads", { headers: { "Tus-Resumable": "1.0.0" } })
      .then((answer) => (answer.headers.get("Tus-Version") || "").split(",").includes("1.0.0"), () => false);
    return this.#tus;
  }

  async #putResumable(path, blob, options) {
    const key = `quantum-upload ${this.base} ${path} ${blob.size} ${blob.lastModified ?? ""}`;
    let target = this.uploads?.getItem(key) || null, failures = 0, offset = 0;
    for (;;) {
      try {
        offset = target ? await this.#offsetOf(target) : 0;
        if (offset === null) target = null;
        target ??= await this.#create(path, blob, options);
        this.uploads?.setItem(key, target);
        const start = offset ??= 0;
        const moved = (loaded) => { failures = 0; options.onProgress?.(start + loaded, blob.size); };
        const answer = await this.#send("PATCH", target, blob.slice(start), {
          "Tus-Resumable": "1.0.0", "Upload-Offset": String(start), "Content-Type": "application/offset+octet-stream",
        }, { onProgress: moved, signal: options.signal });
        this.uploads?.removeItem(key);
        return this.#written(path, answer);
      } catch (error) {
        if (!(error instanceof SyncError) || !(error.status === 0 || error.status === 409 || error.status === 429 || error.status >= 500) || ++failures > ATTEMPTS || error.code === "refused") {
          if (error.name === "AbortError" && target) this.request("DELETE", target, { headers: { "Tus-Resumable": "1.0.0" } }).catch(() => {});
          this.uploads?.removeItem(key);
          throw error;
        }
        await pause((error.retryAfter ?? Math.min(0.5 * 2 ** failures, 15)) * 1000, options.signal);
      }
    }
  }

  async #offsetOf(target) {
    try {
      return Number((await this.request("HEAD", target, { headers: { "Tus-Resumable": "1.0.0" } })).headers.get("Upload-Offset"));
    } catch (error) {
      if (error.status === 404 || error.status === 410) return null; // expired: from the beginning
      throw error;
    }
  }

  async #create(path, blob, { ifMatch, ifNew, modified }) {
    const facts = {
      path, on_conflict: "copy", client_id: this.clientId,
      ...(ifMatch && { if_match: `"${ifMatch}"` }), ...(ifNew && this.cursor && { base: String(this.cursor.seq) }),
      ...(modified && { modified: modified.toISOString() }),
    };
    const metadata = Object.entries(facts).map(([name, value]) => `${name} ${base64(new TextEncoder().encode(value))}`).join(",");
    const answer = await this.request("POST", "api/uploads", {
      headers: { "Tus-Resumable": "1.0.0", "Upload-Length": String(blob.size), "Upload-Metadata": metadata },
    });
    // Its last segment alone, so that a proxy may serve the share below another path.
    return new URL("api/uploads/" + answer.headers.get("Location").replace(/\/+$/, "").replace(/^.*\//, ""), this.base).href;
  }
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return {}; }
}

function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

/** The server compares it with what arrived. Browsers have crypto.subtle on https and localhost only. */
async function digestOf(blob) {
  if (!globalThis.crypto?.subtle || blob.size > DIGEST_UP_TO) return {};
  const digest = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
  return { "Repr-Digest": `sha-256=:${base64(new Uint8Array(digest))}:` };
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => { clearTimeout(timer); reject(new DOMException("the upload was ended", "AbortError")); };
    const timer = setTimeout(() => { signal?.removeEventListener("abort", abort); resolve(); }, milliseconds);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
