"""What every page must keep, whatever it shows: contrast, names, and nothing off the edge."""

from playwright.sync_api import Page

LEAST_CONTRAST = 4.5
"""WCAG 2.2 AA for text of ordinary size."""

CONTROLS = {
    "button", "link", "textbox", "searchbox", "checkbox", "menuitem", "grid", "columnheader",
    "dialog", "progressbar", "navigation", "toolbar", "image", "region",
}  # fmt: skip

TEXTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3]) layers.push(color);
      if (color[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const top = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  const walker = document.createTreeWalker(top, NodeFilter.SHOW_TEXT), found = [];
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.textContent.trim() || !node.checkVisibility({opacityProperty: true, visibilityProperty: true}) || node.closest(".unseen, .skip")) continue;
    const back = ground(node), front = over(rgba(getComputedStyle(node).color), back);
    const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
    found.push([text.textContent.trim().slice(0, 40), (high + 0.05) / (low + 0.05)]);
  }
  return found;
}"""


def check_contrast(page: Page) -> None:
    texts = page.evaluate(TEXTS)
    assert len(texts) >= 3
    faint = [found for found in texts if found[1] < LEAST_CONTRAST]
    assert faint == [], faint


def check_names(page: Page) -> None:
    """Every control that assistive technology is told of has a name."""
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    seen: list[tuple[str, str]] = []
    for node in tree:
        role = node.get("role", {}).get("value", "")
        if not node["ignored"] and role in CONTROLS:
            seen.append((role, node.get("name", {}).get("value", "").strip()))
    assert len(seen) > 3
    assert [role for role, name in seen if not name] == []


def check_fits(page: Page) -> None:
    """Nothing is wider than the window."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
