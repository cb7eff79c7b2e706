// The page of auctions with script: what is live on it is fetched anew, and put in its place, while somebody looks.
"use strict";

const live = document.getElementById("live");
const EVERY_MS = 2000;

async function renew() {
  // Nobody loses the place where they are: neither the focus nor what they selected.
  const selected = document.getSelection();
  const busy = live.contains(document.activeElement) || (selected && !selected.isCollapsed);
  if (!document.hidden && !busy) {
    try {
      const reply = await fetch(location.pathname, { headers: { Accept: "text/html" } });
      const state = document.getElementById("state");
      if (reply.ok) {
        const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").getElementById("live");
        live.replaceChildren(...fresh.childNodes);
        state.textContent = "Live: renewed every " + EVERY_MS / 1000 + " seconds.";
      } else {
        state.textContent = "The node refuses to be asked so often; this page tries again.";
      }
    } catch {
      document.getElementById("state").textContent = "The node does not answer; this page tries again.";
    }
  }
  setTimeout(renew, EVERY_MS);
}

setTimeout(renew, EVERY_MS);
