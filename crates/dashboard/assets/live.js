// Keeps an open page current. The server tells which device changed; the page is then read again, and its live parts
// become what the server draws now. Nothing is drawn here, so nothing can drift from what the server says.

const state = document.getElementById("live-state");
const pause = document.getElementById("live-pause");
const only = document.body.dataset.thing;
// An answer to an order stands where nothing can be read; it says where it can.
const address = document.querySelector("[data-from]")?.dataset.from ?? location.href;

// So long at least between two readings; a slow page is read less often.
const LEAST = 250;
// So long at most: what is told in "seconds ago" ages without any event.
const MOST = 5_000;
// So long a page may take.
const ANSWER = 15_000;
// So long until a stream that was refused is asked for again.
const AGAIN = 10_000;
// A browser has six connections to a host, for all its tabs and windows together. Streams keep so many of them, at most.
const STREAMS = 3;

let wanted = false;
let reading = false;
let paused = false;
let over = false;
let next = 0;
// Why nothing could be read, when last tried.
let trouble = "";
// The stream: where it goes on, what ends it, whether it is open, whether others have all places, when it may be asked for.
let last = document.body.dataset.last;
let leave = null;
let seeking = false;
let hears = false;
let crowded = false;
let due = 0;

function tell() {
  if (over) say("logged out: load the page again", "warn");
  else if (paused) say("paused", "quiet");
  else if (trouble) say(`not live: ${trouble}`, "warn");
  else if (hears) say("live", "good");
  else if (crowded) say("live, every 5 s", "good");
  else say("not live: connecting", "warn");
}

function say(words, tone) {
  if (!state || state.textContent === words) return;
  state.textContent = words;
  state.className = `live-state tone-${tone}`;
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
  trouble = await renew().catch(() => "the dashboard does not answer");
  tell();
  next = performance.now() + Math.max(LEAST, 3 * (performance.now() - began));
  reading = false;
  if (wanted) read();
}

/** Reads the page and shows it; what has kept it from that, if anything has. */
async function renew() {
  // What is read by itself is no sign of a person, and keeps no session from its end.
  const headers = { accept: "text/html", "x-read": "again" };
  const response = await fetch(address, { headers, redirect: "manual", signal: AbortSignal.timeout(ANSWER) });
  // To the login.
  if (response.type === "opaqueredirect") {
    over = true;
    leave?.();
    return "";
  }
  if (!response.ok) return `answer ${response.status}`;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const after = fresh.getElementById(part.id);
    if (after) keep(part, after);
  }
  return "";
}

/** Makes a part what is drawn now. The focus goes back to what is drawn in place of what had it. */
function keep(part, after) {
  const focus = part.contains(document.activeElement) ? document.activeElement : null;
  mend(part, after);
  if (!focus || part.contains(document.activeElement)) return;
  const same = [...part.querySelectorAll(focus.localName)].find((element) => alike(element, focus));
  same?.focus({ preventScroll: true });
}

/**
 * Gives `old` the children of `fresh`. What is there before and after stays the very same element: so it keeps the focus, how far
 * it was scrolled, what is selected, ticks, and what was unfolded.
 */
function mend(old, fresh) {
  const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
  const found = pairs(before, after);
  const kept = new Set(found.values());
  for (const node of before) if (!kept.has(node)) node.remove();
  let at = old.firstChild;
  for (const node of after) {
    const same = found.get(node);
    if (!same) {
      old.insertBefore(node, at);
      continue;
    }
    at = same.nextSibling;
    if (same instanceof Element) {
      dress(same, node);
      mend(same, node);
    } else if (same.data !== node.data) {
      same.data = node.data;
    }
  }
}

