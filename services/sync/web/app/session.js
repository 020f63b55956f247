// What all parts of the page share: the connection, what is known, what this server can do.

import { QuantumSync } from "../quantum-sync.js";
import { Tree } from "./tree.js";

const TOKEN = "quantum-token"; // in sessionStorage: this tab's alone, gone with it

export const share = new QuantumSync({ base: ".", token: sessionStorage.getItem(TOKEN), uploads: sessionStorage });
export const tree = new Tree(share);

/** What this server can do; emits "change" on `abilities` when that is learnt. */
export const abilities = Object.assign(new EventTarget(), { canWrite: false, hasHistory: false, conflicts: 0 });

/** Whether the token in use says that its holder may only read; what it says is the server's to check. */
function isReadOnly(token) {
  try { return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).write === false; } catch { return false; }
}

/** Ask the server what it can do. Only a server that speaks version 2 is asked for what version 1 has not. */
export async function learn() {
  const status = await share.status();
  abilities.canWrite = Boolean(status.enable_upload ?? true) && (status.writable ?? true) && !isReadOnly(share.token ?? "");
  abilities.conflicts = Array.isArray(status.conflicts) ? status.conflicts.length : status.conflicts || 0;
  if (share.protocol >= 2) abilities.hasHistory = await share.trash({ limit: 1 }).then(() => true, (error) => error.status !== 404 && error.status !== 405);
  abilities.dispatchEvent(new Event("change"));
}

export function useToken(token) {
  sessionStorage.setItem(TOKEN, token);
  share.authorize(token);
}

/** Changes made here show at once even while nothing is heard from the server. */
export function applyLocally(change) {
  if (share.state !== "live") tree.apply({ from: null, metadata: null, seq: null, version: null, source: share.clientId, isOwn: true, ...change });
}

/** Do `work`; while the server says that it is busy, say so to `busy(message)` and try again, as long as `isWanted()`. */
export async function patiently(work, { busy = () => {}, isWanted = () => true } = {}) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error.status === 503 || error.status === 429) || !isWanted()) throw error;
      busy(error.message);
      await new Promise((resolve) => { setTimeout(resolve, 1000 * (error.retryAfter ?? 2)); });
      if (!isWanted()) throw error;
    }
  }
}
