// Builds what is on the page. Text becomes text nodes only, so nothing that a peer says is ever markup.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "line", "circle", "text", "title"]);

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// Puts new content into a place; whoever had the focus there has it again.
export function fill(id, nodes) {
  const focused = document.activeElement?.id;
  byId(id).replaceChildren(...nodes);
  if (focused && document.activeElement?.id !== focused) byId(focused)?.focus({ preventScroll: true });
}

export const none = (text) => make("p", { class: "hint" }, text);

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

export function duration(seconds) {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size * 2) ?? UNITS.at(-1);
  return `${Math.round(seconds / size)} ${unit}`;
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  return count < 1024 ** 2 ? `${(count / 1024).toFixed(0)} KiB` : `${(count / 1024 ** 2).toFixed(1)} MiB`;
}
