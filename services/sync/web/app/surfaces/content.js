// The content of a file as something to look at: an image, a sound, a film, text.

import { element, icon } from "../dom.js";
import { kindOf, nameOf, sizeText } from "../format.js";
import { share } from "../session.js";

const MOST_TEXT = 512 * 1024; // bytes of text that are shown: more makes a page slow and is not read
const SNIFFED = 8 * 1024; // bytes in which a NUL says that it is no text

/** Return {node, release}: `release` MUST be called when the node is not shown any more. */
export async function contentOf(path, { size, version = null, signal } = {}) {
  const kind = kindOf(nameOf(path));
  if (kind === "image" || kind === "audio" || kind === "video") return media(kind, path, version, signal);
  if (kind === "archive" || kind === "document") return nothing("There is no preview of this kind of file.");
  return text(path, size, version, signal);
}

const nothing = (words) => ({ node: element("div", { class: "no-preview" }, icon("file"), element("p", {}, words)), release() {} });

async function media(kind, path, version, signal) {
  let href = share.url(path, { version }), release = () => {};
  if (share.token) { // an element cannot send one
    href = URL.createObjectURL(await (await share.get(path, { version, signal })).blob());
    release = () => URL.revokeObjectURL(href);
  }
  const node = kind === "image"
    ? element("img", { src: href, alt: nameOf(path) })
    : element(kind, { src: href, controls: true, preload: "metadata", "aria-label": nameOf(path) });
  return { node: element("div", { class: "media " + kind }, node), release };
}

/** Return the beginning of a file as text, null if it is not text. */
export async function readText(path, { size, version = null, signal } = {}) {
  const headers = size > MOST_TEXT ? { Range: `bytes=0-${MOST_TEXT - 1}` } : {};
  const bytes = new Uint8Array(await (await share.get(path, { version, headers, signal })).arrayBuffer());
  if (bytes.subarray(0, SNIFFED).includes(0)) return null;
  return new TextDecoder().decode(bytes);
}

async function text(path, size, version, signal) {
  if (size === 0) return nothing("This file is empty.");
  const found = await readText(path, { size, version, signal });
  if (found === null) return nothing("This file is not text: there is no preview.");
  const node = element("div", { class: "reading" }, element("pre", { tabindex: "0", role: "region", "aria-label": "Content of " + nameOf(path) }, found));
  if (size > MOST_TEXT) node.append(element("p", { class: "cut" }, `The first ${sizeText(MOST_TEXT)} of ${sizeText(size)}.`));
  return { node, release() {} };
}