/** For each node of `after` that of `before` which stands for the same: as many as keep their order (the longest common subsequence). */
function pairs(before, after) {
  const [ours, theirs] = [before, after].map((nodes) => nodes.map((node) => `${node.nodeName} ${mark(node)}`));
  // How many can be paired from there to the ends.
  const rest = Array.from({ length: ours.length + 1 }, () => new Uint16Array(theirs.length + 1));
  for (let i = ours.length - 1; i >= 0; i -= 1) {
    for (let j = theirs.length - 1; j >= 0; j -= 1) {
      rest[i][j] = ours[i] === theirs[j] ? rest[i + 1][j + 1] + 1 : Math.max(rest[i + 1][j], rest[i][j + 1]);
    }
  }
  const found = new Map();
  for (let i = 0, j = 0; i < ours.length && j < theirs.length; ) {
    if (ours[i] === theirs[j]) found.set(after[j++], before[i++]);
    else if (rest[i + 1][j] >= rest[i][j + 1]) i += 1;
    else j += 1;
  }
  return found;
}

/** Whether two nodes stand for the same: nothing that leads elsewhere, or orders something else, passes for what was there. */
function alike(one, other) {
  return one.nodeName === other.nodeName && mark(one) === mark(other);
}

function mark(node) {
  if (!(node instanceof Element)) return "";
  // Of a row of a table, and of what happened, the first thing that tells it from the others.
  const whose = node.matches("tr, .feed li") ? (node.querySelector("time, a, input, [title]") ?? node) : node;
  const names = ["id", "href", "action", "name", "value", "aria-label"];
  if (whose !== node) names.push("datetime", "title");
  const said = names.map((name) => whose.getAttribute(name));
  // Of what gives an order, which one.
  if (node.matches("button")) said.push(node.form?.getAttribute("action"), node.textContent);
  return said.join("\n");
}

function dress(old, fresh) {
  // Whoever folds or unfolds something has the say in it from then on.
  const ours = (name) => name === "open" && old.matches("details");
  for (const { name, value } of fresh.attributes) {
    if (!ours(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!ours(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
}

function changed(event) {
  last = event.lastEventId;
  const { thing } = JSON.parse(event.data);
  if (only && thing && thing !== only) return;
  wanted = true;
  read();
}

/** Opens the stream, if this page is seen and a place is free. A page that has none is read by the clock. */
async function listen() {
  if (over || leave || seeking || document.hidden || performance.now() < due) return;
  seeking = true;
  const free = await place();
  seeking = false;
  crowded = !free;
  if (free) stream(free);
  else tell();
}

/** Takes one of the browser's places for streams: what gives it back, or nothing when all are taken. */
async function place() {
  if (!navigator.locks) return () => {};
  for (let number = 0; number < STREAMS; number += 1) {
    const free = await new Promise((resolve) => {
      navigator.locks.request(`stream ${number}`, { ifAvailable: true }, (lock) => {
        // It is held until the promise that this answers with is kept.
        if (lock) return new Promise((free) => resolve(free));
        resolve(null);
      });
    });
    if (free) return free;
  }
  return null;
}

function stream(free) {
  const events = new EventSource(`/events?after=${last}`);
  leave = () => {
    events.close();
    free();
    leave = null;
    hears = false;
  };
  if (over || document.hidden) return leave();
  events.addEventListener("open", () => {
    hears = true;
    tell();
  });
  events.addEventListener("change", changed);
  events.addEventListener("reload", (event) => {
    last = event.lastEventId;
    wanted = true;
    read();
  });
  events.addEventListener("error", () => {
    hears = false;
    // After an answer other than a stream the browser does not come back: too many pages are open, or the session is over.
    if (events.readyState === EventSource.CLOSED) {
      crowded = true;
      due = performance.now() + AGAIN;
      leave?.();
    }
    tell();
  });
}

/** What happens by the clock, and whenever the page is shown. */
function look() {
  wanted = true;
  read();
  listen();
}

if (document.querySelector("[data-live]")) {
  if (pause instanceof HTMLButtonElement) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.textContent = paused ? "Resume" : "Pause";
      tell();
      read();
    });
  }
  // A page that nobody sees reads nothing, and leaves its connection to those that are seen.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) leave?.();
    else look();
  });
  setInterval(look, MOST);
  listen();
}
