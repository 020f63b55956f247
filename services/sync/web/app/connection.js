// Whether the page is live, in words and colour; and the question for a token when the server wants one.

import { announce, byId } from "./dom.js";
import { share, useToken } from "./session.js";
import { prompt } from "./surfaces/dialog.js";
import { toast } from "./surfaces/toast.js";

const WORDS = { connecting: "Connecting…", live: "Live", offline: "Offline", unauthorized: "Locked", closed: "Closed" };

/** Keep the sign true to the connection. */
export function showConnection() {
  const sign = byId("connection");
  let isAsking = false;
  async function ask(error) {
    if (isAsking) return;
    isAsking = true;
    const token = await prompt({
      title: "This share asks for a token", label: "Token", yes: "Unlock", secret: true,
      text: share.token ? `The token was refused: ${error.message}.` : "It is kept in this tab only, and forgotten when the tab is closed.",
      refuse: (text) => /^[!-~]+$/.test(text) ? "" : "A token has no spaces or letters with accents.",
    });
    isAsking = false;
    if (token) useToken(token);
  }
  let wasLive = false;
  share.addEventListener("state", ({ detail }) => {
    sign.dataset.state = detail.state;
    byId("connection-text").textContent = WORDS[detail.state];
    sign.title = { live: "Changes appear as they happen", offline: "Trying again. Press to try now", unauthorized: "Press to enter a token" }[detail.state] ?? "";
    if (detail.state === "offline" && wasLive) announce("The connection is lost; trying again.");
    if (detail.state === "live" && wasLive === false) announce("Live.");
    if (detail.state !== "connecting") wasLive = detail.state === "live";
  });
  share.addEventListener("unauthorized", ({ detail }) => ask(detail.error));
  share.addEventListener("problem", ({ detail }) => toast(detail.message, { kind: "bad" }));
  sign.addEventListener("click", () => { if (share.state === "unauthorized") ask(new Error("no token was entered")); else share.retry(); });
}
