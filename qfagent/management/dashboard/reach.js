// Draws who reaches whom: hubs inside, the others around them; a double ring means that its peers reach one another.

import { make } from "/dashboard/page.js";

const SIZE = 640;
const MIDDLE = SIZE / 2;
const OUTER = 230;
const INNER = 80;

const short = (node) => (node.count === 1 ? node.peers[0] : node.groups.join(", ") || "other peers");
const size = (node) => 12 + 4 * Math.log2(node.count);
const listed = (node) => node.peers.join(", ") + (node.count > node.peers.length ? `, and ${node.count - node.peers.length} more` : "");

function places(nodes) {
  const rings = [nodes.filter((node) => node.hubs), nodes.filter((node) => !node.hubs)];
  return nodes.map((node) => {
    const ring = rings[node.hubs ? 0 : 1];
    const radius = node.hubs ? (ring.length > 1 ? INNER : 0) : OUTER;
    const angle = (2 * Math.PI * ring.indexOf(node)) / ring.length - Math.PI / 2;
    return { x: MIDDLE + radius * Math.cos(angle), y: MIDDLE + radius * Math.sin(angle) };
  });
}

export function drawing({ nodes, links }) {
  const at = places(nodes);
  const lines = links.map(([one, other]) =>
    make("line", {
      x1: at[one].x, y1: at[one].y, x2: at[other].x, y2: at[other].y,
      class: nodes[one].hubs || nodes[other].hubs ? "to-hub" : "link",
      "data-ends": `${one} ${other}`,
    }),
  );
  const drawn = nodes.map((node, number) => drawNode(node, at[number], () => light(lines, number), () => light(lines)));
  const label = "Peers as circles, hubs in the middle; a line where they reach one another";
  return make("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "group", "aria-label": label }, ...lines, ...drawn);
}

function drawNode(node, { x, y }, enter, leave) {
  const radius = size(node);
  const ring = node.within ? [make("circle", { cx: x, cy: y, r: radius + 4, class: "ring" })] : [];
  const events = { onmouseenter: enter, onmouseleave: leave, onfocus: enter, onblur: leave };
  return make(
    "g", { class: node.hubs ? "node hub" : "node", tabindex: 0, role: "img", "aria-label": listed(node), ...events },
    make("title", {}, listed(node)),
    ...ring,
    make("circle", { cx: x, cy: y, r: radius }),
    make("text", { x, y: y + radius + 20 }, short(node) + (node.count > 1 ? ` (${node.count})` : "")),
  );
}

function light(lines, number) {
  for (const line of lines) {
    const ends = line.dataset.ends.split(" ").map(Number);
    line.classList.toggle("dim", number !== undefined && !ends.includes(number));
  }
}

export function words({ nodes, links, left_off }) {
  const said = nodes.map((node, number) => {
    const others = links.filter((ends) => ends.includes(number)).map(([one, other]) => nodes[one === number ? other : one]);
    const met = [...(node.within ? ["one another"] : []), ...others.map(listed)];
    return make("li", {}, make("strong", {}, listed(node)), met.length ? ` reach ${met.join("; ")}` : " reach nobody");
  });
  return left_off ? [...said, make("li", {}, `${left_off} more peers are not drawn`)] : said;
}
