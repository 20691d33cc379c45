// What a page does beyond HTML: live parts, forms without a reload, reading values off charts. No page needs it.

const language = document.documentElement.lang.replace(/^en$/, "en-GB");

// The server writes times on the operator's clock: it learns the zone's name here.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `tepi_zone=${zone.replaceAll("/", ".")}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

// Live parts ---------------------------------------------------------------------------------

/** Makes `now` like `next`, keeping the nodes that stay, so that focus, hover and open details stay too. */
function morph(now, next) {
  if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName || (next.id ?? "") !== (now.id ?? "")) {
    now.replaceWith(next);
    return;
  }
  if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.nodeValue !== next.nodeValue) now.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...now.attributes])
    if (!next.hasAttribute(name) && !(name === "open" && now.nodeName === "DETAILS")) now.removeAttribute(name);
  for (const { name, value } of next.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  morphChildren(now, next);
}

function morphChildren(now, next) {
  const wanted = [...next.childNodes];
  wanted.forEach((node, at) => (now.childNodes[at] ? morph(now.childNodes[at], node) : now.append(node)));
  while (now.childNodes.length > wanted.length) now.lastChild.remove();
}

function show(id, html) {
  const place = document.getElementById(id);
  if (!place) return;
  const next = document.createElement("template");
  next.innerHTML = html;
  place.querySelectorAll("[data-added]").forEach((each) => each.remove());
  morphChildren(place, next.content);
}

const source = document.body.dataset.events;
const lamp = document.getElementById("live");
let events = null;

function listen() {
  if (!source || events) return;
  events = new EventSource(source);
  events.onopen = () => light(true);
  events.onerror = () => {
    light(false);
    if (events.readyState === EventSource.CLOSED) location.reload(); // the session is over
  };
  events.onmessage = (message) => {
    for (const [id, html] of Object.entries(JSON.parse(message.data))) show(id, html);
    reread();
  };
}

function light(on) {
  lamp.textContent = on ? lamp.dataset.on : lamp.dataset.off;
  lamp.classList.toggle("on", on);
}

function rest() {
  events?.close();
  events = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
addEventListener("pagehide", rest);
addEventListener("pageshow", listen);
listen();

// Forms whose answer is shown in place -------------------------------------------------------

for (const form of document.querySelectorAll("form[data-result]")) {
  const result = document.getElementById(form.dataset.result);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const buttons = form.querySelectorAll("button");
    const body = new URLSearchParams(new FormData(form, event.submitter));
    buttons.forEach((button) => (button.disabled = true));
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { "X-Tepi-Fragment": "1" } });
      if (answer.redirected || answer.status === 403) location.reload();
      else result.innerHTML = await answer.text();
    } catch {
      form.submit();
    } finally {
      buttons.forEach((button) => (button.disabled = false));
      event.submitter?.focus();
    }
  });
}

// Reading values off a chart -----------------------------------------------------------------

let pointed = null; // the chart and the step under the pointer

function read(svg, x) {
  const { start, step, points } = JSON.parse(svg.dataset.hover);
  const grid = svg.querySelector(".grid").getBoundingClientRect();
  const count = points[0]?.length ?? 0;
  if (!count || !grid.width) return;
  const at = Math.max(0, Math.min(count - 1, Math.round(((x - grid.left) / grid.width) * (count - 1))));
  const figure = svg.closest("figure");
  const moment = new Intl.DateTimeFormat(language, {
    timeStyle: "medium", ...(step > 600 && { dateStyle: "medium" }),
  }).format((start + at * step) * 1000);
  const box = document.createElement("div");
  box.className = "reading";
  box.dataset.added = "";
  box.append(line(moment));
  figure.querySelectorAll(".series-name").forEach((name, index) => {
    const value = points[index][at];
    box.append(line(`${name.textContent}: ${value === null ? "–" : written(value, svg)}`));
  });
  const [left, right] = [Number(svg.dataset.left), Number(svg.dataset.right)];
  const rule = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const spot = left + ((right - left) * at) / (count - 1);
  rule.setAttribute("d", `M${spot} 10V166`);
  rule.setAttribute("class", "rule");
  rule.dataset.added = "";
  clear();
  svg.append(rule);
  if (spot > (left + right) / 2) box.classList.add("at-left");
  figure.append(box);
}

function line(text) {
  const made = document.createElement("p");
  made.textContent = text;
  return made;
}

function written(value, svg) {
  const number = (n, options) => new Intl.NumberFormat(language, { maximumSignificantDigits: 3, ...options }).format(n);
  switch (svg.dataset.unit) {
    case "share":
      return number(value, { style: "percent" });
    case "seconds":
      return value < 1 ? `${number(value * 1000)} ms` : `${number(value)} s`;
    case "bytes": {
      const power = value < 1 ? 0 : Math.min(4, Math.floor(Math.log10(value) / 3));
      return `${number(value / 1000 ** power)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
    }
    default:
      return number(value);
  }
}

function clear() {
  document.querySelectorAll("[data-added]").forEach((each) => each.remove());
}

function reread() {
  if (pointed) read(pointed.svg, pointed.x);
}

document.getElementById("charts")?.addEventListener("pointermove", (event) => {
  const svg = event.target.closest(".chart > svg");
  pointed = svg && { svg, x: event.clientX };
  if (pointed) reread();
  else clear();
});
document.getElementById("charts")?.addEventListener("pointerleave", () => {
  pointed = null;
  clear();
});
