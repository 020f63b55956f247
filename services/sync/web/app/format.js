// Sizes, times, names: how they are written for people, and what a name tells.

const UNITS = ["B", "KB", "MB", "GB", "TB"];
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const NUMBER = new Intl.NumberFormat();

export function sizeText(bytes) {
  let unit = 0;
  while (bytes >= 1000 && unit < UNITS.length - 1) { bytes /= 1000; unit += 1; }
  return (unit && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)) + "\u00a0" + UNITS[unit];
}

export function countText(count, one, many = one + "s") { return `${NUMBER.format(count)} ${count === 1 ? one : many}`; }

/** A time as people say it; `full` for titles. */
export function timeText(then, now = Date.now()) {
  const seconds = (now - then) / 1000;
  if (seconds < 45 && seconds > -120) return "just now";
  if (seconds < 3600 && seconds > 0) return Math.max(1, Math.round(seconds / 60)) + " min ago";
  const date = new Date(then), today = new Date(now);
  if (date.toDateString() === today.toDateString()) return "today, " + TIME.format(date);
  return DAY.format(date);
}

export const fullTime = (then) => FULL.format(new Date(then));

export function durationText(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return Math.max(1, Math.round(seconds)) + " s";
  if (seconds < 3600) return Math.round(seconds / 60) + " min";
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);
export const parentOf = (path) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
export const join = (folder, name) => (folder && name ? folder + "/" + name : folder || name);

/** Split a name where its extension begins: ["report.tar", ".gz"]; a leading dot begins none. */
export function split(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
}

/** Return `name (2).ext`, `name (3).ext` …: the first that is not taken. */
export function freeName(name, isTaken) {
  const [stem, extension] = split(name);
  for (let number = 2; ; number += 1) {
    const candidate = `${stem} (${number})${extension}`;
    if (!isTaken(candidate)) return candidate;
  }
}

const KINDS = {
  image: "png jpg jpeg gif webp avif svg bmp ico",
  video: "mp4 webm mov m4v ogv mkv avi",
  audio: "mp3 ogg opus wav flac m4a aac",
  text: "txt md markdown rst log csv tsv ini cfg conf toml yaml yml json jsonl xml env diff patch tex srt",
  code: "js mjs ts tsx jsx py rs go c h cc cpp hpp java kt swift rb php sh bash zsh fish ps1 sql html htm css scss vue lua pl r scala zig nix tf dockerfile makefile gitignore",
  archive: "zip tar gz tgz bz2 xz zst 7z rar jar deb rpm iso",
  document: "pdf doc docx odt rtf xls xlsx ods ppt pptx odp epub",
};
const KIND_OF = new Map(Object.entries(KINDS).flatMap(([kind, names]) => names.split(" ").map((name) => [name, kind])));

/** What a file is by its name: image, video, audio, text, code, archive, document, or "other". */
export function kindOf(name) {
  const extension = (split(name)[1].slice(1) || name.replace(/^\./, "")).toLowerCase();
  return KIND_OF.get(extension) || "other";
}

const CONFLICT = /^(.*) \(conflict of ([A-Za-z0-9._-]+), (\d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d)\)(?: ?\(?\d+\)?)?(\.[^/]*)?$/;

/** What a conflict copy's name says: {original, client, time}, or null for any other name. */
export function conflictOf(name) {
  const match = CONFLICT.exec(name);
  return match && { original: match[1] + (match[4] ?? ""), client: match[2], time: match[3].replace(/\.(\d\d)\.(\d\d)$/, ":$1:$2") };
}
