// The seller's page: a key that never leaves this browser, pictures scaled here, a listing signed here.
"use strict";
(() => {
  const form = document.querySelector("#listing");
  const words = JSON.parse(form.dataset.words);
  const root = form.dataset.root;
  const say = (text, bad = false) => {
    const place = document.querySelector("#said");
    place.textContent = text;
    place.classList.toggle("bad", bad);
  };
  const hex = (bytes) => [...bytes].map((one) => one.toString(16).padStart(2, "0")).join("");
  const bytes = (text) => Uint8Array.from(text.match(/../g), (two) => parseInt(two, 16));
  const digest = (data) => hex(Nostr.sha256(data));
  const now = () => Math.floor(Date.now() / 1000);

  // The key ----------------------------------------------------------------------------------------
  const KEY = "p2p-key";
  const ownKey = () => {
    let text = localStorage.getItem(KEY);
    if (!text) localStorage.setItem(KEY, (text = hex(Nostr.generateSecretKey())));
    return bytes(text);
  };
  const sign = async (draft) => {
    const event = { created_at: now(), content: "", ...draft };
    return window.nostr ? window.nostr.signEvent(event) : Nostr.finalizeEvent(event, ownKey());
  };
  const pubkey = async () => (window.nostr ? window.nostr.getPublicKey() : Nostr.getPublicKey(ownKey()));

  document.querySelector("#backup").addEventListener("submit", (sent) => {
    sent.preventDefault();
    const { password, sealed } = sent.target.elements;
    try {
      if (sealed.value.trim()) {
        localStorage.setItem(KEY, hex(Nostr.nip49.decrypt(sealed.value.trim(), password.value)));
        say(words.restored);
      } else {
        sealed.value = Nostr.nip49.encrypt(ownKey(), password.value);
        say(words.sealed);
      }
    } catch {
      say(words.wrong_password, true);
    }
    password.value = "";
  });

  // Pictures ---------------------------------------------------------------------------------------
  const SIDE = 1600, MOST = 900_000;
  const scaled = async (file) => {
    const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
    let scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
    for (let tries = 0; tries < 6; tries++, scale *= 0.8) {
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(picture.width * scale));
      canvas.height = Math.max(1, Math.round(picture.height * scale));
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      const as = (type) => new Promise((done) => canvas.toBlob(done, type, 0.82));
      let blob = await as("image/webp");
      if (blob.type !== "image/webp") blob = await as("image/jpeg");
      if (blob.size <= MOST) return { blob, size: `${canvas.width}x${canvas.height}` };
    }
    throw new Error(words.too_large);
  };
  const stored = async (file) => {
    const { blob, size } = await scaled(file);
    const sum = digest(new Uint8Array(await blob.arrayBuffer()));
    const tags = [["t", "upload"], ["x", sum], ["expiration", String(now() + 600)]];
    const wish = await sign({ kind: 24242, content: "upload", tags });
    const answer = await fetch(`${root}/media/upload`, {
      method: "PUT", body: blob, headers: { Authorization: `Nostr ${btoa(JSON.stringify(wish))}` },
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.detail);
    return ["image", said.url, size];
  };

  // The place --------------------------------------------------------------------------------------
  const LETTERS = "0123456789bcdefghjkmnpqrstuvwxyz";
  const geohash = (latitude, longitude, length) => {
    const low = [-180, -90], high = [180, 90], place = [longitude, latitude];
    let word = "", bits = 0;
    for (let step = 0; step < length * 5; step++) {
      const axis = step % 2, middle = (low[axis] + high[axis]) / 2, upper = place[axis] >= middle;
      (upper ? low : high)[axis] = middle;
      bits = bits * 2 + (upper ? 1 : 0);
      if (step % 5 === 4) { word += LETTERS[bits]; bits = 0; }
    }
    return word;
  };
  document.querySelector("#locate").addEventListener("click", () => {
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => { form.elements.geohash.value = geohash(coords.latitude, coords.longitude, 5); },
      () => say(words.no_place, true),
    );
  });

  // The listing ------------------------------------------------------------------------------------
  const relay = () => Nostr.Relay.connect(`${location.protocol.replace("http", "ws")}//${location.host}${root}/relay`);
  const publish = async (event) => {
    const line = await relay();
    try { await line.publish(event); } finally { line.close(); }
  };
  form.addEventListener("submit", async (sent) => {
    sent.preventDefault();
    const button = form.querySelector("button[type=submit]"), field = form.elements;
    button.disabled = true;
    try {
      say(words.working);
      const d = hex(Nostr.generateSecretKey()).slice(0, 16);
      const tags = [
        ["d", d], ["title", field.title.value.trim()], ["published_at", String(now())],
        ["price", field.price.value.trim(), field.currency.value.trim().toUpperCase()], ["status", "active"],
      ];
      if (field.category.value.trim()) tags.push(["t", field.category.value.trim().toLowerCase()]);
      if (field.location.value.trim()) tags.push(["location", field.location.value.trim()]);
      if (field.geohash.value.trim()) tags.push(["g", field.geohash.value.trim()]);
      for (const file of field.pictures.files) tags.push(await stored(file));
      await publish(await sign({ kind: 30402, content: field.text.value, tags }));
      const address = new TextEncoder().encode(`30402:${await pubkey()}:${d}`);
      location.assign(`${form.dataset.base}/l/${digest(address).slice(0, 20)}`);
    } catch (error) {
      say(`${words.refused}: ${error.message ?? error}`, true);
      button.disabled = false;
    }
  });

  // What is listed already -------------------------------------------------------------------------
  const mine = document.querySelector("#mine");
  const row = (event) => {
    const tag = (name) => (event.tags.find((one) => one[0] === name) ?? [])[1] ?? "";
    const item = document.createElement("li");
    const act = (label, draft) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", async () => {
        try { await publish(await sign(draft())); location.reload(); } catch (error) { say(String(error), true); }
      });
      return button;
    };
    const after = () => Math.max(now(), event.created_at + 1);
    const sold = () => ({
      kind: 30402, content: event.content, created_at: after(),
      tags: [...event.tags.filter((one) => one[0] !== "status"), ["status", "sold"]],
    });
    const gone = () => ({ kind: 5, created_at: after(), tags: [["a", `30402:${event.pubkey}:${tag("d")}`], ["e", event.id]] });
    item.append(`${tag("title")} `);
    if (tag("status") !== "sold") item.append(act(words.mark_sold, sold), " ");
    item.append(act(words.remove, gone));
    return item;
  };
  (async () => {
    if (!window.nostr && !localStorage.getItem(KEY)) return;
    const author = await pubkey(), line = await relay();
    const asked = line.subscribe([{ kinds: [30402], authors: [author] }], {
      onevent: (event) => mine.append(row(event)),
      oneose: () => setTimeout(() => { asked.close(); setTimeout(() => line.close()); }),
    });
  })().catch((error) => say(String(error), true));
})();
