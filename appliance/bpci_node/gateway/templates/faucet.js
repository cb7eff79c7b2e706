// The faucet's form with script: ask for a challenge, let a worker search for the nonce, send it. With a code in the
// form the browser sends it as it would without script.
"use strict";

const form = document.getElementById("faucet");
const outcome = document.getElementById("outcome");
const send = document.getElementById("send");

function say(text, kind) {
  outcome.className = kind || "";
  outcome.setAttribute("role", kind === "bad" ? "alert" : "status");
  outcome.textContent = text;
}

async function ask(path, options) {
  const reply = await fetch(path, { headers: { Accept: "application/json", ...(options && options.headers) }, ...options });
  const value = await reply.json();
  if (!reply.ok) throw new Error(value.title + (value.hint ? " " + value.hint : "") + " (" + value.code + ")");
  return value;
}

function search(challenge) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(form.dataset.worker);
    worker.onmessage = (event) => {
      if (event.data.nonce === undefined) {
        say("Working: " + event.data.hashes.toLocaleString("en") + " hashes so far …");
        return;
      }
      worker.terminate();
      resolve(event.data.nonce);
    };
    worker.onerror = () => { worker.terminate(); reject(new Error("The work failed in this browser; a code does without.")); };
    worker.postMessage({ statement: challenge.statement, bits: challenge.bits });
  });
}

function shown(amount) {
  const decimals = Number(form.dataset.decimals);
  const digits = amount.padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals).replace(/\B(?=(\d{3})+$)/g, ",");
  const rest = digits.slice(digits.length - decimals).replace(/0+$/, "");
  return rest ? whole + "." + rest : whole;
}

form.addEventListener("submit", async (event) => {
  if (form.elements.code.value.trim()) return;
  event.preventDefault();
  const account = form.elements.account.value.trim();
  const purpose = form.elements.purpose.value;
  send.disabled = true;
  say("Working …");
  try {
    const query = new URLSearchParams({ account, purpose });
    const challenge = await ask("/v1/faucet/challenge?" + query);
    const nonce = await search(challenge);
    say("Sending …");
    const grant = await ask("/v1/faucet/grants", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ v: 1, account, purpose, nonce }),
    });
    say(shown(grant.amount) + " BPI are on their way to " + grant.account + ", for good.", "good");
  } catch (error) {
    say(error.message, "bad");
  } finally {
    send.disabled = false;
  }
});
