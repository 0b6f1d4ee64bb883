// Everything on the page that is a list: warnings, peers, hubs, PSRD, groups, policies, events.

import { bytes, duration, make, none } from "/dashboard/page.js";

const MOST_ROWS = 200;
const LOW = 0.2;

export const warnings = (overview) =>
  overview.warnings.length
    ? overview.warnings.map((warning) =>
        make("li", { "data-code": warning.code }, warning.peer && make("strong", {}, warning.peer), warning.detail),
      )
    : [make("li", { class: "fine" }, "Nothing to see to.")];

const heard = (peer, now) => (peer.last_seen ? `${duration(Math.max(0, now - peer.last_seen))} ago` : "never");

const cell = (label, ...content) => make("td", { "data-label": label }, ...content);

export function matching(overview, filter) {
  const wanted = filter.trim().toLowerCase();
  return overview.peers.filter((peer) =>
    [peer.name, peer.ip, peer.role, ...peer.groups].some((text) => text.toLowerCase().includes(wanted)),
  );
}

// `mark(peer, hub)` is called when somebody turns the switch of a peer.
export const peers = (overview, found, mark) =>
  found.slice(0, MOST_ROWS).map((peer) => {
    const isHub = peer.role === "hub";
    const toggle = make("button", {
      type: "button", role: "switch", class: "switch", id: `hub-${peer.id}`,
      "aria-checked": String(isHub), "aria-label": `${peer.name} is a security hub`,
      onclick: () => mark(peer, !isHub),
    });
    const role = !peer.runs_as || peer.runs_as === peer.role ? peer.role : `${peer.role}, still ${peer.runs_as}`;
    const dot = make("span", { class: peer.connected ? "dot on" : "dot", title: peer.connected ? "connected" : "not heard lately" });
    return make(
      "tr", { "data-peer": peer.name },
      make("th", { scope: "row" }, dot, peer.name),
      cell("Role", make("span", { class: `role ${peer.role}` }, role)),
      cell("Hub", toggle),
      cell("Address", peer.ip),
      cell("Last seen", heard(peer, overview.now)),
      cell("Groups", peer.groups.join(", ") || "–"),
      cell("Reaches", String(peer.reaches)),
    );
  });

export const more = (found) => (found.length > MOST_ROWS ? `${found.length - MOST_ROWS} more; filter to see them` : "");

const level = (label, value, text) =>
  make("div", { class: "level" }, make("span", {}, label),
    make("meter", { min: 0, max: 1, low: LOW, high: 0.5, optimum: 1, value, "aria-label": label }),
    make("span", {}, text));

const facts = (pairs) =>
  make("dl", {}, ...pairs.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));

export function hubs(overview) {
  const every = overview.peers.filter((peer) => peer.role === "hub");
  if (!every.length) return [none("No peer is a security hub yet. Turn the switch of a peer to make it one.")];
  return every.map((peer) => make("article", { class: "card" }, make("h3", {}, peer.name), ...hubCard(peer.hub)));
}

function hubCard(hub) {
  if (!hub) return [none("It has not said yet where it listens.")];
  const part = hub.pool_target ? Math.min(1, hub.pool_files / hub.pool_target) : 1;
  const clients = `${hub.clients_bound} bound, ${hub.clients_unbound} unbound`;
  return [
    level("pool", part, `${hub.pool_files} of ${hub.pool_target} files`),
    facts([["clients", clients], ["handed out", hub.handed_out], ["shares waiting", hub.shares], ["listens on", hub.address]]),
  ];
}

export function psrd(overview) {
  const every = overview.peers.filter((peer) => peer.role === "client" && peer.psrd.length);
  if (!every.length) return [none("No client has reported PSRD yet.")];
  return every.slice(0, MOST_ROWS).map((peer) =>
    make("article", { class: "card" }, make("h3", {}, peer.name), ...peer.psrd.map((one) => psrdLevel(overview, one))));
}

function psrdLevel(overview, one) {
  const left = Math.min(one.user_left, one.server_left);
  const lasts = one.lasts_s === null ? "" : `, lasts ${duration(one.lasts_s)}`;
  const state = one.state === "ready" ? "" : `, ${one.state}`;
  const name = overview.hub_names[one.hub] ?? `${one.hub.slice(0, 8)}…`;
  return level(name, Math.min(one.user_fraction, one.server_fraction), `${bytes(left)}${lasts}${state}`);
}

export const groups = (overview) =>
  overview.groups.map((group) =>
    make("li", { class: group.issued === "integration" ? "ours" : "" }, group.name, make("span", {}, String(group.peers_count))));

const names = (every) => every.map((group) => group.name).join(", ");

export const policies = (overview) =>
  overview.policies.map((policy) =>
    make("li", { class: policy.enabled ? "" : "off" }, make("strong", {}, policy.name),
      policy.enabled ? "" : " (off)",
      make("ul", {}, ...policy.rules.map((rule) => make("li", { class: rule.enabled ? "" : "off" }, ruleText(rule))))));

function ruleText(rule) {
  const arrow = rule.bidirectional ? "↔" : "→";
  const what = rule.protocol === "all" ? "" : `, ${rule.protocol}${rule.ports ? ` ${rule.ports.join(", ")}` : ""}`;
  return `${rule.action} ${names(rule.sources)} ${arrow} ${names(rule.destinations)}${what}`;
}

// `revoke(key)` is called when somebody wants a key to let nobody in any more.
export const keys = (overview, revoke) =>
  overview.setup_keys.length
    ? overview.setup_keys.map((key) =>
        make("li", { class: key.valid ? "" : "off" }, make("strong", {}, key.name),
          ` ${key.key}, ${key.type}, ${key.state}, used ${key.used_times} times `,
          ...(key.valid
            ? [make("button", { type: "button", id: `revoke-${key.id}`, "aria-label": `revoke ${key.name}`, onclick: () => revoke(key) }, "Revoke")]
            : [])))
    : [make("li", { class: "hint" }, "Machines need a key to become peers; make one.")];

export const events = (overview) =>
  overview.events.map((event) =>
    make("li", {}, make("time", { datetime: event.timestamp }, new Date(event.timestamp).toLocaleString()),
      ` ${event.activity}: `, make("strong", {}, event.meta.name), ` by ${event.initiator_name}`));
