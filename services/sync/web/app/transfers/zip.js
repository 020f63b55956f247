// A folder or a selection as one ZIP, made in the browser: contents are stored as they are.
// (APPNOTE 6.3: local headers with data that is known beforehand, then the central directory.)

const LARGEST = 2 ** 32 - 1; // bytes of an archive without ZIP64
const MOST = 65_535; // entries of one
const UTF8_NAMES = 0x0800;

const TABLE = Uint32Array.from({ length: 256 }, (_, number) => {
  let value = number;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function checksum(bytes, crc) {
  for (let index = 0; index < bytes.length; index += 1) crc = TABLE[(crc ^ bytes[index]) & 255] ^ (crc >>> 8);
  return crc;
}

/** MS-DOS time and date, in local time, two seconds exact: what the format has. */
function stamp(time) {
  const date = new Date(time), year = Math.max(1980, date.getFullYear());
  return [date.getHours() << 11 | date.getMinutes() << 5 | date.getSeconds() >> 1, (year - 1980) << 9 | (date.getMonth() + 1) << 5 | date.getDate()];
}

function record(signature, ...fields) { // fields: [bytes, value]
  const size = 4 + fields.reduce((sum, [bytes]) => sum + bytes, 0), view = new DataView(new ArrayBuffer(size));
  view.setUint32(0, signature, true);
  let place = 4;
  for (const [bytes, value] of fields) {
    if (bytes === 2) view.setUint16(place, value, true); else view.setUint32(place, value, true);
    place += bytes;
  }
  return view.buffer;
}

/**
 * Return a Blob of `files`: {name, time, open: () => Promise<Response>}. `onProgress(bytes)` as they are read.
 * Throws when it would be larger than the format without its extensions can say.
 */
export async function zip(files, onProgress = () => {}) {
  if (files.length > MOST) throw new Error(`an archive made here can have at most ${MOST} files`);
  const parts = [], directory = [], encoder = new TextEncoder();
  let offset = 0, read = 0;
  for (const { name, time, open } of files) {
    const chunks = [], reader = (await open()).body.getReader();
    let crc = 0xffffffff, size = 0;
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      crc = checksum(step.value, crc);
      chunks.push(step.value);
      size += step.value.length;
      onProgress(read += step.value.length);
    }
    const bytes = encoder.encode(name), [clock, day] = stamp(time), sum = (crc ^ 0xffffffff) >>> 0;
    const facts = [[2, 20], [2, UTF8_NAMES], [2, 0], [2, clock], [2, day], [4, sum], [4, size], [4, size], [2, bytes.length], [2, 0]];
    parts.push(record(0x04034b50, ...facts), bytes, new Blob(chunks)); // a Blob may be put on disk
    directory.push(record(0x02014b50, [2, 20], ...facts, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), bytes);
    offset += 30 + bytes.length + size;
    if (offset > LARGEST) throw new Error("an archive made here can have at most 4 GB");
  }
  const length = new Blob(directory).size;
  const end = record(0x06054b50, [2, 0], [2, 0], [2, files.length], [2, files.length], [4, length], [4, offset], [2, 0]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
