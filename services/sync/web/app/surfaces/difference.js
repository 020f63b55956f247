// Which lines of two texts are not in the other: a longest common subsequence, for texts a person compares.

const MOST_LINES = 1_500; // of what differs: the table is their product, some 2 million small numbers

/** Return for each text the numbers of its lines that are its own; null when there is too much to compare. */
export function differingLines(left, right) {
  const a = left.split("\n"), b = right.split("\n");
  let start = 0, end = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const rows = a.length - start - end, columns = b.length - start - end;
  if (rows > MOST_LINES || columns > MOST_LINES) return null;
  const width = columns + 1, common = new Uint16Array((rows + 1) * width);
  for (let i = rows - 1; i >= 0; i -= 1) {
    for (let j = columns - 1; j >= 0; j -= 1) {
      common[i * width + j] = a[start + i] === b[start + j] ? common[(i + 1) * width + j + 1] + 1 : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  const own = [new Set(), new Set()];
  let i = 0, j = 0;
  while (i < rows || j < columns) {
    if (i < rows && j < columns && a[start + i] === b[start + j]) { i += 1; j += 1; }
    else if (j >= columns || (i < rows && common[(i + 1) * width + j] >= common[i * width + j + 1])) own[0].add(start + i++);
    else own[1].add(start + j++);
  }
  return own;
}

/** Mark in two <pre> which lines are only there. */
export function markDifferences(left, right) {
  const own = differingLines(left.textContent, right.textContent);
  if (!own) return;
  [left, right].forEach((pre, side) => {
    pre.replaceChildren(...pre.textContent.split("\n").map((line, number) => {
      const node = document.createElement(own[side].has(number) ? "mark" : "span");
      node.textContent = line + "\n";
      return node;
    }));
  });
}
