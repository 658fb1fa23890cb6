// A fleet of the real binary, a real browser, and what every page is held to.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const artefacts = process.env.FLEETKEY_ARTEFACTS ?? join(tmpdir(), "fleetkey-browser");

// However busy the machine is.
export const PATIENCE = 60_000;

/** Runs `fleetkey up`, with a further environment if the first argument has one; `event(name)` waits for a line of its output. */
export async function fleet(...args) {
  const { environment = {} } = typeof args[0] === "object" ? args.shift() : {};
  const data = mkdtempSync(join(tmpdir(), "fleetkey-"));
  const up = run(["up", "--json", "--data-dir", data, ...PORTS, ...args], environment);
  const stop = async () => {
    await up.stop();
    rmSync(data, { recursive: true, force: true });
  };
  const ready = await up.event("ready");
  return { url: new URL(ready.dashboard_url).origin, link: ready.dashboard_url, event: up.event, stop };
}

/**
 * Runs `fleetkey serve` on an account of its own, with devices of these serials: those of `connected` run, those of `away` were
 * provisioned and do not. With `again`, it was set up a second time with these flags; `flags` are of `fleetkey serve`.
 */
export async function controlled({ connected, away = [], again, flags = [], environment = {} }) {
  const data = mkdtempSync(join(tmpdir(), "fleetkey-"));
  const [account, place] = [join(data, "account"), join(data, "fleet")];
  const running = [];
  const stop = async () => {
    for (const program of running.reverse()) await program.stop();
    rmSync(data, { recursive: true, force: true });
  };
  try {
    // A deprecated thing type may go at once, so that a clean-up ends within a minute.
    const core = run(["local", "--json", "--data-dir", account, "--rest", "127.0.0.1:0", "--type-deletion-delay", "1ms", ...PORTS]);
    running.push(core);
    const ready = await core.event("ready");
    const exports = execFileSync(binary(), ["local", "env", "--data-dir", account], { encoding: "utf8" });
    const pairs = [...exports.matchAll(/^export (\w+)='?(.*?)'?$/gm)].map(([, name, value]) => [name, value]);
    const aws = { ...Object.fromEntries(pairs), AWS_ENDPOINT_URL: ready.api_url, ...environment };
    const known = ["--mqtt-port", ready.mqtt_port, "--alpn-port", ready.alpn_port, "--root-ca", ready.root_ca].map(String);
    call(["setup", "--json", "--fleet-dir", place, ...known], aws);
    if (again) call(["setup", "--json", "--fleet-dir", place, ...again], aws);
    for (const serial of [...connected, ...away]) call(["device", "provision", "--serial", serial, "--data-dir", place], aws);
    for (const serial of connected) running.push(run(["device", "connect", "--serial", serial, "--data-dir", place], aws));
    const haste = ["--soak", "1s", "--grace", "1s", "--delete-after", "1h"];
    const serve = run(["serve", "--json", "--fleet-dir", place, "--listen", "127.0.0.1:0", ...haste, ...flags], aws);
    running.push(serve);
    const { dashboard_url: link } = await serve.event("ready");
    return { url: new URL(link).origin, link, event: serve.event, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * `fleetkey up` with these arguments, once nothing asks for attention, and a browser that its link has let in. Whoever began it
 * ends it by `end`.
 */
export async function trial(...args) {
  const site = await fleet(...args);
  let chrome;
  const end = async () => {
    await chrome?.close();
    await site.stop();
  };
  try {
    chrome = await browser();
    const context = await chrome.newContext();
    const page = await open(context);
    await page.goto(site.link);
    await page.waitForURL(`${site.url}/`);
    await page.getByText("Nothing asks for attention").waitFor();
    await page.close();
    return { site, chrome, context, end };
  } catch (error) {
    await end();
    throw error;
  }
}

const PORTS = ["--mqtt-port", "0", "--alpn-port", "0"];

function binary() {
  assert.ok(process.env.FLEETKEY_BIN, "FLEETKEY_BIN names the binary");
  return process.env.FLEETKEY_BIN;
}

function call(args, environment) {
  execFileSync(binary(), args, { env: { ...process.env, ...environment }, stdio: ["ignore", "ignore", "inherit"] });
}

/** A program that runs until it is stopped; `event` waits for a line of its output. */
function run(args, environment = {}) {
  const child = spawn(binary(), args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...environment },
  });
  const seen = [];
  const waiting = new Set();
  createInterface({ input: child.stdout }).on("line", (line) => {
    seen.push(parsed(line));
    waiting.forEach((look) => look());
  });
  const event = (fits) =>
    within(`an event ${fits}`, (done) => {
      const look = () => {
        const found = seen.find((line) => (typeof fits === "string" ? line.event === fits : fits(line)));
        if (found) {
          waiting.delete(look);
          done(found);
        }
      };
      waiting.add(look);
      look();
    });
  const stop = async () => {
    if (child.exitCode === null) {
      const gone = once(child, "exit");
      child.kill("SIGINT");
      // A second one cuts the end short.
      const hurry = setTimeout(() => child.kill("SIGINT"), 2_000);
      await gone;
      clearTimeout(hurry);
    }
  };
  return { event, stop };
}

/** A line for a person is no event. */
function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return {};
  }
}

