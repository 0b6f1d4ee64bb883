// The dashboard: signs in, follows the server, and shows what it says.

import * as lists from "/dashboard/lists.js";
import { byId, fill, make } from "/dashboard/page.js";
import { drawing, words } from "/dashboard/reach.js";
import { ask, follow, token } from "/dashboard/server.js";

let latest = null;
let following = new AbortController();

function show(overview) {
  latest = overview;
  byId("state").textContent = `live, ${overview.peers.filter((peer) => peer.connected).length} of ${overview.peers.length} peers connected`;
  byId("error").textContent = "";
  document.title = overview.warnings.length ? `(${overview.warnings.length}) qfagent management` : "qfagent management";
  for (const part of ["warnings", "hubs", "psrd", "groups", "policies", "events"]) fill(part, lists[part](overview));
  fill("reach", [drawing(overview.reach)]);
  fill("reach-words", words(overview.reach));
  fill("keys", lists.keys(overview, revoke));
  showPeers();
}

function showPeers() {
  const found = lists.matching(latest, byId("filter").value);
  fill("peers", lists.peers(latest, found, mark));
  byId("peers-more").textContent = lists.more(found);
}

// Asks for a change; what comes of it is shown by the next overview.
async function change(method, path, body) {
  try {
    return await ask(method, path, body);
  } catch (error) {
    byId("error").textContent = error.message;
    return null;
  }
}

const mark = (peer, hub) => change("PUT", `/api/peers/${peer.id}`, { dske_security_hub: hub });

const revoke = (key) => change("PUT", `/api/setup-keys/${key.id}`, { revoked: true, auto_groups: key.auto_groups });

async function makeKey(event) {
  event.preventDefault();
  const wanted = { name: byId("key-name").value, type: byId("key-type").value, expires_in: byId("key-days").value * 86400 };
  const made = await change("POST", "/api/setup-keys", wanted);
  if (!made) return;
  byId("key-made").replaceChildren("Shown this once: ", make("code", {}, made.key));
  byId("new-key").reset();
}

function trouble() {
  byId("state").textContent = "the server does not answer; trying again";
}

function signedOut(reason = "") {
  following.abort();
  token.drop();
  latest = null;
  byId("key-made").textContent = "";
  byId("board").hidden = byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  byId("state").textContent = "";
  byId("sign-in-error").textContent = reason;
  byId("token").focus();
}

async function signedIn() {
  following = new AbortController();
  const { signal } = following;
  try {
    await follow((overview) => { reveal(); show(overview); }, trouble, signal);
  } catch (error) {
    if (!signal.aborted) signedOut(error.message);
  }
}

function reveal() {
  byId("sign-in").hidden = true;
  byId("board").hidden = byId("sign-out").hidden = false;
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(byId("token").value.trim());
  byId("token").value = "";
  byId("sign-in-error").textContent = "";
  signedIn();
});
byId("sign-out").addEventListener("click", () => signedOut());
byId("new-key").addEventListener("submit", makeKey);
byId("filter").addEventListener("input", () => latest && showPeers());

if (token.get()) signedIn();
else signedOut();
