// Where the page is: "#/folder/below", "#/folder?file=name" (a preview is open), "#trash", "#conflicts".
// Everything a person can come back to is in the address, so that the back button does what it says.

import { join } from "./format.js";

const encode = (path) => path.split("/").map(encodeURIComponent).join("/");

export const folderLink = (folder) => "#/" + encode(folder);
export const fileLink = (folder, name) => `#/${encode(folder)}?file=${encodeURIComponent(name)}`;

/** Return {view, folder, file}: `file` is a path or null. */
export function currentRoute(hash = location.hash) {
  try {
    const [place, query = ""] = hash.replace(/^#/, "").split("?");
    if (place === "trash" || place === "conflicts") return { view: place, folder: "", file: null };
    const folder = decodeURIComponent(place).replace(/^\/+|\/+$/g, "");
    const name = new URLSearchParams(query.replace(/\+/g, "%2B")).get("file");
    return { view: "files", folder, file: name ? join(folder, name) : null };
  } catch { // "%" that stands for nothing
    return { view: "files", folder: "", file: null };
  }
}

export function go(hash, { replace = false } = {}) {
  if (!replace) location.hash = hash;
  else { history.replaceState(null, "", hash); dispatchEvent(new HashChangeEvent("hashchange")); }
}
