// Keeps an open page current. The server tells which device changed; the page is then read again, and its live parts
// are replaced by what the server draws now. Nothing is drawn here, so nothing can drift from what the server says.

const state = document.getElementById("live-state");
const pause = document.getElementById("live-pause");
const only = document.body.dataset.thing;
// An answer to an order stands where nothing can be read; it says where it can.
const address = document.querySelector("[data-from]")?.dataset.from ?? location.href;

// So long at least between two readings; a slow page is read less often.
const LEAST = 250;
// So long until a stream that was refused is asked for again.
const AGAIN = 10_000;
let wanted = false;
let reading = false;
let paused = false;
let over = false;
let next = 0;

function say(words, tone) {
  if (!state || state.textContent === words) return;
  state.textContent = words;
  state.className = `live-state tone-${tone}`;
}

function end() {
  over = true;
  say("logged out: load the page again", "warn");
}

async function read() {
  if (reading || paused || over || !wanted || document.hidden) return;
  const wait = next - performance.now();
  if (wait > 0) {
    setTimeout(read, wait);
    return;
  }
  reading = true;
  wanted = false;
  const began = performance.now();
  try {
    // What is read by itself is no sign of a person, and keeps no session from its end.
    const response = await fetch(address, { headers: { accept: "text/html", "x-read": "again" }, redirect: "manual" });
    if (response.ok) replace(new DOMParser().parseFromString(await response.text(), "text/html"));
    // To the login.
    if (response.type === "opaqueredirect") end();
  } catch {
    say("not live: the dashboard does not answer", "warn");
  }
  next = performance.now() + Math.max(LEAST, 3 * (performance.now() - began));
  reading = false;
  if (wanted) read();
}

// What a person has done to a part survives: the focus, ticks, and what was unfolded.
function replace(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const after = fresh.getElementById(part.id);
    if (!after || after.innerHTML === part.innerHTML) continue;
    const focus = part.contains(document.activeElement) ? document.activeElement.id : "";
    const ticked = [...part.querySelectorAll("input:checked")].map((input) => input.id);
    const unfolded = [...part.querySelectorAll("details[open]")].map((details) => details.id);
    part.replaceChildren(...after.childNodes);
    for (const id of ticked) tick(id);
    for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
    if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  }
}

function tick(id) {
  const input = document.getElementById(id);
  if (input instanceof HTMLInputElement) input.checked = true;
}

function changed(event) {
  const { thing } = JSON.parse(event.data);
  if (only && thing && thing !== only) return;
  wanted = true;
  read();
}

function listen() {
  if (over) return;
  const events = new EventSource(`/events?after=${document.body.dataset.last}`);
  events.addEventListener("open", () => say(paused ? "paused" : "live", paused ? "quiet" : "good"));
  events.addEventListener("change", changed);
  events.addEventListener("reload", () => {
    wanted = true;
    read();
  });
  events.addEventListener("error", () => {
    if (over) return;
    say("not live: connecting", "warn");
    // After an answer other than a stream the browser does not come back: too many pages are open, or the session is over.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN);
  });
}

if (document.querySelector("[data-live]")) {
  if (pause instanceof HTMLButtonElement) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.textContent = paused ? "Resume" : "Pause";
      say(paused ? "paused" : "live", paused ? "quiet" : "good");
      read();
    });
  }
  document.addEventListener("visibilitychange", read);
  // What is told in "seconds ago" ages without any event.
  setInterval(() => {
    wanted = true;
    read();
  }, 5000);
  listen();
}
