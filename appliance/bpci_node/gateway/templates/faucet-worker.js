// Searches for a nonce: SHA-256 of statement (32 bytes) and nonce (8 bytes) begins with so many zero bits. Both fit in
// one block of SHA-256 (FIPS 180-4), so each try is one compression; WebCrypto would cost a promise for each.
"use strict";

const K = new Uint32Array(64);
const START = new Uint32Array(8);

function constants() {
  // The first 32 bits of the fractional parts of cube and square roots of the first 64 primes (FIPS 180-4, 4.2.2, 5.3.3),
  // by whole numbers, since the last bits must be right.
  const root = (prime, power) => {
    const target = BigInt(prime) << BigInt(32 * power);
    let low = 0n, high = 1n << 40n;
    while (low < high) {
      const middle = (low + high + 1n) >> 1n;
      if (middle ** BigInt(power) <= target) low = middle; else high = middle - 1n;
    }
    return Number(low & 0xffffffffn);
  };
  const primes = [];
  for (let number = 2; primes.length < 64; number++) {
    if (primes.every((prime) => number % prime)) primes.push(number);
  }
  primes.forEach((prime, place) => { K[place] = root(prime, 3); });
  for (let place = 0; place < 8; place++) START[place] = root(primes[place], 2);
}

function compress(words, out) {
  const w = words;
  for (let t = 16; t < 64; t++) {
    const x = w[t - 15], y = w[t - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[t] = (w[t - 16] + s0 + w[t - 7] + s1) | 0;
  }
  let a = START[0] | 0, b = START[1] | 0, c = START[2] | 0, d = START[3] | 0;
  let e = START[4] | 0, f = START[5] | 0, g = START[6] | 0, h = START[7] | 0;
  for (let t = 0; t < 64; t++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const one = (h + s1 + ((e & f) ^ (~e & g)) + K[t] + w[t]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
  }
  out[0] = (a + START[0]) >>> 0;
  out[1] = (b + START[1]) >>> 0;
}

function begins(out, bits) {
  const first = Math.min(bits, 32), second = Math.max(bits - 32, 0);
  if (first && out[0] >>> (32 - first)) return false;
  return !second || !(out[1] >>> (32 - second));
}

onmessage = (event) => {
  const { statement, bits } = event.data;
  constants();
  const block = new Uint32Array(16), words = new Int32Array(64), out = new Uint32Array(2);
  for (let place = 0; place < 8; place++) block[place] = parseInt(statement.slice(2 + 8 * place, 10 + 8 * place), 16);
  block[10] = 0x80000000;
  block[15] = 40 * 8;
  let reported = Date.now();
  for (let nonce = 0; ; nonce++) {
    block[8] = Math.floor(nonce / 0x100000000);
    block[9] = nonce >>> 0;
    for (let place = 0; place < 16; place++) words[place] = block[place];
    compress(words, out);
    if (begins(out, bits)) {
      const high = block[8].toString(16).padStart(8, "0"), low = block[9].toString(16).padStart(8, "0");
      postMessage({ nonce: "0x" + high + low });
      return;
    }
    if (!(nonce & 0xffff) && Date.now() - reported > 500) {
      reported = Date.now();
      postMessage({ hashes: nonce });
    }
  }
};