/** Debian's Chromium. */
export function browser() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** Waits for what comes by itself; without a script the page must be loaded again to see it. */
export async function arrives(page, what) {
  if (!page.plain) return what.first().waitFor();
  const end = Date.now() + PATIENCE;
  while ((await what.count()) === 0) {
    assert.ok(Date.now() < end, `${what} did not come within a minute`);
    await page.reload();
  }
}

/** A page of a context without scripts. */
export async function plainly(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.plain = true;
  return page;
}

/** The contexts whose pages take violations down. Once each: what is added a second time runs twice on every page. */
const attended = new WeakSet();

/** A page that remembers what it complained about. */
export async function open(context) {
  if (!attended.has(context)) {
    attended.add(context);
    await context.addInitScript(() => {
      globalThis.violations = [];
      document.addEventListener("securitypolicyviolation", (event) => {
        globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
      });
    });
  }
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error") page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  return page;
}

/** All that a page is held to. */
export async function sound(page) {
  await fits(page);
  await accessible(page);
}

/**
 * No policy violation, nothing in the console but that an answer had the `status` that it was to have, nothing wider than the
 * screen.
 */
export async function fits(page, status) {
  const where = page.url();
  assert.deepEqual(await page.evaluate("globalThis.violations"), [], `policy violations on ${where}`);
  const known = (words) => status && words.startsWith("Failed to load resource:") && words.includes(` ${status} `);
  assert.deepEqual(page.complaints.filter((words) => !known(words)), [], `complaints on ${where}`);
  const wide = await page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth");
  assert.ok(wide <= 0, `${where} is ${wide} px wider than the screen`);
}

/** Nothing that axe finds. */
export async function accessible(page) {
  // Sent once a page, and of what it finds no more comes back than is read here: both are large.
  if (!(await page.evaluate("Boolean(globalThis.axe)"))) await page.evaluate(`(() => { ${axe} })()`);
  const { told, passes } = await page.evaluate(async () => {
    const found = await globalThis.axe.run({ resultTypes: ["violations"] });
    const told = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
    return { told, passes: found.passes.length };
  });
  assert.deepEqual(told, [], `axe on ${page.url()}`);
  assert.ok(passes > 10, "axe looked at something");
}

/**
 * No state is told by colour alone: whatever has the colour of a state has a shape and words; a difference has signs; a bar its
 * label, its figure and a place in a table; a bar of progress its figures beside it.
 */
export async function told(page) {
  const bare = await page.evaluate(() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const words = (element) => element.textContent.trim() !== "";
    const found = [];
    for (const mark of all("[class*='tone-']")) {
      // A mark of a strip without words stands beside the phase's name, one of the feed beside what happened.
      const spoken = words(mark) || mark.closest(".ticks, .what") !== null;
      if (!spoken || !(mark.matches(".live-state") || mark.querySelector("use"))) found.push(mark);
    }
    for (const line of all(".diff ins")) if (!line.textContent.startsWith("+")) found.push(line);
    for (const line of all(".diff del")) if (!line.textContent.startsWith("−")) found.push(line);
    for (const chart of all("svg.chart")) {
      const bars = chart.querySelectorAll(".bar").length;
      const rows = chart.closest("figure").querySelectorAll("tbody tr").length;
      if (!chart.querySelector("title")?.textContent || chart.querySelectorAll(".label").length !== bars || rows !== bars) found.push(chart);
    }
    for (const bar of all("progress")) if (!/\d/.test(bar.closest("section").textContent)) found.push(bar);
    for (const here of all("nav [aria-current]")) if (getComputedStyle(here).fontWeight < 600) found.push(here);
    return found.map((element) => element.outerHTML.slice(0, 200));
  });
  assert.deepEqual(bare, [], `told by colour alone on ${page.url()}`);
}

export async function picture(page, name) {
  mkdirSync(artefacts, { recursive: true });
  await page.screenshot({ path: join(artefacts, `${name}.png`), fullPage: false });
}

/** The whole id of a device's certificate in use, as its page shows it. */
export function inUse(page) {
  return page.locator("#state code").getAttribute("title");
}

function within(what, begin) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${what} did not come within a minute`)), PATIENCE);
    begin((value) => {
      clearTimeout(late);
      resolve(value);
    });
  });
}
